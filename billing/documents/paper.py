"""The paper that documents are set on: its measures, colours and styles of text."""

from collections.abc import Iterator

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Spacer

from .lettering import BOLD, MEDIUM, REGULAR

MM = mm
MARGIN = 20 * mm  # left and right
TOP = 17 * mm
WIDTH = A4[0] - 2 * MARGIN

INK = HexColor("#16181d")
FAINT = HexColor("#6a7079")
RULE = HexColor("#d9dce1")
PANEL = HexColor("#f4f6f9")
ACCENT = HexColor("#1d4ed8")


def _style(name: str, size: float, leading: float, **options: object) -> ParagraphStyle:
    return ParagraphStyle(
        name,
        **{
            "fontName": REGULAR,
            "fontSize": size,
            "leading": leading,
            "textColor": INK,
            "splitLongWords": 1,
            **options,
        },
    )


TITLE = _style("title", 24, 30, fontName=BOLD)
NUMBER = _style("number", 11, 15, textColor=FAINT, spaceBefore=2)
NAME = _style("name", 10.5, 14, fontName=BOLD)
NAME_RIGHT = _style("name right", 10.5, 14, fontName=BOLD, alignment=TA_RIGHT)
TEXT = _style("text", 9, 13)
SMALL = _style("small", 8, 11, textColor=FAINT)
SMALL_RIGHT = _style("small right", 8, 11, textColor=FAINT, alignment=TA_RIGHT)
FAINT_CELL = _style("faint cell", 9, 12.5, textColor=FAINT)
LABEL = _style("label", 7.5, 11, textColor=FAINT)
LABEL_RIGHT = _style("label right", 7.5, 11, textColor=FAINT, alignment=TA_RIGHT)
FACT = _style("fact", 9, 12.5)
HEADING = _style("heading", 9, 14, fontName=BOLD)
DUE = _style("due", 16, 20, fontName=BOLD)
CELL = _style("cell", 9, 12.5)
CELL_RIGHT = _style("cell right", 9, 12.5, alignment=TA_RIGHT)
STRONG = _style("strong", 9, 12.5, fontName=MEDIUM)
STRONG_RIGHT = _style("strong right", 9, 12.5, fontName=MEDIUM, alignment=TA_RIGHT)
SECTION = _style("section", 9.5, 13, fontName=BOLD)
TOTAL = _style("total", 11, 15, fontName=BOLD)
TOTAL_RIGHT = _style("total right", 11, 15, fontName=BOLD, alignment=TA_RIGHT)
FOOTER = _style("footer", 7, 9.5, textColor=FAINT)
FOOTER_RIGHT = _style("footer right", 7, 9.5, textColor=FAINT, alignment=TA_RIGHT)


def space(millimetres: float) -> Spacer:
    return Spacer(1, millimetres * mm)


def pieces(text: str, *, line_count: int = 20) -> Iterator[str]:
    """A long text in parts that each fit on a page."""
    lines = text.strip().splitlines()
    for start in range(0, len(lines), line_count):
        yield "\n".join(lines[start : start + line_count])
