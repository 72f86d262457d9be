"""Payments and credit over HTTP."""

import json
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from billing.invoicing.draft_edits import ManualLine, begin_invoice
from billing.invoicing.issuing import issue
from billing.models import BillingAccount, CreditEntry, CreditGrant, Invoice, Payment
from billing.settling.credits import grant_credit
from tests.billing.billed import a_seller
from tests.billing.factories import an_account
from tests.factories import a_project, at
from tests.metering.api.callers import assert_problem, fields_of

from .callers import Caller

pytestmark = pytest.mark.django_db

NOW = at("2026-04-01T00:00:00Z")
HUGE = "9" * 27


@pytest.fixture
def account() -> BillingAccount:
    a_seller()
    return an_account(a_project("acme"))


@pytest.fixture
def call(account: BillingAccount) -> Caller:
    return Caller(account.project)


@pytest.fixture
def invoice(account: BillingAccount) -> Invoice:
    """100.00 EUR, issued on 1 April."""
    draft = begin_invoice(account, lines=[ManualLine("Work", Decimal("100"))], edited_by="ada")
    return issue(draft, now=NOW, issued_by="ada")


def a_payment(**overrides: object) -> dict[str, object]:
    return {"amount": "40.00", "received_on": "2026-04-03", **overrides}


def test_payment_is_recorded_once_by_its_key(call, invoice):
    path = f"/invoices/{invoice.pk}/payments/"
    body = a_payment(method="CARD", reference=" E2E-1 ", key="bank:1")

    first, again = call("POST", path, body), call("POST", path, body)

    assert (first.status_code, again.status_code) == (201, 200)
    payment = Payment.objects.get()
    shown = first.json()
    assert shown == again.json()
    assert shown.pop("recorded_by").startswith("test (mbk_")
    assert shown.pop("recorded_at").endswith("Z")
    assert shown == {
        "id": payment.pk,
        "method": "card",
        "amount": "40.00",
        "received_on": "2026-04-03",
        "reference": "E2E-1",
        "key": "bank:1",
        "credit_note": None,
        "reverses": None,
        "reason": "",
        "to_credit": "0.00",
    }
    assert_problem(call("POST", path, a_payment(amount="41", key="bank:1")), 409, "conflict")
    assert call("GET", f"/invoices/{invoice.pk}/").json()["open_amount"] == "60.00"
    assert Payment.objects.count() == 1


def test_key_of_the_header_counts_too(call, account, invoice):
    client = Caller(account.project)
    headers = {"HTTP_IDEMPOTENCY_KEY": "bank:1"}
    path = f"/api/v1/invoices/{invoice.pk}/payments/"
    sent = '{"amount": "40", "received_on": "2026-04-03"}'

    answers = [
        client._client.generic("POST", path, sent, content_type="application/json", **headers)
        for _ in range(2)
    ]
    other = client._client.generic(
        "POST", path, sent[:-1] + ', "key": "bank:2"}', content_type="application/json", **headers
    )

    assert [answer.status_code for answer in answers] == [201, 200]
    assert fields_of(other) == [("invalid_field", "key")]
    assert Payment.objects.get().key == "bank:1"


def test_more_than_is_open_is_refused_or_becomes_credit(call, account, invoice):
    path = f"/invoices/{invoice.pk}/payments/"

    assert_problem(call("POST", path, a_payment(amount="130")), 409, "too_much")
    assert not Payment.objects.exists()
    paid = call("POST", path, a_payment(amount="130", excess_to_credit=True, key="p"))
    again = call("POST", path, a_payment(amount="130", excess_to_credit=True, key="p"))

    assert (paid.status_code, paid.json()["amount"], paid.json()["to_credit"]) == (201, "100.00", "30.00")
    assert (again.status_code, again.json()["to_credit"]) == (200, "30.00")
    assert call("GET", f"/billing-accounts/{account.pk}/credit/").json()["available"] == "30.00"
    assert call("GET", f"/invoices/{invoice.pk}/").json()["status"] == "paid"
    assert_problem(call("POST", path, a_payment(amount="1")), 409, "conflict")


