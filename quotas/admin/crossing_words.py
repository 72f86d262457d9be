"""Whose usage a threshold is about, and in which period: as pages say it. Mails have `quotas.alert_words`."""

import datetime as dt
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

_TICK = dt.timedelta(microseconds=1)


def subject_words(subject_type: str, subject_id: str) -> str:
    """“customer kim”, “all of type customer together”, “all usage together”, “usage without a subject”."""
    if subject_id == "*":
        return _("all of type %s together") % subject_type if subject_type else _("all usage together")
    if not subject_id:
        return _("%s without an id") % subject_type if subject_type else _("usage without a subject")
    return f"{subject_type} {subject_id}".strip()


def period_words(kind: str, start: dt.datetime | None, end: dt.datetime | None, *, zone: ZoneInfo) -> str:
    """A period by the calendar of `zone`: “2026-11”, “2026-11-22”, “2026-11-22 14:00 to 15:00”."""
    if start is None or end is None:
        return _("since the beginning")
    first, last = start.astimezone(zone), (end - _TICK).astimezone(zone)
    if kind == "year" and first.year == last.year:
        return f"{first:%Y}"
    if kind == "month" and (first.year, first.month) == (last.year, last.month):
        return f"{first:%Y-%m}"
    if kind == "hour":
        return _("%(first)s to %(last)s") % {
            "first": f"{first:%Y-%m-%d %H:%M}",
            "last": f"{end.astimezone(zone):%H:%M}",
        }
    if first.date() == last.date():
        return f"{first:%Y-%m-%d}"
    return _("%(first)s to %(last)s") % {"first": first.date(), "last": last.date()}
