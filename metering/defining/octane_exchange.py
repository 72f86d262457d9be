"""Metrics taken over from Octane's Meters, and given to it: all of a list or none of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from metering.catalogue import move_version
from metering.errors import Conflict, EventError, Inexpressible, Invalid, MetersConflict, MetersRejected
from metering.locks import no_recorder_running
from metering.models import MetricDefinition, Project

from .definitions import count_history, draft_of, ensure_key_is_free, put_in_force
from .octane import BeyondOctane, NotAMeter, definition_from, meter_from, octane_field

MAX_METERS = 200  # one transaction under the exclusive recording lock saves them all


@dataclass(frozen=True, slots=True)
class Draft:
    """One Meter of a list: the metric that it would become, or (also) what stands against it."""

    index: int
    name: str
    metric: MetricDefinition | None
    errors: Sequence[EventError]


def drafts_of(meters: Sequence[Any], *, project: Project | None) -> list[Draft]:
    """What importing the Meters would define, and everything that stands against it. Nothing is written."""
    drafts: list[Draft] = []
    seen: set[str] = set()
    for index, meter in enumerate(meters):
        draft = _draft(index, meter, project=project)
        if draft.metric is not None and draft.metric.key in seen:
            again = EventError(index, "conflict", "name", "another Meter of this list has this name")
            draft = Draft(index, draft.name, draft.metric, [*draft.errors, again])
        if draft.metric is not None:
            seen.add(draft.metric.key)
        drafts.append(draft)
    return drafts


def import_octane(
    meters: Sequence[Any], *, project: Project | None = None, counts_from: int | None = None
) -> list[MetricDefinition]:
    """Define a metric for each Meter, owned by `project`, in one transaction; in the order given.

    They count from now on, or from all history with `counts_from=0`. Raises `MetersRejected` when one can't
    be read or makes no sense, `MetersConflict` when a name is taken, each with every error by index and by
    Octane's field; then nothing was defined.
    """
    if not meters:
        raise Invalid("There is no Meter to import.")
    if len(meters) > MAX_METERS:
        raise Invalid("At most {most} Meters at a time.", most=MAX_METERS, code="batch_too_large")
    drafts = drafts_of(meters, project=project)
    _ensure_none(error for draft in drafts for error in draft.errors)
    metrics = [draft.metric for draft in drafts if draft.metric is not None]
    with no_recorder_running():
        # Somebody may have taken a name since.
        _ensure_none(error for index, metric in enumerate(metrics) for error in _taken(index, metric))
        for metric in metrics:
            put_in_force(metric, counts_from=counts_from)
        move_version()
    for metric in metrics:
        count_history(metric)
    return metrics


def _draft(index: int, meter: Any, *, project: Project | None) -> Draft:
    name = str(meter.get("name") or "")[:100] if isinstance(meter, dict) else ""
    try:
        fields = definition_from(meter)
    except NotAMeter as error:
        return Draft(
            index,
            name,
            None,
            [EventError(index, one.code, one.field, one.detail) for one in error.objections],
        )
    try:
        metric = draft_of(project=project, **fields)
    except Invalid as error:
        return Draft(
            index, name, None, [EventError(index, error.code, octane_field(error.field), str(error))]
        )
    return Draft(index, name, metric, _taken(index, metric))


def _taken(index: int, metric: MetricDefinition) -> list[EventError]:
    try:
        ensure_key_is_free(metric)
    except Conflict as error:
        return [EventError(index, error.code, "name", str(error))]
    return []


def _ensure_none(found: Iterable[EventError]) -> None:
    errors = list(found)
    if any(error.code != "conflict" for error in errors):
        raise MetersRejected(errors)
    if errors:
        raise MetersConflict(errors)


def meters_of(metrics: Iterable[MetricDefinition]) -> list[dict[str, Any]]:
    """The metrics as Octane's Meters, in order. Raises `Inexpressible` with every reason of every metric."""
    meters, errors = [], []
    for index, metric in enumerate(metrics):
        definition = {field.attname: getattr(metric, field.attname) for field in metric._meta.concrete_fields}
        try:
            meters.append(meter_from(definition))
        except BeyondOctane as error:
            errors += [
                EventError(index, one.code, one.field, f"Metric '{metric.key}': {one.detail}")
                for one in error.objections
            ]
    if errors:
        raise Inexpressible(errors, format_name="Octane's Meter")
    return meters
