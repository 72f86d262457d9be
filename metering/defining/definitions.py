"""Defining, changing and archiving metrics. What changes numbers freezes with the first event."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import OperationalError, connection, transaction

from metering.admission import admission_policy
from metering.announcing.recorded import announce_definition
from metering.catalogue import Catalogue, current, move_version
from metering.clock import ledger_end
from metering.errors import Conflict, DefinitionsBusy, Invalid
from metering.locks import no_recorder_running
from metering.measuring.label_filter import InvalidFilter, Params, filter_from
from metering.measuring.meaning import Meaning
from metering.models import MetricDefinition, Project
from metering.rolling_up.history import enqueue_history, is_history_long

# Changing one of these changes what recorded numbers mean.
MEANING_FIELDS = (
    "event_name",
    "meter_type",
    "data_type",
    "aggregation",
    "value_property",
    "is_incremental",
    "reporting_method",
    "expected_labels",
    "primary_labels",
    "event_label_filter",
)
WORDING_FIELDS = ("display_name", "description", "unit", "reset_period")
MAX_LABEL_NAMES = 20
RESERVED_KEYS = ("octane", "preview", "ready-made")  # routes below /metrics/ that are no metric


def meaning_fields_of(metric: MetricDefinition) -> tuple[str, ...]:
    """The fields of `metric` that freeze: a running total means something else in another reset period."""
    if metric.reporting_method == MetricDefinition.ReportingMethod.TOTAL:
        return (*MEANING_FIELDS, "reset_period")
    return MEANING_FIELDS


def define_metric(
    *,
    key: str,
    project: Project | None = None,
    counts_from: int | None = None,
    **fields: Any,
) -> MetricDefinition:
    """Define a metric; it counts from now on, or from all history with `counts_from=0`.

    History is counted before this returns, or if it is long by the next tick (see `is_history_due`).
    Other fields as on `MetricDefinition`; `event_name` is the key and `display_name` is too, where absent.
    Raises `Invalid` naming the field, and `Conflict` when an ancestor, a descendant or a global metric has
    the key.
    """
    metric = draft_of(key=key, project=project, **fields)
    if counts_from not in {None, 0}:
        raise Invalid("A metric counts from now on, or from 0: all history.", field="counts_from")
    with no_recorder_running():
        ensure_key_is_free(metric)
        put_in_force(metric, counts_from=counts_from)
        move_version()
    count_history(metric)
    return metric


def draft_of(*, key: str, project: Project | None = None, **fields: Any) -> MetricDefinition:
    """An unsaved definition, each rule of which holds on its own. Raises `Invalid` naming the field."""
    if key in RESERVED_KEYS:
        raise Invalid("'{key}' is a word of the API's own; choose another key.", key=key, field="key")
    if fields.get("aggregation") == MetricDefinition.Aggregation.TIME_WEIGHTED_AVG:
        # What averages over time mean unless told otherwise: readings of a level.
        fields = {"meter_type": MetricDefinition.MeterType.GAUGE, "is_incremental": False, **fields}
    metric = MetricDefinition(key=key, project=project, **fields)
    metric.event_name = metric.event_name or key
    metric.display_name = metric.display_name or key
    _ensure_sound(metric)
    return metric


def put_in_force(metric: MetricDefinition, *, counts_from: int | None = None) -> None:
    """Save a draft that counts from here on. Only while no recorder runs; the caller moves the version."""
    metric.counts_from = ledger_end()
    metric.is_history_due = counts_from == 0
    metric.save()
    announce_definition(metric)


def count_history(metric: MetricDefinition) -> None:
    """Count what lies before a metric that was put in force a moment ago, where that was asked for.

    A long history is left to the next tick: `is_history_due` says so until it is counted, all of it at once.
    """
    if metric.is_history_due and not is_history_long(metric):
        # Everything up to `counts_from` is final, so history needs no lock; a tick does it if we are killed.
        enqueue_history(metric)
        metric.refresh_from_db()


def change_metric(metric: MetricDefinition, changes: Mapping[str, Any]) -> MetricDefinition:
    """Change a metric's fields. Raises `Invalid`, and `Conflict` for a field that is frozen."""
    unknown = sorted(set(changes) - set(MEANING_FIELDS) - set(WORDING_FIELDS))
    if unknown:
        raise Invalid("'{unknown}' can't be changed.", unknown=unknown[0], field=unknown[0])
    before = {name: getattr(metric, name) for name in meaning_fields_of(metric)}
    for name, value in changes.items():
        setattr(metric, name, value)
    metric.event_name = metric.event_name or metric.key
    _ensure_sound(metric)
    touched = [name for name, value in before.items() if getattr(metric, name) != value]
    with no_recorder_running():
        # What was read before the lock may be old: only what is to change is written.
        stored = held_metric(metric)
        written = {*changes, "event_name"}
        if touched:
            if stored.is_history_due:
                raise DefinitionsBusy
            if stored.is_archived:
                raise Conflict("An archived metric keeps its meaning.", field=touched[0])
            if has_counted(stored):
                raise Conflict(
                    "'{touched}' is frozen: the metric has counted events. Clone it with this change,"
                    " and archive this one.",
                    touched=touched[0],
                    field=touched[0],
                )
            if "event_name" in touched and holds_events_for(stored):
                raise Conflict(
                    "Events named '{event_name}' are recorded, and no other metric listens to them; define"
                    " another metric for the new name.",
                    event_name=stored.event_name,
                    field="event_name",
                )
            admission_policy().ensure_can_judge(metric)
            # What it would now have counted was recorded before it meant that.
            metric.counts_from = ledger_end()
            written.add("counts_from")
        metric.save(update_fields=written)
        move_version()
    metric.refresh_from_db()
    return metric


