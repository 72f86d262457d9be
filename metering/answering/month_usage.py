"""Usage of the running UTC month beside last month, all metrics at once: from stored totals alone.

Last month is told twice: whole, and over the same span, from its first instant for as long as this month has
run, to the end of the running hour and no longer than it lasted. What was recorded since the last tick isn't
in it.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from metering.measuring.aggregations import AGGREGATIONS, Aggregate
from metering.measuring.streams import TOTAL
from metering.models import MetricDefinition

ADDING = frozenset({"COUNT", "SUM"})  # totals of these add up over projects and days
# Told by their rows' count, sum, smallest and largest; the others need their history or each of their values.
MERGING = ADDING | {"AVG", "MIN", "MAX"}
_HOUR = dt.timedelta(hours=1)

# Totals of metrics in the three spans.
# Reads: rollups of both months by rollup_by_metric_and_time; locks nothing.
_IN_SPANS = f"""
    SELECT r.metric_id, r.billing_scope_id, r.record_count, r.value_sum, r.value_min, r.value_max,
           CASE WHEN r.bucket_start = %(start)s THEN 'now' ELSE 'before' END AS span
      FROM metering_usagemeterrollup r
     WHERE r.metric_id = ANY(%(metrics)s)
       AND r.granularity = 'month'
       AND r.stream = '{TOTAL}'
       AND r.bucket_start IN (%(start)s, %(before)s)
    UNION ALL
    SELECT r.metric_id, r.billing_scope_id, r.record_count, r.value_sum, r.value_min, r.value_max, 'same'
      FROM metering_usagemeterrollup r
     WHERE r.metric_id = ANY(%(metrics)s)
       AND r.granularity = 'day'
       AND r.stream = '{TOTAL}'
       AND r.bucket_start >= %(before)s
       AND r.bucket_start < %(same_day)s
    UNION ALL
    SELECT r.metric_id, r.billing_scope_id, r.record_count, r.value_sum, r.value_min, r.value_max, 'same'
      FROM metering_usagemeterrollup r
     WHERE r.metric_id = ANY(%(metrics)s)
       AND r.granularity = 'hour'
       AND r.stream = '{TOTAL}'
       AND r.bucket_start >= %(same_day)s
       AND r.bucket_start < %(same_end)s
"""  # noqa: S608 (our own words)
_BY_METRIC = f"""
    SELECT s.metric_id, s.span, sum(s.record_count), sum(s.value_sum), min(s.value_min), max(s.value_max)
      FROM ({_IN_SPANS}) s
     GROUP BY 1, 2
"""  # noqa: S608 (our own words)
# Who pays for most of one metric that adds up. `amount` is one of two columns.
_BY_PAYER = f"""
    SELECT p.id,
           p.key,
           p.name,
           found.now,
           found.same,
           found.before,
           found.payer_count
      FROM (
            SELECT s.billing_scope_id,
                   COALESCE(sum(s.{{amount}}) FILTER (WHERE s.span = 'now'), 0) AS now,
                   COALESCE(sum(s.{{amount}}) FILTER (WHERE s.span = 'same'), 0) AS same,
                   COALESCE(sum(s.{{amount}}) FILTER (WHERE s.span = 'before'), 0) AS before,
                   count(*) OVER () AS payer_count
              FROM ({_IN_SPANS}) s
             GROUP BY 1
             ORDER BY 2 DESC, 4 DESC, 1
             LIMIT %(count)s
           ) found
      JOIN metering_project p ON p.id = found.billing_scope_id
     ORDER BY found.now DESC, found.before DESC, p.id
"""  # noqa: S608 (our own words)
# One metric that adds up, in each day of both months.
_BY_DAY = f"""
    SELECT r.bucket_start, sum(r.{{amount}})
      FROM metering_usagemeterrollup r
     WHERE r.metric_id = ANY(%(metrics)s)
       AND r.granularity = 'day'
       AND r.stream = '{TOTAL}'
       AND r.bucket_start >= %(before)s
       AND r.bucket_start < %(end)s
     GROUP BY 1
