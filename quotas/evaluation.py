"""Noticing that usage neared or reached a threshold: recorded once, whoever notices and how often.

A tick evaluates what it touched, in its transaction (`METERING_TICK_OBSERVERS` names the observer). A
threshold is evaluated when it is set or changed, too, and the sweep evaluates the running periods of all,
because a time-weighted average moves without events, and so that nothing depends on a message that was
lost.

Values are exact: what is recorded counts, whether or not a tick has merged it. Of several ticks at once the
one that looks last sees the events of all.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from zoneinfo import ZoneInfo

from django.db import transaction

from metering.answering.owner_usage import Asked, Subject, Told, subjects_active_in, usage_of_owners
from metering.catalogue import Catalogue, current
from metering.clock import database_now
from metering.measuring.meaning import Meaning
from metering.measuring.windows import zone_named
from metering.rolling_up.tick_observers import Touched
from metering.texts.numbers import EXACT

from .crossings import Crossing, record_crossings
from .levels import follow_quotas
from .models import EVERY_SUBJECT_TOGETHER, ThresholdCrossing, UsageThreshold
from .periods import Period, period_holding

APPROACHING, EXCEEDED = ThresholdCrossing.Kind.APPROACHING, ThresholdCrossing.Kind.EXCEEDED
HOUR = dt.timedelta(hours=1)
# How long after its end the sweep still looks at a period: for what happened in its last moments.
SWEEP_REACH = dt.timedelta(hours=1)
THRESHOLDS_AT_ONCE = 1000  # of a sweep's transaction
PERIODS_AT_ONCE = 2000  # windows of one statement: an import of old usage reaches over many hours


class ThresholdEvaluation:
    """The tick observer that `METERING_TICK_OBSERVERS` names."""

    def observe(self, touched: Sequence[Touched]) -> None:
        """Record what the touched periods cross, late ones too, in the transaction that touched them."""
        by_metric: dict[int, list[Touched]] = defaultdict(list)
        for one in touched:
            by_metric[one.metric_id].append(one)
        watched = _watched(by_metric)
        if not watched:
            return
        catalogue = current()
        for metric_id in sorted(watched):
            meaning = catalogue.meanings.get(metric_id)
            if meaning is not None:
                _observe_metric(catalogue, meaning, by_metric[metric_id], watched[metric_id])

    def after_commit(self, touched: Sequence[Touched]) -> None:
        """Nothing: alerts were inserted with their crossings, and mails wait for a while to be collected."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """Of a metric's thresholds: whose usage they count, and whether any tells subjects apart."""

    project_ids: set[int]
    has_subjects: bool


def _watched(by_metric: dict[int, list[Touched]]) -> dict[int, _Watched]:
    """The metrics among those touched on which there are thresholds of projects touched. One short query."""
    owner_ids = {
        owner_id
        for touched in by_metric.values()
        for one in touched
        for owner_id in (one.project_id, one.billing_scope_id)
    }
    rows = (
        UsageThreshold.objects.in_force()
        .filter(metric_id__in=by_metric, project_id__in=owner_ids)
        .order_by()
        .values_list("metric_id", "project_id", "subject_id")
    )
    totals = rows.filter(subject_id=EVERY_SUBJECT_TOGETHER).distinct()
    others = rows.exclude(subject_id=EVERY_SUBJECT_TOGETHER)
    watched: dict[int, _Watched] = {}
    for metric_id, project_id, _ in totals:
        watched.setdefault(metric_id, _Watched(set(), False)).project_ids.add(project_id)
    for metric_id, project_id in others.values_list("metric_id", "project_id").distinct():
        before = watched.get(metric_id, _Watched(set(), False))
        watched[metric_id] = _Watched(before.project_ids | {project_id}, True)
    return watched


