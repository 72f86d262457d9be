"""What goes on an account's draft, worked out of what is due: lines, and what becomes of the billed periods.

Nothing is written here. Corrections follow the account's policy: below an amount they are written off, above
one they wait until somebody approves them, otherwise they are on the draft.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from billing.models import BilledPeriod, BillingAccount, InvoiceLine, PeriodCorrection
from billing.money import rounded
from metering.texts.numbers import EXACT

from .charges import fee_change_lines, fee_lines, fee_of, mirrored, usage_lines
from .discount_shares import NO_DISCOUNT
from .due import Due, DuePrice, live_lines
from .measured_usage import Measured, UsageAsk
from .totals import total

State = PeriodCorrection.State
OPEN_STATES = (State.WAITING, State.APPROVED, State.DRAFTED)
FEES = (InvoiceLine.Kind.FEE, InvoiceLine.Kind.FEE_CREDIT)


@dataclass(slots=True)
class Found:
    """A billed period that is worth something else than was billed. `lines` are those of the draft."""

    billed: BilledPeriod
    state: str
    billed_amount: Decimal
    rated_amount: Decimal
    difference: Decimal
    until: dt.datetime
    lines: list[InvoiceLine]
    known: PeriodCorrection | None


@dataclass(slots=True)
class DraftLines:
    """`claims`: periods that are billed for the first time, with their lines; `found`: corrections;
    `unchanged`: billed periods that are worth what was billed, with their ends; `fees`: lines of fees whose
    days changed; `billed_beyond`: periods that were billed by more of the ledger than was read, which only a
    later reading can correct."""

    claims: list[tuple[DuePrice, list[InvoiceLine]]] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    unchanged: list[tuple[BilledPeriod, dt.datetime]] = field(default_factory=list)
    fees: list[tuple[BilledPeriod, dt.datetime, list[InvoiceLine]]] = field(default_factory=list)
    billed_beyond: list[BilledPeriod] = field(default_factory=list)

    def lines(self) -> list[InvoiceLine]:
        """All of them, as documents show them: by plan and period, corrections last."""
        lines = [line for _due, of_one in self.claims for line in of_one]
        lines += [line for _billed, _end, of_one in self.fees for line in of_one]
        return lines + [line for found in self.found for line in found.lines]


def draft_lines(due: Due, usage: Mapping[UsageAsk, Measured], *, position: int) -> DraftLines:
    """What is on the draft of an account; `usage` answers every question of `due.asks` at `position`."""
    lines = DraftLines()
    rates = taxes_of(due.account)
    for one in due.charges:
        of_one = fee_lines(one.priced) if one.ask is None else _usage_lines(one, usage, position)
        for line in of_one:
            line.taxes = rates
        lines.claims.append((one, of_one))
    for one in due.corrections:
        assert one.billed is not None
        if one.ask is None:
            _correct_fee(lines, due, one)
        elif one.billed.position is not None and one.billed.position > position:
            lines.billed_beyond.append(one.billed)
        else:
            now = _usage_lines(one, usage, position)
            _correct_usage(lines, due, one.billed, now, until=one.priced.period.end)
    for billed in due.gone:
        _take_back(lines, due, billed)
    return lines


def taxes_of(account: BillingAccount) -> list[dict[str, str]]:
    """The account's rates as a line carries them, before they were taken."""
    return [{**rate, "amount": "0"} for rate in account.tax_rates]


def _usage_lines(due: DuePrice, usage: Mapping[UsageAsk, Measured], position: int) -> list[InvoiceLine]:
    assert due.ask is not None
    return usage_lines(due.priced, due.ask, usage[due.ask], position=position)


def _correct_fee(lines: DraftLines, due: Due, one: DuePrice) -> None:
    billed, period = one.billed, one.priced.period
    assert billed is not None
    live = live_lines(due.lines.get(billed.pk, ()))
    until = period.service.start
    for line in live:
        assert line.service_start_on is not None
        assert line.service_end_on is not None
        until = line.service_end_on if line.kind == InvoiceLine.Kind.FEE else line.service_start_on
    was_for_nothing = not live and not fee_of(one.priced.price).net
    if until == period.service.end or was_for_nothing:
        lines.unchanged.append((billed, period.end))
        return
    paid = total(line.amount for line in live if line.amount > 0)
    credited = EXACT.minus(total(line.amount for line in live if line.amount < 0))
    changed = fee_change_lines(one.priced, billed_until=until, paid=paid, credited=credited)
    _as_billed(changed, live, due, billed)
    lines.fees.append((billed, period.end, changed))


def _take_back(lines: DraftLines, due: Due, billed: BilledPeriod) -> None:
    """A billed period that isn't one any more."""
    live = live_lines(due.lines.get(billed.pk, ()))
    if not live:
        return
    if any(line.kind in FEES for line in live):
        lines.fees.append((billed, billed.period_end, [mirrored(line) for line in live]))
    else:
        _correct_usage(lines, due, billed, [], until=billed.period_end)


def _correct_usage(
    lines: DraftLines, due: Due, billed: BilledPeriod, now: list[InvoiceLine], *, until: dt.datetime
) -> None:
    """Reverse what was billed and book the whole anew, as far as the account's policy lets it."""
    live = live_lines(due.lines.get(billed.pk, ()))
    before = due.found_before.get(billed.pk, ())
    known = next((one for one in before if one.state in OPEN_STATES), None)
    written_off = total(one.difference for one in before if one.state == State.WRITTEN_OFF)
    booked, worth = total(line.amount for line in live), total(line.amount for line in now)
    difference = EXACT.subtract(EXACT.subtract(worth, booked), written_off)
    if not difference:
        lines.unchanged.append((billed, until))
        return
    state = _decision(due.account, difference, known)
    on_draft: list[InvoiceLine] = []
    if state == State.DRAFTED:
        _as_billed(now, live, due, billed)
        on_draft = [*map(mirrored, live), *now]
        for line in on_draft:
            line.billed_period = billed
    lines.found.append(Found(billed, state, booked, worth, difference, until, on_draft, known))


def _decision(account: BillingAccount, difference: Decimal, known: PeriodCorrection | None) -> str:
    if account.write_off_below is not None and abs(difference) < account.write_off_below:
        return State.WRITTEN_OFF
    limit = account.approve_corrections_above
    if limit is None or abs(difference) <= limit:
        return State.DRAFTED
    is_approved = known is not None and known.decided_by and known.difference == difference
    return State.DRAFTED if is_approved else State.WAITING


def _as_billed(
    lines: Sequence[InvoiceLine], live: Sequence[InvoiceLine], due: Due, billed: BilledPeriod
) -> None:
    """Give lines the taxes and the share of discounts that their period was billed with."""
    if not live:
        rates = taxes_of(due.account)
        for line in lines:
            line.taxes = rates
        return
    given = due.discount_shares.get(billed.pk, NO_DISCOUNT)
    share = given.of(worth=total(line.amount for line in lines), billed=total(line.amount for line in live))
    rates = [{**tax, "amount": "0"} for tax in live[0].taxes]
    for line in lines:
        line.is_adjustment = True
        line.discount_amount = rounded(-Fraction(line.amount) * share, due.account.currency)
        line.taxes = rates
