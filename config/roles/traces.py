"""What people leave behind: rows that tell who did something, and would tell it of nobody without them."""

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User

from metering.accountability import ACTOR_MAX_LENGTH
from metering.histories import Wanted, histories, page_of_changes


def left_traces(user: User) -> bool:
    """Whether the admin's log, whose rows go with the account, or a history says that they did something."""
    if LogEntry.objects.filter(user=user).exists():
        return True
    named = Wanted(actor=user.get_username()[:ACTOR_MAX_LENGTH])
    return bool(page_of_changes(histories(), named, size=1).rows)
