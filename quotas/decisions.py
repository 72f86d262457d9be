"""The account of what quotas and blocks answered: what is noted, how equal answers are told, writing it down.

An answer is noted when its recording has ended, and written by `notebook.py` a moment later, in a transaction
of its own: whatever becomes of the account, the answer stands.
"""

import datetime as dt
from base64 import b32encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import msgspec
from django.conf import settings
from django.db import connection, transaction

from metering.admission import Asking, Conclusion
from metering.announcing.kinds import QUOTA_EXCEEDED, QUOTA_SOFT_BREACHED
from metering.announcing.outbox import announce
from metering.errors import EventError, EventsRejected, Refused, Unavailable
from metering.principal import Principal
from metering.texts.numbers import plain
from metering.texts.timestamps import iso

from .causes import Judged
from .models import REFERENCE_LENGTH, QuotaBreach, QuotaDecision

Outcome = QuotaDecision.Outcome
MAX_EVENTS_SHOWN = 10
MAX_DETAIL_LENGTH = 1000
REMOVED_AT_ONCE = 5_000
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_BREACHES = {
    Outcome.DENIED: QuotaBreach.Kind.EXCEEDED,
    Outcome.SOFT_BREACH: QuotaBreach.Kind.SOFT_BREACHED,
}
_encode = msgspec.json.Encoder().encode

# Rows in the order of their unique key: two processes write the same ones at once.
_WRITE = """
    INSERT INTO quotas_quotadecision AS d
           (reference, outcome, quota_id, threshold_id, project_id, project_key, user_project_id,
            user_project_key, metric_id, metric_key, mode, period, period_start, period_end, "limit", level,
            used, held, requested, remaining, position, basis, subject_type, subject_id, events, actor,
            detail, first_at, last_at, count)
    SELECT n.reference, n.outcome, n.quota_id, n.threshold_id, n.project_id, n.project_key,
           n.user_project_id, n.user_project_key, n.metric_id, n.metric_key, n.mode, n.period,
           n.period_start, n.period_end, n."limit", n.level, n.used, n.held, n.requested, n.remaining,
           CASE WHEN n.basis IN ('rollups', 'ledger') THEN (
                SELECT f.position
                  FROM metering_fence f
                 WHERE f.fenced_at <= n.first_at
                 ORDER BY f.fenced_at DESC
                 LIMIT 1
           ) END,
           n.basis, n.subject_type, n.subject_id, n.events, n.actor, n.detail, n.first_at, n.last_at, n.count
      FROM jsonb_to_recordset(%s::jsonb) AS n (
           reference text, outcome text, quota_id bigint, threshold_id bigint, project_id bigint,
           project_key text, user_project_id bigint, user_project_key text, metric_id bigint,
           metric_key text, mode text, period text, period_start timestamptz, period_end timestamptz,
           "limit" numeric, level numeric, used text, held text, requested text, remaining text, basis text,
           subject_type text, subject_id text, events jsonb, actor text, detail text,
           first_at timestamptz, last_at timestamptz, count bigint)
     ORDER BY n.reference
    ON CONFLICT (reference) DO UPDATE
       SET count = d.count + EXCLUDED.count,
           last_at = GREATEST(d.last_at, EXCLUDED.last_at),
           events = jsonb_path_query_array(d.events || EXCLUDED.events, %s::jsonpath)
"""
_BREACH = """
    INSERT INTO quotas_quotabreach (quota_id, period_start, period_end, kind, reference)
    SELECT n.quota_id, n.period_start, n.period_end, n.kind, n.reference
      FROM jsonb_to_recordset(%s::jsonb) AS n (
           quota_id bigint, period_start timestamptz, period_end timestamptz, kind text, reference text)
     ORDER BY n.quota_id, n.period_start, n.kind
    ON CONFLICT (quota_id, period_start, kind) DO NOTHING
    RETURNING reference
"""
# Index: quota_decision_by_time. Rows that another sweep is removing are left to it.
_REMOVE = """
    DELETE FROM quotas_quotadecision
     WHERE id IN (
           SELECT id
             FROM quotas_quotadecision
            WHERE last_at < clock_timestamp() - make_interval(days => %s)
            ORDER BY last_at
            LIMIT %s
              FOR UPDATE SKIP LOCKED
           )
"""
_REMOVE_BREACHES = """
    DELETE FROM quotas_quotabreach
     WHERE period_end < clock_timestamp() - make_interval(days => %s)
       AND breached_at < clock_timestamp() - make_interval(days => %s)
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of the account, before it is written. Numbers and instants as texts, which JSON keeps exact."""

    reference: str
    outcome: str
    quota_id: int | None
    threshold_id: int | None
    project_id: int
    project_key: str
    user_project_id: int
    user_project_key: str
    metric_id: int | None
    metric_key: str
    mode: str
    period: str
    period_start: str | None
    period_end: str | None
    limit: str | None
    level: str | None
    used: str | None
    held: str | None
    requested: str | None
    remaining: str | None
    basis: str
    subject_type: str
    subject_id: str
    events: tuple[str, ...]
    actor: str
    detail: str
    first_at: dt.datetime
    last_at: dt.datetime
    count: int = 1

    def and_again(self, other: "Decision") -> "Decision":
        """The same decision, taken once more (or as often as `other` says)."""
        return replace(
            self,
            count=self.count + other.count,
            first_at=min(self.first_at, other.first_at),
            last_at=max(self.last_at, other.last_at),
            events=(*self.events, *other.events)[:MAX_EVENTS_SHOWN],
        )


