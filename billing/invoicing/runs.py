"""Billing runs: a draft for every account that owes something, and issuing those that may go by themselves.

A run takes a position of the ledger and reads everything at it. Accounts are read ahead by chunks, in as many
statements as there are prices and intervals, and written one by one, each in a transaction of its own: one
that fails is parked with the reason and holds up no other. Any number of runs may go on at once and each may
be killed: periods are claimed once by constraint, and a draft that is there is computed again.

A run that somebody asked for is a row that waits until a worker takes it; the database is the queue.
"""

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
from django.db import Error as DatabaseError
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from billing.errors import (
    ApprovalMissing,
    BillingRunWaits,
    DocumentIsIssued,
    DraftOutdated,
    GraceNotOver,
    SellerUnknown,
)
from billing.models import BilledPeriod, BillingAccount, BillingRun, Invoice, ParkedAccount
from billing.settling.credits import expire_credits
from metering.answering.fences import raise_fence
from metering.errors import Conflict, Invalid, MeterbookError, NotFound

from .drafting import ReadAhead, draft
from .due import Due, due_of_many, is_current
from .issuing import issue
from .late_usage import watch_late_usage
from .measured_usage import measured

logger = logging.getLogger(__name__)

NOTED_EVERY = 10  # accounts, so that noting how far a run is costs it little
CHUNK = 100  # accounts that are read ahead together
BY_RUN = "billing run"
ONE_WAITS = "one_billing_run_waits"
LOST_AFTER = dt.timedelta(minutes=15)  # a run that wasn't heard of for so long has lost its process

