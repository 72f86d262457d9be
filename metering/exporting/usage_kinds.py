"""Exports of usage: the events of the ledger, and rollups of a metric."""

from collections.abc import Generator, Iterable

from django.utils.translation import gettext_lazy as _

from metering.answering.event_listing import EventFilter
from metering.answering.exports import (
    EVENT_COLUMNS,
    ROLLUP_COLUMNS,
    events_blocks,
    expected_events,
    rollups_blocks,
)
from metering.catalogue import current, project_ids_below
from metering.measuring.meaning import Meaning
from metering.measuring.slices import Scope
from metering.models import MetricDefinition, Project
from metering.texts.csv_blocks import Block

from .export_kinds import Asked, Column, ExportKind, Filter, Shape

_MEANINGS = {
    "id": _("Id of the event in the ledger; rows are ordered by it."),
    "project": _("Key of the project whose usage it is."),
    "billing_scope": _("Key of the project that pays for it."),
    "surface": _("Key of the surface that produced it, if it named one."),
    "source": _("Who sent it, as it called itself."),
    "event_id": _("The sender's id; with project and source it is unique for ever."),
    "event_name": _("What happened."),
    "subject_type": _("What kind of subject did the using."),
    "subject_id": _("Which subject did the using."),
    "quantity": _("How much, if the event says so."),
    "labels": _("All labels, as a JSON object."),
    "occurred_at": _("When it happened, UTC."),
    "recorded_at": _("When the ledger took it, UTC."),
    "kind": _("usage, or void: a row that cancels another."),
    "voids": _("Id of the event that a void cancels."),
    "voided_by": _("Id of the void that cancels this event."),
    "metric": _("Key of the metric."),
    "granularity": _("hour, day or month."),
    "bucket_start": _("First instant of the hour, day or month, UTC."),
    "value": _("The metric's value in it."),
    "record_count": _("How many events it is made of."),
}
OFFERED_NAMES = 200


def _offered_projects() -> Iterable[tuple[str, str]]:
    return Project.objects.order_by("key").values_list("key", "name")[:OFFERED_NAMES]


def _offered_metrics() -> Iterable[tuple[str, str]]:
    return MetricDefinition.objects.order_by("key").values_list("key", "display_name")[:OFFERED_NAMES]


def _offered_event_names() -> Iterable[tuple[str, str]]:
    return [(name, "") for name in current().event_names()[:OFFERED_NAMES]]


_PROJECT = Filter(
    "project",
    _("Project"),
    help_text=_("Key of a project: its own usage alone."),
    offers=_offered_projects,
)
_FROM = Filter("from", _("From"), Shape.INSTANT, help_text=_("A day, or a time as 2026-03-01T12:00:00Z."))
_TO = Filter("to", _("To"), Shape.INSTANT, help_text=_("Up to this day or time, it not included."))


def _scope(asked: Asked) -> Scope:
    project = asked.project()
    if project is not None:
        return Scope([project.pk])
    return Scope(None if asked.project_path is None else project_ids_below([asked.project_path]))


def _events(asked: Asked) -> EventFilter:
    return EventFilter(
        project_ids=_scope(asked).project_ids,
        event_name=asked["event_name"],
        start=asked["from"],
        end=asked["to"],
    )


def _metric(asked: Asked) -> Meaning:
    return current().metric_within(asked.project_path, asked["metric"])


def _rollup_blocks(asked: Asked) -> Generator[Block, None, None]:
    return rollups_blocks(
        _metric(asked),
        scope=_scope(asked),
        granularity=asked["granularity"] or "day",
        start=asked["from"],
        end=asked["to"],
    )


def _ensure_rollups(asked: Asked) -> None:
    _metric(asked)
    asked.project()


USAGE_EVENTS = ExportKind(
    name="usage_events",
    title=_("Usage events"),
    description=_("Every row of the ledger, as it was recorded."),
    right="metering.view_usageevent",
    columns=[Column(name, _MEANINGS[name]) for name in EVENT_COLUMNS],
    filters=[_PROJECT, Filter("event_name", _("Event name"), offers=_offered_event_names), _FROM, _TO],
    blocks=lambda asked: events_blocks(_events(asked)),
    ensure=Asked.project,
    expected_count=lambda asked: expected_events(_events(asked)),
)
USAGE_ROLLUPS = ExportKind(
    name="usage_rollups",
    title=_("Rollups of a metric"),
    description=_("What one metric came to per hour, day or month (UTC), for each subject and label."),
    right="metering.view_usagemeterrollup",
    columns=[Column(name, _MEANINGS[name]) for name in ROLLUP_COLUMNS],
    filters=[
        Filter(
            "metric",
            _("Metric"),
            help_text=_("Key of the metric."),
            is_required=True,
            offers=_offered_metrics,
        ),
        _PROJECT,
        Filter(
            "granularity",
            _("Per"),
            Shape.CHOICE,
            choices=[("hour", _("Hour")), ("day", _("Day")), ("month", _("Month"))],
            help_text=_("Days, unless said otherwise."),
        ),
        _FROM,
        _TO,
    ],
    blocks=_rollup_blocks,
    ensure=_ensure_rollups,
    expected_count=lambda asked: None,
)
