"""Who issues invoices and how they are numbered."""

import pytest
from django.test import Client

from billing.models import NumberSeries, Seller
from tests.billing.admin.conftest import Clerk
from tests.billing.admin.reading import read, told, url

pytestmark = pytest.mark.django_db

FIELDS = {
    "legal_name": "Meterbook AG",
    "address_lines": "1 Main Street\n10115 Berlin",
    "country": "de",
    "tax_id": "DE1",
    "email": "billing@example.com",
    "payment_details": "IBAN",
    "footer": "",
}


def test_seller_is_one_page(staff: Client) -> None:
    address = url("change", 1, model="seller")
    for page in (address, url("changelist", model="seller")):
        assert "a change is seen by those issued from now on" in read(staff, page)

    response = staff.post(address, FIELDS)

    assert told(response) == ["The seller is saved."]
    seller = Seller.objects.get()
    assert (seller.legal_name, seller.country, seller.address_lines) == (
        "Meterbook AG",
        "DE",
        ["1 Main Street", "10115 Berlin"],
    )
    staff.post(address, {**FIELDS, "legal_name": "Meterbook SE"})
    assert Seller.objects.get().legal_name == "Meterbook SE"


def test_seller_has_a_name(staff: Client) -> None:
    response = staff.post(url("change", 1, model="seller"), {**FIELDS, "legal_name": " "})

    assert list(response.context["adminform"].form.errors) == ["legal_name"]
    assert not Seller.objects.exists()


def test_seller_and_numbers_need_their_rights(clerk: Clerk, staff: Client) -> None:
    staff.get(url("changelist", model="numberseries"))
    series = NumberSeries.objects.get(kind="invoice")
    onlooker = clerk("view_seller", "view_numberseries")

    assert onlooker.get(url("change", 1, model="seller")).status_code == 200
    assert onlooker.post(url("change", 1, model="seller"), FIELDS).status_code == 403
    address = url("change", series.pk, model="numberseries")
    assert onlooker.post(address, {"prefix": "R-", "digits": "4"}).status_code == 403
    assert clerk(name="nobody").get(url("change", 1, model="seller")).status_code == 403
    assert clerk(name="none").get(url("changelist", model="numberseries")).status_code == 403
    assert not Seller.objects.exists()


def test_numbers_are_shown_before_the_first_document(staff: Client) -> None:
    page = read(staff, url("changelist", model="numberseries"))

    assert "Credit notes CN-000001 –" in page
    assert "Invoices INV-000001 –" in page


def test_prefix_and_digits_are_changed(staff: Client) -> None:
    staff.get(url("changelist", model="numberseries"))
    series = NumberSeries.objects.get(kind="invoice")
    address = url("change", series.pk, model="numberseries")

    staff.post(address, {"prefix": "2026-", "digits": "4"})
    refused = staff.post(address, {"prefix": "CN-", "digits": "4"})

    series.refresh_from_db()
    assert (series.prefix, series.digits, series.last_number) == ("2026-", 4, 0)
    assert refused.context["adminform"].form.errors == {"prefix": ["Numbers of Credit notes begin with it."]}
    assert staff.get(url("add", model="numberseries")).status_code == 403
    assert staff.post(url("delete", series.pk, model="numberseries"), {"post": "yes"}).status_code == 403
