"""The typeface of documents, and texts marked up so that every letter of them can be drawn.

Fira Sans has Latin, Greek and Cyrillic and is part of the file. Chinese, Japanese and Korean are set in the
standard fonts of PDF, which readers bring along and the file only names. Of any other script a letter is
shown as its Latin base letter, or as "?": never as an empty box, and nothing fails.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import groupby
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont

REGULAR, MEDIUM, BOLD = "FiraSans", "FiraSans-Medium", "FiraSans-SemiBold"
_FILES = {
    REGULAR: "FiraSans-Regular.ttf",
    MEDIUM: "FiraSans-Medium.ttf",
    BOLD: "FiraSans-SemiBold.ttf",
}
# Glyphs of the digits that are all as wide as another, so that columns of amounts stand straight.
_TABULAR_ZERO = 2067
_CHINESE, _JAPANESE, _KOREAN = "STSong-Light", "HeiseiKakuGo-W5", "HYGothic-Medium"
_KANA = re.compile("[\u3040-\u30ff\uff66-\uff9d]")
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
_EAST_ASIAN = re.compile("[\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\u1100-\u11ff\uac00-\ud7a3]")
UNKNOWN = "?"


@cache
def fonts() -> None:
    """Register the fonts, once in a process."""
    folder = files("fontpkg_fira_sans") / "files"
    for name, file_name in _FILES.items():
        font = TTFont(name, str(folder / file_name))
        _set_tabular_digits(font)
        pdfmetrics.registerFont(font)
    for name in (_CHINESE, _JAPANESE, _KOREAN):
        pdfmetrics.registerFont(UnicodeCIDFont(name))


def marked_up(text: str) -> str:
    """`text` as reportlab's paragraphs take it: escaped, on one line, fonts named where letters need them."""
    return "".join(_runs(cleaned(text.replace("\n", " "))))


def marked_up_lines(text: str) -> str:
    """The same for text of several lines."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "<br/>".join("".join(_runs(cleaned(line))) for line in lines)


def _runs(text: str) -> Iterator[str]:
    asian = _KOREAN if _HANGUL.search(text) else _JAPANESE if _KANA.search(text) else _CHINESE
    for is_asian, letters in groupby(text, key=lambda letter: bool(_EAST_ASIAN.match(letter))):
        run = "".join(letters)
        if is_asian:
            yield f'<font name="{asian}">{escape(run)}</font>'
        else:
            yield escape("".join(_drawable(letter) for letter in run))


def cleaned(text: str) -> str:
    """Without what can't be seen; accents joined with their letters."""
    composed = unicodedata.normalize("NFC", text.replace("\t", " "))
    return "".join(letter for letter in composed if unicodedata.category(letter) not in ("Cc", "Cf", "Cs"))


def _drawable(letter: str) -> str:
    known = _letters()
    if ord(letter) in known:
        return letter
    if unicodedata.category(letter) in ("Mn", "Me", "Zs"):
        return " " if letter.isspace() else ""
    base = [one for one in unicodedata.normalize("NFKD", letter) if ord(one) in known]
    return "".join(base) or UNKNOWN


@cache
def _letters() -> frozenset[int]:
    fonts()
    return frozenset(pdfmetrics.getFont(REGULAR).face.charToGlyph)


def _set_tabular_digits(font: TTFont) -> None:
    face = font.face
    widths = {face.hmetrics[_TABULAR_ZERO + digit][0] for digit in range(10)}
    if len(widths) != 1:
        return  # another edition of the typeface: its digits stay as they are
    width = widths.pop() * 1000 / face.unitsPerEm
    for digit in range(10):
        face.charToGlyph[ord("0") + digit] = _TABULAR_ZERO + digit
        face.charWidths[ord("0") + digit] = width
