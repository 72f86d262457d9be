"""Asking the quotas whether usage may be recorded. Called by the ledger, inside its transaction."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from django.db import Error

from metering.admission import Asking, Verdicts
from metering.answering.usage import Scope, Slice, usage_in
from metering.catalogue import Catalogue
from metering.errors import EventError
from metering.measuring.aggregations import Aggregate
from metering.measuring.meaning import Meaning
from metering.measuring.windows import zone_named
from metering.texts.numbers import EXACT
from metering.texts.timestamps import iso

from .errors import QuotaExceeded, QuotaUnavailable
from .models import ProjectQuota
from .periods import Period, period_holding
from .standing import HARD, Quota, Standing

# The enforced quotas of each (project, metric), oldest first.
QuotaBook = Mapping[tuple[int, int], Sequence[Quota]]


@dataclass(frozen=True, slots=True)
class _Claim:
    """One reading of one request, as one quota counts it."""

    quota: Quota
    period: Period
    meaning: Meaning
    reading: Decimal

    @property
    def key(self) -> tuple[int, dt.datetime | None]:
        return (self.quota.id, self.period.start)


Standings = Mapping[tuple[int, dt.datetime | None], Standing]


class QuotaAdmission:
    """The admission policy that `METERING_ADMISSION` names. Holds the quotas of one catalogue version."""

    def __init__(self) -> None:
        self._held: tuple[Catalogue, QuotaBook] | None = None

    def concerns(self, requests: Sequence[Asking], *, catalogue: Catalogue) -> bool:
        """Whether an enforced quota counts any of the requests. No query while the catalogue is the same.

        Raises `QuotaUnavailable` when the quotas can't be read.
        """
        book = self._book(catalogue)
        return bool(book) and any(True for request in requests for _ in _counted(request, book))

    def judge(
        self,
        requests: Sequence[Asking],
        *,
        catalogue: Catalogue,
        now: dt.datetime,
        may_backfill: bool,
    ) -> Verdicts:
        """Admit or refuse in the order given; each admitted request counts for those after it.

        A request is admitted when every hard quota admits it; one that is refused counts against none. A soft
        quota warns. Without `may_backfill`, a request in a closed period of a hard quota is rejected.
        Raises `QuotaUnavailable` when usage can't be read.
        """
        verdicts = Verdicts()
        with localcontext(EXACT):
            docket = self._docket(
                requests, self._book(catalogue), now=now, may_backfill=may_backfill, verdicts=verdicts
            )
            standings = _standings([claim for _, claims in docket for claim in claims])
            for request, claims in docket:
                _judge_one(request, [(standings[claim.key], claim.reading) for claim in claims], verdicts)
        return verdicts

    def _book(self, catalogue: Catalogue) -> QuotaBook:
        """The quotas as of the catalogue. A change of quotas moves its version, so a new catalogue comes."""
        held = self._held
        if held is None or held[0] is not catalogue:
            held = self._held = (catalogue, _enforced_quotas())
        return held[1]

    @staticmethod
    def _docket(
        requests: Sequence[Asking],
        book: QuotaBook,
        *,
        now: dt.datetime,
        may_backfill: bool,
        verdicts: Verdicts,
    ) -> list[tuple[Asking, list[_Claim]]]:
        """The requests that quotas count, with their claims; those in closed periods are rejected."""
        docket = []
        last_periods: dict[int, Period] = {}
        for request in requests:
            claims: list[_Claim] = []
            for quota, meaning, reading in _counted(request, book):
                # Neighbours in a batch mostly share the period; finding it costs more than comparing.
                period = last_periods.get(quota.id)
                if period is None or not period.holds(request.occurred_at):
                    period = period_holding(request.occurred_at, kind=quota.period, zone=quota.zone)
                    last_periods[quota.id] = period
                if quota.mode == HARD and not may_backfill and period.is_closed(at=now):
                    verdicts.rejected[request.index] = _period_closed(request, quota, meaning, period)
                    break
                claims.append(_Claim(quota, period, meaning, reading))
            else:
                if claims:
                    docket.append((request, claims))
        return docket


def _counted(request: Asking, book: QuotaBook) -> Iterator[tuple[Quota, Meaning, Decimal]]:
    """The quotas that count a request: those of its project, then those of its payer, each once."""
    for meaning, reading in request.readings:
        for quota in book.get((request.project_id, meaning.metric_id), ()):
            yield quota, meaning, reading
        if request.billing_scope_id != request.project_id:
            for quota in book.get((request.billing_scope_id, meaning.metric_id), ()):
                yield quota, meaning, reading


def _judge_one(request: Asking, claims: Sequence[tuple[Standing, Decimal]], verdicts: Verdicts) -> None:
    warnings: list[dict[str, object]] = []
    for standing, reading in claims:
        if not standing.is_exceeded_by(reading):
            continue
        if standing.quota.mode == HARD:
            verdicts.refused[request.index] = QuotaExceeded(standing.facts(reading))
            return
        warnings.append({"code": QuotaExceeded.code, **standing.facts(reading)})
    for standing, reading in claims:
        standing.admit(reading, at=request.occurred_at, order=request.index)
    if warnings:
        verdicts.warnings[request.index] = warnings


def _enforced_quotas() -> QuotaBook:
    """All hard and soft quotas; monitored ones never decide anything. One query."""
    rows = (
        ProjectQuota.objects.exclude(mode=ProjectQuota.Mode.MONITOR)
        .order_by("id")
        .values_list(
            "id", "project_id", "project__key", "project__timezone", "metric_id", "limit", "mode", "period"
        )
    )
    book: dict[tuple[int, int], list[Quota]] = defaultdict(list)
    try:
        for quota_id, project_id, project_key, zone, metric_id, limit, mode, period in rows:
            book[project_id, metric_id].append(
                Quota(quota_id, project_id, project_key, zone_named(zone), metric_id, limit, mode, period)
            )
    except Error as error:
        raise QuotaUnavailable from error
    return dict(book)


def _standings(claims: Sequence[_Claim]) -> Standings:
    """Where each claimed quota and period stands by the ledger: one read per (project, metric)."""
    wanted: dict[tuple[int, Meaning], dict[tuple[int, dt.datetime | None], _Claim]] = defaultdict(dict)
    for claim in claims:
        wanted[claim.quota.project_id, claim.meaning].setdefault(claim.key, claim)
    standings: dict[tuple[int, dt.datetime | None], Standing] = {}
    for (project_id, meaning), by_key in wanted.items():
        periods = list(dict.fromkeys(claim.period for claim in by_key.values()))
        recorded = _recorded(meaning, project_id, periods)
        for key, claim in by_key.items():
            standings[key] = Standing(
                claim.quota,
                claim.period,
                metric_key=meaning.key,
                aggregation=meaning.aggregation,
                recorded=recorded.get(claim.period, Aggregate()),
            )
    return standings


def _recorded(meaning: Meaning, project_id: int, periods: Sequence[Period]) -> dict[Period, Aggregate]:
    """What the project used or paid for in each period, each event once; periods without usage are absent."""
    scope = Scope(project_ids=[project_id], payer_id=project_id, either=True)
    intervals = [(period.start, period.end) for period in periods]
    try:
        usages = usage_in(meaning, intervals, slice=Slice(scope=scope))
    except Error as error:
        raise QuotaUnavailable from error
    return {periods[usage.window]: usage.aggregate for usage in usages}


def _period_closed(request: Asking, quota: Quota, meaning: Meaning, period: Period) -> EventError:
    end = "" if period.end is None else f" ended at {iso(period.end)} and"
    return EventError(
        request.index,
        "quota_period_closed",
        "occurred_at",
        f"the {quota.period} of the quota on '{meaning.key}' in '{quota.project_key}'{end} takes no more "
        "usage without the permission 'backfill'",
    )