def decisions_of(conclusion: Conclusion) -> list[Decision]:
    """What is to be noted of a recording that has ended; leaves the references with the conclusion.

    A refused batch was told of its first refusal only, and is noted for that; nothing of it was recorded, so
    it warned of nothing. Where refusals were skipped each counts.
    """
    decisions: dict[str, Decision] = {}
    for asking, judged, detail in _told(conclusion):
        decision = _decision(asking, judged, detail, conclusion)
        conclusion.references.setdefault(asking.index, decision.reference)
        known = decisions.get(decision.reference)
        decisions[decision.reference] = decision if known is None else known.and_again(decision)
    return list(decisions.values())


def _told(conclusion: Conclusion) -> Iterator[tuple[Asking, Judged | None, str]]:
    """What the caller was told of which request. Nothing where it was told something else first."""
    refusal, verdicts = conclusion.refusal, conclusion.verdicts
    by_index = {asking.index: asking for asking in conclusion.asked}
    if isinstance(refusal, Unavailable):
        yield conclusion.asked[0], None, str(refusal)
        return
    told: Mapping[int, object]
    if refusal is None:
        told = {**verdicts.warnings, **verdicts.rejected, **verdicts.refused}
    elif isinstance(refusal, EventsRejected):
        told = verdicts.rejected
    elif isinstance(refusal, Refused) and refusal.index is not None:
        told = {refusal.index: refusal}
    else:
        return
    for index in sorted(told):
        asking, words = by_index[index], told[index]
        detail = words.detail if isinstance(words, EventError) else ""
        if isinstance(words, Exception):
            detail = str(words)
        for judged in verdicts.notes.get(index, ()):
            yield asking, judged, detail


def _decision(asking: Asking, judged: Judged | None, detail: str, conclusion: Conclusion) -> Decision:
    user = conclusion.catalogue.project_by_id(asking.project_id)
    at = conclusion.decided_at
    actor = actor_of(conclusion.principal)
    cause = None if judged is None else judged.cause
    facts = {} if judged is None else judged.facts
    outcome = Outcome.UNAVAILABLE if judged is None else judged.outcome
    start = None if judged is None else judged.period.start
    end = None if judged is None else judged.period.end
    limit = None if cause is None or cause.limit is None else format(cause.limit, "f")
    level = None if cause is None or cause.level is None else format(cause.level, "f")
    # Of a block, the subject that reached the level: that may be all together, whoever asks.
    blocked = None if cause is None else cause.subject
    subject_type, subject_id = (asking.subject_type, asking.subject_id) if blocked is None else blocked
    basis = "" if judged is None or outcome == Outcome.CLOSED_PERIOD else judged.basis

    def number(name: str) -> str | None:
        value = facts.get(name)
        return None if value is None else str(value)

    return Decision(
        reference=_reference(
            outcome,
            None if cause is None else cause.quota_id,
            limit,
            None if cause is None else cause.mode,
            None if start is None else start.isoformat(),
            user.id,
            actor,
            basis,
            at.replace(second=0, microsecond=0).isoformat(),
            *(() if cause is None or cause.threshold_id is None else (cause.threshold_id, level, blocked)),
        ),
        outcome=outcome,
        quota_id=None if cause is None else cause.quota_id,
        threshold_id=None if cause is None else cause.threshold_id,
        project_id=user.id if cause is None else cause.project_id,
        project_key=user.key if cause is None else cause.project_key,
        user_project_id=user.id,
        user_project_key=user.key,
        metric_id=None if cause is None else cause.metric_id,
        metric_key="" if judged is None else judged.metric_key,
        mode="" if cause is None else cause.mode,
        period="" if cause is None else cause.period,
        period_start=None if start is None else start.isoformat(),
        period_end=None if end is None else end.isoformat(),
        limit=limit,
        level=level,
        used=number("used"),
        held=number("held"),
        requested=number("requested"),
        remaining=number("remaining"),
        basis=basis,
        subject_type=subject_type,
        subject_id=subject_id,
        events=(asking.event_id,) if asking.event_id else (),
        actor=actor,
        detail=detail[:MAX_DETAIL_LENGTH],
        first_at=at,
        last_at=at,
    )


