"""How values look in tables and on detail pages: instants, numbers, badges, links."""

import datetime as dt
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from metering import moments, numerals
from metering.models import Project
from metering.texts.numbers import plain

DASH = numerals.DASH
EXACT_ROUNDING = Context(prec=200)
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def grouped(value: Decimal | int | None) -> str:
    """`1234567.5` as "1,234,567.5" in English: exact, without exponent or trailing zeros; a dash for None."""
    return DASH if value is None else numerals.exact(value)


READABLE_DECIMALS = 6
_THOUSANDTH = Decimal("0.001")


def readable(value: Decimal | int | None) -> str:
    """`grouped`, but a long fraction (an average) cut down to three decimals and marked so: "≈ 78.267"."""
    if value is None or len(plain(Decimal(value)).partition(".")[2]) <= READABLE_DECIMALS:
        return grouped(value)
    rounded = Decimal(value).quantize(_THOUSANDTH, rounding=ROUND_HALF_UP, context=EXACT_ROUNDING)
    return f"≈ {grouped(rounded)}"


def number(value: Decimal | int | None, *, unit: str = "") -> SafeString:
    """A number for a right-aligned column; the exact one on hover."""
    suffix = format_html(' <span class="mb-quiet">{}</span>', unit) if unit and value is not None else ""
    return format_html(
        '<span class="mb-number" title="{}">{}{}</span>', grouped(value), readable(value), suffix
    )


def quiet(text: str) -> SafeString:
    """Words where a number would mislead."""
    return format_html('<span class="mb-quiet">{}</span>', text)


def moment(instant: dt.datetime | None, *, empty: str = DASH) -> SafeString:
    """An instant on the clocks of whoever looks, in UTC on hover."""
    return quiet(empty) if instant is None else moments.moment(instant)


def span_of(seconds: float) -> str:
    """A duration in its largest sensible unit: "42 seconds", "3 hours"."""
    whole = max(0, int(seconds))
    if whole < 2 * _MINUTE:
        return ngettext("%(count)d second", "%(count)d seconds", whole) % {"count": whole}
    if whole < 2 * _HOUR:
        count = whole // _MINUTE
        return ngettext("%(count)d minute", "%(count)d minutes", count) % {"count": count}
    if whole < 2 * _DAY:
        count = whole // _HOUR
        return ngettext("%(count)d hour", "%(count)d hours", count) % {"count": count}
    count = whole // _DAY
    return ngettext("%(count)d day", "%(count)d days", count) % {"count": count}


def ago(instant: dt.datetime | None, *, now: dt.datetime) -> str:
    """How long ago, or in how long."""
    if instant is None:
        return _("never")
    seconds = (now - instant).total_seconds()
    if seconds < 0:
        return _("in %(span)s") % {"span": span_of(-seconds)}
    return _("%(span)s ago") % {"span": span_of(seconds)}


def badge(text: Any, kind: str = "") -> SafeString:
    """A coloured label; kinds are info, success, warning, danger, primary and plain."""
    return mark_safe(render_to_string("unfold/helpers/label.html", {"text": text, "type": kind}))  # noqa: S308


def badges(texts: list[tuple[Any, str]]) -> SafeString:
    shown = format_html_join(" ", "{}", ((badge(text, kind),) for text, kind in texts))
    return format_html('<div class="mb-badges">{}</div>', shown)


def link(url: str, text: Any, *, title: Any = "") -> SafeString:
    return format_html('<a class="mb-link" href="{}" title="{}">{}</a>', url, title, text)


def code(text: Any) -> SafeString:
    """Something to be read character by character: keys, ids, digests."""
    return format_html('<code class="mb-code" title="{0}">{0}</code>', text)


def two_lines(first: Any, second: Any) -> SafeString:
    """A cell with a quieter second line."""
    return format_html('<div><div>{}</div><div class="mb-quiet mb-small">{}</div></div>', first, second)


def one_line(text: str) -> SafeString:
    """A text of any length, cut by the browser; whole in the tooltip."""
    return format_html('<span class="mb-one-line" title="{0}">{0}</span>', text)


def project_link(project: Project) -> SafeString:
    """A project's key, leading to its page."""
    return link(reverse("admin:metering_project_change", args=[project.pk]), project.key, title=project.name)


def pretty_json(text: str) -> SafeString:
    """JSON that was laid out already, in a frame of its own."""
    return format_html('<pre class="mb-json">{}</pre>', text)
