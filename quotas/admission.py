"""Asking the quotas whether usage may be recorded. Called by the ledger, inside its transaction."""

import datetime as dt
import logging
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import partial

from django.conf import settings
from django.db import Error, connection
from psycopg.pq import TransactionStatus

from metering.admission import Asking, Conclusion, Verdicts
from metering.catalogue import Catalogue
from metering.errors import Conflict
from metering.models import MetricDefinition
from metering.prepared import raw_connection
from metering.texts.numbers import EXACT

from .blocking import Blocks
from .book import HARD, MONITORED_ONLY, Quota, QuotaBook, enforced_quotas
from .bus import Listener, Topic
from .caching import UsageCache
from .causes import Judged, quota_as_cause
from .decisions import decisions_of
from .docket import Docket, counted, docket_of
from .errors import QuotaExceeded, QuotaUnavailable
from .held import settled
from .locks import hold_quotas
from .models import ProjectQuota, QuotaDecision
from .notebook import note_decisions
from .recorded import Place, Question, tallies_of
from .standing import CACHE, LEDGER, Standing
from .tallies import Asked, FoldedTally, Tally

logger = logging.getLogger(__name__)

# A refusal or warning rests on usage as it was this long ago at most: room that others made is soon seen, and
# what was counted twice, because it was recorded while it was read, refuses nobody for long.
REFUSAL_AGE_SECONDS = 1.0


@dataclass(slots=True)
class _Held:
    """The quotas of one catalogue version, and what is remembered of their usage."""

    catalogue: Catalogue
    book: QuotaBook
    read_at: float
    usage: UsageCache
    last_places: dict[int, Place] = field(default_factory=dict)


class QuotaAdmission:
    """The admission policy that `METERING_ADMISSION` names.

    Holds the quotas of one catalogue version. Those that count by rollups are judged by usage as it was read
    a moment ago, together with what this process has recorded since.
    """

    def __init__(self) -> None:
        self._held: _Held | None = None
        self._listener = Listener(self._forget)
        self._blocks = Blocks()

    def concerns(self, requests: Sequence[Asking], *, catalogue: Catalogue) -> bool:
        """Whether an enforced quota counts any of the requests. No query while the catalogue is the same.

        Raises `QuotaUnavailable` when the quotas can't be read.
        """
        book = self._holding(catalogue).book
        if self._blocks.concern(requests, catalogue=catalogue):
            return True
        return bool(book) and any(True for request in requests for _ in counted(request, book))

    def hold(self, requests: Sequence[Asking], *, catalogue: Catalogue) -> None:
        """Take the locks of the exact quotas that count any of the requests, until the transaction ends.

        No quota of them changes meanwhile: a change waits until no recorder is under way. Raises
        `QuotaUnavailable` when a lock can't be had in time.
        """
        book = self._holding(catalogue).book
        exact = {quota.id for request in requests for quota, _ in counted(request, book) if quota.is_exact}
        try:
            hold_quotas(exact)
        except Error as error:
            raise QuotaUnavailable from error

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
        quota warns. What a reached threshold blocks is refused first, and no quota counts it. Without
        `may_backfill`, a request in a closed period of a hard quota is rejected.
        Raises `QuotaUnavailable` when what a hard quota counts can't be read.
        """
        blocked = Verdicts()
        requests = self._blocks.without_blocked(requests, catalogue=catalogue, verdicts=blocked)
        held = self._holding(catalogue)
        self._listener.start()
        with localcontext(EXACT):
            verdicts, is_fresh = _judged(requests, held, now=now, may_backfill=may_backfill)
            if not is_fresh and (verdicts.refused or verdicts.warnings):
                verdicts, _ = _judged(
                    requests, held, now=now, may_backfill=may_backfill, max_age=REFUSAL_AGE_SECONDS
                )
        verdicts.refused |= blocked.refused
        verdicts.notes |= blocked.notes
        return verdicts

    def conclude(self, conclusion: Conclusion) -> None:
        """Note denials, warnings and what couldn't be decided, for whoever asks why."""
        try:
            note_decisions(decisions_of(conclusion))
        except Exception:
            logger.exception("A decision of a quota isn't noted")

    def ensure_can_judge(self, metric: MetricDefinition) -> None:
        """Raises `Conflict` where a quota refuses or warns by the metric, which is to become one whose values
        can only be monitored."""
        if metric.aggregation not in MONITORED_ONLY:
            return
        quotas = ProjectQuota.objects.filter(metric_id=metric.pk).exclude(mode=ProjectQuota.Mode.MONITOR)
        keys = sorted(set(quotas.values_list("project__key", flat=True)))
        if keys:
            raise Conflict(
                "'{key}' is limited by quotas ({keys}), and {aggregation} can"
                " only be monitored: change those quotas first.",
                key=metric.key,
                keys=", ".join(keys[:5]),
                aggregation=metric.aggregation,
                field="aggregation",
            )

    def _holding(self, catalogue: Catalogue) -> _Held:
        """The quotas as of the catalogue: a change of quotas moves its version, so that a new one comes.

        Read again after a while all the same, for changes that were made past the verbs.
        """
        held, now = self._held, time.monotonic()
        if held is not None and held.catalogue is catalogue:
            if now - held.read_at < settings.QUOTA_DEFINITIONS_TTL:
                return held
            usage = held.usage
        else:
            usage = UsageCache(ttl=settings.QUOTA_USAGE_TTL)
        try:
            held = self._held = _Held(catalogue, enforced_quotas(), now, usage)
        except Error as error:
            raise QuotaUnavailable from error
        return held

    def forget_usage(self, topics: Collection[Topic]) -> None:
        """Drop what this process remembers of them: it was changed past `judge`."""
        if self._held is not None:
            self._held.usage.forget(topics)

    def _forget(self, topics: Collection[Topic] | None) -> None:
        """What the bus says is stale; without topics everything is, definitions too."""
        held = self._held
        if held is None:
            return
        held.usage.forget(topics)
        if topics is None:
            held.read_at = -math.inf


