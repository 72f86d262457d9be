"""How a stream is named, in Python and in PostgreSQL."""

import uuid

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from metering.measuring.streams import TOTAL, stream_of, stream_sql

texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
    max_size=20,
)


def stream_by_sql(subject_type: str, subject_id: str, group: tuple[str | None, ...]) -> uuid.UUID:
    """The name that PostgreSQL computes from the same texts."""
    placeholders = ["%s::text"] * (2 + len(group))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT "
            + stream_sql("c.t0", "c.t1", [f"c.t{index + 2}" for index in range(len(group))])
            + f" FROM (SELECT {', '.join(f'{p} AS t{index}' for index, p in enumerate(placeholders))}) c",
            [subject_type, subject_id, *group],
        )
        (name,) = cursor.fetchone()
    return name


def test_a_stream_has_a_fixed_name() -> None:
    # Stored rollups carry these names: a change of the algorithm would split every stream in two.
    assert stream_of("", "", ()) == uuid.UUID("390feabc-786e-369e-55b9-04251d643b52")
    assert stream_of("user", "ada", ("eu", None)) == uuid.UUID("013824a2-84c5-2b78-a661-bfef83cb2afa")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c", ()), ("a", "bc", ())),
        (("a", "", ()), ("", "a", ())),
        (("", "", (None,)), ("", "", ("",))),
        (("", "", (None,)), ("", "", ("-",))),
        (("", "", ()), ("", "", ("",))),
        (("", "", ("a", None)), ("", "", (None, "a"))),
        (("", "", ("1:a",)), ("", "1:a", ())),
        (("", "", ("é",)), ("", "", ("e\u0301",))),
    ],
)
def test_different_texts_name_different_streams(one: tuple, other: tuple) -> None:
    assert stream_of(*one) != stream_of(*other)


def test_no_stream_is_called_like_the_total() -> None:
    assert uuid.UUID("00000000-0000-0000-0000-000000000000") == TOTAL
    assert stream_of("", "", ()) != TOTAL


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text", ["", "a", "é", "e\u0301", "日本", "😀", "👩‍👩‍👧", "a:b", "-", "1:a", "%s", "\\", "'"]
)
def test_postgresql_computes_the_same_name(text: str) -> None:
    assert stream_by_sql(text, "x", (text, None)) == stream_of(text, "x", (text, None))


@pytest.mark.django_db
@given(texts, texts, st.lists(texts | st.none(), max_size=3))
def test_postgresql_computes_the_same_name_for_any_texts(
    subject_type: str, subject_id: str, group: list[str | None]
) -> None:
    assert stream_by_sql(subject_type, subject_id, tuple(group)) == stream_of(
        subject_type, subject_id, tuple(group)
    )
