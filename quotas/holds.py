"""Reserving an amount before it is used, then using it or giving it back.

Always decided exactly: under the locks of all hard quotas that count the event, whatever they count by. Locks
in this order: recording (shared), the hold's own where one ends, those of the quotas.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Literal, cast

import msgspec
import psycopg
from django.db import IntegrityError, transaction
from django.db.models import JSONField, TextField, Value
from django.db.models.functions import Cast

from metering.admission import Request, admission_policy
from metering.clock import database_now
from metering.errors import Conflict, EventsRejected, Invalid, MeterbookError
from metering.ledger import record_items
from metering.models import Project
from metering.principal import EVERYBODY_INSIDE, Principal
from metering.recording.intake import events_from, label_number
from metering.recording.resolving import Candidate
from metering.texts.numbers import plain
from metering.texts.timestamps import iso

from .admission import QuotaAdmission
from .appraisal import claims_on
from .bus import publish
from .decisions import actor_of
from .errors import QuotaExceeded
from .hold_judging import (
    Story,
    book_now,
    candidate_by,
    ensure_open,
    ensure_reservable,
    excess_of,
    first_refusal,
    hold_hard,
    room_in,
)
from .locks import hold_ending
from .models import QuotaHold, QuotaHoldEnding, QuotaHoldShare
from .reservable import (
    HOLD_SOURCE,
    adds_up,
    amount_from,
    ensure_sound,
    event_of,
    metric_to_reserve,
)

MADE_ONCE = "quota_hold_made_once"
_ONE = Decimal(1)
_encode = msgspec.json.Encoder(decimal_format="string", order="sorted").encode
# As they are stored: a number stays a number, exact to its last digit.
_encode_members = msgspec.json.Encoder(decimal_format="number").encode
_decode_members = msgspec.json.Decoder(float_hook=label_number).decode


@dataclass(frozen=True, slots=True)
class Reserved:
    """A hold, whether it was there already, and what soft quotas have to say of it."""

    hold: QuotaHold
    outcome: Literal["created", "exists"]
    warnings: Sequence[Mapping[str, object]] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a hold ended, and whether it had before."""

    ending: QuotaHoldEnding
    outcome: Literal["created", "exists"]


def reserve(
    project: Project,
    *,
    metric_key: str,
    quantity: Decimal | int | str,
    expires_in: int,
    on_exceed: str = QuotaHold.OnExceed.REJECT,
    members: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    principal: Principal = EVERYBODY_INSIDE,
) -> Reserved:
    """Set an amount of a metric aside for `expires_in` seconds: it counts as used in every quota concerned.

    With `on_exceed="cap"` less is granted where less is left. `members` are further ones of the event that a
    commit will record (`EVENT_MEMBERS`). The same idempotency key in the same project makes one hold; other
    content under it is a `Conflict`. Raises `QuotaExceeded`, `ThresholdBlocked`,
    and `Invalid` naming the field: for metrics and quotas whose values don't add up among others.
    """
    amount = amount_from(quantity)
    ensure_sound(expires_in, on_exceed, members or {}, idempotency_key)
    given = {**(members or {}), "project": project.key, "metric_key": metric_key}
    digest = _digest([given, plain(amount), expires_in, on_exceed])
    story = Story(principal)
    try:
        try:
            with transaction.atomic():
                return _reserved(
                    story, project, given, amount, expires_in, on_exceed, idempotency_key, digest
                )
        except IntegrityError as error:
            cause = cast(psycopg.Error | None, error.__cause__)
            if cause is None or cause.diag.constraint_name != MADE_ONCE:
                raise
        return _repeated(project, idempotency_key, digest)
    except MeterbookError as refusal:
        story.conclude(refusal)
        raise


