"""What `as_of` means. Waiting for recorders is tested in `tests/concurrency`."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from metering.answering.fences import raise_fence
from metering.answering.positions import position_at
from metering.clock import database_now, ledger_end
from metering.errors import EventsRejected, Invalid
from metering.models import Fence
from metering.texts.timestamps import iso
from tests.factories import a_metric, a_project, an_event, at, recorded

pytestmark = pytest.mark.django_db(transaction=True)


def a_fence(position: int, text: str) -> Fence:
    return Fence.objects.create(position=position, fenced_at=at(text))


def fences() -> list[int]:
    return list(Fence.objects.order_by("id").values_list("position", flat=True))


def test_a_position_up_to_the_last_fence_is_itself() -> None:
    a_fence(7, "2024-05-15T12:00:00Z")

    assert [position_at(text) for text in ("0", "1", "7", "007")] == [0, 1, 7, 7]
    assert fences() == [7]


def test_a_position_behind_the_last_fence_makes_a_new_one() -> None:
    a_project("acme")
    a_metric()
    [first] = recorded(an_event())
    raise_fence()
    [second, third] = recorded(an_event(), an_event())

    assert position_at(str(second.id)) == second.id
    assert fences() == [first.id, third.id]


def test_a_position_that_the_ledger_has_not_reached_is_invalid_and_makes_no_fence() -> None:
    a_project("acme")
    a_metric()
    [event] = recorded(an_event())

    for text in (str(event.id + 1), "9" * 18, str(2**63 - 1), str(2**63), "9" * 19):
        with pytest.raises(Invalid, match="hasn't reached") as refusal:
            position_at(text)
        assert refusal.value.field == "as_of"
    assert fences() == []


def test_ids_that_a_failed_batch_drew_are_positions() -> None:
    a_project("acme")
    a_metric()
    [event] = recorded(an_event())
    with pytest.raises(EventsRejected):
        recorded(an_event(quantity="five"))

    assert position_at(str(event.id + 1)) == event.id + 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-1",
        "+1",
        "1.0",
        "1e3",
        "1_000",
        "٣",
        "²",
        "9" * 20,
        "9" * 5_000,
        "last",
        "\x00",
        "2024-05-15",
        "2024-05-15T12:00:00",
        "2016-12-31T23:59:60Z",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_what_is_neither_position_nor_time_is_invalid(text: str) -> None:
    with pytest.raises(Invalid, match="Neither a ledger position nor a time") as refusal:
        position_at(text)

    assert refusal.value.field == "as_of"
    assert fences() == []


def test_a_time_means_the_last_fence_at_or_before_it() -> None:
    a_fence(5, "2024-05-15T12:00:00Z")
    a_fence(9, "2024-05-15T12:01:00Z")
    a_fence(12, "2024-05-15T12:02:00Z")

    assert position_at("2024-05-15T12:00:00Z") == 5
    assert position_at("2024-05-15T12:00:59.999999Z") == 5
    assert position_at("2024-05-15T14:01:00+02:00") == 9
    assert position_at("2024-05-15T12:01:59Z") == 9
    assert position_at("2024-05-15T12:02:00Z") == 12
    assert fences() == [5, 9, 12]


def test_before_the_first_fence_the_position_is_0() -> None:
    a_fence(5, "2024-05-15T12:00:00Z")

    assert position_at("2024-05-15T11:59:59.999999Z") == 0
    assert position_at("1970-01-01T00:00:00Z") == 0


def test_of_fences_in_time_the_furthest_counts() -> None:
    a_fence(7, "2024-05-15T12:00:00Z")
    a_fence(5, "2024-05-15T12:00:01Z")
    a_fence(9, "2024-05-15T12:00:02Z")

    assert position_at("2024-05-15T12:00:01Z") == 7


@pytest.mark.parametrize("ahead", [dt.timedelta(0), dt.timedelta(days=10_000)])
def test_a_time_later_than_the_last_fence_makes_a_new_one(ahead: dt.timedelta) -> None:
    a_project("acme")
    a_metric()
    recorded(an_event())
    raise_fence()
    [event] = recorded(an_event())

    position = position_at(iso(database_now() + ahead))

    assert position == event.id
    assert fences() == [event.id - 1, event.id]
    assert position_at(str(position)) == position


def test_nothing_recorded_since_is_the_last_fence_again() -> None:
    a_project("acme")
    a_metric()
    [event] = recorded(an_event())
    raise_fence()

    assert position_at(iso(database_now())) == event.id
    assert fences() == [event.id]


def test_a_ledger_without_events_has_positions_too() -> None:
    end = ledger_end()

    assert position_at("0") == 0
    assert position_at(iso(database_now())) == end


@pytest.mark.django_db(transaction=False)
@hypothesis_settings(max_examples=200)
@given(st.text(max_size=30) | st.from_regex(r"[0-9T:.+Z-]{1,32}", fullmatch=True))
def test_no_text_breaks_it(text: str) -> None:
    position, field = None, None
    try:
        position = position_at(text)
    except Invalid as refusal:
        field = refusal.field

    assert field == "as_of" if position is None else 0 <= position <= ledger_end()
