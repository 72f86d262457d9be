"""Reserving an amount before it is used, then using it or giving it back.

Always decided exactly: under the locks of all hard quotas that count the event, whatever they count by. Locks
in this order: recording (shared), the hold's own where one ends, those of the quotas.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal, localcontext
from hashlib import blake2b
from typing import Any, Literal, cast

import msgspec
import psycopg
from django.db import Error, IntegrityError, transaction
from django.db.models import JSONField, TextField, Value
from django.db.models.functions import Cast

from metering.admission import Conclusion, Request, Verdicts, admission_policy
from metering.catalogue import Catalogue, catalogue_at
from metering.clock import database_now
from metering.errors import Conflict, EventsRejected, Invalid, MeterbookError
from metering.ledger import record_items
from metering.measuring.meaning import Meaning
from metering.models import Project
from metering.principal import EVERYBODY_INSIDE, Principal
from metering.recording.intake import events_from, label_number
from metering.recording.resolving import Candidate
from metering.recording.writing import recording
from metering.texts.numbers import EXACT, NotANumber, decimal_from, plain
from metering.texts.timestamps import iso

from .admission import QuotaAdmission, judged_by
from .appraisal import Claim, candidate_of, claims_on, ensure_period_open
from .book import HARD, QuotaBook, enforced_quotas
from .bus import publish
from .decisions import actor_of
from .docket import counted
from .errors import QuotaExceeded, QuotaUnavailable
from .locks import hold_ending, hold_quotas
from .models import QuotaDecision, QuotaHold, QuotaHoldEnding, QuotaHoldShare

HOLD_SOURCE = "meterbook:hold"
MAX_SECONDS = 24 * 3600  # no longer than late usage of a finished period is taken
MADE_ONCE = "quota_hold_made_once"
EVENT_MEMBERS = ("subject_type", "subject_id", "labels", "surface", "occurred_at")
_ADDITIVE = frozenset({"COUNT", "SUM"})
_ZERO, _ONE = Decimal(0), Decimal(1)
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
    content under it is a `Conflict`. Raises `QuotaExceeded`, and `Invalid` naming the field: for metrics and
    quotas whose values don't add up among others.
    """
    amount = _amount(quantity)
    _ensure_sound(expires_in, on_exceed, members or {}, idempotency_key)
    given = {**(members or {}), "project": project.key, "metric_key": metric_key}
    digest = _digest([given, plain(amount), expires_in, on_exceed])
    story = _Story(principal)
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
    ended otherwise, `QuotaExceeded` and `Invalid`; then the hold is as it was.
    """
    amount = hold.granted if quantity is None else _amount(quantity)
    story = _Story(principal)
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
                raise Conflict(f"Hold '{hold.public_id}' was used already.")
            return Ended(ending, "exists")
        ending = QuotaHoldEnding.objects.create(
            hold=hold, kind=QuotaHoldEnding.Kind.RELEASED, actor=actor_of(principal)
        )
        _tell_after_commit(hold)
    ending.refresh_from_db()
    return Ended(ending, "created")


class _Story:
    """What happens in one verb, so that a refusal can be accounted for after the rollback."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
        self.catalogue: Catalogue | None = None
        self.now: dt.datetime | None = None
        self.candidate: Candidate | None = None
        self.verdicts = Verdicts()

    def open(self) -> tuple[Catalogue, dt.datetime]:
        """Take the recording lock; the catalogue and the database's time under it."""
        with recording(draws=0) as page:
            self.catalogue, self.now = catalogue_at(page.version), page.now
        return self.catalogue, self.now

    def conclude(self, refusal: MeterbookError) -> None:
        if self.catalogue is None or self.now is None or self.candidate is None:
            return
        conclusion = Conclusion(
            [self.candidate], self.verdicts, self.principal, self.catalogue, self.now, refusal=refusal
        )
        admission_policy().conclude(conclusion)
        refusal.decision = conclusion.references.get(self.candidate.index)

    def refuse(self, claim: Claim) -> QuotaExceeded:
        """The refusal by one quota, noted."""
        facts = claim.facts()
        refusal = QuotaExceeded(facts)
        refusal.index = 0
        note = judged_by(claim.standing, QuotaDecision.Outcome.DENIED, facts, is_exact=True)
        self.verdicts.refused[0], self.verdicts.notes[0] = refusal, [note]
        return refusal


