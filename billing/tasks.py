"""Celery's side of the recurring jobs of billing. No payload: each does what the database says is due, and
may run twice."""

from celery import shared_task

from metering.clock import database_now

from .invoicing import runs

# A run of thousands of accounts; a message that is delivered again meanwhile finds nothing to do.
BILLING_LIMIT_SECONDS = 6 * 3600


@shared_task(name="billing.run_requested", time_limit=BILLING_LIMIT_SECONDS)
def run_requested() -> None:
    """Carry out the billing runs that were asked for in the admin."""
    runs.run_requested(now=database_now())