def commit(
    hold: QuotaHold,
    *,
    quantity: Decimal | int | str | None = None,
    principal: Principal = EVERYBODY_INSIDE,
) -> Ended:
    """Record what was used, all that was granted by default, and end the hold; both or neither.

    What was granted is not judged again. More than that is judged for the excess; after the expiry, or where
    somebody else pays by now, as a new event. A repeat answers `exists`. Raises `Conflict` for a hold that
    ended otherwise, `QuotaExceeded`, `ThresholdBlocked` and `Invalid`; then the hold is as it was.
    """
    amount = hold.granted if quantity is None else amount_from(quantity)
    story = Story(principal)
    try:
        with transaction.atomic():
            return _committed(story, hold, amount)
    except MeterbookError as refusal:
        story.conclude(refusal)
        raise


def release(hold: QuotaHold, *, principal: Principal = EVERYBODY_INSIDE) -> Ended:
    """Give back what was reserved. A repeat answers `exists`; raises `Conflict` for a hold that was used."""
    with transaction.atomic():
        hold_ending(hold.pk)
        ending = _ending_of(hold)
        if ending is not None:
            if ending.kind != QuotaHoldEnding.Kind.RELEASED:
                raise Conflict("Hold '{public_id}' was used already.", public_id=hold.public_id)
            return Ended(ending, "exists")
        ending = QuotaHoldEnding.objects.create(
            hold=hold, kind=QuotaHoldEnding.Kind.RELEASED, actor=actor_of(principal)
        )
        _tell_after_commit(hold)
    ending.refresh_from_db()
    return Ended(ending, "created")


def _reserved(
    story: Story,
    project: Project,
    given: Mapping[str, Any],
    amount: Decimal,
    expires_in: int,
    on_exceed: str,
    idempotency_key: str | None,
    digest: bytes,
) -> Reserved:
    catalogue, now = story.open()
    meaning = metric_to_reserve(catalogue, project, str(given["metric_key"]))
    public_id = f"hold_{uuid.uuid4().hex}"
    given = {**given, "occurred_at": given.get("occurred_at") or iso(now), "id": f"hold:{public_id}"}
    candidate = story.candidate = candidate_by(story, meaning, given, amount)
    book = book_now()
    ensure_reservable(candidate, book)
    hold_hard(candidate, book)
    if idempotency_key is not None:
        known = QuotaHold.objects.filter(project=project, idempotency_key=idempotency_key).first()
        if known is not None:
            return _same(known, digest)
    story.ensure_unblocked(candidate)
    may_backfill = story.principal.may("backfill")
    claims, verdicts = claims_on(candidate, book, now=now, may_backfill=may_backfill)
    ensure_open(story, verdicts)
    granted = amount
    refused = first_refusal(claims)
    if refused is not None and on_exceed == QuotaHold.OnExceed.CAP:
        granted = min(amount, room_in(claims, meaning))
        if granted > 0:
            candidate = candidate_by(story, meaning, given, granted)
            claims, _ = claims_on(candidate, book, now=now, may_backfill=may_backfill)
            refused = first_refusal(claims)
    if refused is not None:
        raise story.refuse(refused)
    hold = QuotaHold(
        public_id=public_id,
        project_id=project.pk,
        billing_scope_id=candidate.billing_scope_id,
        metric_id=meaning.metric_id,
        requested=amount,
        granted=granted,
        on_exceed=on_exceed,
        members=Cast(Value(_encode_members(given).decode()), JSONField()),
        occurred_at=candidate.occurred_at,
        idempotency_key=idempotency_key,
        digest=digest,
        actor=actor_of(story.principal),
        expires_at=database_now() + dt.timedelta(seconds=expires_in),
    )
    hold.save(force_insert=True)
    QuotaHoldShare.objects.bulk_create(
        QuotaHoldShare(
            hold=hold,
            metric_id=counting.metric_id,
            project_id=project.pk,
            billing_scope_id=candidate.billing_scope_id,
            amount=_ONE if counting.aggregation.name == "COUNT" else reading,
            occurred_at=hold.occurred_at,
            expires_at=hold.expires_at,
        )
        for counting, reading in candidate.readings
        if adds_up(counting)
    )
    _tell_after_commit(hold, [counting.metric_id for counting, _ in candidate.readings])
    hold.refresh_from_db()
    warnings = [
        {"code": QuotaExceeded.code, **claim.facts()}
        for claim in claims
        if not claim.standing.is_hard and claim.is_exceeded
    ]
    return Reserved(hold, "created", warnings)


