"""Instants as people read and type them: on the clocks of whoever looks, and said so.

Whose clocks these are is Django's current time zone, which `config` sets for each request to a page. Buckets
of rollups stay UTC, and periods and due days of customers stay on the customer's clocks.
"""

import datetime as dt
from contextlib import suppress
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.formats import get_format
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

UTC = ZoneInfo("UTC")
_EXAMPLE = dt.date(2026, 1, 31)


def moment(instant: dt.datetime) -> SafeString:
    """ISO date and time to the second with the zone's abbreviation; in UTC on hover and for machines."""
    utc = instant.astimezone(dt.UTC)
    local = timezone.localtime(instant)
    return format_html(
        '<time class="mb-instant" datetime="{}" title="{} UTC">{} <span class="mb-quiet">{}</span></time>',
        utc.isoformat(),
        f"{utc:%Y-%m-%d %H:%M:%S}",
        f"{local:%Y-%m-%d %H:%M:%S}",
        _abbreviation(local),
    )


def in_words(instant: dt.datetime, *, to_the: str = "second") -> str:
    """The same as text for a sentence or a title: “2026-03-29 01:59:59 CET”, or to the minute."""
    local = timezone.localtime(instant)
    pattern = "%Y-%m-%d %H:%M:%S" if to_the == "second" else "%Y-%m-%d %H:%M"
    return f"{local.strftime(pattern)} {_abbreviation(local)}"


def zone_name() -> str:
    """“Europe/Berlin”, “UTC”."""
    return timezone.get_current_timezone_name()


def typed_in() -> str:
    """What a field says about the times that are typed into it."""
    if zone_name() == "UTC":
        return _("The time is UTC.")
    return _("The time is in your time zone, %s.") % zone_name()


def instant_from(text: str, *, zone: dt.tzinfo | None = None) -> dt.datetime:
    """An ISO date, or date and time, as an instant in UTC; without an offset on the zone's clocks.

    Without a `zone` these are the clocks of whoever looks. A time that the clocks show twice is the first of
    the two; one that they skip is as far behind the gap as it is written into it. Raises `ValueError`.
    """
    instant = dt.datetime.fromisoformat(text.strip())
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=zone or timezone.get_current_timezone())
    try:
        return instant.astimezone(dt.UTC)
    except OverflowError as error:
        raise ValueError(text) from error


def plainly_dated(text: str) -> str:
    """`text` with its day in ISO, where it begins with one as the language writes days: "23.11.2026 08:00" as
    "2026-11-23 08:00". Other texts as they are."""
    text = text.strip()
    day, blank, time = text.partition(" ")
    for pattern in get_format("DATE_INPUT_FORMATS"):
        with suppress(ValueError):
            return f"{dt.datetime.strptime(day, pattern).date().isoformat()}{blank}{time}"  # noqa: DTZ007
    return text


def day_from(text: str) -> dt.date:
    """A day as people type it: in ISO, or as the language writes it. Raises `ValueError`."""
    return dt.date.fromisoformat(plainly_dated(text))


def example_day() -> str:
    """A day as the language usually writes it: “31.01.2026”."""
    return _EXAMPLE.strftime(get_format("DATE_INPUT_FORMATS")[-1])


def no_day() -> str:
    """What is wrong with a text that `day_from` can't read."""
    return _("No day; write it like %s.") % example_day()


def no_instant() -> str:
    """The same of a day with or without a time."""
    day = example_day()
    return _("No date or time; write it like %(day)s or %(time)s.") % {"day": day, "time": f"{day} 08:00"}


def _abbreviation(local: dt.datetime) -> str:
    """“CET”, “IST”; “UTC+05:45” where the zone has only digits for a name."""
    name = local.tzname() or ""
    if name and name[0] not in "+-":
        return name
    offset = local.strftime("%z")
    return f"UTC{offset[:3]}:{offset[3:5]}"


no_day_lazy = lazy(no_day, str)
typed_in_lazy = lazy(typed_in, str)
zone_name_lazy = lazy(zone_name, str)
