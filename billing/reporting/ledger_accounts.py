"""Which account of the bookkeeping each posting goes to: JOURNAL_ACCOUNTS, with defaults for the rest.

A name may be narrowed down: "tax_payable:VAT 19" is the tax of one rate, "tax_payable:VAT" of one name, and
"bank:card" payments by one method. The narrowest that is set holds.
"""

from collections.abc import Mapping

from django.conf import settings

DEFAULT_CODES = {
    "bank": "1000",  # what was received
    "receivables": "1200",  # what customers owe
    "clearing": "1900",  # credit taken back by hand: whether money went back, finance knows
    "customer_credit": "2100",  # credit that was paid for, or came of a credit note
    "tax_payable": "2200",
    "revenue_usage": "4000",
    "revenue_fees": "4100",
    "revenue_other": "4200",  # lines added by hand
    "expired_credit": "4800",
    "discounts": "4900",
    "promotional_expense": "6100",  # promotional credit, when it pays
    "write_offs": "6200",
}
NARROWED = ("tax_payable", "bank")


def code_of(name: str, detail: str, *, codes: Mapping[str, str]) -> str:
    """The code of an account; `detail` is a tax ("VAT 19") or a payment method.

    `codes` is what JOURNAL_ACCOUNTS says.
    """
    for narrowed in (f"{name}:{detail}", f"{name}:{detail.rpartition(' ')[0]}", name):
        if narrowed in codes:
            return codes[narrowed]
    return DEFAULT_CODES[name]


def mistakes_in(codes: object) -> list[str]:
    """What is wrong with a setting of JOURNAL_ACCOUNTS, in sentences."""
    if not isinstance(codes, dict):
        return ["It must be a JSON object of account codes."]
    found = []
    for name, code in codes.items():
        base, colon, _ = str(name).partition(":")
        if base not in DEFAULT_CODES or (colon and base not in NARROWED):
            found.append(f"There is no account '{name}': known are {', '.join(DEFAULT_CODES)}.")
        if not isinstance(code, str) or not code:
            found.append(f"The code of '{name}' must be a text, such as \"1200\".")
    return found


def codes_in_force() -> Mapping[str, str]:
    return dict(settings.JOURNAL_ACCOUNTS)
