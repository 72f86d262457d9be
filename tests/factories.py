"""Plain functions that make things as the verbs make them. Every default can be overridden by keyword."""

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from metering import catalogue
from metering.answering.usage import Slice, Usage, usage_in
from metering.attributing.scope_tree import create_project
from metering.correcting.corrections import void_events
from metering.defining.definitions import define_metric
from metering.ledger import Outcome, record_events
from metering.measuring.meaning import Meaning
from metering.models import MetricDefinition, Project, UsageEvent
from metering.texts.timestamps import instant_from

_numbers = itertools.count(1)

NOON = "2024-05-15T12:00:00Z"  # a Wednesday


def at(text: str, zone: str = "UTC") -> dt.datetime:
    """An instant: `2024-05-15T12:00:00Z`, or without offset by the clocks of `zone`."""
    try:
        return instant_from(text)
    except ValueError:
        return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)


def a_project(key: str | None = None, *, parent: Project | None = None, **overrides: Any) -> Project:
    key = key or f"project-{next(_numbers)}"
    return create_project(**{"key": key, "name": key.title(), "parent": parent, **overrides})


def a_metric(key: str = "tokens", **overrides: Any) -> MetricDefinition:
    """A global SUM of the events' quantities, unless told otherwise."""
    return define_metric(**{"key": key, "aggregation": "SUM", **overrides})


def an_event(project: Project | str | None = "acme", **overrides: Any) -> dict[str, Any]:
    """An event as a producer sends it; a member that is overridden with None stays absent."""
    members = {
        "id": f"event-{next(_numbers)}",
        "project": project.key if isinstance(project, Project) else project,
        "event_name": "tokens",
        "occurred_at": NOON,
        **overrides,
    }
    return {name: value for name, value in members.items() if value is not None}


def recorded(*events: Mapping[str, Any], **options: Any) -> list[Outcome]:
    return record_events(events, **options)


def outcomes(results: Sequence[Outcome]) -> list[str]:
    return [result.outcome for result in results]


def meaning_of(metric: MetricDefinition | str) -> Meaning:
    """The compiled definition as it stands in the catalogue now."""
    if isinstance(metric, str):
        metric = MetricDefinition.objects.get(key=metric)
    return catalogue.current().meanings[metric.pk]


def usages_of(
    metric: MetricDefinition | str,
    *windows: tuple[dt.datetime | None, dt.datetime | None],
    slice: Slice = Slice(),
) -> list[Usage]:
    """Usage in each of the windows; over all time without one."""
    return usage_in(meaning_of(metric), windows or [(None, None)], slice=slice)


def total_of(
    metric: MetricDefinition | str,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    slice: Slice = Slice(),
) -> Decimal | None:
    """One number for one window; None where there were no events at all."""
    found = usages_of(metric, (start, end), slice=slice)
    return found[0].value if found else None


def ledger_rows(*names: str) -> list[tuple[Any, ...]]:
    """Columns of the whole ledger, in the order recorded."""
    return list(UsageEvent.objects.order_by("id").values_list(*names))


def a_void_of(event_id: int, *, reason: str = "recorded by mistake") -> int:
    """The ledger id of the void that cancels the event."""
    [voided] = void_events([event_id], reason=reason, actor="tests")
    return voided.id