def archive_metric(metric: MetricDefinition) -> MetricDefinition:
    """Stop counting from now on; history and rollups stay. Archiving again changes nothing."""
    with no_recorder_running():
        held_metric(metric)
        metric.refresh_from_db()
        if metric.archived_from is None:
            metric.archived_from = ledger_end()
            metric.save(update_fields=["archived_from"])
            move_version()
    return metric


def held_metric(metric: MetricDefinition) -> MetricDefinition:
    """The definition as it is stored, its row ours. Never waits: recorders wait for whoever asks.

    Raises `DefinitionsBusy` while somebody counts its history.
    """
    try:
        with transaction.atomic():
            return MetricDefinition.objects.select_for_update(nowait=True, of=("self",)).get(pk=metric.pk)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != "55P03":  # lock_not_available
            raise
        raise DefinitionsBusy from None


def has_counted(metric: MetricDefinition) -> bool:
    """Whether the ledger holds an event that the metric counts. Index: usage_event_by_project."""
    params = Params()
    meaning = Meaning(metric, owner_path=_owner_path(metric))
    below = Project.objects.filter(path__startswith=meaning.owner_path).values_list("id", flat=True)
    return _is_in_ledger(list(below), meaning.where_sql(params), params)


def holds_events_for(metric: MetricDefinition) -> bool:
    """Whether the ledger holds an event that this metric alone listens to, counted by it or not: without it
    the event would be of no metric, and left out of files. Index: usage_event_by_project."""
    others = MetricDefinition.objects.filter(event_name=metric.event_name).exclude(pk=metric.pk)
    heard_by_others = tuple(_owner_path(other) for other in others.select_related("project"))
    below = Project.objects.filter(path__startswith=_owner_path(metric)).values_list("id", "path")
    alone = [project_id for project_id, path in below if not path.startswith(heard_by_others)]
    params = Params()
    return _is_in_ledger(alone, f"e.event_name = {params.add(metric.event_name)}", params)


def _owner_path(metric: MetricDefinition) -> str:
    return metric.project.path if metric.project else ""


def _is_in_ledger(project_ids: list[int], where: str, params: Params) -> bool:
    ids = params.add(project_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT EXISTS (SELECT FROM metering_usageevent e WHERE e.project_id = ANY ({ids}) AND {where})",  # noqa: S608
            params,
        )
        (found,) = cursor.fetchone()
    return bool(found)


def storable_filter(value: Any) -> Any:
    """The filter as JSON can hold it: exact fractions as floats that read back to the same number."""
    if isinstance(value, Decimal):
        if Decimal(repr(float(value))) != value:
            raise InvalidFilter("The number {number} has more digits than a filter can keep.", number=value)
        return float(value)
    if isinstance(value, Mapping):
        return {name: storable_filter(inner) for name, inner in value.items()}
    return [storable_filter(inner) for inner in value] if isinstance(value, list) else value


def ensure_key_is_free(metric: MetricDefinition) -> None:
    """Raises `Conflict` when an ancestor, a descendant or a global metric has the key."""
    catalogue: Catalogue = current()
    path = metric.project.path if metric.project else ""
    for other in catalogue.metrics_with_key(metric.key):
        if path.startswith(other.owner_path) or other.owner_path.startswith(path):
            raise Conflict(
                "There is a metric '{key}' along this branch of the tree already.",
                key=metric.key,
                field="key",
            )


def _ensure_sound(metric: MetricDefinition) -> None:
    """Each rule of a definition on its own. Raises `Invalid`."""
    try:
        filter_from(metric.event_label_filter)
        metric.event_label_filter = storable_filter(metric.event_label_filter)
    except InvalidFilter as error:
        raise Invalid(error.template, field="event_label_filter", **error.values) from None
    for name in ("expected_labels", "primary_labels"):
        labels = getattr(metric, name)
        if len(set(labels)) != len(labels):
            raise Invalid("A label is named twice.", field=name)
        if len(labels) > MAX_LABEL_NAMES:
            raise Invalid("At most {most} labels.", most=MAX_LABEL_NAMES, field=name)
        if any(not label or "\x00" in label for label in labels):
            raise Invalid("A label needs a name.", field=name)
    for name in ("key", "display_name", "description", "unit", "event_name", "value_property"):
        if "\x00" in getattr(metric, name):
            raise Invalid("Holds a NUL character.", field=name)
    try:
        metric.clean_fields(exclude=["project"])
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(messages[0], field=field) from None
    if metric.data_type == MetricDefinition.DataType.STRING:
        if metric.aggregation not in {"COUNT", "UNIQUE_COUNT"}:
            raise Invalid("Texts can only be counted: COUNT or UNIQUE_COUNT.", field="aggregation")
        if metric.aggregation == "UNIQUE_COUNT" and not metric.value_property:
            raise Invalid("Name the label whose texts are told apart.", field="value_property")
    if metric.aggregation == "TIME_WEIGHTED_AVG":
        if metric.meter_type != MetricDefinition.MeterType.GAUGE:
            raise Invalid("A time-weighted average is of a gauge: of a level that lasts.", field="meter_type")
        if metric.reporting_method != MetricDefinition.ReportingMethod.PERIODIC:
            raise Invalid(
                "A time-weighted average takes levels, or changes of them, not running totals.",
                field="reporting_method",
            )
