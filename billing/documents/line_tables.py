"""The tables of a document: its lines, whose header is on every page, and below them what they come to."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from reportlab.platypus import KeepTogether, LongTable, Paragraph, Table, TableStyle

from . import paper
from .document_view import DocumentView
from .lettering import marked_up
from .line_views import Block, LineView, Section
from .tier_views import TierView

# Description, quantity, its unit, unit price, amount.
_SHARES = (0.43, 0.16, 0.1, 0.13, 0.18)
_WIDTHS = [share * paper.WIDTH for share in _SHARES]


class _Rows:
    """Rows of the lines' table as they are made, with the styles that go with them."""

    def __init__(self) -> None:
        self.cells: list[list[Any]] = []
        self.style: list[tuple[Any, ...]] = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("LEFTPADDING", (1, 0), (-1, -1), 4),
            ("RIGHTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 3.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
        ]

    def add(self, *cells: Any, **style: Any) -> int:
        """A row; its number."""
        self.cells.append(list(cells))
        row = len(self.cells) - 1
        for name, value in style.items():
            self.style.append((name.upper(), (0, row), (-1, row), *value))
        return row

    def stay_with_next(self, row: int) -> None:
        self.style.append(("NOSPLIT", (0, row), (-1, row + 1)))


def lines_table(view: DocumentView) -> LongTable:
    """All lines by section. A heading is never the last row of a page."""
    rows = _Rows()
    heads = (_("Description"), _("Quantity"), "", _("Unit price"), _("Amount (%s)") % view.currency)
    rows.add(
        Paragraph(marked_up(heads[0]), paper.LABEL),
        *(Paragraph(marked_up(head), paper.LABEL_RIGHT) for head in heads[1:]),
        linebelow=(0.8, paper.INK),
    )
    for place, section in enumerate(view.sections):
        is_first_correction = section.is_correction and (
            not place or not view.sections[place - 1].is_correction
        )
        if is_first_correction:
            row = rows.add(
                Paragraph(marked_up(_("Corrections of earlier periods")), paper.SECTION),
                toppadding=(11,),
                bottompadding=(0,),
            )
            rows.stay_with_next(row)
        _add_section(rows, section)
    return LongTable(rows.cells, _WIDTHS, repeatRows=1, style=TableStyle(rows.style))


def _add_section(rows: _Rows, section: Section) -> None:
    style = paper.STRONG if section.is_correction else paper.SECTION
    row = rows.add(
        Paragraph(marked_up(section.name), style),
        Paragraph(marked_up(section.period), paper.SMALL_RIGHT),
        "",
        "",
        "",
        toppadding=(9,),
        linebelow=(0.5, paper.RULE),
        valign=("BOTTOM",),
    )
    rows.style.append(("SPAN", (1, row), (-1, row)))
    rows.stay_with_next(row)
    for block in section.blocks:
        _add_block(rows, block)
    if section.difference:
        row = rows.add(
            Paragraph(marked_up(_("Difference")), paper.STRONG),
            "",
            "",
            "",
            Paragraph(marked_up(section.difference), paper.STRONG_RIGHT),
        )
        rows.style.append(("LINEABOVE", (3, row), (-1, row), 0.5, paper.RULE))


def _add_block(rows: _Rows, block: Block) -> None:
    if block.name:
        row = rows.add(Paragraph(marked_up(block.name), paper.SMALL), bottompadding=(0,))
        rows.style.append(("SPAN", (0, row), (-1, row)))
        rows.stay_with_next(row)
    for line in block.lines:
        _add_line(rows, line)


def _add_line(rows: _Rows, line: LineView) -> None:
    name = [Paragraph(marked_up(line.name), paper.CELL)]
    if line.note:
        name.append(Paragraph(marked_up(line.note), paper.SMALL))
    row = rows.add(
        name,
        Paragraph(marked_up(line.quantity), paper.CELL_RIGHT),
        Paragraph(marked_up(line.unit), paper.FAINT_CELL),
        Paragraph(marked_up(line.rate), paper.CELL_RIGHT),
        Paragraph(marked_up(line.amount), paper.CELL_RIGHT),
    )
    if line.tiers_of:
        rows.stay_with_next(row)
        row = rows.add(Paragraph(marked_up(line.tiers_of), paper.SMALL), bottompadding=(0,))
    for tier in line.tiers:
        rows.stay_with_next(row)
        row = _add_tier(rows, tier)


def _add_tier(rows: _Rows, tier: TierView) -> int:
    row = rows.add(
        Paragraph(marked_up(tier.name), paper.SMALL),
        Paragraph(marked_up(tier.quantity), paper.SMALL_RIGHT),
        "",
        Paragraph(marked_up(tier.rate), paper.SMALL_RIGHT),
        Paragraph(marked_up(tier.amount), paper.SMALL_RIGHT),
        toppadding=(0,),
        bottompadding=(1.5,),
    )
    rows.style.append(("LEFTPADDING", (0, row), (0, row), 10))
    return row


def totals_table(view: DocumentView) -> list[Any]:
    """What the lines come to, in one piece."""
    rows: list[tuple[str, str]] = [(_("Subtotal"), view.subtotal)]
    for discount in view.discounts:
        name = f"{discount.name} ({discount.percent})" if discount.percent else discount.name
        rows.append((name, discount.amount))
    for tax in view.taxes:
        told = {"name": tax.name, "percent": tax.percent, "base": tax.base}
        text = _("%(name)s %(percent)s of %(base)s, rounded on each line")
        if not tax.is_by_line:
            text = _("%(name)s %(percent)s of %(base)s")
        rows.append((text % told, tax.amount))
    strong = [(_("Total"), view.total)]
    after: list[tuple[str, str]] = []
    if view.credit_drawn:
        after.append((_("Paid by credit"), view.credit_drawn))
    last = [] if view.is_credit_note else [(_("Amount due"), view.amount_due)]
    if not after:
        strong, last = last or strong, []
        if not view.is_credit_note and view.total != view.amount_due:
            strong = [(_("Total"), view.total), *strong]
    return [
        paper.space(4),
        KeepTogether([_totals(view.currency, rows, strong, after, last)]),
    ]


def _totals(
    currency: str,
    rows: Sequence[tuple[str, str]],
    strong: Sequence[tuple[str, str]],
    after: Sequence[tuple[str, str]],
    last: Sequence[tuple[str, str]],
) -> Table:
    cells: list[list[Any]] = []
    style: list[tuple[Any, ...]] = [
        ("VALIGN", (0, 0), (-1, -1), "BOTTOM"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
    for part, is_strong in ((rows, False), (strong, True), (after, False), (last, True)):
        for name, amount in part:
            if is_strong:
                style.append(("LINEABOVE", (0, len(cells)), (-1, len(cells)), 0.8, paper.INK))
            cells.append(
                [
                    Paragraph(marked_up(name), paper.TOTAL if is_strong else paper.CELL),
                    Paragraph(
                        marked_up(f"{amount} {currency}" if is_strong else amount),
                        paper.TOTAL_RIGHT if is_strong else paper.CELL_RIGHT,
                    ),
                ]
            )
    width = paper.WIDTH * 0.56
    return Table(cells, [width * 0.6, width * 0.4], style=TableStyle(style), hAlign="RIGHT")
