"""Bars: a used share of a limit, usage against a level."""

from decimal import Decimal

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from metering import numerals
from metering.admin import cells
from quotas.alert_words import filled_fraction
from quotas.utilisation import NEAR_FRACTION, Utilisation

WHOLE_FROM = 100


def meter(fraction: Decimal | None, *, projected: Decimal | None = None) -> SafeString:
    """The share in colour and in words; where it is heading, as a lighter part behind it."""
    if fraction is None:
        return cells.badge(gettext("Refuses all"), "danger")
    state = "is-over" if fraction > 1 else "is-near" if fraction >= NEAR_FRACTION else ""
    percent = numerals.percent(fraction, decimals=1)
    ahead: SafeString | str = ""
    if projected is not None and projected > fraction:
        ahead = format_html(
            '<span class="is-ahead{}" style="width: {}%"></span>',
            " is-beyond" if projected > 1 else "",
            _width(projected),
        )
    return format_html(
        '<div><div class="mb-meter" role="img" aria-label="{}">{}<span class="{}" style="width: {}%"></span>'
        '</div><span class="mb-small mb-quiet">{}</span></div>',
        percent,
        ahead,
        state,
        _width(fraction),
        percent,
    )


def _width(fraction: Decimal) -> str:
    return f"{max(Decimal(0), min(fraction, Decimal(1))) * 100:.1f}"


def _estimate(value: Decimal) -> Decimal:
    """Without a fraction that nobody would miss."""
    return value.quantize(Decimal(1), context=cells.EXACT_ROUNDING) if value >= WHOLE_FROM else value


def heading_words(standing: Utilisation) -> SafeString:
    """Where usage will be at the end of the period, if it goes on."""
    if standing.projected is None:
        return cells.number(None)
    shown = format_html(
        '<span class="mb-number{}" title="{}">≈ {}</span>',
        " mb-bad" if standing.limit and standing.projected > standing.limit else "",
        gettext("Used so far, stretched over the whole period"),
        cells.readable(_estimate(standing.projected)),
    )
    fraction = standing.projected_fraction
    if fraction is None:
        return shown
    return format_html(
        '<div>{}<div class="mb-number mb-small mb-quiet">{}</div></div>',
        shown,
        gettext("%s of the limit") % numerals.percent(fraction),
    )


def _percent_reached(value: Decimal, level: Decimal) -> str:
    """Whole percent of the level, cut so that 99.99% isn't called 100%; empty at level 0."""
    return "" if level <= 0 else numerals.percent(Decimal(int(100 * value / level)).scaleb(-2))


def level_meter(value: Decimal, level: Decimal, *, is_near: bool = False) -> SafeString:
    """A bar with its percentage below; red from the level on."""
    state = "is-over" if value >= level else "is-near" if is_near else ""
    percent = _percent_reached(value, level)
    return format_html(
        '<div><div class="mb-meter" role="img" aria-label="{}">'
        '<span class="{}" style="width: {}%"></span></div>'
        '<span class="mb-small mb-quiet">{}</span></div>',
        percent,
        state,
        f"{filled_fraction(value, level) * 100:.1f}",
        percent,
    )
