"""Text cells that spreadsheets can't take for formulas. Pure, with the same law in SQL.

A text that begins with one of = + - @ tab or carriage return gets an apostrophe in front, and so does one
that begins with an apostrophe: taking one leading apostrophe away gives the source back. Numbers and times
are written by us and stay as they are.
"""

RISKY_OPENINGS = "=+-@\t\r'"


def neutral(text: str | None) -> str:
    """`text` as a harmless cell; None is the empty cell."""
    if not text:
        return ""
    return f"'{text}" if text[0] in RISKY_OPENINGS else text


def original(cell: str) -> str:
    """What `neutral` was given; a cell that it can't have made stays as it is."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] and cell[1] in RISKY_OPENINGS else cell


def neutral_sql(expression: str) -> str:
    """The same for a text expression of PostgreSQL."""
    return (
        f"CASE WHEN left({expression}, 1) IN ('=', '+', '-', '@', E'\\t', E'\\r', '''')"
        f" THEN '''' || {expression} ELSE {expression} END"
    )