"""  # noqa: S608 (our own words)


@dataclass(frozen=True, slots=True)
class MonthSoFar:
    """[start, end) is the month that runs, [before, start) the last one, of which [before, same_end) is as
    long as what of this one has run, the running hour included."""

    start: dt.datetime
    end: dt.datetime
    before: dt.datetime
    same_end: dt.datetime

    @property
    def is_beyond_last(self) -> bool:
        """Whether this month has run for longer than the last one lasted."""
        return self.same_end == self.start


@dataclass(frozen=True, slots=True)
class Compared:
    """A value in the three spans; None where the aggregation has nothing to say."""

    now: Decimal | None = None
    same: Decimal | None = None
    before: Decimal | None = None
    record_count: int = 0  # of this month


@dataclass(frozen=True, slots=True)
class PayerUsage:
    """What one project pays for."""

    project_id: int
    key: str
    name: str
    usage: Compared


@dataclass(frozen=True, slots=True)
class PayersUsage:
    """The largest payers, those of this month first, and how many there are in all."""

    largest: Sequence[PayerUsage]
    count: int


def month_so_far(now: dt.datetime) -> MonthSoFar:
    """The UTC month with `now` in it."""
    utc = now.astimezone(dt.UTC)
    start = utc.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = (start - dt.timedelta(days=1)).replace(day=1)
    end = (start + dt.timedelta(days=31)).replace(day=1)
    hour_end = utc.replace(minute=0, second=0, microsecond=0) + _HOUR
    return MonthSoFar(start, end, before, min(before + (hour_end - start), start))


def month_usage(month: MonthSoFar, metrics: Sequence[MetricDefinition]) -> dict[int, Compared]:
    """By metric id; absent are metrics without usage in both months, and those that don't merge."""
    merging = [metric for metric in metrics if metric.aggregation in MERGING]
    found: dict[int, dict[str, Aggregate]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_BY_METRIC, _parameters(month, merging))
        for metric_id, span, count, total, least, greatest in cursor.fetchall():
            if count:
                aggregate = Aggregate(int(count), total, least, greatest)
                found.setdefault(metric_id, {})[span] = aggregate
    return {
        metric.pk: Compared(
            **{
                span: AGGREGATIONS[metric.aggregation].value(aggregate)
                for span, aggregate in found[metric.pk].items()
            },
            record_count=found[metric.pk]["now"].record_count if "now" in found[metric.pk] else 0,
        )
        for metric in merging
        if metric.pk in found
    }


def month_payers(month: MonthSoFar, metric: MetricDefinition, *, count: int) -> PayersUsage:
    """Who pays for most of one metric that adds up."""
    with connection.cursor() as cursor:
        cursor.execute(
            _BY_PAYER.format(amount=_amount(metric)), {**_parameters(month, [metric]), "count": count}
        )
        rows = cursor.fetchall()
    largest = [
        PayerUsage(project_id, key, name, Compared(now, same, before))
        for project_id, key, name, now, same, before, _count in rows
    ]
    return PayersUsage(largest, rows[0][-1] if rows else 0)


def month_days(month: MonthSoFar, metric: MetricDefinition) -> dict[dt.date, Decimal]:
    """One metric that adds up, in the days of both months that have usage."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_DAY.format(amount=_amount(metric)), _parameters(month, [metric]))
        return {start.astimezone(dt.UTC).date(): Decimal(value) for start, value in cursor.fetchall()}


def _amount(metric: MetricDefinition) -> str:
    return {"COUNT": "record_count", "SUM": "value_sum"}[metric.aggregation]


def _parameters(
    month: MonthSoFar, metrics: Sequence[MetricDefinition]
) -> dict[str, dt.datetime | list[int] | int]:
    return {
        "metrics": [metric.pk for metric in metrics],
        "start": month.start,
        "end": month.end,
        "before": month.before,
        "same_end": month.same_end,
        "same_day": month.same_end.replace(hour=0),
    }
