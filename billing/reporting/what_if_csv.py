"""A comparison as a table of texts: one row for each account, the dearest first."""

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from billing.money import amount_text, exact_text
from metering.texts.csv_cells import neutral

from .what_if import NOTHING, Amounts, WhatIf

COLUMNS = (
    "account",
    "project",
    "legal_name",
    "plans",
    "currency",
    "current",
    "hypothetical",
    "difference",
    "difference_percent",
    "prorated",
    "usage_without_price",
)


def csv_text(found: WhatIf) -> str:
    """The table as a download: lines end as RFC 4180 has them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(csv_rows(found))
    return text.getvalue()


def csv_name(found: WhatIf) -> str:
    """What a file with it is called."""
    return f"what-if-{found.plan.key}-v{found.plan.version}-{found.days.first_on}-{found.days.until_on}.csv"


def csv_rows(found: WhatIf) -> Iterator[list[str]]:
    """The header, then a row for each account. Every fee and metric has two further columns: what it comes
    to now, and under the other plan. Texts are harmless in spreadsheets."""
    currency, subjects = found.plan.currency, list(found.by_subject)
    header = [*COLUMNS]
    for subject in subjects:
        header += [neutral(f"{subject.kind} {subject.name}, {side}") for side in ("current", "hypothetical")]
    yield header
    for one in found.sorted_by_difference():
        row = [
            str(one.account.pk),
            neutral(one.account.project.key),
            neutral(one.account.legal_name),
            neutral(", ".join(one.plans)),
            currency,
            *_texts(one.amounts, currency),
            amount_text(one.amounts.difference, currency),
            percent_text(one.amounts.fraction),
            "yes" if one.is_prorated else "no",
            neutral(", ".join(each.metric_key for each in one.unpriced)),
        ]
        for subject in subjects:
            row += _texts(one.by_subject.get(subject, NOTHING), currency)
        yield row


def percent_text(fraction: Fraction | None) -> str:
    """With one decimal, half away from zero; "" where there is nothing to be a part of."""
    if fraction is None:
        return ""
    tenths = abs(fraction) * 1000
    whole = (2 * tenths.numerator + tenths.denominator) // (2 * tenths.denominator)
    return exact_text(Fraction(-whole if fraction < 0 else whole, 10), decimals=1)


def _texts(amounts: Amounts, currency: str) -> list[str]:
    def text(amount: Decimal) -> str:
        return amount_text(amount, currency)

    return [text(amounts.current), text(amounts.hypothetical)]