def _observe_metric(
    catalogue: Catalogue, meaning: Meaning, touched: Sequence[Touched], watched: _Watched
) -> None:
    reach: dict[int, set[tuple[dt.datetime, dt.datetime]]] = defaultdict(set)
    for one in touched:
        for owner_id in {one.project_id, one.billing_scope_id} & watched.project_ids:
            reach[owner_id].add((one.first_hour, one.last_hour + HOUR))
    subjects: set[Subject] | None = None
    ids = {EVERY_SUBJECT_TOGETHER, ""}
    if watched.has_subjects:
        subjects = subjects_active_in(
            meaning.metric_id,
            [
                (one.project_id, one.billing_scope_id, one.first_hour, one.last_hour)
                for one in touched
                if {one.project_id, one.billing_scope_id} & watched.project_ids
            ],
        )
        ids |= {subject_id for _, subject_id in subjects}
    thresholds = list(
        UsageThreshold.objects.in_force()
        .filter(metric_id=meaning.metric_id, project_id__in=reach, subject_id__in=ids)
        .order_by("id")
    )
    follow_quotas(thresholds)
    targets = []
    periods: dict[tuple[int, str], list[Period]] = {}
    for threshold in thresholds:
        key = (threshold.project_id, threshold.period)
        if key not in periods:
            zone = zone_named(catalogue.project_by_id(threshold.project_id).timezone)
            periods[key] = _periods_within(reach[threshold.project_id], kind=threshold.period, zone=zone)
        targets += [(threshold, period) for period in periods[key]]
    for start in range(0, len(targets), PERIODS_AT_ONCE):
        record_crossings(_crossed(meaning, targets[start : start + PERIODS_AT_ONCE], subjects=subjects))


def _periods_within(
    intervals: Iterable[tuple[dt.datetime, dt.datetime]], *, kind: str, zone: ZoneInfo
) -> list[Period]:
    """The periods that the half-open intervals reach into, in order."""
    found: set[Period] = set()
    for start, end in intervals:
        at = start
        while at < end:
            period = period_holding(at, kind=kind, zone=zone)
            found.add(period)
            if period.end is None:
                break
            at = period.end
    return sorted(found, key=lambda period: period.start or dt.datetime.min.replace(tzinfo=dt.UTC))


def evaluate_now(thresholds: Sequence[UsageThreshold]) -> int:
    """Record what the usage of the running periods crosses; the number of crossings that are new.

    In one transaction, the caller's where there is one.
    """
    with transaction.atomic():
        return _evaluate_running(list(thresholds), reach=dt.timedelta(0))


def reached_now(threshold: UsageThreshold) -> list[Crossing]:
    """Whose usage of the running period is at the level or beyond, for a threshold saved or not; records
    nothing. Empty without a level."""
    catalogue, now = current(), database_now()
    meaning = catalogue.meanings.get(threshold.metric_id)
    if meaning is None:
        return []
    zone = zone_named(catalogue.project_by_id(threshold.project_id).timezone)
    period = period_holding(now, kind=threshold.period, zone=zone)
    crossed = _crossed(meaning, [(threshold, period)], subjects=None, now=now)
    return [crossing for crossing in crossed if crossing.kind == EXCEEDED]


def evaluate_shares(*, project_id: int, metric_id: int, period: str) -> int:
    """Let the thresholds that are a share of a quota follow it: new levels, evaluated at once.

    Within the caller's transaction; returns the number of crossings that are new.
    """
    shares = UsageThreshold.objects.in_force().filter(
        project_id=project_id, metric_id=metric_id, period=period, quota_fraction__isnull=False
    )
    return evaluate_now(list(shares.order_by("id")))


def evaluate_thresholds() -> int:
    """The sweep: evaluate the running periods of all thresholds, and those that ended within the last hour,
    unless the level is newer. Returns the number of crossings that are new.

    Safe to run anywhere, any number at once, beside ticks; commits by portions.
    """
    ids = list(UsageThreshold.objects.in_force().order_by("metric_id", "id").values_list("id", flat=True))
    count = 0
    for start in range(0, len(ids), THRESHOLDS_AT_ONCE):
        with transaction.atomic():
            portion = UsageThreshold.objects.in_force().filter(pk__in=ids[start : start + THRESHOLDS_AT_ONCE])
            count += _evaluate_running(list(portion.order_by("id")), reach=SWEEP_REACH)
    return count