OnProgress = Callable[[BillingRun], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one account."""

    invoice: Invoice | None = None
    is_issued: bool = False
    is_parked: bool = False


def run_billing(
    *,
    as_of: dt.datetime,
    now: dt.datetime,
    trigger: str = BillingRun.Trigger.CODE,
    requested_by: str = "",
    accounts: Sequence[int] | None = None,
    position: int | None = None,
    on_progress: OnProgress | None = None,
) -> BillingRun:
    """Draft what is due at `as_of`, for all accounts or those with the given ids; returns the finished run.

    `position` is a final position of the ledger, a new one unless given. What a single account refuses is on
    record as `ParkedAccount`. Raises `Invalid` for an `as_of` in the future.
    """
    _ensure_past(as_of, now=now)
    position = _read_position(position, now=now)
    run = BillingRun.objects.create(
        as_of=as_of, position=position, trigger=trigger, requested_by=requested_by[:150]
    )
    chosen = None if accounts is None else BillingAccount.objects.filter(pk__in=accounts)
    return _bill_each(run, chosen, now=now, on_progress=on_progress)


def request_run(
    *, as_of: dt.datetime, now: dt.datetime, requested_by: str, trigger: str = BillingRun.Trigger.ADMIN
) -> BillingRun:
    """Let a worker draft what is due at `as_of`, for all accounts; returns the run that waits.

    Raises `Invalid` for an `as_of` in the future, `BillingRunWaits` while another run waits to be taken.
    """
    _ensure_past(as_of, now=now)
    try:
        with transaction.atomic():
            run = BillingRun.objects.create(
                as_of=as_of, trigger=trigger, requested_by=requested_by[:150], state=BillingRun.State.QUEUED
            )
    except IntegrityError as error:
        cause = error.__cause__
        if not isinstance(cause, psycopg.Error) or cause.diag.constraint_name != ONE_WAITS:
            raise
        raise BillingRunWaits from None
    run.refresh_from_db()
    return run


def run_requested(
    *, now: dt.datetime, position: int | None = None, on_progress: OnProgress | None = None
) -> int:
    """Carry out the runs that were asked for and wait; returns how many.

    Any number of workers may call it at once and at any time: each run is taken by one. A worker that is
    killed before it took one leaves it waiting; one that is killed later leaves it to `end_lost_runs`.
    """
    count = 0
    while BillingRun.objects.filter(state=BillingRun.State.QUEUED).exists():
        run = _taken(_read_position(position, now=now))
        if run is None:
            break
        _bill_each(run, None, now=now, on_progress=on_progress)
        count += 1
    return count


def bill_account(
    account: BillingAccount,
    *,
    run: BillingRun,
    now: dt.datetime,
    ahead: ReadAhead | None = None,
    keeps_current: bool = False,
) -> Outcome:
    """Draft, and issue where the account wants that, or park the account with the reason."""
    assert run.position is not None  # it has begun
    try:
        invoice = draft(
            account, as_of=run.as_of, position=run.position, ahead=ahead, keeps_current=keeps_current
        )
        is_issued = invoice is not None and account.issues_automatically and _issues(invoice, now=now)
    except (MeterbookError, DatabaseError, ArithmeticError, ValueError, AssertionError) as error:
        logger.exception("Account %s couldn't be billed", account.pk)
        _park(account, run, error)
        return Outcome(is_parked=True)
    if hasattr(account, "parked"):
        account.parked.delete()
    return Outcome(invoice, is_issued)


def end_lost_runs(*, now: dt.datetime) -> int:
    """Mark runs whose process is gone as interrupted; returns how many. What they drafted stays."""
    lost = BillingRun.objects.filter(state=BillingRun.State.RUNNING, heard_at__lt=now - LOST_AFTER)
    return lost.update(state=BillingRun.State.INTERRUPTED, finished_at=F("heard_at"))


def _ensure_past(as_of: dt.datetime, *, now: dt.datetime) -> None:
    if as_of > now:
        raise Invalid("Lies in the future; what is running can be previewed.", field="as_of")


def _read_position(position: int | None, *, now: dt.datetime) -> int:
    """Up to where a run that begins now reads the ledger, a new position unless given; and what has to be
    known before anybody is billed."""
    end_lost_runs(now=now)
    expire_credits(now=now)
    if position is None:
        position = raise_fence().position
    watch_late_usage(position)
    return position


def _taken(position: int) -> BillingRun | None:
    """The run that waits, ours from now on; None where another worker was faster."""
    with transaction.atomic():
        run = (
            BillingRun.objects.select_for_update(skip_locked=True)
            .filter(state=BillingRun.State.QUEUED)
            .order_by("id")
            .first()
        )
        if run is None:
            return None
        BillingRun.objects.filter(pk=run.pk).update(
            state=BillingRun.State.RUNNING, position=position, started_at=Now(), heard_at=Now()
        )
    run.refresh_from_db()
    return run


def _bill_each(
    run: BillingRun,
    accounts: QuerySet[BillingAccount] | None,
    *,
    now: dt.datetime,
    on_progress: OnProgress | None,
) -> BillingRun:
    """Those that are named, whatever is known of them; without names those of whom something may be due."""
    looked_at = accounts if accounts is not None else _worth_a_look(run.as_of)
    ids = list(looked_at.order_by("id").values_list("id", flat=True))
    run.account_count = len(ids)
    BillingRun.objects.filter(pk=run.pk).update(account_count=run.account_count)
    assert run.position is not None  # it has begun
    for start in range(0, len(ids), CHUNK):
        chosen = BillingAccount.objects.filter(pk__in=ids[start : start + CHUNK])
        chunk = list(chosen.select_related("parked").order_by("id"))
        ahead = _read_ahead(chunk, as_of=run.as_of, position=run.position)
        for account in chunk:
            outcome = bill_account(
                account, run=run, now=now, ahead=ahead.get(account.pk), keeps_current=accounts is None
            )
            _note(run, outcome)
            if on_progress is not None:
                on_progress(run)
    BillingRun.objects.filter(pk=run.pk).update(
        state=BillingRun.State.FINISHED, finished_at=Now(), heard_at=Now()
    )
    run.refresh_from_db()
    return run


def _worth_a_look(as_of: dt.datetime) -> QuerySet[BillingAccount]:
    """Accounts but those of which it is known that nothing became due and nothing was learned."""
    learned = BilledPeriod.objects.filter(account=OuterRef("pk"), learned_at_position__isnull=False)
    drafts = Invoice.objects.filter(account=OuterRef("pk"), issued_at=None, origin=Invoice.Origin.RUN)
    return BillingAccount.objects.filter(
        Q(next_due_at=None)
        | Q(next_due_at__lte=as_of)
        | Q(billed_revision=None)
        | ~Q(billed_revision=F("revision"))
        | Q(Exists(learned))
        | Q(Exists(drafts))
        | Q(parked__isnull=False)
    )


def _read_ahead(
    accounts: Sequence[BillingAccount], *, as_of: dt.datetime, position: int
) -> dict[int, ReadAhead]:
    """What is due to a chunk, and its usage. What can't be read for all is left to each account, so that one
    alone fails."""
    try:
        dues = due_of_many(accounts, as_of=as_of)
        drafts = {
            draft.account_id: draft
            for draft in Invoice.objects.drafts().filter(account__in=accounts, origin=Invoice.Origin.RUN)
        }
        stale = [due for due in dues if not _is_drafted(due, drafts.get(due.account.pk))]
        usage = measured([ask for due in stale for ask in due.asks], position=position)
        return {due.account.pk: ReadAhead(due, usage) for due in dues}
    except (MeterbookError, DatabaseError, ArithmeticError, ValueError, AssertionError):
        logger.exception("A chunk of accounts couldn't be read ahead")
        return {}


def _is_drafted(due: Due, draft: Invoice | None) -> bool:
    return draft is not None and is_current(draft, due)


def _issues(invoice: Invoice, *, now: dt.datetime) -> bool:
    """Whether it was issued. What has to wait is no failure, nor is it that a rival was first."""
    try:
        issue(invoice, now=now, issued_by=BY_RUN)
    except (GraceNotOver, ApprovalMissing, DocumentIsIssued, DraftOutdated, NotFound):
        return False
    except SellerUnknown as error:
        raise Conflict(error.template, **error.values) from None
    return True


def _park(account: BillingAccount, run: BillingRun, error: Exception) -> None:
    code = getattr(error, "code", type(error).__name__)
    ParkedAccount.objects.update_or_create(
        account=account, defaults={"code": str(code)[:50], "reason": str(error)[:2000], "run": run}
    )


def _note(run: BillingRun, outcome: Outcome) -> None:
    run.done_count += 1
    run.drafted_count += outcome.invoice is not None and not outcome.is_issued
    run.issued_count += outcome.is_issued
    run.parked_count += outcome.is_parked
    if run.done_count % NOTED_EVERY and run.done_count < run.account_count:
        return
    BillingRun.objects.filter(pk=run.pk).update(
        done_count=run.done_count,
        drafted_count=run.drafted_count,
        issued_count=run.issued_count,
        parked_count=run.parked_count,
        heard_at=Now(),
    )