def _reference(*parts: object) -> str:
    """The name of all equal decisions: short enough to be read out, and the same in every process."""
    digest = blake2b(_encode(parts), digest_size=REFERENCE_LENGTH * 5 // 8).digest()
    return b32encode(digest).decode().lower()


def actor_of(principal: Principal) -> str:
    """Who asked."""
    return principal.signature


def write_decisions(decisions: Sequence[Decision]) -> None:
    """Write what was noted: new rows, or more of what is there. Announces the first breach of each period."""
    if not decisions:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _WRITE,
            [_json([_row(decision) for decision in decisions]), f"$[0 to {MAX_EVENTS_SHOWN - 1}]"],
        )
        breaches = _breaches_in(decisions)
        if breaches:
            cursor.execute(_BREACH, [_json(list(breaches.values()))])
            first = {reference for (reference,) in cursor.fetchall()}
            for decision in decisions:
                if decision.reference in first:
                    _announce(decision)


def _announce(decision: Decision) -> None:
    """One domain event for each quota, period and kind."""
    announce(
        QUOTA_EXCEEDED if decision.outcome == Outcome.DENIED else QUOTA_SOFT_BREACHED,
        project_id=decision.project_id,
        data={
            "decision": decision.reference,
            "quota": decision.quota_id,
            "project": decision.project_key,
            "metric": decision.metric_key,
            "mode": decision.mode,
            "period": decision.period,
            "period_start": _shown(decision.period_start),
            "resets_at": _shown(decision.period_end),
            "limit": None if decision.limit is None else plain(Decimal(decision.limit)),
            "used": decision.used,
            "held": decision.held,
            "requested": decision.requested,
            "remaining": decision.remaining,
        },
        occurred_at=decision.first_at,
    )


def _shown(instant: str | None) -> str | None:
    return None if instant is None else iso(dt.datetime.fromisoformat(instant))


def _breaches_in(decisions: Sequence[Decision]) -> dict[tuple[object, ...], dict[str, object]]:
    """The breach that each decision may be the first of."""
    breaches: dict[tuple[object, ...], dict[str, object]] = {}
    for decision in sorted(decisions, key=lambda decision: decision.first_at):
        kind = _BREACHES.get(Outcome(decision.outcome))
        if kind is None or decision.quota_id is None:
            continue
        start = decision.period_start or _EPOCH.isoformat()
        breaches.setdefault(
            (decision.quota_id, start, kind),
            {
                "quota_id": decision.quota_id,
                "period_start": start,
                "period_end": decision.period_end,
                "kind": kind.value,
                "reference": decision.reference,
            },
        )
    return breaches


def _row(decision: Decision) -> dict[str, Any]:
    return {name: getattr(decision, name) for name in Decision.__dataclass_fields__}


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return _encode(rows).decode()


def remove_old_decisions(*, days: int | None = None) -> int:
    """Drop what is older than it is kept (`QUOTA_DECISIONS_KEPT_DAYS`), in chunks. Returns how many rows.

    Each chunk is a transaction of its own: killed anywhere, it goes on with the next run.
    """
    days = settings.QUOTA_DECISIONS_KEPT_DAYS if days is None else days
    removed = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_REMOVE, [days, REMOVED_AT_ONCE])
            count = cursor.rowcount
        removed += count
        if count < REMOVED_AT_ONCE:
            break
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_REMOVE_BREACHES, [days, days])
    return removed