def _reserved(
    story: _Story,
    project: Project,
    given: Mapping[str, Any],
    amount: Decimal,
    expires_in: int,
    on_exceed: str,
    idempotency_key: str | None,
    digest: bytes,
) -> Reserved:
    catalogue, now = story.open()
    meaning = _metric(catalogue, project, str(given["metric_key"]))
    public_id = f"hold_{uuid.uuid4().hex}"
    given = {**given, "occurred_at": given.get("occurred_at") or iso(now), "id": f"hold:{public_id}"}
    candidate = story.candidate = _candidate(story, meaning, given, amount)
    book = _book()
    _ensure_reservable(candidate, book)
    _hold_hard(candidate, book)
    if idempotency_key is not None:
        known = QuotaHold.objects.filter(project=project, idempotency_key=idempotency_key).first()
        if known is not None:
            return _same(known, digest)
    may_backfill = story.principal.may("backfill")
    claims, verdicts = claims_on(candidate, book, now=now, may_backfill=may_backfill)
    _ensure_open(story, verdicts)
    granted = amount
    refused = _first_refusal(claims)
    if refused is not None and on_exceed == QuotaHold.OnExceed.CAP:
        granted = min(amount, _room(claims, meaning))
        if granted > 0:
            candidate = _candidate(story, meaning, given, granted)
            claims, _ = claims_on(candidate, book, now=now, may_backfill=may_backfill)
            refused = _first_refusal(claims)
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
        if _adds_up(counting)
    )
    _tell_after_commit(hold, [counting.metric_id for counting, _ in candidate.readings])
    hold.refresh_from_db()
    warnings = [
        {"code": QuotaExceeded.code, **claim.facts()}
        for claim in claims
        if not claim.standing.is_hard and claim.is_exceeded
    ]
    return Reserved(hold, "created", warnings)


