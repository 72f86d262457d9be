"""Positions up to which the ledger is final. Waiting for recorders is tested in `tests/concurrency`."""

import datetime as dt

import pytest

from metering.answering.fences import last_position, raise_fence
from metering.clock import database_now
from metering.errors import EventsRejected
from metering.models import Fence
from tests.factories import a_metric, a_project, an_event, recorded

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_fence_stands_at_the_last_id_drawn() -> None:
    a_project("acme")
    a_metric()
    [first, second] = recorded(an_event(), an_event())
    before = database_now()

    fence = raise_fence()

    assert fence.position == max(first.id, second.id)
    assert before < fence.fenced_at < database_now()
    assert list(Fence.objects.values_list("position", flat=True)) == [fence.position]
    assert last_position() == fence.position


def test_nothing_recorded_since_is_the_same_fence() -> None:
    a_project("acme")
    a_metric()
    recorded(an_event())

    fence = raise_fence()

    assert raise_fence() == fence
    recorded(an_event())
    following = raise_fence()
    assert following.position == fence.position + 1
    assert following.fenced_at > fence.fenced_at
    assert Fence.objects.count() == 2


def test_ids_that_a_failed_batch_drew_lie_below_the_fence() -> None:
    a_project("acme")
    a_metric()
    [event] = recorded(an_event())
    with pytest.raises(EventsRejected):
        recorded(an_event(quantity="five"))

    assert raise_fence().position == event.id + 1


def test_before_the_first_fence_the_position_is_0() -> None:
    assert last_position() == 0


def test_the_last_position_is_the_furthest_and_not_the_newest() -> None:
    now = database_now()
    Fence.objects.create(position=7, fenced_at=now)
    Fence.objects.create(position=5, fenced_at=now + dt.timedelta(seconds=1))

    assert last_position() == 7
