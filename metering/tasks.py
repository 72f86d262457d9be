"""Celery's side of the recurring jobs. No payload: each drains what the database holds, and may run twice."""

from celery import shared_task

from . import fences, rollups, seal_mail, seals

SEALING_SECONDS = 120.0  # under the hard time limit with room for the segment that is under way


@shared_task(name="metering.roll_up")
def roll_up() -> None:
    """Twin of `manage.py roll_up`."""
    rollups.roll_up()


@shared_task(name="metering.raise_fence")
def raise_fence() -> None:
    """Store a fence, for reads at a position."""
    fences.raise_fence()


@shared_task(name="metering.seal_ledger")
def seal_ledger() -> None:
    """Twin of `manage.py seal_ledger`; leaves what it doesn't manage in time to the next run."""
    seals.seal_ledger(patience_seconds=SEALING_SECONDS)


@shared_task(name="metering.mail_sealed_head")
def mail_sealed_head() -> None:
    """Once a day; runs more often, so that a mail server's bad hour doesn't cost the day."""
    seal_mail.mail_sealed_head()