def test_payment_is_taken_back_once_with_a_reason(call, invoice):
    path = f"/invoices/{invoice.pk}/payments/"
    payment = call("POST", path, a_payment()).json()["id"]
    taken_path = f"{path}{payment}/take-back/"

    assert fields_of(call("POST", taken_path, {})) == [("missing_field", "reason")]
    taken = call("POST", taken_path, {"reason": "Bounced."})

    assert taken.status_code == 201, taken.json()
    assert (taken.json()["amount"], taken.json()["reverses"], taken.json()["reason"]) == (
        "-40.00",
        payment,
        "Bounced.",
    )
    assert call("GET", f"/invoices/{invoice.pk}/").json()["open_amount"] == "100.00"
    assert_problem(call("POST", taken_path, {"reason": "Again."}), 409, "conflict")
    assert Payment.objects.count() == 2


def test_payment_is_found_on_its_own_invoice_alone(call, account, invoice):
    other = begin_invoice(account, lines=[ManualLine("Work", Decimal("5"))], edited_by="ada")
    payment = call("POST", f"/invoices/{invoice.pk}/payments/", a_payment()).json()["id"]

    answer = call("POST", f"/invoices/{other.pk}/payments/{payment}/take-back/", {"reason": "x"})

    assert_problem(answer, 404, "not_found")
    assert_problem(call("POST", f"/invoices/{other.pk}/payments/", a_payment()), 409, "document_is_draft")


@pytest.mark.parametrize(
    ("overrides", "code", "field"),
    [
        ({"amount": None}, "missing_field", "amount"),
        ({"amount": "0"}, "invalid_field", "amount"),
        ({"amount": "-1"}, "invalid_field", "amount"),
        ({"amount": "0.001"}, "invalid_field", "amount"),
        ({"amount": HUGE}, "invalid_field", "amount"),
        ({"amount": [1]}, "invalid_field", "amount"),
        ({"received_on": None}, "missing_field", "received_on"),
        ({"received_on": "3.4.2026"}, "invalid_field", "received_on"),
        ({"received_on": 20260403}, "invalid_field", "received_on"),
        ({"received_on": "2999-01-01"}, "invalid_field", "received_on"),
        ({"method": "credit_note"}, "invalid_field", "method"),
        ({"method": 1}, "invalid_field", "method"),
        ({"reference": "x" * 201}, "invalid_field", "reference"),
        ({"reference": "a\x00b"}, "invalid_field", "reference"),
        ({"key": 1}, "invalid_field", "key"),
        ({"key": "x" * 201}, "invalid_field", "key"),
        ({"excess_to_credit": "yes"}, "invalid_field", "excess_to_credit"),
        ({"paid": True}, "invalid_field", "paid"),
    ],
)
def test_bad_payment_names_its_field(call, invoice, overrides, code, field):
    answer = call("POST", f"/invoices/{invoice.pk}/payments/", a_payment(**overrides))

    assert (answer.status_code, fields_of(answer)) == (422, [(code, field)]), answer.content
    assert not Payment.objects.exists()


def a_grant(**overrides: object) -> dict[str, object]:
    return {"project": "acme", "amount": "50", "kind": "promotional", **overrides}


def test_credit_is_granted_once_by_its_key_and_shown_with_its_entries(call, account):
    body = a_grant(
        name="Welcome", priority=5, expires_at="2999-01-01T00:00:00+01:00", key="w1", reason="Campaign"
    )

    first, again = call("POST", "/credit-grants/", body), call("POST", "/credit-grants/", body)

    assert (first.status_code, again.status_code) == (201, 200), first.content
    grant = CreditGrant.objects.get()
    shown = call("GET", f"/credit-grants/{grant.pk}/").json()
    assert shown == first.json() == again.json()
    assert shown.pop("granted_at").endswith("Z")
    assert shown.pop("granted_by").startswith("test (mbk_")
    [entry] = shown.pop("entries")
    assert (entry["kind"], entry["amount"], entry["invoice"]) == ("granted", "50.00", None)
    assert shown == {
        "id": grant.pk,
        "account": account.pk,
        "project": "acme",
        "kind": "promotional",
        "name": "Welcome",
        "currency": "EUR",
        "amount": "50.00",
        "balance": "50.00",
        "priority": 5,
        "expires_at": "2998-12-31T23:00:00Z",
        "key": "w1",
        "credit_note": None,
        "reason": "Campaign",
    }
    assert_problem(call("POST", "/credit-grants/", {**body, "amount": "51"}), 409, "conflict")
    assert CreditGrant.objects.count() == 1


