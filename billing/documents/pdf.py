"""A document as PDF: A4, as many pages as it takes. The same rows make the same bytes.

Nothing is read here but the view, and nothing depends on when or where it is made.
"""

import io
from typing import Any

from django.utils.translation import gettext as _
from reportlab.lib.colors import Color
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph

from billing.models import Invoice
from metering.house_language import in_house_language

from . import paper
from .document_view import DocumentView, document_view
from .lettering import BOLD, cleaned, fonts, marked_up, marked_up_lines
from .line_tables import lines_table, totals_table
from .page_head import head_of

_WIDTH, _HEIGHT = A4
_FOOT_ROOM = 7 * paper.MM  # for the page's number, below the seller's own footer
_FOOTER_HEIGHT = 34 * paper.MM  # what the seller's footer may take of a page
_WATERMARK = Color(0.86, 0.16, 0.16, alpha=0.10)


def pdf_of(invoice: Invoice) -> bytes:
    """The document as stored, as PDF. Drafts carry a watermark."""
    return pdf_from(document_view(invoice))


@in_house_language()
def pdf_from(view: DocumentView, *, is_compressed: bool = True) -> bytes:
    """The same from a view."""
    fonts()
    out = io.BytesIO()
    footer = _Footer(view)
    frame = Frame(
        paper.MARGIN,
        footer.top,
        paper.WIDTH,
        _HEIGHT - paper.TOP - footer.top,
        leftPadding=0,
        rightPadding=0,
        topPadding=0,
        bottomPadding=0,
    )
    template = BaseDocTemplate(
        out,
        pagesize=A4,
        title=cleaned(view.name),
        author=cleaned(view.seller.name),
        subject=cleaned(view.customer.name),
        creator="Meterbook",
        lang="en",
        invariant=1,
        pageCompression=int(is_compressed),
    )
    template.addPageTemplates(
        PageTemplate(frames=[frame], onPageEnd=lambda canvas, _doc: _watermark(canvas, view))
    )
    story = [*head_of(view), lines_table(view), *totals_table(view), *_closing(view)]
    template.build(story, canvasmaker=lambda *args, **options: _NumberedCanvas(*args, foot=footer, **options))
    return out.getvalue()


def _closing(view: DocumentView) -> list[Any]:
    """Below the totals: what it was used for, how to pay, what else there is to say."""
    texts = [
        ("", "\n".join(view.settlement)),
        (_("Payment"), "\n".join(text for text in (view.terms, view.payment_details) if text)),
        (_("Notes"), view.notes),
    ]
    story: list[Any] = []
    for heading, text in texts:
        if not text.strip():
            continue
        story.append(paper.space(6))
        if heading:
            story.append(Paragraph(marked_up(heading), paper.HEADING))
        story += [Paragraph(marked_up_lines(part), paper.TEXT) for part in paper.pieces(text)]
    return story


def _watermark(canvas: Canvas, view: DocumentView) -> None:
    if not view.is_draft:
        return
    canvas.saveState()
    canvas.setFillColor(_WATERMARK)
    canvas.setFont(BOLD, 120)
    canvas.translate(_WIDTH / 2, _HEIGHT / 2)
    canvas.rotate(52)
    canvas.drawCentredString(0, -40, _("DRAFT"))
    canvas.restoreState()


class _Footer:
    """The seller's own footer on each page, and below it which page it is."""

    def __init__(self, view: DocumentView) -> None:
        self._name = view.name
        text = " · ".join(line.strip() for line in view.footer.splitlines() if line.strip())
        self._text = Paragraph(marked_up(text), paper.FOOTER)
        _width, height = self._text.wrap(paper.WIDTH, _FOOTER_HEIGHT)
        self._height = min(height, _FOOTER_HEIGHT) if text else 0
        self.top = 12 * paper.MM + _FOOT_ROOM + self._height

    def draw(self, canvas: Canvas, *, page: int, count: int) -> None:
        rule = self.top - 4 * paper.MM
        canvas.setStrokeColor(paper.RULE)
        canvas.setLineWidth(0.5)
        canvas.line(paper.MARGIN, rule, paper.MARGIN + paper.WIDTH, rule)
        if self._height:
            self._text.drawOn(canvas, paper.MARGIN, rule - self._height - 1.5 * paper.MM)
        foot = 8 * paper.MM
        for text, style in (
            (self._name, paper.FOOTER),
            (_("Page %(page)d of %(count)d") % {"page": page, "count": count}, paper.FOOTER_RIGHT),
        ):
            line = Paragraph(marked_up(text), style)
            line.wrap(paper.WIDTH, _FOOT_ROOM)
            line.drawOn(canvas, paper.MARGIN, foot)


class _NumberedCanvas(Canvas):
    """Keeps pages until all are there, because each says how many there are."""

    def __init__(self, *args: Any, foot: _Footer, **options: Any) -> None:
        super().__init__(*args, **options)
        self._foot = foot
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # reportlab's name
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        count = len(self._pages)
        for page, state in enumerate(self._pages, start=1):
            self.__dict__.update(state)
            self._foot.draw(self, page=page, count=count)
            super().showPage()
        super().save()
