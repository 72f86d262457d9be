"""What is known of sign-ins, and for how long."""

import datetime as dt

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib.sessions.models import Session

from metering.clock import database_now


def forget_old_sign_ins(*, at: dt.datetime | None = None) -> int:
    """Drop what SIGN_IN_KEPT_DAYS has passed over, locks that have ended, and sessions that are over.

    Returns how many rows went. Doing it again does nothing.
    """
    now = at or database_now()
    oldest = now - dt.timedelta(days=settings.SIGN_IN_KEPT_DAYS)
    lifted = now - dt.timedelta(minutes=settings.SIGN_IN_LOCK_MINUTES)
    gone = (
        AccessLog.objects.filter(attempt_time__lt=oldest),
        AccessFailureLog.objects.filter(attempt_time__lt=oldest),
        AccessAttempt.objects.filter(attempt_time__lt=lifted),
        Session.objects.filter(expire_date__lt=now),
    )
    return sum(rows.delete()[0] for rows in gone)
