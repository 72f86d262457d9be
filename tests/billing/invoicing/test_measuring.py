import pytest

from billing.invoicing.measured_usage import measured


@pytest.mark.django_db
def test_without_a_question_nothing_is_read(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert measured([], position=0) == {}
