"""Usage that an account pays for and that no subscription or price takes."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from billing.models import BillingAccount, Price, SubscriptionItem
from metering.answering.several_usages import Question, usages_in
from metering.answering.usage import Scope, Slice
from metering.catalogue import Catalogue, current
from metering.measuring.label_filter import Params, filter_from
from metering.measuring.meaning import Meaning
from metering.measuring.streams import TOTAL
from metering.models import PendingContribution, UsageMeterRollup

Interval = tuple[dt.datetime, dt.datetime]


@dataclass(frozen=True, slots=True)
class Unbilled:
    """Some usage of one metric. `value` is None where only the events were counted: no price matches them."""

    metric_id: int
    metric_key: str
    unit: str
    start: dt.datetime
    end: dt.datetime
    record_count: int
    value: Decimal | None
    plan_key: str | None  # of the subscription none of whose prices matches; None: there is no subscription


def unbilled_usage_of(
    account: BillingAccount, *, since: dt.datetime, until: dt.datetime, catalogue: Catalogue | None = None
) -> list[Unbilled]:
    """What was used between the instants and will be on no invoice, by metric and interval.

    Metrics come by key, and are those that the account's project has paid for at any time. Definitions are
    those of `catalogue`, where whoever asks has it at hand, else the present ones.
    """
    catalogue = catalogue or current()
    meanings = [
        catalogue.meanings[metric_id]
        for metric_id in _metric_ids_paid_by(account.project_id)
        if metric_id in catalogue.meanings
    ]
    meanings.sort(key=lambda meaning: meaning.key)
    items: dict[int, list[SubscriptionItem]] = {meaning.metric_id: [] for meaning in meanings}
    for item in SubscriptionItem.objects.select_related("subscription__plan").filter(
        account=account, metric_id__in=items
    ):
        if not item.during.isempty:
            items[item.metric_id].append(item)
    matches = _matches_of({item.subscription.plan_id for of_one in items.values() for item in of_one})
    unsubscribed = _without_subscription(account, meanings, items, since, until)
    found: list[Unbilled] = []
    for meaning in meanings:
        found += unsubscribed.get(meaning.metric_id, [])
        found += _without_price(account, meaning, items[meaning.metric_id], matches, since, until)
    return found


def _metric_ids_paid_by(project_id: int) -> list[int]:
    """Index: rollup_totals_by_payer."""
    rolled_up = UsageMeterRollup.objects.filter(billing_scope_id=project_id, stream=TOTAL).order_by()
    pending = PendingContribution.objects.filter(billing_scope_id=project_id).order_by()
    return sorted(
        rolled_up.values_list("metric_id", flat=True).union(pending.values_list("metric_id", flat=True))
    )


def _matches_of(plan_ids: Iterable[int]) -> dict[tuple[int, int | None], list[dict]]:
    """The label matches of the prices of usage, by plan and metric."""
    found: dict[tuple[int, int | None], list[dict]] = defaultdict(list)
    prices = Price.objects.filter(plan_id__in=plan_ids, metric__isnull=False)
    for plan_id, metric_id, match in prices.values_list("plan_id", "metric_id", "label_match"):
        found[plan_id, metric_id].append(match)
    return found


def _without_subscription(
    account: BillingAccount,
    meanings: Sequence[Meaning],
    items: Mapping[int, Sequence[SubscriptionItem]],
    since: dt.datetime,
    until: dt.datetime,
) -> dict[int, list[Unbilled]]:
    """By metric; one statement."""
    gaps = {
        meaning: list(
            gaps_between(
                [(item.during.lower, item.during.upper) for item in items[meaning.metric_id]], since, until
            )
        )
        for meaning in meanings
    }
    slice = Slice(scope=Scope(payer_id=account.project_id))
    answers = usages_in([Question(meaning, of_one, slice) for meaning, of_one in gaps.items()])
    return {
        meaning.metric_id: [
            _unbilled(meaning, *of_one[used.window], used.aggregate.record_count, value=used.value)
            for used in answer
            if used.aggregate.record_count
        ]
        for (meaning, of_one), answer in zip(gaps.items(), answers, strict=True)
    }


def _without_price(
    account: BillingAccount,
    meaning: Meaning,
    items: Sequence[SubscriptionItem],
    matches: Mapping[tuple[int, int | None], Sequence[dict]],
    since: dt.datetime,
    until: dt.datetime,
) -> Iterator[Unbilled]:
    """Events whose labels match none of the prices of the plan, where none takes the rest."""
    for item in items:
        of_plan = matches.get((item.subscription.plan_id, meaning.metric_id), ())
        start = max(since, item.during.lower)
        end = until if item.during.upper is None else min(until, item.during.upper)
        if not all(of_plan) or start >= end:
            continue
        count = _unmatched_count(meaning, account.project_id, of_plan, start, end)
        if count:
            yield _unbilled(meaning, start, end, count, plan_key=item.subscription.plan.key)


def gaps_between(
    taken: Sequence[tuple[dt.datetime, dt.datetime | None]], since: dt.datetime, until: dt.datetime
) -> Iterator[Interval]:
    """The parts of [since, until) that none of the intervals covers, in order; None is open-ended."""
    begun = since
    for start, end in sorted(taken, key=lambda interval: interval[0]):
        if begun >= until:
            return
        if start > begun:
            yield begun, min(start, until)
        if end is None:
            return
        begun = max(begun, end)
    if begun < until:
        yield begun, until


def _unmatched_count(
    meaning: Meaning, payer_id: int, matches: Sequence[dict], start: dt.datetime, end: dt.datetime
) -> int:
    """Events that count, less those that a price matches or that are voided. Index: that of the payer."""
    params = Params()
    where = meaning.where_sql(params)
    matched = " OR ".join(filter_from(match).sql("e.labels", params) for match in matches)
    statement = f"""
        SELECT count(*)
          FROM metering_usageevent e
         WHERE e.billing_scope_id = {params.add(payer_id)}
           AND e.occurred_at >= {params.add(start)}
           AND e.occurred_at < {params.add(end)}
           AND {where}
           AND NOT ({matched})
           AND NOT EXISTS (
                   SELECT FROM metering_usageevent v
                    WHERE v.project_id = e.project_id AND v.voids = e.id
               )
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        (count,) = cursor.fetchone()
    return int(count)


def _unbilled(
    meaning: Meaning,
    start: dt.datetime,
    end: dt.datetime,
    record_count: int,
    *,
    value: Decimal | None = None,
    plan_key: str | None = None,
) -> Unbilled:
    return Unbilled(
        metric_id=meaning.metric_id,
        metric_key=meaning.key,
        unit=meaning.unit,
        start=start,
        end=end,
        record_count=record_count,
        value=value,
        plan_key=plan_key,
    )
