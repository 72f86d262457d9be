"""Drafting: one draft per account with everything that is due, computed as often as wanted until issued.

Writes: Invoice and InvoiceLine of drafts, BilledPeriod, PeriodCorrection. Locks: the account's row, then the
watch over late usage, shared. What was added by hand stays when a draft is computed again.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models.functions import Now

from billing.errors import DocumentIsIssued
from billing.models import (
    BilledPeriod,
    BillingAccount,
    Invoice,
    InvoiceDiscount,
    InvoiceLine,
    PeriodCorrection,
)
from billing.selling.accounts import held_account
from billing.settling.credits import credit_available
from metering.clock import database_now
from metering.errors import NotFound
from metering.models import Project
from metering.texts.numbers import EXACT

from .draft_lines import OPEN_STATES, DraftLines, Found, draft_lines
from .due import Due, due_of, is_current, next_due_of
from .late_usage import share_watch
from .measured_usage import Measured, UsageAsk, measured
from .retotalling import drawn_by, retotal

State = PeriodCorrection.State
BATCH = 500


@dataclass(frozen=True, slots=True)
class ReadAhead:
    """What was read of an account before its row was held: what is due, and usage at the run's position."""

    due: Due | None = None
    usage: Mapping[UsageAsk, Measured] = field(default_factory=dict)


def draft(
    account: BillingAccount,
    *,
    as_of: dt.datetime,
    position: int,
    ahead: ReadAhead | None = None,
    keeps_current: bool = False,
) -> Invoice | None:
    """Compute the account's draft anew, of everything that is due at `as_of`, by the ledger at `position`.

    Returns it, or None where nothing is due and nothing was added by hand: then there is no draft afterwards.
    Periods that come to nothing are settled without a document. `ahead` is what was read at the same position
    before; what it lacks, or what changed since, is read here. With `keeps_current`, a draft that would come
    out the same is left as it is, lines and all, but for the credit that there is to pay it with.
    """
    with transaction.atomic():
        held = held_account(account.pk)
        watched = share_watch()
        ahead = ahead or ReadAhead()
        sold = None
        if ahead.due is not None and ahead.due.account.revision == held.revision:
            sold = ahead.due.subscriptions
        due = due_of(held, as_of=as_of, subscriptions=sold)
        BillingAccount.objects.filter(pk=held.pk).update(
            next_due_at=next_due_of(due), billed_revision=held.revision
        )
        if keeps_current:
            kept = _run_draft(held)
            if kept is not None and is_current(kept, due):
                return _with_credit(kept, held, at=as_of)
        missing = [ask for ask in due.asks if ask not in ahead.usage]
        usage = {**ahead.usage, **measured(missing, position=position)} if missing else ahead.usage
        found = draft_lines(due, usage, position=position)
        invoice, by_hand = _emptied_draft(held)
        lines = found.lines()
        if lines or by_hand:
            invoice = invoice or Invoice(account=held, currency=held.currency)
            _total(invoice, lines, by_hand, held, as_of=as_of, position=position)
        elif invoice is not None:
            _remove(invoice)
            invoice = None
        # What was learned while the draft was computed is looked at again.
        learned = watched if watched > position else None
        _settle(found, invoice, held, position=position, learned=learned)
        InvoiceLine.objects.bulk_create(lines, batch_size=BATCH)
    return invoice


def remove_draft(held: Invoice) -> None:
    """Remove a draft with everything on it. Needs its row, and its account's to be changed."""
    _release(held)
    held.lines.all().delete()
    _remove(held)


def clear_draft_of(account: BillingAccount) -> None:
    """Take everything that was computed off the account's draft, because what it was made of changed. What
    was added by hand stays. Needs the account's row."""
    invoice, by_hand = _emptied_draft(account)
    if invoice is None:
        return
    if not by_hand:
        _remove(invoice)
        return
    discounts = list(invoice.discounts.order_by("position"))
    retotal(invoice, by_hand, discounts)
    store_totals(invoice, by_hand, discounts)


def store_totals(
    invoice: Invoice, lines: Sequence[InvoiceLine], discounts: Sequence[InvoiceDiscount]
) -> None:
    """Store what `retotal` worked out for rows that are there already."""
    InvoiceLine.objects.bulk_update(
        lines, ["position", "discount_amount", "taxes", "tax_amount"], batch_size=BATCH
    )
    InvoiceDiscount.objects.bulk_update(discounts, ["amount"])
    invoice.save()


def held_draft(invoice_id: int) -> Invoice:
    """The draft with that id, its row ours until the transaction ends. Raises `DocumentIsIssued`, and
    `NotFound` where it was removed meanwhile."""
    stored = Invoice.objects.select_for_update(no_key=True).filter(pk=invoice_id).first()
    if stored is None:
        raise NotFound("The draft was removed; there may be another one.")
    if not stored.is_draft:
        raise DocumentIsIssued(str(stored.number))
    return stored


def _emptied_draft(account: BillingAccount) -> tuple[Invoice | None, list[InvoiceLine]]:
    """The account's draft without what was computed, and the lines that were added by hand."""
    invoice = _run_draft(account)
    if invoice is None:
        return None, []
    _release(invoice)
    invoice.lines.exclude(kind=InvoiceLine.Kind.MANUAL).delete()
    return invoice, list(invoice.lines.order_by("position"))


def _run_draft(account: BillingAccount) -> Invoice | None:
    drafts = Invoice.objects.select_for_update(no_key=True)
    return drafts.filter(account=account, origin=Invoice.Origin.RUN, issued_at=None).first()


