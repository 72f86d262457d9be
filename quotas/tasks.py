"""Celery's side of the recurring jobs of quotas. No payload: each does what the database says is due, and may
run twice."""

from celery import shared_task

from . import alerting, decisions, evaluation


@shared_task(name="quotas.evaluate_thresholds")
def evaluate_thresholds() -> None:
    """Twin of `manage.py evaluate_thresholds`."""
    evaluation.evaluate_thresholds()


@shared_task(name="quotas.post_alerts")
def post_alerts() -> None:
    """Twin of `manage.py post_alerts`."""
    alerting.post_alerts()


@shared_task(name="quotas.remove_old_decisions")
def remove_old_decisions() -> None:
    """Twin of `manage.py remove_old_decisions`."""
    decisions.remove_old_decisions()
