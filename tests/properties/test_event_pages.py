"""The ledger in pages, forwards and backwards: each event once and in order, however few fit on a page."""

import datetime as dt
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.answering import event_listing
from metering.answering.event_listing import EventFilter, Page, events_page
from metering.attributing.scope_tree import attribute
from metering.models import MetricDefinition, Project, UsageEvent
from tests.factories import a_metric, a_project, a_void_of, an_event, at, recorded

pytestmark = pytest.mark.django_db

NOON = at("2026-03-01T12:00:00Z")
PROJECTS = ("root", "left", "leaf", "right", "other")
# Metrics of the whole house, of a tree, of a part of it; "nested" is measured twice, one within the other.
METRICS = {"everywhere": None, "below-root": "root", "below-left": "left", "nested": "root"}


@dataclass(frozen=True)
class Sent:
    project: str
    event_name: str
    minute: int
    is_voided: bool = False


sent = st.builds(
    Sent,
    project=st.sampled_from(PROJECTS),
    event_name=st.sampled_from(sorted(METRICS)),
    minute=st.integers(0, 3),  # few, so that many are at one time
    is_voided=st.sampled_from([False, False, False, True]),
)
minutes = st.none() | st.integers(0, 4)


@settings(max_examples=60)
@given(
    events=st.lists(sent, max_size=14),
    limit=st.integers(1, 4),
    of=st.none() | st.lists(st.sampled_from(PROJECTS), min_size=1, max_size=6),
    payer=st.sampled_from([None, None, None, "root", "left"]),
    event_name=st.none() | st.sampled_from([*METRICS, "unheard-of"]),
    start=minutes,
    end=minutes,
    kind=st.sampled_from([None, None, "usage", "void"]),
    is_voided=st.sampled_from([None, None, True, False]),
    is_forgotten=st.booleans(),
)
def test_pages_hold_each_event_once_in_order(
    events: list[Sent],
    limit: int,
    of: list[str] | None,
    payer: str | None,
    event_name: str | None,
    start: int | None,
    end: int | None,
    kind: str | None,
    is_voided: bool | None,
    is_forgotten: bool,
) -> None:
    with transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_listing, "FEW_PROJECTS", 2)
        projects = _a_house()
        _recorded(events)
        if is_forgotten:  # the ledger lists what it holds, whatever is defined now
            MetricDefinition.objects.update(event_name="something-else")
        asked = EventFilter(
            project_ids=None if of is None else [projects[key].pk for key in of],
            payer_id=projects[payer].pk if payer else None,
            event_name=event_name,
            start=None if start is None else _minute(start),
            end=None if end is None else _minute(end),
            kind=kind,
            is_voided=is_voided,
        )
        wanted = _naively(asked)

        pages = _walk(asked, limit)

        assert [event for page in pages for event in _ids(page)] == wanted
        assert all(len(page.events) == limit for page in pages[:-1])
        assert _walked_back(asked, pages[-1], limit) == wanted[: len(wanted) - len(_ids(pages[-1]))]
        transaction.set_rollback(True)


def test_project_that_is_last_on_all_pages_is_left_out_of_none() -> None:
    """One event of each project: whoever kept the projects of the first page would lose the others."""
    _a_house()
    _recorded([Sent(key, "everywhere", minute) for minute, key in enumerate(reversed(PROJECTS))])

    pages = _walk(EventFilter(), 2)

    assert [event["project"] for page in pages for event in page.events] == list(PROJECTS)


def _a_house() -> dict[str, Project]:
    root = a_project("root")
    left = a_project("left", parent=root)
    projects = {
        "root": root,
        "left": left,
        "leaf": a_project("leaf", parent=left),
        "right": a_project("right", parent=root),
        "other": a_project("other"),
    }
    for name, owner in METRICS.items():
        a_metric(name, event_name=name, project=projects[owner] if owner else None)
    a_metric("nested-left", event_name="nested", project=left)
    attribute(projects["leaf"], payer=left)
    return projects


def _minute(number: int) -> dt.datetime:
    return NOON + dt.timedelta(minutes=number)


def _recorded(events: list[Sent]) -> None:
    """Those that a metric listens to at their place; others are refused."""
    for number, event in enumerate(events):
        answers = recorded(
            an_event(
                event.project,
                event_name=event.event_name,
                quantity=Decimal(1),
                id=str(number),
                occurred_at=_minute(event.minute).isoformat(),
            ),
            on_error="skip",
        )
        if event.is_voided and answers and answers[0].id is not None:
            a_void_of(answers[0].id)


def _naively(asked: EventFilter) -> list[int]:
    """All rows, one condition after another, sorted in memory."""
    rows = list(UsageEvent.objects.all())
    voided = {row.voids for row in rows if row.voids is not None}
    kept = [
        row
        for row in rows
        if (asked.payer_id is None or row.billing_scope_id == asked.payer_id)
        and (
            asked.payer_id is not None
            or asked.project_ids is None
            or row.project_id in set(asked.project_ids)
        )
        and asked.event_name in (None, row.event_name)
        and (asked.start is None or row.occurred_at >= asked.start)
        and (asked.end is None or row.occurred_at < asked.end)
        and asked.kind in (None, row.kind)
        and asked.is_voided in (None, row.pk in voided)
    ]
    return [row.pk for row in sorted(kept, key=lambda row: (row.occurred_at, row.pk), reverse=True)]


def _walk(asked: EventFilter, limit: int) -> list[Page]:
    pages = [events_page(asked, cursor=None, limit=limit)]
    while pages[-1].following is not None:
        pages.append(events_page(asked, cursor=pages[-1].following, limit=limit))
    return pages


def _walked_back(asked: EventFilter, last: Page, limit: int) -> list[int]:
    found: list[int] = []
    page = last
    while page.preceding is not None:
        page = events_page(asked, cursor=replace(page.preceding, backwards=True), limit=limit)
        found = [*_ids(page), *found]
    return found


def _ids(page: Page) -> list[Any]:
    return [event["id"] for event in page.events]
