"""What verbs object to: in the language of the page to people, in English to programs and to the database."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import trans_real

from billing.errors import ApprovalMissing, GraceNotOver
from billing.invoicing.draft_edits import ManualLine, begin_invoice
from billing.models import CreditGrant
from config.message_catalogues import compiled
from metering.admin.refusals import worded
from metering.announcing.kinds import KINDS
from metering.errors import Conflict, Figure, Invalid, Worded
from tests.billing.documents.documents import a_simple_invoice
from tests.billing.factories import an_account
from tests.factories import a_project, at
from tests.metering.admin.confirming import confirmed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def german() -> Iterator[None]:
    compiled("de")
    trans_real._translations.pop("de", None)
    with translation.override("en"):
        yield


@pytest.fixture
def clerk() -> Client:
    """Her browser asks for German."""
    client = Client(HTTP_ACCEPT_LANGUAGE="de")
    client.force_login(User.objects.create_superuser("ada"))
    return client


def test_refusal_keeps_its_english_text() -> None:
    refusal = Invalid("At most {most} tiers.", most=20, field="tiers")

    with translation.override("de"):
        assert (str(refusal), refusal.field) == ("At most 20 tiers.", "tiers")
        assert worded(refusal) == "Höchstens 20 Staffeln."


def test_braces_in_what_people_sent_are_no_values() -> None:
    refusal = Conflict("There is a project '{key}' already.", key="{most}")

    with translation.override("de"):
        assert str(refusal) == "There is a project '{most}' already."
        assert worded(refusal) == "Es gibt schon ein Projekt „{most}“."
    assert worded(Invalid("Not {this}.")) == "Not {this}."


def test_words_of_others_stay_as_they_are() -> None:
    with translation.override("de"):
        assert worded(ValueError("no digit")) == "no digit"


def test_number_in_a_refusal_is_written_as_the_language_does() -> None:
    refusal = Conflict("At most {amount}.", amount=Figure("1234.50", "EUR"))

    with translation.override("de"):
        assert str(refusal) == "At most 1234.50 EUR."
        assert worded(refusal) == "Höchstens 1.234,50\N{NO-BREAK SPACE}EUR."
    assert worded(refusal) == "At most 1,234.50 EUR."


def test_german_payment_form_says_in_german_how_much_is_open(clerk: Client) -> None:
    invoice = a_simple_invoice()
    payment = {"amount": "20000,00", "received_on": "2026-04-09", "method": "bank_transfer"}

    answer = clerk.post(f"/admin/billing/invoice/{invoice.pk}/pay/", payment)

    assert answer.context["form"].errors == {"amount": ["Höchstens 14.758,80\N{NO-BREAK SPACE}EUR."]}
    assert not invoice.payments.exists()


def test_german_form_reads_a_german_day_and_says_how_one_is_written(clerk: Client) -> None:
    invoice = a_simple_invoice()
    page = f"/admin/billing/invoice/{invoice.pk}/pay/"
    payment = {"amount": "100,00", "method": "bank_transfer"}

    wrong = clerk.post(page, {**payment, "received_on": "9. April"})
    clerk.post(page, {**payment, "received_on": "09.04.2026"})

    said = "Kein Datum; schreiben Sie es wie 31.01.2026."
    assert wrong.context["form"].errors == {"received_on": [said]}
    assert invoice.payments.get().received_on == dt.date(2026, 4, 9)


def test_german_form_reads_german_days_in_texts(clerk: Client) -> None:
    account = an_account(a_project("acme"), timezone="Europe/Berlin")
    form = {"account": account.pk, "kind": "paid", "amount": "250,50", "priority": "10", "reason": "Paid."}

    wrong = clerk.post("/admin/billing/creditgrant/add/", {**form, "expires_at": "Silvester"})
    confirmed(clerk, "/admin/billing/creditgrant/add/", {**form, "expires_at": "31.12.2998"})

    said = "Kein Datum und kein Zeitpunkt; schreiben Sie es wie 31.01.2026 oder 31.01.2026 08:00."
    assert wrong.context["adminform"].form.errors == {"expires_at": [said]}
    assert CreditGrant.objects.get().expires_at == at("2998-12-31T23:00:00Z")


def test_german_page_says_in_german_why_nobody_approves_their_own_work(clerk: Client) -> None:
    account = an_account(a_project("acme"), approval_above=Decimal(1))
    draft = begin_invoice(account, lines=[ManualLine("Work", Decimal(50))], edited_by="ada")

    page = clerk.get(f"/admin/billing/invoice/{draft.pk}/approve/")

    said = "Sie haben diesen Beleg bearbeitet; jemand anderes muss ihn freigeben."
    assert page.context["obstacle"] == said


def test_german_refusal_of_what_needs_approval_names_the_limit() -> None:
    refusal = ApprovalMissing(limit=Decimal(1000), currency="EUR")

    with translation.override("de"):
        assert "1.000,00\N{NO-BREAK SPACE}EUR" in worded(refusal)
        assert "comes to more than 1000.00 EUR;" in str(refusal)


def test_german_form_shows_a_german_refusal_beside_its_field(clerk: Client) -> None:
    account = an_account(a_project("acme"))

    answer = clerk.post(
        "/admin/billing/creditgrant/add/",
        {
            "account": account.pk,
            "kind": "paid",
            "amount": "0",
            "name": "Order 17",
            "priority": "10",
            "reason": "Paid by bank transfer.",
        },
    )

    assert answer.context["adminform"].form.errors == {
        "amount": ["Muss ein positiver Betrag in EUR sein."],
    }
    assert not CreditGrant.objects.filter(amount=Decimal(0)).exists()


def test_api_answers_in_english_whatever_the_browser_asks_for(clerk: Client) -> None:
    a_project("acme")
    twin = {"key": "acme", "kind": "project", "name": "Acme"}

    german, plain = (
        clerk.post("/api/v1/projects/", twin, content_type="application/json", HTTP_ACCEPT_LANGUAGE=language)
        for language in ("de", "en")
    )

    assert german.status_code == 409
    assert german.json()["detail"] == "There is a project 'acme' already."
    assert german.content == plain.content


def test_instants_are_on_the_clocks_of_who_reads() -> None:
    refusal = GraceNotOver(until=at("2026-07-01T22:00:00Z"))

    with translation.override("de"), timezone.override("Europe/Berlin"):
        assert worded(refusal) == (
            "Bis 2026-07-02 00:00:00 CEST kann noch Verbrauch eintreffen; stellen Sie die Rechnung dann, "
            "oder sagen Sie, dass es früh ist."
        )
        assert "until 2026-07-01T22:00:00Z;" in str(refusal)


def test_words_within_a_refusal_are_german() -> None:
    refusal = Conflict("{pk} until {until}.", pk=1, until=Worded("further notice"))

    with translation.override("de"):
        assert (str(refusal), worded(refusal)) == ("1 until further notice.", "1 until auf Weiteres.")


def test_kinds_of_messages_are_told_in_german_to_people_alone(clerk: Client) -> None:
    german = "Der Verbrauch erreichte einen Schwellenwert."

    page = clerk.get(reverse("admin:metering_webhookendpoint_add")).content.decode()

    assert german in page
    assert "Usage reached a threshold." not in page
    with translation.override("de"):
        assert KINDS["threshold.exceeded"].description == "Usage reached a threshold."