def _with_credit(invoice: Invoice, account: BillingAccount, *, at: dt.datetime) -> Invoice:
    """A draft with the credit that there is now."""
    credit = drawn_by(invoice, credit_available(account, at=at))
    if credit != invoice.credit_drawn:
        invoice.credit_drawn, invoice.amount_due = credit, EXACT.subtract(invoice.total, credit)
        invoice.save(update_fields=["credit_drawn", "amount_due"])
    return invoice


def _release(invoice: Invoice) -> None:
    """Let go of the periods that a draft has claimed, and of the corrections that are on it."""
    BilledPeriod.objects.filter(invoice=invoice, position=None).update(invoice=None)
    PeriodCorrection.objects.filter(invoice=invoice, state=State.DRAFTED).update(
        state=State.WAITING, invoice=None
    )


def _remove(invoice: Invoice) -> None:
    invoice.discounts.all().delete()
    invoice.approvals.all().delete()
    invoice.delete()


def _total(
    invoice: Invoice,
    lines: Sequence[InvoiceLine],
    by_hand: Sequence[InvoiceLine],
    account: BillingAccount,
    *,
    as_of: dt.datetime,
    position: int,
) -> None:
    """Put the lines in their places, and store what the draft comes to. The new ones are written later."""
    discounts = [] if invoice.pk is None else list(invoice.discounts.order_by("position"))
    keys = {line.project_key for line in lines if line.project_key}
    names = dict(Project.objects.filter(key__in=keys).values_list("key", "name")) if keys else {}
    every = [*lines, *by_hand]
    for place, line in enumerate(every, start=1):
        line.position = place
        if line.project_key and not line.project_name:
            line.project_name = names.get(line.project_key, "")[:200]
    retotal(invoice, every, discounts, credit=credit_available(account, at=as_of))
    starts = [line.period_start for line in lines if line.period_start and not line.is_adjustment]
    ends = [line.period_end for line in lines if line.period_end and not line.is_adjustment]
    invoice.period_start, invoice.period_end = min(starts, default=None), max(ends, default=None)
    invoice.as_of, invoice.position = as_of, position
    invoice.account_revision = account.revision
    invoice.computed_at = database_now()
    store_totals(invoice, by_hand, discounts)
    for line in every:
        line.invoice = invoice


def _settle(
    found: DraftLines,
    invoice: Invoice | None,
    account: BillingAccount,
    *,
    position: int,
    learned: int | None,
) -> None:
    """Store what the periods are billed by. Without lines a period is settled by nothing at all."""
    _claim(found, invoice, account, position=position, learned=learned)
    for row, end in found.unchanged:
        row.period_end, row.position, row.learned_at_position = end, position, learned
    unchanged = [row for row, _end in found.unchanged]
    if unchanged:
        BilledPeriod.objects.bulk_update(
            unchanged, ["period_end", "position", "learned_at_position"], batch_size=BATCH
        )
        PeriodCorrection.objects.filter(billed_period__in=unchanged, state__in=OPEN_STATES).delete()
    beyond = [row.pk for row in found.billed_beyond]
    if beyond:
        BilledPeriod.objects.filter(pk__in=beyond).update(learned_at_position=learned)
    for billed, _end, lines in found.fees:
        for line in lines:
            line.billed_period = billed
    for one in found.found:
        _store(one, invoice, position=position, learned=learned)


def _claim(
    found: DraftLines,
    invoice: Invoice | None,
    account: BillingAccount,
    *,
    position: int,
    learned: int | None,
) -> None:
    """Rows for periods that are billed for the first time, or again. The constraint decides races."""
    fresh: list[BilledPeriod] = []
    known: list[BilledPeriod] = []
    rows: list[tuple[BilledPeriod, list[InvoiceLine]]] = []
    for due, lines in found.claims:
        priced = due.priced
        row = due.billed
        if row is None:
            row = BilledPeriod(
                account=account,
                subscription=priced.subscription,
                price=priced.price,
                period_start=priced.period.start,
            )
            fresh.append(row)
        else:
            known.append(row)
        row.period_end, row.learned_at_position = priced.period.end, learned
        row.invoice, row.position = (invoice, None) if lines else (None, position)
        rows.append((row, lines))
    BilledPeriod.objects.bulk_create(fresh, batch_size=BATCH)
    if known:
        BilledPeriod.objects.bulk_update(
            known, ["period_end", "invoice", "position", "learned_at_position"], batch_size=BATCH
        )
    for row, lines in rows:
        for line in lines:
            line.billed_period = row


def _store(one: Found, invoice: Invoice | None, *, position: int, learned: int | None) -> None:
    correction = one.known or PeriodCorrection(billed_period=one.billed, account_id=one.billed.account_id)
    if correction.pk is not None and correction.difference != one.difference:
        correction.decided_by, correction.decided_at, correction.reason = "", None, ""
    correction.position, correction.period_end = position, one.until
    correction.billed_amount, correction.rated_amount = one.billed_amount, one.rated_amount
    correction.difference, correction.state = one.difference, one.state
    correction.invoice = invoice if one.lines else None
    if one.state == State.WRITTEN_OFF:
        correction.decided_at, correction.reason = Now(), "Below the account's limit."
        BilledPeriod.objects.filter(pk=one.billed.pk).update(
            period_end=one.until, position=position, learned_at_position=learned
        )
    correction.save()
