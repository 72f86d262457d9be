"""How documents are numbered: prefix and digits. What was given stays, and no number is given twice."""

import re

from django.db import IntegrityError, connection, transaction

from billing.models import Invoice, NumberSeries
from metering.errors import Invalid

PREFIXES = {NumberSeries.Kind.INVOICE: "INV-", NumberSeries.Kind.CREDIT_NOTE: "CN-"}
MAX_DIGITS = 12
MAX_PREFIX_LENGTH = 20
_BETWEEN = "-/._ "
_SIGNS = f"0123456789{_BETWEEN}"


def series_of(kind: str) -> NumberSeries:
    """The series as it is, or as it will be made with the first document of the kind."""
    known = NumberSeries.objects.filter(kind=kind).first()
    return known or NumberSeries(kind=kind, prefix=PREFIXES[NumberSeries.Kind(kind)])


def next_number(kind: str) -> str:
    """What the next document of the kind is called, unless another one is issued first."""
    series = series_of(kind)
    return series.text_of(series.last_number + 1)


def ensure_series() -> None:
    """Make the series that aren't there: so that they can be changed before a document needs them."""
    for kind, prefix in PREFIXES.items():
        NumberSeries.objects.get_or_create(kind=kind, defaults={"prefix": prefix})


def change_series(series: NumberSeries, *, prefix: str, digits: int) -> NumberSeries:
    """Let numbers look different from the next document on. Counting goes on where it was.

    Raises `Invalid` for a prefix that ends with a digit, that the other series has or once had, and for
    digits out of range: numbers could be given twice. Also for a prefix with signs that mean something in a
    path, a header or a spreadsheet, where numbers stand.
    """
    prefix = prefix.strip()
    if prefix[-1:].isdigit():
        raise Invalid("Must not end with a digit: end it with a dash, for instance.", field="prefix")
    if len(prefix) > MAX_PREFIX_LENGTH:
        raise Invalid("At most {most} characters.", most=MAX_PREFIX_LENGTH, field="prefix")
    if not _is_plain(prefix):
        raise Invalid(
            "Letters, digits, blanks and - / . _ alone; a letter or digit first, and no two dots in a row.",
            field="prefix",
        )
    if not 1 <= digits <= MAX_DIGITS:
        raise Invalid("Must be from 1 to {most}.", most=MAX_DIGITS, field="digits")
    with transaction.atomic():
        # Both rows: two series that are changed at once don't end up with one prefix.
        rows = {row.pk: row for row in NumberSeries.objects.select_for_update(no_key=True).order_by("pk")}
        for other in rows.values():
            if other.pk == series.pk:
                continue
            if other.prefix == prefix or _was_given(other, prefix):
                raise Invalid(
                    "Numbers of {kind} begin with it.", kind=other.get_kind_display(), field="prefix"
                )
        stored = rows[series.pk]
        stored.prefix, stored.digits = prefix, digits
        stored.save(update_fields=["prefix", "digits"])
    return stored


def _is_plain(prefix: str) -> bool:
    if not prefix:
        return True
    is_known = all(sign.isalpha() or sign in _SIGNS for sign in prefix)
    return is_known and prefix[0] not in _BETWEEN and ".." not in prefix


def _was_given(series: NumberSeries, prefix: str) -> bool:
    """Whether documents of the series have numbers that are the prefix and digits."""
    pattern = f"^{re.escape(prefix)}[0-9]+$"
    return Invoice.objects.filter(series=series, number__regex=pattern).exists()


_NEXT_NUMBER = """
    UPDATE billing_numberseries SET last_number = last_number + 1 WHERE kind = %s
    RETURNING id, prefix, digits, last_number
"""


def take_number(kind: str) -> tuple[int, int, str]:
    """The next number, taken: the series, the number in it and its text. The last thing that issuing does."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_NUMBER, [kind])
        row = cursor.fetchone()
        if row is None:
            try:
                with transaction.atomic():
                    NumberSeries.objects.create(kind=kind, prefix=PREFIXES[NumberSeries.Kind(kind)])
            except IntegrityError:
                pass  # a rival made it
            cursor.execute(_NEXT_NUMBER, [kind])
            row = cursor.fetchone()
    series_id, prefix, digits, number = row
    return series_id, number, NumberSeries(prefix=prefix, digits=digits).text_of(number)
