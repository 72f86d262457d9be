"""Double entry: what is posted for a document, a payment, a movement of credit, a write-off. Pure.

A positive amount is a debit, a negative one a credit; the amounts of an entry add up to nothing. What comes
to nothing isn't posted.

    document    receivables | revenue by kind of line, discounts, tax by rate
    payment     bank | receivables, customer credit for what was paid beyond; taken back, the other way round
    credit      granted: bank or receivables | customer credit; drawn: customer credit | receivables
    write-off   write-offs | the revenue that is forgone

Promotional credit is no liability: it becomes an expense when it pays. A credit note that settles an invoice
moves receivables to receivables, which is no posting.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from metering.errors import Conflict, Figure
from metering.texts.numbers import EXACT, plain

ZERO = Decimal(0)
REVENUE_OF = {
    "usage": "revenue_usage",
    "true_up": "revenue_usage",
    "fee": "revenue_fees",
    "fee_credit": "revenue_fees",
    "manual": "revenue_other",
}
REVENUES = tuple(dict.fromkeys(REVENUE_OF.values()))
_COUNTERPARTS = {
    "drawn": "receivables",
    "returned": "receivables",
    "expired": "expired_credit",
    "withdrawn": "clearing",
}


class EntryUnbalanced(Conflict):
    """A document's stored amounts don't add up, so no journal can be made of it. `verify` says more."""

    code = "entry_unbalanced"

    def __init__(self, entry: str, difference: Decimal) -> None:
        super().__init__(
            "{entry} doesn't balance: debits exceed credits by {difference}.",
            entry=entry,
            difference=Figure(plain(difference)),
        )


@dataclass(frozen=True, slots=True)
class Posting:
    """An amount on an account; `detail` narrows it down to a tax or a payment method."""

    account: str
    amount: Decimal
    detail: str = ""

    @property
    def debit(self) -> Decimal:
        return max(self.amount, ZERO)

    @property
    def credit(self) -> Decimal:
        return max(EXACT.minus(self.amount), ZERO)


def line_kinds_of(account: str) -> list[str]:
    """Which lines of a document go to an account of revenue."""
    return [kind for kind, of_kind in REVENUE_OF.items() if of_kind == account]


def document_postings(
    *,
    total: Decimal,
    revenues: Mapping[str, Decimal],
    discount_total: Decimal,
    taxes: Iterable[tuple[str, Decimal]],
) -> list[Posting]:
    """Of an invoice, or with negative amounts of a credit note. `revenues`: the sum of lines by account."""
    return [
        Posting("receivables", total),
        *(Posting(account, EXACT.minus(amount)) for account, amount in revenues.items()),
        Posting("discounts", EXACT.minus(discount_total)),
        *(Posting("tax_payable", EXACT.minus(amount), name) for name, amount in taxes),
    ]


def payment_postings(amount: Decimal, *, method: str, to_credit: Decimal = ZERO) -> list[Posting]:
    """Of money that was received: `amount` for the invoice, and `to_credit` beyond it, which is credit of the
    customer. The bank has one sum, as its statement does. Negative amounts take it back."""
    return [
        Posting("bank", EXACT.add(amount, to_credit), method),
        Posting("receivables", EXACT.minus(amount)),
        Posting("customer_credit", EXACT.minus(to_credit)),
    ]


def credit_postings(amount: Decimal, *, movement: str, grant_kind: str) -> list[Posting]:
    """Of a credit entry with its sign: positive amounts add to the balance. Nothing where nothing moves."""
    if grant_kind == "promotional":
        if movement not in {"drawn", "returned"}:
            return []
        return [Posting("promotional_expense", EXACT.minus(amount)), Posting("receivables", amount)]
    if movement == "granted":
        counterpart = "receivables" if grant_kind == "credit_note" else "bank"
    else:
        counterpart = _COUNTERPARTS[movement]
    return [Posting(counterpart, amount), Posting("customer_credit", EXACT.minus(amount))]


def write_off_postings(difference: Decimal, *, line_kind: str) -> list[Posting]:
    """Of what is not billed though the ledger says so; a negative difference is not given back."""
    return [Posting("write_offs", difference), Posting(REVENUE_OF[line_kind], EXACT.minus(difference))]


def balanced(entry: str, postings: Iterable[Posting]) -> list[Posting]:
    """The postings that come to something. Raises `EntryUnbalanced`."""
    kept = [posting for posting in postings if posting.amount]
    difference = ZERO
    for posting in kept:
        difference = EXACT.add(difference, posting.amount)
    if difference:
        raise EntryUnbalanced(entry, difference)
    return kept
