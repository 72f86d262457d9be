"""Double entry: every entry balances, whatever is on it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.invoicing.totals import Discount, NetLine, Rate, totals_of
from billing.reporting.ledger_accounts import DEFAULT_CODES, code_of, mistakes_in
from billing.reporting.postings import (
    REVENUE_OF,
    EntryUnbalanced,
    balanced,
    credit_postings,
    document_postings,
    payment_postings,
    write_off_postings,
)

AMOUNTS = st.decimals(min_value=-10_000, max_value=10_000, places=2)
RATES = (Rate("VAT", Decimal(19)), Rate("VAT", Decimal("7.5")), Rate("City", Decimal("0.33")))


def sides(postings):
    return (
        sum((posting.debit for posting in postings), Decimal(0)),
        sum((posting.credit for posting in postings), Decimal(0)),
    )


@given(
    lines=st.lists(
        st.tuples(st.sampled_from(list(REVENUE_OF)), AMOUNTS, st.sets(st.sampled_from(RATES))), max_size=8
    ),
    discounts=st.lists(st.decimals(min_value="0.01", max_value=100, places=2), max_size=3),
)
def test_documents_balance(lines, discounts):
    totals = totals_of(
        [NetLine(amount, rates=tuple(rates)) for _, amount, rates in lines],
        [Discount(percent=percent) for percent in discounts],
        currency="EUR",
    )
    revenues: dict[str, Decimal] = {}
    for kind, amount, _ in lines:
        revenues[REVENUE_OF[kind]] = revenues.get(REVENUE_OF[kind], Decimal(0)) + amount

    postings = balanced(
        "INV-1",
        document_postings(
            total=totals.total,
            revenues=revenues,
            discount_total=totals.discount_total,
            taxes=[(f"{tax.rate.name} {tax.rate.percent}", tax.amount) for tax in totals.taxes],
        ),
    )

    debit, credit = sides(postings)
    assert debit == credit
    assert all((posting.debit == 0) != (posting.credit == 0) for posting in postings)


@given(
    amount=AMOUNTS,
    movement=st.sampled_from(["granted", "drawn", "returned", "expired", "withdrawn"]),
    grant_kind=st.sampled_from(["paid", "promotional", "credit_note"]),
)
def test_credit_and_payments_and_write_offs_balance(amount, movement, grant_kind):
    for postings in (
        credit_postings(amount, movement=movement, grant_kind=grant_kind),
        payment_postings(amount, method="card"),
        write_off_postings(amount, line_kind="fee"),
    ):
        debit, credit = sides(balanced("entry", postings))
        assert debit == credit


def test_what_does_not_add_up_is_refused():
    with pytest.raises(EntryUnbalanced, match=r"INV-7 doesn't balance: debits exceed credits by 0.01\."):
        balanced(
            "INV-7",
            document_postings(
                total=Decimal("10.01"),
                revenues={"revenue_usage": Decimal(10)},
                discount_total=Decimal(0),
                taxes=[],
            ),
        )


def test_narrowest_code_holds():
    codes = {"tax_payable": "1", "tax_payable:VAT": "2", "tax_payable:VAT 19": "3", "bank:card": "4"}

    assert code_of("tax_payable", "VAT 19", codes=codes) == "3"
    assert code_of("tax_payable", "VAT 7.5", codes=codes) == "2"
    assert code_of("tax_payable", "City 1", codes=codes) == "1"
    assert code_of("bank", "card", codes=codes) == "4"
    assert code_of("bank", "cash", codes=codes) == DEFAULT_CODES["bank"] == "1000"


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ([], "It must be a JSON object of account codes."),
        ({"bnak": "1"}, "There is no account 'bnak'"),
        ({"discounts:card": "1"}, "There is no account 'discounts:card'"),
        ({"bank": 1000}, "The code of 'bank' must be a text"),
    ],
)
def test_mistake_in_the_setting_is_said(codes, said):
    [mistake] = mistakes_in(codes)

    assert mistake.startswith(said)
    assert mistakes_in({"bank": "1", "tax_payable:VAT 19": "2"}) == []
