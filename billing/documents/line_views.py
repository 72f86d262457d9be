"""The lines of a document as customers read them: by plan and period, corrections in their own sections."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from billing.invoicing.totals import total
from billing.models import InvoiceLine

from . import document_words as words
from .tier_views import TierView, rate_of, tiers_of

NOTE_LENGTH = 300  # of project and labels together; a label's value can be long
Kind = InvoiceLine.Kind


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
    unnamed = _("Items") if len(places) == 1 else _("Further items")
    return [_section(place, found[place], currency, unnamed=unnamed) for place in places]


def _section(place: _Place, lines: Sequence[InvoiceLine], currency: str, *, unnamed: str) -> Section:
    period = words.days_words(place.start, place.end)
    name = place.plan_name or unnamed
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
    tiers = tiers_of(line, currency) if shows_tiers else ()
    return LineView(
        name=line.name,
        note=_note(line),
        quantity=words.quantity_words(line.quantity),
        unit=line.unit if line.quantity is not None else "",
        rate=rate_of(line, currency),
        amount=words.money_words(line.amount, currency),
        tiers=tiers,
        tiers_of="" if is_whole or not tiers else _whole(line),
    )


def _whole(line: InvoiceLine) -> str:
    """ "Together 1,234 tokens"."""
    quantity = f"{words.quantity_words(line.rated_quantity)} {line.unit}".strip()
    return _("Together %(quantity)s") % {"quantity": quantity}


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
