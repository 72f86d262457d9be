from decimal import Decimal

import pytest

from billing.invoicing.draft_edits import ManualLine, add_line, begin_invoice
from billing.invoicing.issuing import issue
from billing.invoicing.number_series import change_series, ensure_series, next_number
from billing.invoicing.voiding import void
from billing.models import BillingAccount, Invoice, NumberSeries
from metering.errors import Invalid
from tests.billing.billed import a_seller
from tests.billing.factories import an_account
from tests.factories import a_project, at

pytestmark = pytest.mark.django_db

NOW = at("2026-04-01T12:00:00Z")


@pytest.fixture
def account() -> BillingAccount:
    a_seller()
    return an_account(a_project("acme"))


def an_invoice(account: BillingAccount) -> Invoice:
    draft = begin_invoice(account, edited_by="ada")
    add_line(draft, ManualLine("Work", Decimal(100)), added_by="ada")
    return issue(draft, now=NOW, issued_by="ada")


def series_of_invoices() -> NumberSeries:
    ensure_series()
    return NumberSeries.objects.get(kind="invoice")


def test_counting_goes_on_under_another_prefix(account: BillingAccount) -> None:
    an_invoice(account)

    change_series(series_of_invoices(), prefix="2026-", digits=4)

    assert next_number("invoice") == "2026-0002"
    assert an_invoice(account).number == "2026-0002"
    assert Invoice.objects.get(sequence=1).number == "INV-000001"


def test_both_series_are_there_before_a_document_needs_them() -> None:
    assert list(NumberSeries.objects.order_by("prefix").values_list("prefix", "last_number")) == [
        ("CN-", 0),
        ("INV-", 0),
    ]
    assert (next_number("invoice"), next_number("credit_note")) == ("INV-000001", "CN-000001")


def test_fewer_digits_never_cut_a_number(account: BillingAccount) -> None:
    change_series(series_of_invoices(), prefix="R", digits=1)

    assert [an_invoice(account).number for _number in range(10)][-1] == "R10"


@pytest.mark.parametrize(
    ("prefix", "digits", "field"),
    [
        ("INV1", 6, "prefix"),
        ("CN-", 6, "prefix"),
        ("x" * 21, 6, "prefix"),
        ("a\x00", 6, "prefix"),
        ("INV-", 0, "digits"),
        ("INV-", 13, "digits"),
    ],
)
def test_numbers_that_could_be_given_twice_are_refused(prefix: str, digits: int, field: str) -> None:
    series = series_of_invoices()

    with pytest.raises(Invalid) as refusal:
        change_series(series, prefix=prefix, digits=digits)

    assert refusal.value.field == field
    series.refresh_from_db()
    assert (series.prefix, series.digits) == ("INV-", 6)


@pytest.mark.parametrize(
    "prefix",
    ["../../x", "/x-", "..", "a../", '";a=b; x', "=cmd|", "-", "a\r\nb-", "<b>-", "²-", ".a-", "a%b-"],
)
def test_prefix_with_signs_that_mean_something_elsewhere_is_refused(prefix: str) -> None:
    series = series_of_invoices()

    with pytest.raises(Invalid, match="Letters, digits, blanks"):
        change_series(series, prefix=prefix, digits=6)

    series.refresh_from_db()
    assert series.prefix == "INV-"


@pytest.mark.parametrize("prefix", ["RE-", "2026/", "Rechnung Nr. ", "ÄÖ_", "счёт-", "A.B/C-"])
def test_prefix_of_letters_digits_and_what_stands_between_them_is_taken(prefix: str) -> None:
    assert change_series(series_of_invoices(), prefix=prefix, digits=6).prefix == prefix.strip()


def test_number_of_a_prefix_that_none_may_have_now_is_read(account: BillingAccount) -> None:
    series = series_of_invoices()
    NumberSeries.objects.filter(pk=series.pk).update(prefix="=R|")

    assert an_invoice(account).number == "=R|000001"


def test_prefix_that_the_other_series_once_had_is_refused(account: BillingAccount) -> None:
    invoice = an_invoice(account)
    change_series(series_of_invoices(), prefix="RE-", digits=6)
    void(invoice, now=NOW, reason="Twice.", voided_by="ada")

    with pytest.raises(Invalid, match="Numbers of Invoices begin"):
        change_series(NumberSeries.objects.get(kind="credit_note"), prefix="INV-", digits=6)
