"""Getting issued documents to the customer, and saying once that an invoice is overdue.

Issuing leaves a dispatch; here its mail is promised, in a transaction of its own per document: rendering,
promising and noting that it was promised are one, so that a process that is killed anywhere has done it or
hasn't. Writes: InvoiceDispatch, OutgoingMail, DomainEvent. Locks: the dispatch, by SKIP LOCKED.
"""

import datetime as dt
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from billing.document_news import announced
from billing.errors import DocumentIsDraft
from billing.models import Invoice, InvoiceDispatch
from metering.announcing import kinds
from metering.announcing.mail import post_mail
from metering.announcing.outbox import announce
from metering.delivering.patience import MAX_ATTEMPTS, wait_after
from metering.errors import Conflict
from metering.measuring.windows import zone_named

from .document_mail import mail_about

State = InvoiceDispatch.State
ERROR_MAX_LENGTH = 1000
EASTERNMOST = dt.timedelta(hours=14)  # clocks that are ahead of all others

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Posted:
    """What a run did, in documents."""

    posted_count: int = 0
    failed_count: int = 0
    no_address_count: int = 0

    @property
    def count(self) -> int:
        return self.posted_count + self.failed_count + self.no_address_count


def post_due(
    *, now: dt.datetime, patience_seconds: float = 50.0, on_progress: Callable[[int], None] | None = None
) -> Posted:
    """Promise the mails of documents that are to be sent, for a while; returns what became of them.

    One that can't be rendered is noted with the reason, tried again later and later, given up after
    `MAX_ATTEMPTS`, and holds up no other. Any number may run: each document is promised once.
    """
    started = time.monotonic()
    counts = dict.fromkeys(State, 0)
    for dispatch_id in list(_due(now).order_by("attempt_count", "id").values_list("id", flat=True)):
        if time.monotonic() - started >= patience_seconds:
            break
        state = _post_one(dispatch_id, now=now)
        if state is None:
            continue
        counts[state] += 1
        if on_progress is not None:
            on_progress(sum(counts.values()))
    return Posted(
        posted_count=counts[State.POSTED],
        failed_count=counts[State.FAILED],
        no_address_count=counts[State.NO_ADDRESS],
    )


def resend(invoice: Invoice) -> int:
    """Mail the document now, to the account's addresses of today; returns the id of the mail.

    The first mail of a document is promised once; after it each call promises another. Raises
    `DocumentIsDraft`, and `Conflict` where the account has no addresses.
    """
    if invoice.is_draft:
        raise DocumentIsDraft
    with transaction.atomic():
        dispatch = (
            InvoiceDispatch.objects.select_for_update(of=("self",))
            .select_related("invoice__account__project")
            .get(invoice=invoice.pk)
        )
        if not dispatch.invoice.account.invoice_emails:
            raise Conflict("The account has no addresses for invoices.", field="invoice_emails")
        key = _key(dispatch.invoice)
        if dispatch.state == State.POSTED:
            key = f"{key}:again:{uuid.uuid4().hex}"
        return _post(dispatch, key=key)


def look_for_addresses() -> int:
    """Let documents be sent that had nowhere to go, where the account has addresses now; returns how many.

    For whoever asks: without that, nobody gets old documents because an address was entered.
    """
    waiting = InvoiceDispatch.objects.filter(state=State.NO_ADDRESS)
    found = waiting.exclude(invoice__account__invoice_emails=[]).values_list("id", flat=True)
    return InvoiceDispatch.objects.filter(pk__in=list(found), state=State.NO_ADDRESS).update(
        state=State.DUE, attempt_count=0, last_error=""
    )


def announce_overdue(*, now: dt.datetime) -> int:
    """Say of each invoice once that it is overdue: on the day after its due day, on the account's clocks.

    Returns of how many it was said.
    """
    late = Invoice.objects.overdue(on=(now + EASTERNMOST).date())
    ids = late.filter(dispatch__overdue_announced_at=None).order_by("id").values_list("id", flat=True)
    return sum(_announce_one(invoice_id, now=now) for invoice_id in list(ids))


def _due(now: dt.datetime) -> QuerySet[InvoiceDispatch]:
    """Those to be sent whose next attempt has come. Attempts are counted, and their times follow from the
    instant of issue: 20 s after it, 100 s, 7 min, and so on. Index: dispatch_due."""
    waited, is_time = 0.0, Q(attempt_count=0)
    for attempt in range(1, MAX_ATTEMPTS):
        waited += wait_after(attempt, chance=0.5)
        is_time |= Q(attempt_count=attempt, invoice__issued_at__lte=now - dt.timedelta(seconds=waited))
    return InvoiceDispatch.objects.filter(is_time, state=State.DUE)


def _post_one(dispatch_id: int, *, now: dt.datetime) -> State | None:
    """What became of one dispatch; None where a rival has it."""
    with transaction.atomic():
        dispatch = (
            _due(now)
            .select_for_update(of=("self",), skip_locked=True)
            .select_related("invoice__account__project")
            .filter(pk=dispatch_id)
            .first()
        )
        if dispatch is None:
            return None
        if not dispatch.invoice.account.invoice_emails:
            dispatch.state = State.NO_ADDRESS
            dispatch.save(update_fields=["state"])
            return State.NO_ADDRESS
        try:
            with transaction.atomic():
                _post(dispatch, key=_key(dispatch.invoice))
        except Exception as error:  # whatever a layout meets; it is that document's alone
            _note_failure(dispatch, error)
            return State.FAILED
        return State.POSTED


def _post(dispatch: InvoiceDispatch, *, key: str) -> int:
    invoice = dispatch.invoice
    mail = mail_about(invoice)
    mail_id = post_mail(
        recipients=invoice.account.invoice_emails,
        subject=mail.letter.subject,
        text=mail.letter.text,
        html=mail.letter.html,
        key=key,
        project_id=invoice.account.project_id,
        attachments=mail.attachments,
    )
    InvoiceDispatch.objects.filter(pk=dispatch.pk).update(
        state=State.POSTED,
        mail_id=mail_id,
        attempt_count=F("attempt_count") + 1,
        last_error="",
        posted_at=Now(),
    )
    return mail_id


def _note_failure(dispatch: InvoiceDispatch, error: Exception) -> None:
    logger.exception("%s couldn't be sent", dispatch.invoice)
    attempt_count = dispatch.attempt_count + 1
    InvoiceDispatch.objects.filter(pk=dispatch.pk).update(
        state=State.FAILED if attempt_count >= MAX_ATTEMPTS else State.DUE,
        attempt_count=attempt_count,
        last_error=f"{type(error).__name__}: {error}".replace("\x00", "")[:ERROR_MAX_LENGTH],
    )


def _key(invoice: Invoice) -> str:
    return f"invoice:{invoice.pk}"


def _announce_one(invoice_id: int, *, now: dt.datetime) -> bool:
    with transaction.atomic():
        dispatch = (
            InvoiceDispatch.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("invoice__account")
            .filter(invoice=invoice_id, overdue_announced_at=None)
            .first()
        )
        if dispatch is None:
            return False
        invoice = dispatch.invoice
        today = now.astimezone(zone_named(invoice.customer["timezone"])).date()
        if not Invoice.objects.overdue(on=today).filter(pk=invoice_id).exists():
            return False
        announce(kinds.INVOICE_OVERDUE, project_id=invoice.account.project_id, data=announced(invoice))
        InvoiceDispatch.objects.filter(pk=dispatch.pk).update(overdue_announced_at=now)
        return True