def test_credit_of_an_account_is_what_can_be_drawn_in_order(call, account):
    grant_credit(
        account, amount=Decimal("10"), kind="promotional", now=NOW, expires_at=at("2026-05-01T00:00:00Z")
    )
    late = grant_credit(account, amount=Decimal("20"), kind="paid", now=NOW).grant
    soon = grant_credit(account, amount=Decimal("5.5"), kind="promotional", priority=1, now=NOW).grant

    shown = call("GET", f"/billing-accounts/{account.pk}/credit/").json()

    grants = shown.pop("grants")
    assert shown == {"account": account.pk, "project": "acme", "currency": "EUR", "available": "25.50"}
    assert [(grant["id"], grant["balance"]) for grant in grants] == [(soon.pk, "5.50"), (late.pk, "20.00")]
    listed = call("GET", "/credit-grants/?project=acme&limit=2").json()["results"]
    assert [grant["id"] for grant in listed] == [soon.pk, late.pk]


def test_what_is_left_of_a_grant_is_withdrawn(call, account):
    grant = call("POST", "/credit-grants/", a_grant()).json()["id"]
    path = f"/credit-grants/{grant}/withdraw/"

    assert fields_of(call("POST", path, {"reason": " "})) == [("missing_field", "reason")]
    withdrawn = call("POST", path, {"reason": "Typing error."})

    assert withdrawn.status_code == 200, withdrawn.json()
    assert withdrawn.json()["balance"] == "0.00"
    assert [(entry["kind"], entry["amount"], entry["reason"]) for entry in withdrawn.json()["entries"]] == [
        ("granted", "50.00", ""),
        ("withdrawn", "-50.00", "Typing error."),
    ]
    assert_problem(call("POST", path, {"reason": "Again."}), 409, "conflict")
    assert CreditEntry.objects.count() == 2


@pytest.mark.parametrize(
    ("overrides", "code", "field"),
    [
        ({"amount": None}, "missing_field", "amount"),
        ({"amount": "0"}, "invalid_field", "amount"),
        ({"amount": "1.001"}, "invalid_field", "amount"),
        ({"amount": HUGE}, "invalid_field", "amount"),
        ({"kind": None}, "missing_field", "kind"),
        ({"kind": "credit_note"}, "invalid_field", "kind"),
        ({"name": "x" * 201}, "invalid_field", "name"),
        ({"name": 1}, "invalid_field", "name"),
        ({"priority": "1"}, "invalid_field", "priority"),
        ({"priority": -1}, "invalid_field", "priority"),
        ({"priority": 10**30}, "invalid_field", "priority"),
        ({"expires_at": "soon"}, "invalid_field", "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "invalid_field", "expires_at"),
        ({"key": "x" * 201}, "invalid_field", "key"),
        ({"key": "payment:1"}, "invalid_field", "key"),  # what is paid beyond an invoice has such keys
        ({"key": "credit-note:1"}, "invalid_field", "key"),
        ({"reason": "a\x00b"}, "invalid_field", "reason"),
        ({"currency": "EUR"}, "invalid_field", "currency"),
    ],
)
def test_bad_grant_names_its_field(call, overrides, code, field):
    answer = call("POST", "/credit-grants/", a_grant(**overrides))

    assert (answer.status_code, fields_of(answer)) == (422, [(code, field)]), answer.content
    assert not CreditGrant.objects.exists()


@pytest.mark.parametrize(
    ("right", "method", "path", "body", "status"),
    [
        ("add_payment", "POST", "/invoices/$invoice/payments/", a_payment(), 201),
        ("add_creditgrant", "POST", "/credit-grants/", a_grant(), 201),
        ("view_creditgrant", "GET", "/credit-grants/", None, 200),
        ("view_creditgrant", "GET", "/billing-accounts/$account/credit/", None, 200),
    ],
)
def test_staff_need_the_right_of_the_admin(account, invoice, right, method, path, body, status):
    user = User.objects.create_user("ada", is_staff=True)
    client = Client()
    client.force_login(user)
    route = "/api/v1" + path.replace("$invoice", str(invoice.pk)).replace("$account", str(account.pk))

    refused = client.generic(method, route, json.dumps(body or {}), content_type="application/json")
    user.user_permissions.set(Permission.objects.filter(codename=right))
    client.force_login(User.objects.get(pk=user.pk))
    allowed = client.generic(method, route, json.dumps(body or {}), content_type="application/json")

    assert_problem(refused, 403, "permission_denied")
    assert allowed.status_code == status, allowed.content
