"""Deciding what is done about corrections of invoiced periods: bill them, or write them off.

Order of locks: the account's row, the watch over late usage (shared), the correction.
"""

import datetime as dt
from decimal import Decimal

from django.db import transaction

from billing.errors import CorrectionDecided, CorrectionOutdated
from billing.models import BilledPeriod, PeriodCorrection
from billing.selling.accounts import held_account
from metering.errors import Invalid
from metering.texts.numbers import EXACT

from .draft_lines import OPEN_STATES
from .due import is_settled, issued_lines_of, live_lines
from .late_usage import share_watch
from .totals import total

State = PeriodCorrection.State
REASON_LENGTH = 2000


def approve_correction(
    correction: PeriodCorrection, *, decided_by: str, reason: str = "", now: dt.datetime
) -> PeriodCorrection:
    """Let a correction that waits be billed: the account's next draft puts it on.

    Should the difference have changed by then, the approval falls and the correction waits again. Raises
    `CorrectionDecided` for one that doesn't wait, `Invalid` for a reason that can't be stored.
    """
    reason = _worded(reason)
    with transaction.atomic():
        held_account(correction.account_id)
        stored = _held(correction)
        if stored.state != State.WAITING:
            raise CorrectionDecided(stored)
        stored.state = State.APPROVED
        _decide(stored, decided_by=decided_by, reason=reason, now=now)
    return stored


def write_off_correction(
    correction: PeriodCorrection, *, decided_by: str, reason: str, now: dt.datetime
) -> PeriodCorrection:
    """Bill a difference never: what was billed and what was written off are what the period is worth.

    What the ledger learns later is another correction, of what differs then. Where it is on a draft already,
    that goes out of date. Raises `CorrectionDecided` for one that was booked or written off,
    `CorrectionOutdated` where the period's documents changed since it was found, `Invalid` without a reason.
    """
    reason = _worded(reason)
    if not reason:
        raise Invalid("Say why.", field="reason", code="missing_field")
    with transaction.atomic():
        held_account(correction.account_id)
        share_watch()
        stored = _held(correction)
        if stored.state not in OPEN_STATES:
            raise CorrectionDecided(stored)
        billed = BilledPeriod.objects.select_for_update(no_key=True).get(pk=stored.billed_period_id)
        _ensure_current(stored, billed)
        if stored.state == State.DRAFTED:
            held_account(correction.account_id, is_changing=True)
        stored.state, stored.invoice = State.WRITTEN_OFF, None
        _decide(stored, decided_by=decided_by, reason=reason, now=now)
        billed.period_end, billed.position = stored.period_end, stored.position
        # What was learned beyond the position that the difference was found at is looked at again.
        if billed.learned_at_position is not None and billed.learned_at_position <= stored.position:
            billed.learned_at_position = None
        billed.save(update_fields=["period_end", "position", "learned_at_position"])
    return stored


def _held(correction: PeriodCorrection) -> PeriodCorrection:
    """As it stands, its row ours. One that a void or a billing run has overtaken is gone."""
    stored = PeriodCorrection.objects.select_for_update(no_key=True).filter(pk=correction.pk).first()
    if stored is None:
        raise CorrectionOutdated
    return stored


def _decide(correction: PeriodCorrection, *, decided_by: str, reason: str, now: dt.datetime) -> None:
    correction.decided_by, correction.decided_at, correction.reason = decided_by, now, reason
    correction.save(update_fields=["state", "invoice", "decided_by", "decided_at", "reason"])


def _ensure_current(correction: PeriodCorrection, billed: BilledPeriod) -> None:
    """The difference is still what lacks: a void since it was found changes what is booked."""
    booked = total(line.amount for line in live_lines(issued_lines_of([billed])[billed.pk]))
    written_off: Decimal = total(
        billed.corrections.filter(state=State.WRITTEN_OFF).values_list("difference", flat=True)
    )
    missing = EXACT.subtract(EXACT.subtract(correction.rated_amount, booked), written_off)
    if not is_settled(billed) or missing != correction.difference:
        raise CorrectionOutdated


def _worded(reason: str) -> str:
    reason = reason.strip()
    if len(reason) > REASON_LENGTH or "\x00" in reason:
        raise Invalid("At most {most} characters, none of them NUL.", most=REASON_LENGTH, field="reason")
    return reason
