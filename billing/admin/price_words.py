"""A price in the words of a price list: “0.10 EUR per token up to 1,000, then 0.08; at least 50.00 EUR”."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.models import Plan, Price
from billing.money import SCALES, exact_text
from billing.rating import Price as RatingPrice
from billing.rating.dynamic import Dynamic
from billing.rating.flat import Flat
from billing.rating.graduated import Graduated
from billing.rating.graduated_percentage import GraduatedPercentage
from billing.rating.package import Package
from billing.rating.per_unit import PerUnit
from billing.rating.percentage import Percentage
from billing.rating.tiers import AnyTier, PercentTier
from billing.rating.volume import Volume
from billing.selling.price_lists import SPLIT_BY_LABEL
from metering import numerals
from metering.admin.metric_words import condition_in_words

ADJECTIVES = {
    ("day", 1): gettext_lazy("daily"),
    ("week", 1): gettext_lazy("weekly"),
    ("month", 1): gettext_lazy("monthly"),
    ("month", 3): gettext_lazy("quarterly"),
    ("month", 6): gettext_lazy("half-yearly"),
    ("year", 1): gettext_lazy("yearly"),
}


def interval_in_words(plan: Plan) -> str:
    """“monthly”, “every 2 weeks”."""
    found = ADJECTIVES.get((plan.interval, plan.interval_count))
    if found is not None:
        return str(found)
    units = {"day": _("days"), "week": _("weeks"), "month": _("months"), "year": _("years")}
    return _("every %(count)d %(units)s") % {"count": plan.interval_count, "units": units[plan.interval]}


def grouped(number: Fraction, *, decimals: int = 0) -> str:
    """“1,234.50”, in the language of the page."""
    return numerals.written(exact_text(number, decimals=decimals))


class Words:
    """Says prices of one currency. What a unit is, the metric beside the price says."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.decimals = SCALES.get(currency, 2)

    def bare(self, amount: Fraction) -> str:
        return grouped(amount, decimals=self.decimals)

    def amount(self, amount: Fraction) -> str:
        return numerals.with_unit(self.bare(amount), self.currency)

    def of(self, price: RatingPrice) -> str:
        """The whole price in one sentence without a full stop."""
        return "; ".join([self._model(price), *self._options(price)])

    def _model(self, price: RatingPrice) -> str:
        model = price.model
        if isinstance(model, Flat):
            return self.amount(model.amount)
        if isinstance(model, PerUnit):
            return self._per_unit(price, self.amount(model.unit_amount))
        if isinstance(model, Graduated):
            return ", ".join(self._graduated(price, model.tiers))
        if isinstance(model, Volume):
            return ", ".join(self._volume(price, model.tiers))
        if isinstance(model, GraduatedPercentage):
            return ", ".join(self._graduated(price, model.tiers))
        if isinstance(model, Package):
            return self._package(price, model)
        if isinstance(model, Percentage):
            return ", ".join(self._percentage(model))
        assert isinstance(model, Dynamic)
        if model.multiplier == 1:
            return _("the cost as it is")
        return _("the cost, times %(multiplier)s") % {"multiplier": grouped(model.multiplier)}

    @staticmethod
    def _per_unit(price: RatingPrice, amount: str) -> str:
        conversion = price.unit_conversion
        if conversion is None:
            return _("%(amount)s per unit") % {"amount": amount}
        return _("%(amount)s per %(count)s units") % {
            "amount": amount,
            "count": grouped(conversion.divide_by),
        }

    def _rate(self, tier: AnyTier, *, bare: bool = False) -> str:
        if isinstance(tier, PercentTier):
            return _("%(rate)s %%") % {"rate": grouped(tier.rate_percent)}
        return self.bare(tier.unit_amount) if bare else self.amount(tier.unit_amount)

    def _graduated(self, price: RatingPrice, tiers: tuple[Any, ...]) -> Iterator[str]:
        for number, tier in enumerate(tiers):
            if number:
                text = _("then %(rate)s") % {"rate": self._rate(tier, bare=True)}
            elif isinstance(tier, PercentTier):
                text = _("%(rate)s of the amount") % {"rate": self._rate(tier)}
            else:
                text = self._per_unit(price, self._rate(tier))
            yield self._bounded(price, text, tier)

    def _volume(self, price: RatingPrice, tiers: tuple[Any, ...]) -> Iterator[str]:
        for number, tier in enumerate(tiers):
            if not tier.unit_amount and tier.flat_amount:
                text = self.amount(tier.flat_amount) if not number else self.bare(tier.flat_amount)
                bound = "" if tier.up_to is None else _up_to(price, tier.up_to)
                yield text + (bound or _(" above"))
                continue
            rate = self._rate(tier, bare=bool(number))
            text = (
                _("all at %(rate)s") % {"rate": rate}
                if number
                else _("all units at %(rate)s") % {"rate": self._per_unit(price, rate)}
            )
            yield self._bounded(price, text, tier) + (_(" above") if tier.up_to is None and number else "")

    def _bounded(self, price: RatingPrice, text: str, tier: AnyTier) -> str:
        if tier.up_to is not None:
            text += _up_to(price, tier.up_to)
        if tier.flat_amount:
            text += _(" plus %(amount)s") % {"amount": self.amount(tier.flat_amount)}
        return text

    def _package(self, price: RatingPrice, model: Package) -> str:
        conversion = price.unit_conversion
        size = model.package_size * (conversion.divide_by if conversion else 1)
        text = (
            _("%(amount)s per %(size)s units begun")
            if model.round == "up"
            else _("%(amount)s per full %(size)s units")
        ) % {"amount": self.amount(model.package_amount), "size": grouped(size)}
        if model.free_units:
            text += ", " + _("the first %(count)s free") % {"count": in_units(price, model.free_units)}
        return text

    def _percentage(self, model: Percentage) -> Iterator[str]:
        text = _("%(rate)s %% of each amount") % {"rate": grouped(model.rate_percent)}
        if model.fixed_amount_per_event:
            text += _(" plus %(amount)s") % {"amount": self.amount(model.fixed_amount_per_event)}
        yield text
        if model.per_event_min is not None:
            yield _("at least %(amount)s each") % {"amount": self.amount(model.per_event_min)}
        if model.per_event_max is not None:
            yield _("at most %(amount)s each") % {"amount": self.amount(model.per_event_max)}
        if model.free_events is not None:
            yield _("the first %(count)s free") % {"count": grouped(model.free_events)}
        if model.free_amount is not None:
            yield _("the first %(amount)s free") % {"amount": self.amount(model.free_amount)}

    def _options(self, price: RatingPrice) -> Iterator[str]:
        conversion = price.unit_conversion
        if conversion is not None and conversion.round:
            yield _("rounded up") if conversion.round == "up" else _("rounded down")
        if price.usage_discount:
            yield _("%(count)s included") % {"count": in_units(price, price.usage_discount)}
        if price.discount_percent:
            yield _("less %(percent)s %%") % {"percent": grouped(price.discount_percent)}
        if price.min_amount is not None:
            yield _("at least %(amount)s") % {"amount": self.amount(price.min_amount)}
        if price.max_amount is not None:
            yield _("at most %(amount)s") % {"amount": self.amount(price.max_amount)}


