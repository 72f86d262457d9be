"""The head of a document's first page: which document, from whom, to whom, and what it comes to."""

from typing import Any

from django.utils.translation import gettext as _
from reportlab.platypus import KeepInFrame, Paragraph, Table, TableStyle

from . import paper
from .document_view import DocumentView, Party
from .lettering import marked_up

_HEIGHT = 85 * paper.MM  # what a party may take of the page
_PLAIN = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 0),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
]


def head_of(view: DocumentView) -> list[Any]:
    """Title and seller side by side, then customer and facts, then what is due."""
    halves = [paper.WIDTH / 2] * 2
    top = Table([[_title(view), _fitted(_seller(view.seller))]], halves, style=TableStyle(_PLAIN))
    parties = Table([[_fitted(_customer(view)), _fitted([_facts(view)])]], halves, style=TableStyle(_PLAIN))
    story: list[Any] = [top, paper.space(9), parties, paper.space(6), _panel(view)]
    if view.reason and view.is_credit_note:
        story += [
            paper.space(4),
            Paragraph(marked_up(_("Reason")), paper.LABEL),
            Paragraph(marked_up(view.reason), paper.TEXT),
        ]
    return [*story, paper.space(6)]


def _fitted(content: list[Any]) -> KeepInFrame:
    """Half of the page wide, and made smaller where names and addresses are beyond measure."""
    return KeepInFrame(paper.WIDTH / 2, _HEIGHT, content, mode="shrink")


def _title(view: DocumentView) -> list[Paragraph]:
    number = view.number or _("Draft, not issued")
    return [Paragraph(marked_up(view.title), paper.TITLE), Paragraph(marked_up(number), paper.NUMBER)]


def _seller(party: Party) -> list[Paragraph]:
    shown = [Paragraph(marked_up(party.name), paper.NAME_RIGHT)] if party.name else []
    texts = [*party.address, *([_("Tax id %s") % party.tax_id] if party.tax_id else []), party.email]
    return [*shown, *(Paragraph(marked_up(text), paper.SMALL_RIGHT) for text in texts if text)]


def _customer(view: DocumentView) -> list[Paragraph]:
    party = view.customer
    label = _("Credited to") if view.is_credit_note else _("Billed to")
    texts = [*party.address, *([_("Tax id %s") % party.tax_id] if party.tax_id else [])]
    return [
        Paragraph(marked_up(label), paper.LABEL),
        Paragraph(marked_up(party.name), paper.NAME),
        *(Paragraph(marked_up(text), paper.TEXT) for text in texts),
    ]


def _facts(view: DocumentView) -> Table:
    facts = [
        (_("Date of issue"), view.issued_on),
        (_("Due"), view.due_on),
        (_("Billing period"), view.period),
        (_("Credits invoice"), view.credited_number),
        (_("Account"), view.account),
    ]
    rows = [
        [Paragraph(marked_up(name), paper.FAINT_CELL), Paragraph(marked_up(text), paper.FACT)]
        for name, text in facts
        if text
    ]
    width = paper.WIDTH / 2
    style = [*_PLAIN, ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5), ("LEFTPADDING", (0, 0), (0, -1), 12)]
    return Table(rows, [width * 0.36, width * 0.64], style=TableStyle(style), hAlign="RIGHT")


def _panel(view: DocumentView) -> Table:
    """What everybody looks for first."""
    if view.is_credit_note:
        label, amount, aside = _("Credited"), view.total, ""
        amount = amount.removeprefix("−")
    else:
        label, amount = _("Amount due"), view.amount_due
        aside = _("Nothing is left to pay.") if view.is_settled else view.terms
    cells = [
        [
            [
                Paragraph(marked_up(label), paper.LABEL),
                Paragraph(marked_up(f"{amount} {view.currency}"), paper.DUE),
            ],
            Paragraph(marked_up(aside), paper.SMALL_RIGHT),
        ]
    ]
    style = [
        ("BACKGROUND", (0, 0), (-1, -1), paper.PANEL),
        ("LINEBEFORE", (0, 0), (0, -1), 2.5, paper.ACCENT),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("LEFTPADDING", (0, 0), (-1, -1), 12),
        ("RIGHTPADDING", (0, 0), (-1, -1), 12),
        ("TOPPADDING", (0, 0), (-1, -1), 8),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 10),
    ]
    return Table(cells, [paper.WIDTH * 0.58, paper.WIDTH * 0.42], style=TableStyle(style))
