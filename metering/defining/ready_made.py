"""Definitions that ship with the house: what most platforms measure. Added when asked for.

They aren't in every database from the start: a global key would be taken from every tenant.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from metering.announcing.aggregated import EVENT_DELIVERED
from metering.catalogue import current, move_version
from metering.errors import Invalid
from metering.ledger import record_events
from metering.locks import no_recorder_running
from metering.models import MetricDefinition, Project, SurfaceInstallation
from metering.texts.timestamps import iso

from .definitions import draft_of, ensure_key_is_free, put_in_force

SOURCE = "meterbook"  # of events that the house itself records
SURFACE_INSTALLED = "surface.installed"


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """One shipped definition; `fields` are those of `MetricDefinition`."""

    key: str
    fields: dict[str, Any]


def _counter(key: str, display_name: str, unit: str, event_name: str, text: str, *labels: str) -> ReadyMade:
    fields: dict[str, Any] = {
        "display_name": display_name,
        "description": text,
        "unit": unit,
        "event_name": event_name,
        "meter_type": "counter",
        "data_type": "INT",
        "aggregation": "SUM",
        "primary_labels": list(labels),
    }
    return ReadyMade(key, fields)


READY_MADE = (
    _counter(
        "reads",
        "Reads",
        "read",
        "read",
        "Read requests. An event may stand for several: its quantity says how many.",
    ),
    _counter(
        "writes",
        "Writes",
        "write",
        "write",
        "Write requests. An event may stand for several: its quantity says how many.",
    ),
    _counter(
        "operation-executions",
        "Operation executions",
        "execution",
        "operation.executed",
        "Operations that were run, by the label “operation”.",
        "operation",
    ),
    _counter(
        "event-deliveries",
        "Event deliveries",
        "delivery",
        EVENT_DELIVERED,
        "Webhook messages that arrived, by the label “event_type”. Recorded by Meterbook itself.",
        "event_type",
    ),
    _counter(
        "surface-installations",
        "Surface installations",
        "installation",
        SURFACE_INSTALLED,
        "Apps and connectors installed into projects, by the label “surface”. Recorded by Meterbook itself.",
        "surface",
    ),
)
BY_KEY = {each.key: each for each in READY_MADE}


@dataclass(frozen=True, slots=True)
class Added:
    """What `add_ready_made` did, by key in the order asked."""

    defined: list[MetricDefinition]
    existing: list[MetricDefinition]


def seen_metric(key: str, *, project: Project | None) -> MetricDefinition | None:
    """The metric of that key that usage of `project` finds; without a project, the global one."""
    for meaning in current().metrics_with_key(key):
        if (project.path if project else "").startswith(meaning.owner_path):
            return MetricDefinition.objects.select_related("project").get(pk=meaning.metric_id)
    return None


def add_ready_made(keys: Iterable[str] | None = None, *, project: Project | None = None) -> Added:
    """Define those of the shipped metrics (default: all) that `project` doesn't see yet, owned by it.

    Idempotent: one that is there, whoever above owns it and whatever it means by now, stays as it is. Raises
    `Invalid` for an unknown key and `Conflict` where a project below has a metric of that key; then nothing
    was defined.
    """
    wanted = list(dict.fromkeys(BY_KEY if keys is None else keys))
    unknown = [key for key in wanted if key not in BY_KEY]
    if unknown:
        raise Invalid(
            "There is no ready-made metric '{unknown}'; use {known}.",
            unknown=unknown[0][:100],
            known=", ".join(BY_KEY),
            field="keys",
        )
    drafts = {key: draft_of(key=key, project=project, **BY_KEY[key].fields) for key in wanted}
    added = Added([], [])
    with no_recorder_running():
        for key, draft in drafts.items():
            existing = seen_metric(key, project=project)
            if existing is not None:
                added.existing.append(existing)
                continue
            ensure_key_is_free(draft)
            added.defined.append(draft)
        for draft in added.defined:
            put_in_force(draft)
        if added.defined:
            move_version()
    return added


# -- events of the house's own ---------------------------------------------------------------------------


def record_event_delivery(
    *, project: Project, delivery_id: str, event_type: str, delivered_at: dt.datetime
) -> None:
    """Record that a message reached its receiver, where a metric listens for that; once per `delivery_id`."""
    _record(
        project,
        {
            "id": f"delivery:{delivery_id}",
            "event_name": EVENT_DELIVERED,
            "subject_type": "event_delivery",
            "subject_id": delivery_id,
            "occurred_at": iso(delivered_at),
            "labels": {"event_type": event_type},
        },
    )


def record_surface_installation(surface: SurfaceInstallation) -> None:
    """Record that a surface was installed, where a metric of its project listens for that; once for it."""
    _record(
        surface.project,
        {
            "id": f"surface:{surface.pk}",
            "event_name": SURFACE_INSTALLED,
            "subject_type": "surface",
            "subject_id": surface.key,
            "labels": {"surface": surface.key, "kind": surface.project.kind},
            "surface": surface.key,
        },
    )


def _record(project: Project, event: dict[str, Any]) -> None:
    """Record an event that has already happened: no limit refuses it, and one that no metric takes is left.

    Committed with the surrounding transaction, whose first lock must be the recording lock.
    """
    catalogue = current()
    node = catalogue.project_by_id(project.pk)
    if all(meaning.archived_from is not None for meaning in catalogue.listening(node, event["event_name"])):
        return
    record_events([{**event, "project": project.key}], source=SOURCE, on_error="skip", enforce=False)
