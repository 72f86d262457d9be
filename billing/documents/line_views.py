"""The lines of a document as customers read them: by plan and period, corrections in their own sections."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from billing.invoicing.totals import total
from billing.models import InvoiceLine

from . import document_words as words

NOTE_LENGTH = 300  # of project and labels together; a label's value can be long
Kind = InvoiceLine.Kind


@dataclass(frozen=True, slots=True)
class TierView:
    """One tier of an amount: how much of the quantity it took, at which rate."""

    name: str  # "Tier 1", "Tier 1, and 5.00 flat"
    quantity: str
    rate: str
    amount: str


@dataclass(frozen=True, slots=True)
class LineView:
    """One line. `note` says whose usage, which labels, how many days; `unit` what the quantity counts."""

    name: str
    note: str
    quantity: str
    unit: str
    rate: str
    amount: str
    tiers: Sequence[TierView] = ()
    tiers_of: str = ""  # where the tiers are of more than this line: of how much


@dataclass(frozen=True, slots=True)
class Block:
    """Lines under a heading of their own: of corrections what is taken back, and what is booked instead."""

    name: str
    lines: Sequence[LineView]


@dataclass(frozen=True, slots=True)
class Section:
    """Lines of one plan and period. `difference`: of corrections, what all of it comes to."""

    name: str
    period: str
    blocks: Sequence[Block]
    is_correction: bool = False
    difference: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """What lines stand together by."""

    is_correction: bool
    plan_name: str
    start: dt.date | None
    end: dt.date | None


def sections_of(lines: Sequence[InvoiceLine], *, currency: str, is_taken_back: bool = False) -> list[Section]:
    """`lines` in their order, by plan and period; corrections after the rest, in a section per period.

    Of a document that takes another back as a whole nothing is a correction.
    """
    found: dict[_Place, list[InvoiceLine]] = {}
    for line in lines:
        is_correction = line.is_adjustment and not is_taken_back
        place = _Place(is_correction, line.plan_name, line.service_start_on, line.service_end_on)
        found.setdefault(place, []).append(line)
    places = sorted(found, key=lambda place: place.is_correction)
    return [_section(place, found[place], currency) for place in places]


def _section(place: _Place, lines: Sequence[InvoiceLine], currency: str) -> Section:
    period = words.days_words(place.start, place.end)
    name = place.plan_name or _("Further items")
    if not place.is_correction:
        return Section(name, period, [Block("", _views(lines, currency))])
    reversed_lines = [line for line in lines if line.reverses_id is not None]
    booked = [line for line in lines if line.reverses_id is None]
    blocks = []
    if reversed_lines:
        blocks.append(Block(_taken_back(reversed_lines), _views(reversed_lines, currency)))
    if booked:
        blocks.append(Block(_("Billed instead") if reversed_lines else "", _views(booked, currency)))
    difference = total(line.amount for line in lines)
    return Section(
        name,
        period,
        blocks,
        is_correction=True,
        difference=words.money_words(difference, currency) if len(lines) > 1 else "",
    )


def _taken_back(lines: Sequence[InvoiceLine]) -> str:
    numbers = dict.fromkeys(
        line.reverses.invoice.number for line in lines if line.reverses and line.reverses.invoice.number
    )
    return _("Billed before, taken back (%(numbers)s)") % {"numbers": ", ".join(numbers)}


def _views(lines: Sequence[InvoiceLine], currency: str) -> list[LineView]:
    """Lines of one whole show its tiers once, below the last of them."""
    shown = []
    for place, line in enumerate(lines):
        following = lines[place + 1] if place + 1 < len(lines) else None
        is_last = following is None or not _same_whole(line, following)
        is_alone = place == 0 or not _same_whole(lines[place - 1], line)
        shown.append(_view(line, currency, shows_tiers=is_last, is_whole=is_alone and is_last))
    return shown


def _same_whole(one: InvoiceLine, other: InvoiceLine) -> bool:
    return (
        bool(one.detail)
        and one.kind == other.kind == Kind.USAGE
        and one.billed_period_id == other.billed_period_id
        and one.detail == other.detail
        and one.rated_quantity == other.rated_quantity
    )


def _view(line: InvoiceLine, currency: str, *, shows_tiers: bool, is_whole: bool) -> LineView:
    parts = [part for part in line.detail if part.get("kind") == "usage"]
    tiers = _tiers(line.detail, currency) if shows_tiers and len(line.detail) > 1 else ()
    rate = parts[0].get("unit_amount") if len(line.detail) == 1 and parts else None
    if parts and parts[0].get("flat_amount"):
        tiers = _tiers(line.detail, currency) if shows_tiers else ()
        rate = None
    return LineView(
        name=line.name,
        note=_note(line),
        quantity=words.quantity_words(line.quantity),
        unit=line.unit if line.quantity is not None else "",
        rate=words.rate_words(rate, currency),
        amount=words.money_words(line.amount, currency),
        tiers=tiers,
        tiers_of="" if is_whole or not tiers else _whole(line),
    )


def _whole(line: InvoiceLine) -> str:
    """ "Together 1,234 tokens"."""
    quantity = f"{words.quantity_words(line.rated_quantity)} {line.unit}".strip()
    return _("Together %(quantity)s") % {"quantity": quantity}


def _tiers(detail: Sequence[dict[str, Any]], currency: str) -> tuple[TierView, ...]:
    return tuple(
        TierView(
            name=_part_name(part, currency),
            quantity="" if part.get("quantity") is None else words.grouped(part["quantity"]),
            rate=words.rate_words(part.get("unit_amount"), currency),
            amount=words.part_words(part["amount"], currency),
        )
        for part in detail
        if part.get("amount") is not None
    )


def _part_name(part: dict[str, Any], currency: str) -> str:
    names = {
        "event_fee": _("Fee for each event"),
        "event_minimum": _("Up to the minimum of each event"),
        "event_maximum": _("Down to the maximum of each event"),
        "discount": _("Discount"),
        "maximum": _("Down to the maximum"),
        "true_up": _("Up to the minimum"),
    }
    name = names.get(part["kind"], _("Usage"))
    if part["kind"] == "usage" and part.get("tier") is not None:
        name = _("Tier %(number)d") % {"number": part["tier"]}
    if part.get("flat_amount"):
        flat = words.rate_words(part["flat_amount"], currency)
        name = _("%(name)s, with %(flat)s flat") % {"name": name, "flat": flat}
    return name


def _note(line: InvoiceLine) -> str:
    """Whose usage, with which labels; of fees the days where they aren't the whole period."""
    said = []
    if line.kind == Kind.TRUE_UP:
        said.append(_("Up to the agreed minimum"))
    if line.project_key:
        said.append(line.project_name or line.project_key)
    said += [f"{name}: {_label(text)}" for name, text in sorted(line.group.items())]
    if line.day_count is not None and line.full_day_count and abs(line.day_count) != line.full_day_count:
        days = {"days": abs(line.day_count), "full": line.full_day_count}
        if line.kind == Kind.FEE_CREDIT:
            said.append(_("%(days)d of %(full)d days, not used") % days)
        else:
            said.append(_("%(days)d of %(full)d days") % days)
    text = " · ".join(said)
    return text if len(text) <= NOTE_LENGTH else f"{text[: NOTE_LENGTH - 1]}…"


def _label(value: Any) -> str:
    return words.UNKNOWN_SHOWN if value is None else str(value)
