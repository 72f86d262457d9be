"""Numbers about billing for monitoring."""

from collections.abc import Iterator

from django.db.models import Max

from metering.clock import database_now
from metering.telemetry import Reading

from .models import BillingRun, Invoice, ParkedAccount, PeriodCorrection


def readings() -> Iterator[Reading]:
    """What waits for people, and when accounts were last billed."""
    drafts = Invoice.objects.drafts().count()
    yield Reading("invoice_drafts", "Invoices and credit notes that aren't issued.", drafts)
    yield Reading(
        "parked_accounts", "Accounts that a billing run passed over.", ParkedAccount.objects.count()
    )
    waiting = PeriodCorrection.objects.filter(state=PeriodCorrection.State.WAITING).count()
    yield Reading("waiting_corrections", "Corrections of billed periods to be decided.", waiting)
    last = BillingRun.objects.aggregate(finished_at=Max("finished_at"))["finished_at"]
    if last is not None:
        age = (database_now() - last).total_seconds()
        yield Reading("billing_run_age_seconds", "Since when a billing run last came to its end.", age)
