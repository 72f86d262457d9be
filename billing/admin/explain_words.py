"""Why a line costs what it costs, in sentences for somebody who has to tell a customer."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing.models import InvoiceLine
from billing.money import exact_text
from billing.proving.computation import FEES, Step
from billing.proving.explaining import Explanation
from billing.rating import price_from
from metering import numerals
from metering.admin import cells
from metering.admin.metric_words import condition_in_words

from .price_words import Words, grouped
from .subscription_words import LocalTimes

Kind = InvoiceLine.Kind
ONE_DAY = dt.timedelta(days=1)
DIFFERENCES = {
    "predicate": gettext_lazy("the line asks for other events than its plan says"),
    "price": gettext_lazy("the line's copy of the price isn't the plan's"),
    "events": gettext_lazy("the number of events"),
    "digest": gettext_lazy("which events they are"),
    "quantity": gettext_lazy("the quantity"),
    "amount": gettext_lazy("the amount"),
    "contradiction": gettext_lazy("the ledger lists other events than it counts"),
}


class LineWords:
    """Says one explanation in the currency of its document, on the clocks of its period."""

    def __init__(self, explanation: Explanation) -> None:
        self.explanation = explanation
        self.line, self.origin = explanation.line, explanation.origin
        self.money = Words(explanation.currency)
        self.times = LocalTimes(explanation.zone)

    def amount(self, value: Any) -> str:
        """Exact, unless it has more decimals than anybody reads: then it is marked as cut."""
        exact = Fraction(value)
        if _is_long(exact):
            return f"{_cut(exact)} {self.money.currency}"
        return self.money.amount(exact)

    # -- the answer --------------------------------------------------------------------------------------

    def answer(self) -> list[str]:
        """The big sentence, then what else is to be said."""
        if self.line.pk != self.origin.pk:
            first, *others = self._of_origin()
            return [self._reversal(), _("What it had charged: %s") % first, *others]
        return list(self._of_origin())

    def _of_origin(self) -> Iterator[str]:
        kind = self.origin.kind
        if kind == Kind.MANUAL:
            yield from self._by_hand()
        elif kind in FEES:
            yield from self._fee()
        elif kind == Kind.TRUE_UP:
            yield from self._true_up()
        else:
            yield from self._usage()

    def _reversal(self) -> str:
        assert self.line.reverses is not None
        return _("%(amount)s: this takes back the line “%(name)s” of %(document)s.") % {
            "amount": self.amount(self.line.amount),
            "name": self.line.reverses.name,
            "document": document_name(self.line.reverses),
        }

    def _usage(self) -> Iterator[str]:
        facts = {
            "amount": self.amount(self.origin.amount),
            "quantity": self.quantity(self.origin.quantity),
            "days": self.days(),
        }
        if not self.origin.event_count and not self.origin.quantity:
            yield _("%(amount)s, although nothing was used %(days)s.") % facts
        else:
            yield _("%(amount)s for %(quantity)s, used %(days)s.") % facts
        if self.origin.price is not None:
            yield _("The price: %s.") % self.money.of(price_from(self.origin.price))
        if self.origin.share and self.explanation.price != price_from(self.origin.price):
            served, full = self.origin.share.split("/")
            yield _(
                "The period is %(days)s of %(full)s days, and so much of what is included, of the minimum "
                "and of the maximum counts."
            ) % {"days": served, "full": full}
        if self._is_split():
            yield _(
                "Everything together was %(quantity)s and came to %(amount)s; this line is the part "
                "of %(group)s."
            ) % {
                "quantity": self.quantity(self.origin.rated_quantity),
                "amount": self.amount(self.origin.rated_amount or 0),
                "group": self.group() or _("what is left"),
            }

    def _true_up(self) -> Iterator[str]:
        minimum, short_of = (step.amount or 0 for step in self.explanation.steps[:2])
        yield _(
            "%(amount)s more, because the usage %(days)s came to %(short_of)s and at least %(minimum)s "
            "is charged."
        ) % {
            "amount": self.amount(self.origin.amount),
            "days": self.days(),
            "short_of": self.amount(short_of),
            "minimum": self.amount(minimum),
        }

    def _fee(self) -> Iterator[str]:
        days = self.origin.day_count or 0
        facts = {
            "amount": self.amount(self.origin.amount),
            "days": self.days(),
            "count": abs(days),
            "full": self.origin.full_day_count,
        }
        if days < 0:
            yield (
                _(
                    "%(amount)s, because %(count)d of %(full)d days of a fee that was billed won't be used: "
                    "%(days)s."
                )
                % facts
            )
        elif days == self.origin.full_day_count:
            yield _("%(amount)s: the fee of a full period, %(days)s.") % facts
        else:
            yield _("%(amount)s: the fee for %(count)d of %(full)d days, %(days)s.") % facts

    def _by_hand(self) -> Iterator[str]:
        facts = {"amount": self.amount(self.origin.amount), "who": self.origin.added_by or _("somebody")}
        yield _("%(amount)s, added by hand by %(who)s.") % facts
        yield _("Why: %s") % self.origin.reason if self.origin.reason else _("No reason was given.")

    def _is_split(self) -> bool:
        return any(step.kind == "split" for step in self.explanation.steps)

    # -- facts -------------------------------------------------------------------------------------------

    def quantity(self, value: Any) -> str:
        if value is None:
            return _("no value")
        unit = self.origin.unit or self.origin.name
        return numerals.with_unit(cells.readable(value), unit)

    def days(self) -> str:
        """“from 2026-03-01 to 2026-03-31”: on the account's clocks, the last day included."""
        start, end = self.origin.service_start_on, self.origin.service_end_on
        if start is None or end is None:
            return ""
        last = max(end - ONE_DAY, start)
        if last == start:
            return _("on %s") % start
        return _("from %(first)s to %(last)s") % {"first": start, "last": last}

    def interval(self) -> str:
        """The instants, with the zone."""
        start, end = self.times.short(self.line.period_start), self.times.short(self.line.period_end)
        return _("%(start)s up to, not including, %(end)s (%(zone)s)") % {
            "start": start,
            "end": end,
            "zone": self.explanation.zone.key,
        }

    def group(self) -> str:
        """“shop, region = eu”, “region is absent”."""
        parts = [self.line.project_key] if self.line.project_key else []
        for name, text in self.line.group.items():
            parts.append(_("%(label)s is absent") % {"label": name} if text is None else f"{name} = {text}")
        return ", ".join(parts)

    def selection(self) -> str:
        """Which events of the metric the price takes."""
        ask = self.explanation.ask
        if ask is None or self.line.evidence is None:
            return ""
        match, excluding = self.line.evidence["match"], self.line.evidence["excluding"]
        parts = [_("where %s") % condition_in_words(match)] if match else []
        parts += [_("not where %s") % condition_in_words(one) for one in excluding]
        return "; ".join(parts) or _("all of them")

    def differences(self) -> str:
        found = self.explanation.rerun.differences if self.explanation.rerun else ()
        return ", ".join(str(DIFFERENCES[name]) for name in found)

    # -- steps -------------------------------------------------------------------------------------------

    def step(self, step: Step) -> tuple[str, str, str, str]:
        """(what is done, how, what comes out, that exactly) for a row of a table."""
        words, how = self._step_words(step)
        if step.amount is not None:
            return words, how, self.amount(step.amount), self.money.amount(step.amount)
        if step.quantity is not None:
            return words, how, _readable(step.quantity), grouped(step.quantity)
        return words, how, cells.DASH, ""

    def _step_words(self, step: Step) -> tuple[str, str]:
        of, rate, quantity = (
            "" if value is None else _readable(value) for value in (step.of, step.rate, step.quantity)
        )
        how = ""
        if step.rate is not None and step.quantity is not None:
            how = f"{quantity} × {self.money.amount(step.rate)}"
        if step.flat:
            plus = _("%s once") % self.money.amount(step.flat)
            how = f"{how} + {plus}" if how else plus
        tier = _("Tier %d") % step.tier if step.tier is not None else _("Usage")
        rounding = {"up": _("rounded up"), "down": _("rounded down")}.get(step.name, "")
        return {
            "quantity": (_("Measured"), self.origin.unit),
            "none_below_zero": (_("Below zero bills as nothing"), ""),
            "conversion": (_("Converted"), ", ".join(filter(None, [f"÷ {of}", rounding]))),
            "included": (_("Beyond what is included"), _("%s included") % of),
            "packages": (_("Beyond the free units"), _("%s free") % of),
            "usage": (tier, how),
            "event_fee": (_("Fee per event"), how),
            "event_minimum": (_("Raised to the minimum per event"), ""),
            "event_maximum": (_("Cut to the maximum per event"), ""),
            "discount": (_("Discount of the price"), ""),
            "maximum": (_("Cut to the maximum"), ""),
            "rounded": (_("Together, rounded once"), ""),
            "split": (_("Part of this line"), _("%(part)s of %(whole)s") % {"part": quantity, "whole": of}),
            "minimum": (_("Minimum of the period"), ""),
            "short_of": (_("What the usage came to"), ""),
            "true_up": (_("Up to the minimum"), ""),
            "fee": (_("Fee of a full period"), ""),
            "fee_discount": (_("Less its discount"), numerals.with_percent_sign(rate)),
            "days": (_("By days"), _("%(days)s of %(full)s days") % {"days": quantity, "full": of}),
            "at_most_paid": (_("Not more than was paid"), ""),
            "reversal": (_("Taken back"), ""),
            "by_hand": (_("Added by hand"), how),
            "invoice_discount": (_("Part of the document's discounts"), ""),
            "tax": (step.name, numerals.with_percent_sign(rate)),
            "total": (_("With discounts and tax"), ""),
        }[step.kind]


def _is_long(value: Fraction) -> bool:
    return len(exact_text(value).partition(".")[2]) > cells.READABLE_DECIMALS


def _cut(value: Fraction) -> str:
    return cells.readable(Decimal(exact_text(value)))


def _readable(value: Fraction) -> str:
    return _cut(value) if _is_long(value) else grouped(value)


def document_name(line: InvoiceLine) -> str:
    return line.invoice.number or _("draft %d") % line.invoice_id


def events_in_words(count: int) -> str:
    return ngettext("%(count)s event", "%(count)s events", count) % {"count": numerals.count(count)}
