"""What blocks and quotas say of a hold: asked under the locks of all hard quotas, and accounted for."""

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import Any

from django.db import Error

from metering.admission import Asking, Conclusion, Request, Verdicts, admission_policy
from metering.catalogue import Catalogue, catalogue_at
from metering.errors import EventsRejected, Invalid, MeterbookError
from metering.measuring.meaning import Meaning
from metering.principal import Principal
from metering.recording.resolving import Candidate
from metering.recording.writing import recording
from metering.texts.numbers import EXACT

from .admission import judged_by
from .appraisal import Claim, candidate_of, ensure_period_open
from .blocking import Blocks
from .book import HARD, QuotaBook, enforced_quotas
from .docket import counted
from .errors import QuotaExceeded, QuotaUnavailable, ThresholdBlocked
from .locks import hold_quotas
from .models import QuotaDecision
from .reservable import HOLD_SOURCE, adds_up, event_of

_ZERO = Decimal(0)


class Story:
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

    def ensure_unblocked(self, request: Asking) -> None:
        """Raises `ThresholdBlocked`, noted, where a reached threshold blocks the use."""
        assert self.catalogue is not None
        Blocks().without_blocked([request], catalogue=self.catalogue, verdicts=self.verdicts)
        refusal = self.verdicts.refused.get(request.index)
        if isinstance(refusal, ThresholdBlocked):
            refusal.index = request.index
            raise refusal

    def refuse(self, claim: Claim) -> QuotaExceeded:
        """The refusal by one quota, noted."""
        facts = claim.facts()
        refusal = QuotaExceeded(facts)
        refusal.index = 0
        note = judged_by(claim.standing, QuotaDecision.Outcome.DENIED, facts, is_exact=True)
        self.verdicts.refused[0], self.verdicts.notes[0] = refusal, [note]
        return refusal


def candidate_by(story: Story, meaning: Meaning, members: Mapping[str, Any], amount: Decimal) -> Candidate:
    """The event as it would be recorded. Raises `Invalid` where it couldn't be."""
    assert story.catalogue is not None
    assert story.now is not None
    try:
        candidate = candidate_of(
            event_of(meaning, members, amount),
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


def book_now() -> QuotaBook:
    """The enforced quotas, read anew."""
    try:
        return enforced_quotas()
    except Error as error:
        raise QuotaUnavailable from error


def ensure_reservable(candidate: Candidate, book: QuotaBook) -> None:
    """Raises `Invalid` for an event that a hard quota couldn't reserve."""
    for quota, number in counted(candidate, book):
        meaning, _ = candidate.readings[number]
        if quota.mode == HARD and not adds_up(meaning):
            raise Invalid(
                "The same event counts for '{key}', on which '{project_key}' has a hard quota:"
                " its values don't add up and can't be reserved.",
                key=meaning.key,
                project_key=quota.project_key,
                field="metric",
            )


def hold_hard(candidate: Candidate, book: QuotaBook) -> None:
    """The locks of all hard quotas concerned, until the transaction ends; a statement of its own."""
    try:
        hold_quotas({quota.id for quota, _ in counted(candidate, book) if quota.mode == HARD})
    except Error as error:
        raise QuotaUnavailable from error


def ensure_open(story: Story, verdicts: Verdicts) -> None:
    story.verdicts.rejected |= verdicts.rejected
    story.verdicts.notes |= verdicts.notes
    ensure_period_open(verdicts)


def first_refusal(claims: Sequence[Claim]) -> Claim | None:
    return next((claim for claim in claims if claim.standing.is_hard and claim.is_exceeded), None)


def grows(counting: Meaning, meaning: Meaning) -> bool:
    """Whether what a metric reads follows the hold's quantity."""
    if counting.aggregation.name != "SUM" or counting.is_stepped:
        return False
    return counting.value_property == meaning.value_property


def room_in(claims: Sequence[Claim], meaning: Meaning) -> Decimal:
    """The most that fits in all hard quotas whose reading follows the quantity."""
    rooms = [claim.room for claim in claims if claim.standing.is_hard and grows(claim.place.meaning, meaning)]
    room = min(rooms, default=_ZERO)
    if any(claim.place.meaning.is_integer for claim in claims) or meaning.is_integer:
        with localcontext(EXACT):
            room = room.to_integral_value(rounding=ROUND_FLOOR)
    return room


def excess_of(candidate: Candidate, meaning: Meaning, excess: Decimal) -> Request:
    """What goes beyond the hold, as an event of its own: of the metrics that follow the quantity."""
    places = [n for n, (counting, _) in enumerate(candidate.readings) if grows(counting, meaning)]
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