def _judged(
    requests: Sequence[Asking],
    held: _Held,
    *,
    now: dt.datetime,
    may_backfill: bool,
    max_age: float | None = None,
) -> tuple[Verdicts, bool]:
    """The verdicts, and whether they rest on nothing older than a refusal may rest on."""
    verdicts = Verdicts()
    docket = docket_of(
        requests,
        held.book,
        now=now,
        may_backfill=may_backfill,
        verdicts=verdicts,
        last_places=held.last_places,
    )
    # A caller's own transaction may be rolled back, and sees what it has written itself.
    usage = None if connection.in_atomic_block else held.usage
    remembered, is_fresh = _remembered(docket, usage, max_age=max_age)
    standings = _standings(docket, remembered, usage, now=now)
    for request, claims in docket.requests:
        _judge_one(
            request,
            [(standings[place], asked) for place, asked in claims if place in standings],
            verdicts,
        )
    recorded = [
        (place, standing.admitted)
        for place, standing in standings.items()
        if standing.admitted and _may_be_remembered(standing.quota, place)
    ]
    if recorded:
        verdicts.on_commit = partial(held.usage.add, recorded)
    return verdicts, is_fresh


def _judge_one(request: Asking, claims: Sequence[tuple[Standing, Asked]], verdicts: Verdicts) -> None:
    warnings: list[dict[str, object]] = []
    notes: list[Judged] = []
    for standing, asked in claims:
        if not standing.is_exceeded_by(asked):
            continue
        facts = standing.facts(asked)
        if standing.is_hard:
            verdicts.refused[request.index] = QuotaExceeded(facts)
            verdicts.notes[request.index] = [judged_by(standing, QuotaDecision.Outcome.DENIED, facts)]
            return
        warnings.append({"code": QuotaExceeded.code, **facts})
        notes.append(judged_by(standing, QuotaDecision.Outcome.SOFT_BREACH, facts))
    for standing, asked in claims:
        standing.admit(asked)
    if warnings:
        verdicts.warnings[request.index] = warnings
        verdicts.notes[request.index] = notes


