"""Celery's side of the recurring jobs. No payload: each drains what the database holds, and may run twice."""

from celery import shared_task

from . import fences, rollups


@shared_task(name="metering.roll_up")
def roll_up() -> None:
    """Twin of `manage.py roll_up`."""
    rollups.roll_up()


@shared_task(name="metering.raise_fence")
def raise_fence() -> None:
    """Store a fence, for reads at a position."""
    fences.raise_fence()