def _committed(story: Story, hold: QuotaHold, amount: Decimal) -> Ended:
    catalogue, now = story.open()
    hold_ending(hold.pk)
    ending = _ending_of(hold)
    if ending is not None:
        if ending.kind == QuotaHoldEnding.Kind.COMMITTED and ending.quantity == amount:
            return Ended(ending, "exists")
        words = "given back" if ending.kind == QuotaHoldEnding.Kind.RELEASED else "used for another quantity"
        raise Conflict("Hold '{public_id}' was {words} already.", public_id=hold.public_id, words=words)
    meaning = catalogue.meanings[hold.metric_id]
    members = _members_of(hold)
    candidate = story.candidate = candidate_by(story, meaning, members, amount)
    book = book_now()
    hold_hard(candidate, book)
    is_covered = hold.expires_at > database_now() and candidate.billing_scope_id == hold.billing_scope_id
    judged: Candidate | Request | None = candidate
    if is_covered:
        judged = None if amount <= hold.granted else excess_of(candidate, meaning, amount - hold.granted)
    if judged is not None:
        story.ensure_unblocked(judged)
        claims, verdicts = claims_on(
            judged,
            book,
            now=now,
            may_backfill=story.principal.may("backfill"),
            besides=None if is_covered else hold.pk,
        )
        ensure_open(story, verdicts)
        refused = first_refusal(claims)
        if refused is not None:
            raise story.refuse(refused)
    [item] = events_from([event_of(meaning, members, amount)])
    try:
        [outcome] = record_items(
            [item], principal=story.principal, source=HOLD_SOURCE, enforce=False, may_reserve=True
        )
    except EventsRejected as error:
        first = error.errors[0]
        raise Invalid(
            "What was used can't be recorded: {why}.", why=first.detail, field=first.field, code=first.code
        ) from None
    ending = QuotaHoldEnding.objects.create(
        hold=hold,
        kind=QuotaHoldEnding.Kind.COMMITTED,
        quantity=amount,
        event=outcome.id,
        actor=actor_of(story.principal),
    )
    _tell_after_commit(hold, [counting.metric_id for counting, _ in candidate.readings])
    ending.refresh_from_db()
    return Ended(ending, "created")


def _ending_of(hold: QuotaHold) -> QuotaHoldEnding | None:
    return QuotaHoldEnding.objects.filter(hold=hold).first()


def _members_of(hold: QuotaHold) -> dict[str, Any]:
    """The members of the event, with exact numbers: Django would read them as floats."""
    text = QuotaHold.objects.values_list(Cast("members", TextField()), flat=True).get(pk=hold.pk)
    return cast(dict[str, Any], _decode_members(text))


def _repeated(project: Project, idempotency_key: str | None, digest: bytes) -> Reserved:
    return _same(QuotaHold.objects.get(project=project, idempotency_key=idempotency_key), digest)


def _same(known: QuotaHold, digest: bytes) -> Reserved:
    if bytes(known.digest) != digest:
        raise Conflict(
            "This idempotency key was used for another hold of the project.", field="idempotency_key"
        )
    return Reserved(known, "exists")


def _digest(content: Any) -> bytes:
    return blake2b(_encode(content), digest_size=32).digest()


def _tell_after_commit(hold: QuotaHold, metric_ids: Sequence[int] | None = None) -> None:
    """What processes remember of these quotas is stale once the transaction is committed."""
    ids = metric_ids or list(hold.shares.values_list("metric_id", flat=True))

    def tell() -> None:
        policy = admission_policy()
        if isinstance(policy, QuotaAdmission):
            policy.forget_usage(
                {
                    (metric_id, owner)
                    for metric_id in ids
                    for owner in (hold.project_id, hold.billing_scope_id)
                }
            )
        publish({"usage": [[metric_id, hold.project_id, hold.billing_scope_id] for metric_id in ids]})

    transaction.on_commit(tell, robust=True)