def judged_by(
    standing: Standing, outcome: str, facts: Mapping[str, object], *, is_exact: bool = False
) -> Judged:
    """What a quota said, for its account; `is_exact` where it was asked under its lock."""
    basis = QuotaDecision.Basis.ROLLUPS
    if standing.read_from == CACHE:
        basis = QuotaDecision.Basis.CACHE
    elif is_exact or standing.quota.is_exact:
        basis = QuotaDecision.Basis.LEDGER
    return Judged(
        quota_as_cause(standing.quota, limit=standing.limit),
        standing.period,
        standing.metric_key,
        outcome,
        facts,
        basis=basis,
    )


def _may_be_remembered(quota: Quota, place: Place) -> bool:
    return not quota.counts_by_ledger and place.is_foldable


def _remembered(
    docket: Docket, usage: UsageCache | None, *, max_age: float | None
) -> tuple[dict[Place, Tally], bool]:
    """The tallies that need no question, and whether all of them are fresh enough to refuse by."""
    tallies: dict[Place, Tally] = {}
    is_fresh = True
    if usage is not None:
        for place, quota in docket.quotas.items():
            found = usage.aggregate_of(place, max_age=max_age) if _may_be_remembered(quota, place) else None
            if found is not None:
                aggregate, age = found
                tallies[place] = FoldedTally(place.meaning.aggregation, aggregate)
                is_fresh = is_fresh and age < REFUSAL_AGE_SECONDS
    return tallies, is_fresh


def _standings(
    docket: Docket, remembered: dict[Place, Tally], usage: UsageCache | None, *, now: dt.datetime
) -> Mapping[Place, Standing]:
    """Where each claimed quota stands in its period. Soft quotas that can't be read are absent."""
    asked = {place: question for place, question in docket.questions.items() if place not in remembered}
    read, held = _read(docket, asked, usage)
    if usage is not None:
        held |= {place: usage.held_of(place) for place in remembered}
    tallies = {**remembered, **read}
    return {
        place: Standing(
            docket.quotas[place],
            place.period,
            limit=docket.quotas[place].limit_at(now),
            metric_key=place.meaning.key,
            tally=tally,
            held=held.get(place, Decimal(0)),
            read_from=CACHE if place in remembered else LEDGER,
        )
        for place, tally in tallies.items()
    }


def _read(
    docket: Docket, asked: Mapping[Place, Question], usage: UsageCache | None
) -> tuple[dict[Place, Tally], dict[Place, Decimal]]:
    """The tallies as the ledger stands now, what is held beside them, and remember those that may be.

    Raises `QuotaUnavailable`.
    """
    if not asked:
        return {}, {}
    hard = {place: question for place, question in asked.items() if docket.quotas[place].mode == HARD}
    soft = {place: question for place, question in asked.items() if place not in hard}

    def read() -> tuple[dict[Place, Tally], dict[Place, Decimal]]:
        try:
            return settled(list(asked), lambda: {**tallies_of(hard), **_if_readable(soft)})
        except Error as error:
            raise QuotaUnavailable from error

    if usage is None:
        return read()
    with usage.filling() as fill:
        tallies, held = read()
        usage.store(
            fill,
            {
                place: tally.aggregate
                for place, tally in tallies.items()
                if isinstance(tally, FoldedTally) and _may_be_remembered(docket.quotas[place], place)
            },
            held=held,
        )
    return tallies, held


def _if_readable(questions: dict[Place, Question]) -> dict[Place, Tally]:
    """The tallies, or none where they can't be read: soft quotas never refuse, so the transaction goes on."""
    if not questions:
        return {}
    in_transaction = raw_connection().info.transaction_status == TransactionStatus.INTRANS
    with connection.cursor() as cursor:
        if in_transaction:
            cursor.execute("SAVEPOINT soft_quotas")
        try:
            tallies = tallies_of(questions)
        except Error:
            logger.exception("Soft quotas can't be read; usage is recorded without their warning")
            tallies = {}
            if in_transaction:
                cursor.execute("ROLLBACK TO SAVEPOINT soft_quotas")
        if in_transaction:
            cursor.execute("RELEASE SAVEPOINT soft_quotas")
    return tallies