def _committed(story: _Story, hold: QuotaHold, amount: Decimal) -> Ended:
    catalogue, now = story.open()
    hold_ending(hold.pk)
    ending = _ending_of(hold)
    if ending is not None:
        if ending.kind == QuotaHoldEnding.Kind.COMMITTED and ending.quantity == amount:
            return Ended(ending, "exists")
        words = "given back" if ending.kind == QuotaHoldEnding.Kind.RELEASED else "used for another quantity"
        raise Conflict(f"Hold '{hold.public_id}' was {words} already.")
    meaning = catalogue.meanings[hold.metric_id]
    members = _members_of(hold)
    candidate = story.candidate = _candidate(story, meaning, members, amount)
    book = _book()
    _hold_hard(candidate, book)
    is_covered = hold.expires_at > database_now() and candidate.billing_scope_id == hold.billing_scope_id
    judged: Candidate | Request | None = candidate
    if is_covered:
        judged = None if amount <= hold.granted else _excess(candidate, meaning, amount - hold.granted)
    if judged is not None:
        claims, verdicts = claims_on(
            judged,
            book,
            now=now,
            may_backfill=story.principal.may("backfill"),
            besides=None if is_covered else hold.pk,
        )
        _ensure_open(story, verdicts)
        refused = _first_refusal(claims)
        if refused is not None:
            raise story.refuse(refused)
    [item] = events_from([_event(meaning, members, amount)])
    try:
        [outcome] = record_items(
            [item], principal=story.principal, source=HOLD_SOURCE, enforce=False, may_reserve=True
        )
    except EventsRejected as error:
        first = error.errors[0]
        raise Invalid(
            f"What was used can't be recorded: {first.detail}.", field=first.field, code=first.code
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


# -- what is asked for -------------------------------------------------------------------------------------


def _amount(quantity: Decimal | int | str) -> Decimal:
    if isinstance(quantity, bool) or not isinstance(quantity, Decimal | int | str):
        raise Invalid("The quantity is a decimal number, as text or exact.", field="quantity")
    try:
        amount = decimal_from(str(quantity))
    except NotANumber as error:
        raise Invalid(f"The quantity can't be read: {error}.", field="quantity") from None
    if amount <= 0:
        raise Invalid("Must be more than 0; what isn't used is released.", field="quantity")
    return amount


def _ensure_sound(
    expires_in: int, on_exceed: str, members: Mapping[str, Any], idempotency_key: str | None
) -> None:
    if isinstance(expires_in, bool) or not isinstance(expires_in, int) or not 1 <= expires_in <= MAX_SECONDS:
        raise Invalid(f"Must be a whole number of seconds from 1 to {MAX_SECONDS}.", field="expires_in")
    if on_exceed not in QuotaHold.OnExceed.values:
        raise Invalid(f"Must be one of {', '.join(QuotaHold.OnExceed.values)}.", field="on_exceed")
    for name in members:
        if name not in EVENT_MEMBERS:
            raise Invalid("A hold has no such member.", field=name[:100])
    if not isinstance(members.get("labels") or {}, Mapping):
        raise Invalid("Must be an object.", field="labels", code="invalid_label")
    if idempotency_key is not None and not 0 < len(idempotency_key) <= 255:
        raise Invalid("Must have 1 to 255 characters.", field="idempotency_key")


def _metric(catalogue: Catalogue, project: Project, key: str) -> Meaning:
    meaning = catalogue.metric_for(catalogue.project_by_id(project.pk), key)
    if meaning is None:
        raise Invalid(f"Project '{project.key}' has no metric '{key[:100]}'.", field="metric")
    if not _adds_up(meaning):
        kind = "steps between readings" if meaning.is_stepped else meaning.aggregation.name
        raise Invalid(
            f"'{meaning.key}' is made of {kind}: only counts and sums of amounts can be reserved.",
            field="metric",
        )
    return meaning


def _adds_up(meaning: Meaning) -> bool:
    return meaning.aggregation.name in _ADDITIVE and not meaning.is_stepped


def _event(meaning: Meaning, members: Mapping[str, Any], amount: Decimal) -> dict[str, Any]:
    """The event by which the metric reads this amount."""
    event = {**members, "source": HOLD_SOURCE}
    if meaning.aggregation.name == "COUNT":
        if amount != _ONE:
            raise Invalid(f"'{meaning.key}' counts events: one hold is for one of them.", field="quantity")
    elif meaning.value_property:
        event["labels"] = _with_value(dict(members.get("labels") or {}), meaning.value_property, amount)
    else:
        event["quantity"] = plain(amount)
    return event


def _with_value(labels: dict[str, Any], path: str, amount: Decimal) -> dict[str, Any]:
    """The labels with the amount under a dotted path. Raises `Invalid` where something is there already."""
    inner = labels
    *parents, last = path.split(".")
    for name in parents:
        inner[name] = dict(inner.get(name) or {}) if isinstance(inner.get(name) or {}, dict) else None
        if inner[name] is None:
            raise Invalid("The metric's value can't be put here.", field=f"labels.{path}")
        inner = inner[name]
    if last in inner:
        raise Invalid("The hold's quantity goes here; leave it out.", field=f"labels.{path}")
    inner[last] = plain(amount)
    return labels


def _candidate(story: _Story, meaning: Meaning, members: Mapping[str, Any], amount: Decimal) -> Candidate:
    """The event as it would be recorded. Raises `Invalid` where it couldn't be."""
    assert story.catalogue is not None
    assert story.now is not None
    try:
        candidate = candidate_of(
            _event(meaning, members, amount),
            catalogue=story.catalogue,
            principal=story.principal,
            now=story.now,
            source=HOLD_SOURCE,
            may_reserve=True,
        )
    except EventsRejected as error:
        first = error.errors[0]
        field = {"metric_key": "metric", f"labels.{meaning.value_property}": "quantity"}.get(
            first.field or "", first.field
        )
        raise Invalid(
            f"{first.detail[:1].upper()}{first.detail[1:]}.", field=field, code=first.code
        ) from None
    return candidate


# -- what quotas say ---------------------------------------------------------------------------------------


def _book() -> QuotaBook:
    """The enforced quotas, read anew."""
    try:
        return enforced_quotas()
    except Error as error:
        raise QuotaUnavailable from error


def _ensure_reservable(candidate: Candidate, book: QuotaBook) -> None:
    """Raises `Invalid` for an event that a hard quota couldn't reserve."""
    for quota, number in counted(candidate, book):
        meaning, _ = candidate.readings[number]
        if quota.mode == HARD and not _adds_up(meaning):
            raise Invalid(
                f"The same event counts for '{meaning.key}', on which '{quota.project_key}' has a hard quota:"
                " its values don't add up and can't be reserved.",
                field="metric",
            )


def _hold_hard(candidate: Candidate, book: QuotaBook) -> None:
    """The locks of all hard quotas concerned, until the transaction ends; a statement of its own."""
    try:
        hold_quotas({quota.id for quota, _ in counted(candidate, book) if quota.mode == HARD})
    except Error as error:
        raise QuotaUnavailable from error


def _ensure_open(story: _Story, verdicts: Verdicts) -> None:
    story.verdicts.rejected |= verdicts.rejected
    story.verdicts.notes |= verdicts.notes
    ensure_period_open(verdicts)


def _first_refusal(claims: Sequence[Claim]) -> Claim | None:
    return next((claim for claim in claims if claim.standing.is_hard and claim.is_exceeded), None)


def _grows(counting: Meaning, meaning: Meaning) -> bool:
    """Whether what a metric reads follows the hold's quantity."""
    if counting.aggregation.name != "SUM" or counting.is_stepped:
        return False
    return counting.value_property == meaning.value_property


def _room(claims: Sequence[Claim], meaning: Meaning) -> Decimal:
    """The most that fits in all hard quotas whose reading follows the quantity."""
    rooms = [
        claim.room for claim in claims if claim.standing.is_hard and _grows(claim.place.meaning, meaning)
    ]
    room = min(rooms, default=_ZERO)
    if any(claim.place.meaning.is_integer for claim in claims) or meaning.is_integer:
        with localcontext(EXACT):
            room = room.to_integral_value(rounding=ROUND_FLOOR)
    return room


def _excess(candidate: Candidate, meaning: Meaning, excess: Decimal) -> Request:
    """What goes beyond the hold, as an event of its own: of the metrics that follow the quantity."""
    places = [n for n, (counting, _) in enumerate(candidate.readings) if _grows(counting, meaning)]
    return Request(
        candidate.index,
        candidate.project_id,
        candidate.billing_scope_id,
        candidate.occurred_at,
        [(candidate.readings[n][0], excess) for n in places],
        event_id=candidate.event_id,
        subject_type=candidate.subject_type,
        subject_id=candidate.subject_id,
        groups=[candidate.groups[n] for n in places],
        value_keys=[candidate.value_keys[n] for n in places],
    )


# -- rows --------------------------------------------------------------------------------------------------


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
