"""Payments and credit notes from the page of an invoice."""

import datetime as dt
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from billing.models import BillingAccount, CreditGrant, Invoice, Payment
from billing.settling.payments import record_payment
from tests.billing.admin.conftest import Clerk
from tests.billing.admin.reading import errors_of, read, told, url
from tests.billing.billed import issued

pytestmark = pytest.mark.django_db


@pytest.fixture
def cashier(clerk: Clerk) -> Client:
    return clerk("view_invoice", "add_payment")


@pytest.fixture
def editor(clerk: Clerk) -> Client:
    return clerk("view_invoice", "change_invoice", name="eve")


@pytest.fixture
def invoice(account: BillingAccount) -> Invoice:
    """86.10, due on 16 April."""
    return issued(account, "2026-04-02T10:00:00Z")


def payment(**overrides: str) -> dict[str, str]:
    return {
        "amount": "86.10",
        "received_on": "2026-04-09",
        "method": "bank_transfer",
        "reference": "SEPA 8812",
        **overrides,
    }


def recorded_payments() -> list[tuple[str, str]]:
    return [(f"{one.amount:.2f}", one.reference) for one in Payment.objects.order_by("id")]


def test_open_amount_is_filled_in(cashier: Client, invoice: Invoice) -> None:
    record_payment(invoice, amount=Decimal(16), received_on=dt.date(2026, 4, 9), now=timezone.now())

    response = cashier.get(url("record_payment", invoice.pk))

    form = response.context["form"]
    assert form["amount"].value() == "70.10"
    page = read(cashier, url("record_payment", invoice.pk))
    assert "To be paid 86.10 EUR Paid so far 16.00 EUR Open 70.10 EUR Due 2026-04-16 (" in page


def test_payment_is_recorded_once_however_often_it_is_sent(cashier: Client, invoice: Invoice) -> None:
    key = cashier.get(url("record_payment", invoice.pk)).context["form"]["key"].value()
    form = payment(amount="50", key=key)

    first = cashier.post(url("record_payment", invoice.pk), form)
    cashier.post(url("record_payment", invoice.pk), form)

    assert told(first) == ["50.00 EUR are recorded."]
    assert recorded_payments() == [("50.00", "SEPA 8812")]
    assert Payment.objects.get().recorded_by == "kim"


def test_more_than_is_open_is_refused_or_becomes_credit(cashier: Client, invoice: Invoice) -> None:
    refused = errors_of(cashier.post(url("record_payment", invoice.pk), payment(amount="100")))
    assert refused == {"amount": ["At most 86.10 EUR."]}
    assert recorded_payments() == []

    response = cashier.post(url("record_payment", invoice.pk), payment(amount="100", excess_to_credit="on"))

    assert told(response) == ["86.10 EUR are recorded. 13.90 EUR became credit of the account."]
    assert CreditGrant.objects.get().amount == Decimal("13.90")


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"amount": "0"}, "amount", "Must be a positive amount in EUR."),
        ({"amount": "1.005"}, "amount", "Has more decimals than EUR."),
        ({"amount": "much"}, "amount", "is no number"),
        ({"received_on": "2999-01-01"}, "received_on", "Lies in the future."),
        ({"received_on": "x"}, "received_on", "No day; write it like 2026-01-31."),
        ({"method": "credit_note"}, "method", "valid choice"),
        ({"reference": "x" * 201}, "reference", "at most 200"),
    ],
)
def test_wrong_payment_names_its_field(
    cashier: Client, invoice: Invoice, fields: dict[str, str], field: str, words: str
) -> None:
    errors = errors_of(cashier.post(url("record_payment", invoice.pk), payment(**fields)))

    assert list(errors) == [field]
    assert words in errors[field][0]
    assert recorded_payments() == []


def test_paid_invoice_takes_no_more(cashier: Client, invoice: Invoice) -> None:
    cashier.post(url("record_payment", invoice.pk), payment())

    errors = errors_of(cashier.post(url("record_payment", invoice.pk), payment(amount="1")))

    assert errors == {"__all__": ["Nothing is owed on INV-000001."]}
    assert recorded_payments() == [("86.10", "SEPA 8812")]


def test_payment_is_taken_back_once(cashier: Client, invoice: Invoice) -> None:
    cashier.post(url("record_payment", invoice.pk), payment())
    address = url("take_back_payment", invoice.pk, Payment.objects.get().pk)

    assert "86.10 EUR are open again." in read(cashier, address)
    unreasoned = errors_of(cashier.post(address, {"received_on": "2026-04-12", "reason": ""}))
    taken = cashier.post(address, {"received_on": "2026-04-12", "reason": "No funds."})
    again = errors_of(cashier.post(address, {"received_on": "2026-04-12", "reason": "No funds."}))

    assert list(unreasoned) == ["reason"]
    assert told(taken) == ["The payment of 86.10 EUR is taken back."]
    assert again == {"__all__": ["This payment was taken back already."]}
    assert recorded_payments() == [("86.10", "SEPA 8812"), ("-86.10", "SEPA 8812")]
    assert cashier.get(url("take_back_payment", invoice.pk, 0)).status_code == 404


def test_taking_a_payment_back_names_the_credit_that_goes_with_it(cashier: Client, invoice: Invoice) -> None:
    cashier.post(url("record_payment", invoice.pk), payment(amount="100", excess_to_credit="on"))

    page = read(cashier, url("take_back_payment", invoice.pk, Payment.objects.get().pk))

    assert (
        "86.10 EUR are open again. 13.90 EUR more were received with it and became credit of the account; "
        "what is left of that is withdrawn, too."
    ) in page


