"""Recording crossings, each once, with the alert and the announcement that belong to it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection

from metering.announcing.kinds import THRESHOLD_APPROACHING, THRESHOLD_EXCEEDED
from metering.announcing.outbox import announce_many
from metering.models import MetricDefinition, Project
from metering.texts.numbers import plain
from metering.texts.timestamps import iso

from .models import Alert, ThresholdCrossing, UsageThreshold
from .periods import Period

EVENT_KINDS = {
    ThresholdCrossing.Kind.APPROACHING: THRESHOLD_APPROACHING,
    ThresholdCrossing.Kind.EXCEEDED: THRESHOLD_EXCEEDED,
}


@dataclass(frozen=True, slots=True)
class Crossing:
    """A crossing that was noticed, perhaps not for the first time."""

    threshold: UsageThreshold
    kind: ThresholdCrossing.Kind
    period: Period
    subject: tuple[str, str]  # type, id
    value: Decimal

    @property
    def is_outdone(self) -> bool:
        """Whether usage is beyond the level as well: that is what people are told, not that it is near."""
        assert self.threshold.level is not None
        return self.kind == ThresholdCrossing.Kind.APPROACHING and self.value >= self.threshold.level


# Writes crossings whose threshold is still at that version, in the order of their unique key, so that two who
# notice the same never wait for each other in a circle; a crossing that is there, or being inserted by
# another, is passed over. Index: crossing_once_per_period.
_INSERT = """
    INSERT INTO quotas_thresholdcrossing
           (threshold_id, version, kind, period_start, period_end, subject_type, subject_id, value, level)
    SELECT n.threshold_id, n.version, n.kind, n.period_start, n.period_end, n.subject_type, n.subject_id,
           n.value, n.level
      FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[],
                  %s::text[], %s::numeric[], %s::numeric[])
           AS n (threshold_id, version, kind, period_start, period_end, subject_type, subject_id, value,
                 level)
      JOIN quotas_usagethreshold t
        ON t.id = n.threshold_id
       AND t.version = n.version
       AND t.removed_at IS NULL
     ORDER BY n.threshold_id, n.version, n.period_start, n.kind, n.subject_id, n.subject_type
    ON CONFLICT (threshold_id, version, period_start, kind, subject_id, subject_type) DO NOTHING
    RETURNING id, threshold_id, kind, period_start, subject_type, subject_id
"""


def record_crossings(crossings: Sequence[Crossing]) -> int:
    """Insert those that are new, each with its alert and its domain event; returns how many those were.

    Within the caller's transaction, so that a crossing without its alert can't be. A jump over both levels
    records both crossings and alerts to the higher one. A threshold whose action is none alerts nobody.
    """
    if not crossings:
        return 0
    by_key = {_key(crossing): crossing for crossing in crossings}
    written = [(row_id, by_key[tuple(key)]) for row_id, *key in _insert(list(by_key.values()))]
    told = [
        (row_id, crossing)
        for row_id, crossing in written
        if crossing.threshold.action != UsageThreshold.Action.NONE and not crossing.is_outdone
    ]
    if told:
        _alert(told)
    return len(written)


def _key(crossing: Crossing) -> tuple[Any, ...]:
    return (crossing.threshold.pk, crossing.kind.value, crossing.period.start, *crossing.subject)


def _insert(crossings: Sequence[Crossing]) -> list[tuple[Any, ...]]:
    rows = [
        (
            crossing.threshold.pk,
            crossing.threshold.version,
            crossing.kind.value,
            crossing.period.start,
            crossing.period.end,
            *crossing.subject,
            crossing.value,
            crossing.threshold.level,
        )
        for crossing in crossings
    ]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [list(column) for column in zip(*rows, strict=True)])
        return list(cursor.fetchall())


def _alert(told: Sequence[tuple[int, Crossing]]) -> None:
    projects = Project.objects.in_bulk({crossing.threshold.project_id for _, crossing in told})
    metrics = MetricDefinition.objects.in_bulk({crossing.threshold.metric_id for _, crossing in told})
    groups: dict[tuple[str, int], list[tuple[int, Crossing]]] = defaultdict(list)
    for row_id, crossing in told:
        groups[EVENT_KINDS[crossing.kind], crossing.threshold.project_id].append((row_id, crossing))
    alerts = []
    for (kind, project_id), group in groups.items():
        event_ids = announce_many(
            kind,
            project_id=project_id,
            data=[
                facts_of(crossing, project=projects[project_id], metric=metrics[crossing.threshold.metric_id])
                for _, crossing in group
            ],
        )
        alerts += [
            Alert(crossing_id=row_id, event_id=event_id)
            for (row_id, _), event_id in zip(group, event_ids, strict=True)
        ]
    # In the order of the crossings, which is that of the inbox.
    Alert.objects.bulk_create(sorted(alerts, key=lambda alert: alert.crossing_id), batch_size=1000)


def facts_of(crossing: Crossing, *, project: Project, metric: MetricDefinition) -> dict[str, object]:
    """What a domain event says about a crossing: numbers as text, instants in UTC."""
    threshold, period = crossing.threshold, crossing.period
    assert threshold.level is not None
    subject_type, subject_id = crossing.subject
    early = {}
    if crossing.kind == ThresholdCrossing.Kind.APPROACHING and threshold.approach_fraction is not None:
        early = {"approach_fraction": plain(threshold.approach_fraction)}
    return {
        "threshold": threshold.pk,
        "version": threshold.version,
        "project": project.key,
        "metric": metric.key,
        "unit": metric.unit,
        "subject_type": subject_type or None,
        "subject_id": subject_id or None,
        "value": plain(crossing.value),
        "level": plain(threshold.level),
        **early,
        "action": threshold.action,
        "period": threshold.period,
        "period_start": None if period.start is None else iso(period.start),
        "period_end": None if period.end is None else iso(period.end),
    }
