"""Celery's side of the recurring jobs of billing. No payload: each does what the database says is due, and
may run twice."""

from contextlib import suppress
from typing import Any

from celery import shared_task
from kombu.exceptions import OperationalError as BrokerError

from metering.clock import database_now
from metering.locks import BILLING_LOCK, alone_at

from .documents import dispatching
from .invoicing import runs
from .models import BillingRun

# All accounts of a large house. A message that is delivered again meanwhile finds that somebody is at it.
RUN_LIMIT_SECONDS = 6 * 3600


@shared_task(name="billing.run_billing", time_limit=RUN_LIMIT_SECONDS)
def run_billing() -> None:
    """Twin of `manage.py run_billing`. One at a time: two would only do the same."""
    with alone_at(BILLING_LOCK) as is_alone:
        if not is_alone:
            return
        now = database_now()
        run = runs.run_billing(as_of=now, now=now, trigger=BillingRun.Trigger.SCHEDULE)
    if run.issued_count:
        _wake(send_invoices)


@shared_task(name="billing.run_requested", time_limit=RUN_LIMIT_SECONDS)
def run_requested() -> None:
    """Carry out the billing runs that were asked for in the admin."""
    if runs.run_requested(now=database_now()):
        _wake(send_invoices)


@shared_task(name="billing.send_invoices")
def send_invoices() -> None:
    """Twin of `manage.py send_invoices`."""
    dispatching.post_due(now=database_now())


@shared_task(name="billing.announce_overdue")
def announce_overdue() -> None:
    """Once a day; says of each invoice once that it is overdue."""
    dispatching.announce_overdue(now=database_now())


def _wake(task: Any) -> None:
    """Ask a worker to look now; should the message get lost, the next sweep is a few seconds away."""
    with suppress(BrokerError, OSError):
        task.apply_async(retry=False)
