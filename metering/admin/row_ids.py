"""Rows that are named by their number in an address."""

BIGINT_DIGITS = 18


def id_from(text: str | None) -> int | None:
    """A row id from a URL; None for what is none."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > BIGINT_DIGITS:
        return None
    return int(text)
