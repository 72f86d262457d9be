"""Where thresholds stand in the periods that run now, for whoever looks."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count

from metering.answering.owner_usage import Asked, usage_of_owners
from metering.catalogue import current
from metering.clock import database_now
from metering.measuring.windows import zone_named

from .evaluation import asked_of
from .models import ThresholdCrossing, UsageThreshold
from .periods import Period, period_holding


@dataclass(frozen=True, slots=True)
class Stand:
    """One threshold in its running period: its usage, and how many subjects' usage is near or at the level.

    `value` is None where subjects are watched one by one, and without usage.
    """

    period: Period
    value: Decimal | None
    near_count: int
    reached_count: int


def stands_of(thresholds: Sequence[UsageThreshold]) -> dict[int, Stand]:
    """By threshold id. A few short queries for each metric among them."""
    catalogue, now = current(), database_now()
    periods: dict[int, Period] = {}
    questions: dict[int, dict[Asked, list[int]]] = defaultdict(lambda: defaultdict(list))
    for threshold in thresholds:
        zone = zone_named(catalogue.project_by_id(threshold.project_id).timezone)
        period = periods[threshold.pk] = period_holding(now, kind=threshold.period, zone=zone)
        meaning = catalogue.meanings.get(threshold.metric_id)
        if meaning is not None and not threshold.is_for_each_subject:
            asked = asked_of(meaning, threshold, period, now=now)
            if asked is not None:
                questions[meaning.metric_id][asked].append(threshold.pk)
    values: dict[int, Decimal] = {}
    for metric_id, asked_of_metric in questions.items():
        for told in usage_of_owners(catalogue.meanings[metric_id], list(asked_of_metric)):
            values |= dict.fromkeys(asked_of_metric[told.asked], told.value)
    near, reached = _counts(thresholds, periods)
    return {
        threshold.pk: Stand(
            periods[threshold.pk],
            values.get(threshold.pk),
            max(0, near.get(threshold.pk, 0) - reached.get(threshold.pk, 0)),
            reached.get(threshold.pk, 0),
        )
        for threshold in thresholds
    }


def _counts(
    thresholds: Sequence[UsageThreshold], periods: dict[int, Period]
) -> tuple[dict[int, int], dict[int, int]]:
    """How many subjects crossed each threshold's present level in its running period, by kind."""
    versions = {threshold.pk: threshold.version for threshold in thresholds}
    counts: dict[str, dict[int, int]] = {kind: {} for kind in ThresholdCrossing.Kind.values}
    rows = (
        ThresholdCrossing.objects.filter(
            threshold__in=versions, period_start__in={period.start for period in periods.values()}
        )
        | ThresholdCrossing.objects.filter(threshold__in=versions, period_start=None)
    ).values_list("threshold_id", "version", "period_start", "kind")
    for threshold_id, version, start, kind, count in rows.annotate(count=Count("id")).order_by():
        if version == versions[threshold_id] and start == periods[threshold_id].start:
            counts[kind][threshold_id] = count
    return counts[ThresholdCrossing.Kind.APPROACHING], counts[ThresholdCrossing.Kind.EXCEEDED]
