"""An answer comes of one version of the catalogue, and in bounded time."""

from typing import Any

import pytest
from django.db import connection, transaction

from metering.answering import answers
from metering.answering.answers import answer
from metering.catalogue import Catalogue, move_version
from metering.errors import DefinitionsMoving, UsageTooSlow

pytestmark = pytest.mark.django_db


def slow(*_args: Any, **_options: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(20)")


def statement_timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0])


@pytest.fixture
def impatient(settings: Any) -> None:
    settings.USAGE_READ_TIMEOUT = 0.05


def test_a_slow_answer_is_given_up_and_leaves_the_connection_usable(impatient: None) -> None:
    with pytest.raises(UsageTooSlow, match="ask for a shorter interval"):
        answer(slow)

    assert statement_timeout() == "0"


def test_the_bound_ends_with_the_answer_also_within_a_transaction(impatient: None) -> None:
    with transaction.atomic():
        inside = answer(lambda catalogue: statement_timeout())

        assert (inside, statement_timeout()) == ("50ms", "0")


def test_without_a_setting_there_is_no_bound(settings: Any) -> None:
    settings.USAGE_READ_TIMEOUT = 0

    assert answer(lambda catalogue: statement_timeout()) == "0"


def test_who_is_overtaken_each_time_gives_up() -> None:
    asked: list[int] = []

    def overtaken(catalogue: Any) -> None:
        asked.append(catalogue.version)
        move_version()

    with pytest.raises(DefinitionsMoving):
        answer(overtaken)

    assert len(set(asked)) == answers.ATTEMPTS


def test_an_answer_within_another_is_a_part_of_it(db: None) -> None:
    seen = []

    def inner(catalogue: Catalogue) -> int:
        seen.append(catalogue)
        return catalogue.version

    version = answer(lambda outer: (outer, answer(inner)))[1]

    assert seen[0].version == version
    assert len(seen) == 1


def test_a_part_that_moves_the_catalogue_is_asked_again_with_the_whole(db: None) -> None:
    asked = []

    def inner(catalogue: Catalogue) -> int:
        asked.append(catalogue.version)
        if len(asked) == 1:
            move_version()
        return catalogue.version

    assert answer(lambda _outer: answer(inner)) == asked[1]
    assert len(asked) == 2
