"""Text cells that spreadsheets can't take for formulas. Pure, with the same law in SQL.

A text gets an apostrophe in front whose first sign, blanks aside, is one that some spreadsheet begins a
formula or a command with, and so does one that begins with an apostrophe: taking one leading apostrophe away
gives the source back. Numbers and times are written by us and stay as they are.
"""

# Cut away by some before they look: spaces of all widths down to none, and the mark of byte order.
BLANKS = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}\N{ZERO WIDTH SPACE}\ufeff\v\f"
OPENINGS = "=+-@|\t\r\n＝＋－＠"


def _is_risky(text: str) -> bool:
    opening = text.lstrip(BLANKS)[:1]
    return text[:1] == "'" or (opening != "" and opening in OPENINGS)


def neutral(text: str | None) -> str:
    """`text` as a harmless cell; None is the empty cell."""
    if not text:
        return ""
    return f"'{text}" if _is_risky(text) else text


def original(cell: str) -> str:
    """What `neutral` was given; a cell that it can't have made stays as it is."""
    return cell[1:] if cell[:1] == "'" and _is_risky(cell[1:]) else cell


def neutral_sql(expression: str) -> str:
    """The same for a text expression of PostgreSQL."""
    openings = ", ".join(_literal(sign) for sign in OPENINGS)
    opening = f"left(ltrim({expression}, {_literal(BLANKS)}), 1)"
    return (
        f"CASE WHEN left({expression}, 1) = '''' OR {opening} IN ({openings})"
        f" THEN '''' || {expression} ELSE {expression} END"
    )


def _literal(text: str) -> str:
    """Spelled out, so that no control character stands in a statement."""
    return "E'" + "".join(f"\\u{ord(sign):04X}" for sign in text) + "'"
