"""Tasks of the whole house."""

from celery import shared_task

from .staff.forgetting import forget_old_sign_ins as forget


@shared_task(name="config.forget_old_sign_ins")
def forget_old_sign_ins() -> None:
    """Drop sign-ins and failures that are older than SIGN_IN_KEPT_DAYS, and sessions that are over."""
    forget()
