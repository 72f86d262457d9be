"""What proofs of billing are made of: exact arithmetic of their own, rows read at once, words."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db import connection

from billing.money import scale_of
from metering.verifying.verification_findings import Breach, Outcome


def outcome(
    checked: str,
    breaches: Iterable[Breach],
    *,
    limit: int,
    notes: Sequence[str] = (),
    warnings: Iterable[Breach] = (),
) -> Outcome:
    """All breaches counted, the first `limit` kept."""
    found = list(breaches)
    return Outcome(
        checked=checked,
        breaches=found[:limit],
        breach_count=len(found),
        notes=notes,
        warnings=list(warnings)[:limit],
    )


def rows_of(statement: str, **params: Any) -> list[dict[str, Any]]:
    """The rows of a SELECT, by the names of their columns."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def to_scale(value: Fraction, currency: str) -> Fraction:
    """Half away from zero, written a second time."""
    unit = 10 ** scale_of(currency)
    units = int(abs(value) * unit + Fraction(1, 2))
    return Fraction(units if value >= 0 else -units, unit)


def shown(amount: Fraction | Decimal | None, currency: str) -> str:
    """An amount as a breach names it."""
    if amount is None:
        return "nothing"
    exact = Fraction(amount)
    scale = scale_of(currency)
    if (exact * 10**scale).denominator != 1:
        scale = 4
    value = Decimal(int(exact * 10**scale)).scaleb(-scale)
    return f"{value:,.{scale}f} {currency}"