def _evaluate_running(thresholds: list[UsageThreshold], *, reach: dt.timedelta) -> int:
    follow_quotas(thresholds)
    catalogue, now = current(), database_now()
    by_metric: dict[int, list[tuple[UsageThreshold, Period]]] = defaultdict(list)
    for threshold in thresholds:
        zone = zone_named(catalogue.project_by_id(threshold.project_id).timezone)
        period = period_holding(now, kind=threshold.period, zone=zone)
        by_metric[threshold.metric_id].append((threshold, period))
        before = period_holding(now - reach, kind=threshold.period, zone=zone)
        if before != period and before.end is not None and before.end > threshold.level_set_at:
            by_metric[threshold.metric_id].append((threshold, before))
    crossed: list[Crossing] = []
    for metric_id in sorted(by_metric):
        meaning = catalogue.meanings.get(metric_id)
        if meaning is not None:
            crossed += _crossed(meaning, by_metric[metric_id], subjects=None, now=now)
    return record_crossings(crossed)


def _crossed(
    meaning: Meaning,
    targets: Sequence[tuple[UsageThreshold, Period]],
    *,
    subjects: Collection[Subject] | None,
    now: dt.datetime | None = None,
) -> list[Crossing]:
    """Which kinds of crossings the usage in the targets' periods amounts to, recorded already or not."""
    if meaning.carries_level and now is None:
        now = database_now()
    by_question: dict[tuple[object, ...], list[tuple[UsageThreshold, Period]]] = defaultdict(list)
    for threshold, period in targets:
        if threshold.level is not None:
            by_question[_question(threshold, period)].append((threshold, period))
    asked = {}
    for asking in by_question.values():
        one = asked_of(meaning, *asking[0], now=now, at_least=min(_lowest(each) for each, _ in asking))
        if one is not None:
            asked[one] = asking
    crossed: list[Crossing] = []
    with localcontext(EXACT):
        for told in usage_of_owners(meaning, list(asked), subjects=subjects):
            for threshold, period in asked[told.asked]:
                crossed += _crossings(threshold, period, told)
    return crossed


def asked_of(
    meaning: Meaning,
    threshold: UsageThreshold,
    period: Period,
    *,
    now: dt.datetime | None,
    at_least: Decimal | None = None,
) -> Asked | None:
    """What must be known of usage to say where the threshold stands; None where nothing can be said.

    A level counts until `now`: it isn't known how long it will last.
    """
    end = period.end
    if meaning.carries_level:
        if now is None or period.start is None or now <= period.start:
            return None
        end = now if end is None else min(end, now)
    each = threshold.is_for_each_subject
    return Asked(
        threshold.project_id,
        period.start,
        end,
        subject_type=threshold.subject_type or None,
        subject_id=None if each or threshold.is_for_the_total else threshold.subject_id,
        by_subject=each,
        at_least=at_least,
    )


def _question(threshold: UsageThreshold, period: Period) -> tuple[object, ...]:
    """Steps of the same level share one: whose usage, whose subjects, when."""
    return (
        threshold.project_id,
        threshold.subject_type,
        threshold.subject_id,
        period.start,
        period.end,
    )


def _lowest(threshold: UsageThreshold) -> Decimal:
    assert threshold.level is not None
    approach = threshold.approach_level
    return threshold.level if approach is None else approach


def _crossings(threshold: UsageThreshold, period: Period, told: Told) -> Iterable[Crossing]:
    assert threshold.level is not None
    approach = threshold.approach_level
    kinds = []
    if approach is not None and told.value >= approach:
        kinds.append(APPROACHING)
    if told.value >= threshold.level:
        kinds.append(EXCEEDED)
    subject = told.subject or (threshold.subject_type, threshold.subject_id)
    return [Crossing(threshold, kind, period, subject, told.value) for kind in kinds]