def in_units(price: RatingPrice, quantity: Fraction) -> str:
    """A quantity of a price, bound or free, in the metric's own units: those that the price converts from.

    Tiers count what comes out of the conversion: 5,000 at a rate per 1,000 units are 5,000,000 units.
    """
    conversion = price.unit_conversion
    return grouped(quantity * conversion.divide_by) if conversion else grouped(quantity)


def _up_to(price: RatingPrice, bound: Fraction) -> str:
    words = {"bound": in_units(price, bound)}
    return _(" up to %(bound)s units") % words if price.unit_conversion else _(" up to %(bound)s") % words


def price_in_words(price: Price, plan: Plan) -> str:
    """What a stored price costs."""
    text = Words(plan.currency).of(price.parsed)
    if price.is_fixed:
        when = _("in advance") if price.charged == Price.Charged.ADVANCE else _("in arrears")
        return f"{text} {interval_in_words(plan)}, {when}"
    return text


def usage_in_words(price: Price, others: Iterable[Price]) -> str:
    """Which usage a price takes beside the `others` of its plan, and how lines show it: “where region is eu”,
    “all other usage, a line by project and region”. Nothing for a fee."""
    if price.is_fixed:
        return ""
    if price.label_match:
        text = _("where %s") % condition_in_words(price.label_match)
    elif any(other.metric_id == price.metric_id and other.label_match for other in others):
        text = _("all other usage")
    else:
        text = _("all usage")
    if price.per_project:
        text += ", " + _("each project on its own")
    if price.split_by:
        names = [name.removeprefix(SPLIT_BY_LABEL) for name in price.split_by]
        text += ", " + _("a line by %(names)s") % {"names": _(" and ").join(names)}
    return text
