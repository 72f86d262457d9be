"""Documents in words: how they stand, amounts with their currency, days and instants of the account."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.invoicing.standing import Status
from billing.models import Invoice
from metering.admin import cells
from metering.measuring.windows import zone_named

from .price_words import Words

ONE_DAY = dt.timedelta(days=1)
TICK = dt.timedelta(microseconds=1)
COLOURS = {
    Status.DRAFT: "",
    Status.ISSUED: "info",
    Status.PARTLY_PAID: "warning",
    Status.PAID: "success",
    Status.OVERDUE: "danger",
    Status.VOID: "",
}


def zone_of(invoice: Invoice) -> ZoneInfo:
    """The clocks of the customer, as they were when the document was issued. Needs the account loaded."""
    return zone_named(invoice.customer.get("timezone") or invoice.account.timezone)


def kind_in_words(invoice: Invoice) -> str:
    return str(Invoice.Kind(invoice.kind).label)


def title_of(invoice: Invoice) -> str:
    """“INV-000042”, “Draft (12)”, in the language of the page."""
    return str(invoice)


def status_badge(status: Status) -> SafeString:
    return cells.badge(status.label, COLOURS[status])


def bare(amount: Decimal, currency: str) -> str:
    """“1,234.50”, with all decimals of the currency."""
    return Words(currency).bare(Fraction(amount))


def in_words(amount: Decimal, currency: str) -> str:
    """“1,234.50 EUR”."""
    return Words(currency).amount(Fraction(amount))


def money_cell(amount: Decimal, currency: str) -> SafeString:
    """An amount for a right-aligned column."""
    return format_html(
        '<span class="mb-number">{} <span class="mb-quiet">{}</span></span>', bare(amount, currency), currency
    )


def local_moment(instant: dt.datetime | None, zone: ZoneInfo) -> SafeString | str:
    """An instant on the account's clocks; in UTC on hover."""
    if instant is None:
        return cells.DASH
    return format_html(
        '<time class="mb-instant" datetime="{}" title="{} UTC">{}</time>',
        instant.isoformat(),
        f"{instant.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}",
        f"{instant.astimezone(zone):%Y-%m-%d %H:%M}",
    )


def days_in_words(first: dt.date | None, end: dt.date | None) -> str:
    """“2026-03-01 to 2026-03-31”, from half-open days: the last one is the last day of service."""
    if first is None or end is None:
        return ""
    last = max(end - ONE_DAY, first)
    if last == first:
        return first.isoformat()
    return _("%(first)s to %(last)s") % {"first": first, "last": last}


def period_of(invoice: Invoice) -> str:
    """The days that the document bills, on the account's clocks; empty where no run made it."""
    if invoice.period_start is None or invoice.period_end is None:
        return ""
    zone = zone_of(invoice)
    last = (invoice.period_end - TICK).astimezone(zone).date()
    return days_in_words(invoice.period_start.astimezone(zone).date(), last + ONE_DAY)


def lateness(due_on: dt.date, *, on: dt.date) -> str:
    """“12 days overdue”, “due today”, “in 5 days”."""
    days = (on - due_on).days
    if days > 0:
        return ngettext("%d day overdue", "%d days overdue", days) % days
    if not days:
        return _("due today")
    return ngettext("in %d day", "in %d days", -days) % -days