def test_page_says_what_the_bank_statement_does(cashier: Client, invoice: Invoice) -> None:
    cashier.post(url("record_payment", invoice.pk), payment(amount="100", excess_to_credit="on"))

    page = read(cashier, url("change", invoice.pk))

    assert "Bank transfer 2026-04-09 · SEPA 8812 · 100.00 EUR received, 13.90 EUR of it became credit" in page
    assert CreditGrant.objects.get().reason == "Paid beyond INV-000001: SEPA 8812"


def test_payments_need_their_right(clerk: Clerk, cashier: Client, invoice: Invoice) -> None:
    other = clerk("view_invoice", "change_invoice", "issue_invoice", "void_invoice", name="other")
    cashier.post(url("record_payment", invoice.pk), payment(amount="10"))
    taken_back = url("take_back_payment", invoice.pk, Payment.objects.get().pk)

    assert other.post(url("record_payment", invoice.pk), payment(amount="10")).status_code == 403
    assert other.post(taken_back, {"reason": "x", "received_on": "2026-04-12"}).status_code == 403
    assert "Take back" not in read(other, url("change", invoice.pk))
    assert recorded_payments() == [("10.00", "SEPA 8812")]


# -- credit notes ------------------------------------------------------------------------------------------


def test_lines_can_be_credited_up_to_what_is_left(editor: Client, invoice: Invoice) -> None:
    usage = invoice.lines.get(kind="usage")

    response = editor.get(url("begin_credit_note", invoice.pk))
    page = read(editor, url("begin_credit_note", invoice.pk))

    assert "Invoice, tax included 86.10 EUR Left to credit, tax included 86.10 EUR" in page
    assert "Tokens Pro · 2026-03-01 to 2026-03-31 12.35" in page
    assert f'name="amount_{usage.pk}" value="12.35"' in response.content.decode()


def test_credit_note_is_drafted_from_chosen_lines(editor: Client, invoice: Invoice) -> None:
    fee, usage, _next_fee = invoice.lines.order_by("position")

    response = editor.post(
        url("begin_credit_note", invoice.pk),
        {
            f"take_{usage.pk}": "on",
            f"amount_{usage.pk}": "10",
            f"amount_{fee.pk}": "30.00",
            "reason": "Outage.",
        },
    )

    note = Invoice.objects.get(kind="credit_note")
    assert response.url == url("change", note.pk)
    assert told(response) == ["A draft of 11.90 EUR, tax included. Look at it and issue it."]
    line = note.lines.get()
    assert (line.name, line.amount, line.added_by) == (
        "Tokens, 1–31 March 2026",
        Decimal("-10"),
        "eve",
    )
    assert (note.total, note.reason, note.is_draft) == (Decimal("-11.90"), "Outage.", True)


def test_german_clerk_stores_no_german_on_documents(
    cashier: Client, editor: Client, invoice: Invoice
) -> None:
    usage = invoice.lines.get(kind="usage")

    editor.post(
        url("begin_credit_note", invoice.pk),
        {f"take_{usage.pk}": "on", f"amount_{usage.pk}": "10,00", "reason": "Outage."},
        HTTP_ACCEPT_LANGUAGE="de",
    )
    cashier.post(
        url("record_payment", invoice.pk),
        payment(amount="100,00", excess_to_credit="on"),
        HTTP_ACCEPT_LANGUAGE="de",
    )

    line = Invoice.objects.get(kind="credit_note").lines.get()
    assert (line.name, line.reason) == ("Tokens, 1–31 March 2026", "Line 2 of the invoice.")
    assert CreditGrant.objects.get().name == "Paid in advance"


def test_credit_note_never_exceeds_its_invoice(editor: Client, invoice: Invoice) -> None:
    usage = invoice.lines.get(kind="usage")
    address = url("begin_credit_note", invoice.pk)

    errors = errors_of(
        editor.post(address, {f"take_{usage.pk}": "on", f"amount_{usage.pk}": "72.36", "reason": "x"})
    )

    assert errors == {"__all__": ["At most 86.10 EUR, tax included, is left to credit of INV-000001."]}
    assert Invoice.objects.count() == 1


def test_wrong_credit_note_names_what_is_wrong(editor: Client, invoice: Invoice) -> None:
    usage = invoice.lines.get(kind="usage")
    address, take, amount = url("begin_credit_note", invoice.pk), f"take_{usage.pk}", f"amount_{usage.pk}"

    assert errors_of(editor.post(address, {"reason": "x"})) == {"__all__": ["Tick the lines to be credited."]}
    assert errors_of(editor.post(address, {take: "on", "reason": "x"})) == {amount: ["Say how much of it."]}
    assert list(errors_of(editor.post(address, {take: "on", amount: "much", "reason": "x"}))) == [amount]
    assert list(errors_of(editor.post(address, {take: "on", amount: "1", "reason": " "}))) == ["reason"]
    assert errors_of(editor.post(address, {take: "on", amount: "-1", "reason": "x"})) == {
        "__all__": ["Must be positive: what the customer gets back."]
    }
    assert Invoice.objects.count() == 1


def test_credit_notes_need_the_right_to_change_invoices(cashier: Client, invoice: Invoice) -> None:
    assert cashier.post(url("begin_credit_note", invoice.pk), {"reason": "x"}).status_code == 403
    assert Invoice.objects.count() == 1
