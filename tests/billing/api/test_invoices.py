"""Invoices over HTTP: what is answered, what is refused and by which code, and who may."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.invoicing.draft_edits import ManualLine, begin_invoice
from billing.invoicing.issuing import issue
from billing.models import BillingAccount, Invoice
from billing.settling.credits import grant_credit
from billing.settling.payments import record_payment
from metering.clock import ledger_end
from tests.billing.billed import a_day, a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at
from tests.metering.api.callers import assert_problem, fields_of

from .callers import Caller

pytestmark = pytest.mark.django_db

APRIL = "2026-04-01T00:00:00Z"


@pytest.fixture(autouse=True)
def position_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fence would wait for the test's own recorder."""
    monkeypatch.setattr("billing.api.positions.final_position", ledger_end)


@pytest.fixture
def account() -> BillingAccount:
    a_seller()
    tax = [{"name": "VAT", "percent": "19"}]
    return an_account(a_project("acme"), legal_name="Acme Ltd", tax_rates=tax)


@pytest.fixture
def call(account: BillingAccount) -> Caller:
    return Caller(account.project)


def a_manual_one(account: BillingAccount, amount: str = "100", on: str = APRIL) -> Invoice:
    """Issued, with one line."""
    draft = begin_invoice(account, lines=[ManualLine("Work", Decimal(amount))], edited_by="ada")
    return issue(draft, now=at(on), issued_by="ada")


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def test_invoice_of_a_run_says_all_that_is_on_it(account, call):
    tokens = a_metric("tokens", display_name="Tokens", unit="token")
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens), name="Pro"))
    used(account.project, "100", "23.5")
    grant_credit(account, amount=Decimal("6.10"), kind="promotional", now=at(APRIL), name="Welcome")
    billed(APRIL)
    invoice = issued(account, "2026-04-01T01:00:00Z")
    record_payment(
        invoice,
        amount=Decimal("50"),
        received_on=a_day("2026-04-03"),
        reference="E2E-1",
        key="p1",
        now=at("2026-04-03T00:00:00Z"),
        recorded_by="ada",
    )

    answer = call("GET", f"/invoices/{invoice.pk}/")

    assert answer.status_code == 200
    shown = answer.json()
    lines, payments = shown.pop("lines"), shown.pop("payments")
    draws = shown.pop("credit_draws")
    [usage_line] = [line for line in lines if line["kind"] == "usage"]
    position = ledger_end()
    stored = invoice.lines.get(kind="usage")
    for name in ("computed_at", "created_at"):
        assert dt.datetime.fromisoformat(shown.pop(name)).tzinfo is not None
    assert shown == {
        "id": invoice.pk,
        "kind": "invoice",
        "number": "INV-000001",
        "status": "overdue",
        "account": account.pk,
        "project": "acme",
        "customer": "Acme Ltd",
        "currency": "EUR",
        "origin": "run",
        "credits": None,
        "period_start": "2026-03-01T00:00:00Z",
        "period_end": "2026-05-01T00:00:00Z",
        "issued_on": "2026-04-01",
        "due_on": invoice.due_on.isoformat(),
        "subtotal": "72.35",
        "discount_total": "0.00",
        "tax_total": "13.75",
        "total": "86.10",
        "credit_drawn": "6.10",
        "amount_due": "80.00",
        "paid_amount": "50.00",
        "open_amount": "30.00",
        "issued_at": "2026-04-01T01:00:00Z",
        "as_of": "2026-04-01T00:00:00Z",
        "position": position,
        "edited_by": "",
        "issued_by": "ada",
        "reason": "",
        "notes": "",
        "discounts": [],
        "taxes": [{"name": "VAT", "percent": "19", "amount": "13.75", "base": "72.35"}],
        "digest": None,
        "approvals": [],
        "credit_notes": [],
    }
    assert usage_line == {
        "id": stored.pk,
        "kind": "usage",
        "is_correction": False,
        "reverses": None,
        "name": "Tokens",
        "plan": "Pro",
        "metric": "tokens",
        "unit": "token",
        "project": None,
        "labels": {},
        "period_start": "2026-03-01T00:00:00Z",
        "period_end": "2026-04-01T00:00:00Z",
        "first_day": "2026-03-01",
        "end_day": "2026-04-01",
        "days": None,
        "of_days": 31,
        "quantity": "123.5",
        "amount": "12.35",
        "discount_amount": "0.00",
        "taxes": [{"name": "VAT", "percent": "19", "amount": "2.35"}],
        "tax_amount": "2.35",
        "rated_quantity": "123.5",
        "rated_amount": "12.35",
        "price": {"model": "per_unit", "unit_amount": "0.1"},
        "share": None,
        "detail": [
            {
                "kind": "usage",
                "tier": None,
                "quantity": "123.5",
                "unit_amount": "0.1",
                "flat_amount": None,
                "amount": "12.35",
            }
        ],
        "evidence": {
            "event_count": 2,
            "digest": bytes(stored.event_digest).hex(),
            "position": position,
            "match": {},
        },
        "reason": "",
        "added_by": "",
    }
    assert [(line["kind"], line["days"], line["of_days"], line["amount"]) for line in lines] == [
        ("fee", 31, 31, "30.00"),
        ("usage", None, 31, "12.35"),
        ("fee", 30, 30, "30.00"),
    ]
    assert [
        (row["method"], row["amount"], row["received_on"], row["reference"], row["key"]) for row in payments
    ] == [("bank_transfer", "50.00", "2026-04-03", "E2E-1", "p1")]
    assert [(row["name"], row["kind"], row["amount"]) for row in draws] == [("Welcome", "drawn", "6.10")]


def test_draft_is_begun_edited_and_issued(account, call):
    begun = call(
        "POST",
        "/invoices/",
        {
            "project": "acme",
            "notes": "Thank you.",
            "lines": [
                {"name": "Workshop", "quantity": "1.5", "unitAmount": "200"},
                {"name": "Travel", "amount": "50.00", "reason": "As agreed"},
            ],
        },
    )
    assert begun.status_code == 201, begun.json()
    draft = begun.json()
    path = f"/invoices/{draft['id']}/"
    assert (draft["status"], draft["number"], draft["origin"], draft["notes"]) == (
        "draft",
        None,
        "manual",
        "Thank you.",
    )
    assert [(line["name"], line["quantity"], line["amount"]) for line in draft["lines"]] == [
        ("Workshop", "1.5", "300.00"),
        ("Travel", None, "50.00"),
    ]
    assert (draft["subtotal"], draft["tax_total"], draft["total"]) == ("350.00", "66.50", "416.50")

    added = call("POST", f"{path}lines/", {"name": "Refund of a lunch", "amount": "-10"})
    assert (added.status_code, added.json()["total"]) == (201, "404.60")
    discounted = call("POST", f"{path}discounts/", {"name": "Partner", "reason": "Contract", "percent": "10"})
    assert (discounted.status_code, discounted.json()["discount_total"]) == (201, "-34.00")
    [discount] = discounted.json()["discounts"]
    assert (discount["percent"], discount["amount"], discount["name"]) == ("10", "-34.00", "Partner")

    line = added.json()["lines"][2]["id"]
    assert call("DELETE", f"{path}lines/{line}/").status_code == 204
    assert call("DELETE", f"{path}discounts/{discount['id']}/").status_code == 204
    noted = call("PATCH", path, {"notes": ""})
    assert (noted.status_code, noted.json()["notes"], noted.json()["total"]) == (200, "", "416.50")

    done = call("POST", f"{path}issue/", {})
    assert done.status_code == 200, done.json()
    assert (done.json()["number"], done.json()["status"], done.json()["open_amount"]) == (
        "INV-000001",
        "issued",
        "416.50",
    )
    assert done.json()["issued_by"].startswith("test (mbk_")
    for method, route, body in (
        ("PATCH", "", {"notes": "x"}),
        ("DELETE", "", None),
        ("POST", "lines/", {"name": "x", "amount": "1"}),
        ("DELETE", f"lines/{draft['lines'][0]['id']}/", None),
        ("POST", "discounts/", {"name": "x", "reason": "y", "percent": "1"}),
        ("DELETE", "discounts/1/", None),
        ("POST", "recompute/", {}),
        ("POST", "issue/", {}),
        ("POST", "approve/", {}),
    ):
        assert_problem(call(method, f"{path}{route}", body), 409, "document_is_issued")
    assert Invoice.objects.get().lines.count() == 2


@pytest.mark.parametrize(
    ("method", "route", "body", "status"),
    [
        ("POST", "lines/", {"name": "Setup", "amount": "5"}, 201),
        ("POST", "discounts/", {"name": "Partner", "reason": "Contract", "percent": "10"}, 201),
        ("PATCH", "", {"notes": "Thank you."}, 200),
    ],
)
def test_what_names_the_draft_as_it_was_seen_is_done_once(
    account, call, method: str, route: str, body: dict[str, str], status: int
) -> None:
    draft = begin_invoice(account, lines=[ManualLine("Workshop", Decimal(100))], edited_by="ada")
    path = f"/invoices/{draft.pk}/"
    seen = call("GET", path).json()["digest"]

    first = call(method, path + route, {**body, "digest": seen})
    again = call(method, path + route, {**body, "digest": seen})
    nonsense = call(method, path + route, {**body, "digest": "none"})

    assert first.status_code == status
    assert_problem(again, 409, "draft_changed_since")
    assert_problem(nonsense, 409, "draft_changed_since")
    assert call("GET", path).json() == first.json()


def test_draft_is_discarded_as_it_was_seen(account, call) -> None:
    draft = begin_invoice(account, lines=[ManualLine("Workshop", Decimal(100))], edited_by="ada")
    path = f"/invoices/{draft.pk}/"
    seen = call("GET", path).json()["digest"]
    call("POST", f"{path}lines/", {"name": "Travel", "amount": "5"})

    overtaken = call("DELETE", f"{path}?digest={seen}")
    misspelt = call("DELETE", f"{path}?digets={seen}")
    now_seen = call("GET", path).json()["digest"]

    assert_problem(overtaken, 409, "draft_changed_since")
    assert misspelt.status_code == 422
    assert call("DELETE", f"{path}?digest={now_seen}").status_code == 204
    assert not Invoice.objects.exists()


def test_draft_of_a_run_is_computed_anew_and_discarded(account, call):
    tokens = a_metric("tokens")
    a_subscription(account, a_plan(a_usage_price(tokens)), effective_until=at(APRIL))
    used(account.project, "100")
    billed(APRIL)
    path = f"/invoices/{draft_of(account).pk}/"
    call("POST", f"{path}lines/", {"name": "Setup", "amount": "5"})
    used(account.project, "10")

    computed = call("POST", f"{path}recompute/")

    assert computed.status_code == 200, computed.json()
    assert [(line["kind"], line["amount"]) for line in computed.json()["lines"]] == [
        ("usage", "11.00"),
        ("manual", "5.00"),
    ]
    assert call("DELETE", path).status_code == 204
    assert_problem(call("GET", path), 404, "not_found")


def test_recomputing_what_comes_to_nothing_leaves_no_draft(account, call):
    tokens = a_metric("tokens")
    subscription = a_subscription(account, a_plan(a_usage_price(tokens)))
    used(account.project, "100")
    billed(APRIL)
    path = f"/invoices/{draft_of(account).pk}/"
    subscription.items.all().delete()
    type(subscription).objects.filter(pk=subscription.pk).update(effective_until=subscription.effective_from)

    assert call("POST", f"{path}recompute/").status_code == 204

    assert not Invoice.objects.exists()


def test_what_was_begun_by_hand_is_not_computed(account, call):
    draft = begin_invoice(account, lines=[ManualLine("Work", Decimal("1"))], edited_by="ada")

    assert_problem(call("POST", f"/invoices/{draft.pk}/recompute/", {}), 409, "conflict")


def test_issuing_says_what_stands_against_it(account, call):
    tokens = a_metric("tokens")
    a_subscription(account, a_plan(a_usage_price(tokens)), effective_from=at("2026-10-31T00:00:00Z"))
    used(account.project, "100", on="2026-10-31T12:00:00Z")
    billed("2026-11-01T00:00:00Z")
    path = f"/invoices/{draft_of(account).pk}/"
    BillingAccount.objects.update(issue_grace_days=31, approval_above=Decimal("10"))
    draft_of(account).lines.update(period_end=at("2999-01-01T00:00:00Z"))
    empty = begin_invoice(account, edited_by="ada")

    assert_problem(call("POST", f"/invoices/{empty.pk}/issue/", {}), 409, "nothing_to_issue")
    assert_problem(call("POST", f"{path}issue/", {}), 409, "grace_not_over")
    call("POST", f"{path}lines/", {"name": "Much", "amount": "11"})
    assert_problem(call("POST", f"{path}issue/", {"early": True}), 409, "approval_missing")
    assert_problem(call("POST", f"{path}approve/", {}), 409, "own_work_not_approved")

    approved = Caller(account.project)("POST", f"{path}approve/", {"note": "Looks right."})

    assert approved.status_code == 201, approved.json()
    assert approved.json()["approved_by"].startswith("test (mbk_")
    assert approved.json()["note"] == "Looks right."
    BillingAccount.objects.update(revision=99)
    assert_problem(call("POST", f"{path}issue/", {"early": True}), 409, "draft_outdated")
    assert call("POST", f"{path}recompute/", {}).status_code == 200
    assert not Invoice.objects.issued().exists()


def test_nobody_issues_without_a_seller():
    account = an_account(a_project("acme"))
    draft = begin_invoice(account, lines=[ManualLine("Work", Decimal("1"))], edited_by="ada")

    answer = Caller(account.project)("POST", f"/invoices/{draft.pk}/issue/")

    assert_problem(answer, 409, "seller_unknown")


def test_invoice_is_voided_by_a_credit_note_once(account, call):
    invoice = a_manual_one(account)
    path = f"/invoices/{invoice.pk}/"

    voided = call("POST", f"{path}void/", {"reason": "Wrong customer."})

    assert voided.status_code == 201, voided.json()
    note = voided.json()
    assert (note["kind"], note["number"], note["status"], note["total"], note["open_amount"]) == (
        "credit_note",
        "CN-000001",
        "issued",
        "-119.00",
        "0.00",
    )
    assert (note["credits"], note["reason"], note["lines"][0]["amount"]) == (
        invoice.pk,
        "Wrong customer.",
        "-100.00",
    )
    after = call("GET", path).json()
    assert (after["status"], after["open_amount"], after["credit_notes"]) == ("void", "0.00", [note["id"]])
    assert_problem(call("POST", f"{path}void/", {"reason": "Again."}), 409, "invoice_corrected_since")
    assert fields_of(call("POST", f"/invoices/{note['id']}/void/", {"reason": "x"})) == [
        ("invalid_field", "invoice")
    ]


def test_void_is_refused_without_a_reason_for_drafts_and_while_paid(account, call):
    draft = begin_invoice(account, lines=[ManualLine("Work", Decimal("1"))], edited_by="ada")
    invoice = a_manual_one(account)
    call("POST", f"/invoices/{invoice.pk}/payments/", {"amount": "1", "received_on": "2026-04-02"})

    assert fields_of(call("POST", f"/invoices/{invoice.pk}/void/", {})) == [("missing_field", "reason")]
    assert_problem(call("POST", f"/invoices/{draft.pk}/void/", {"reason": "x"}), 409, "document_is_draft")
    assert_problem(call("POST", f"/invoices/{invoice.pk}/void/", {"reason": "x"}), 409, "invoice_is_paid")
    assert Invoice.objects.credit_notes().count() == 0


def test_part_of_an_invoice_is_credited(account, call):
    invoice = a_manual_one(account)
    line = invoice.lines.get()
    body = {"reason": "Outage.", "lines": [{"name": "Two days", "amount": "20", "line": line.pk}]}

    drafted = call("POST", f"/invoices/{invoice.pk}/credit/", body)

    assert drafted.status_code == 201, drafted.json()
    note = drafted.json()
    assert (note["kind"], note["status"], note["total"], note["credits"]) == (
        "credit_note",
        "draft",
        "-23.80",
        invoice.pk,
    )
    assert ids(call("GET", "/credit-notes/")) == [note["id"]]
    assert call("GET", f"/credit-notes/{note['id']}/").json()["reason"] == "Outage."
    assert_problem(call("GET", f"/credit-notes/{invoice.pk}/"), 404, "not_found")
    assert call("POST", f"/invoices/{note['id']}/issue/").json()["number"] == "CN-000001"
    after = call("GET", f"/invoices/{invoice.pk}/").json()
    assert (after["open_amount"], after["status"] == "overdue") == ("95.20", True)
    [settled] = after["payments"]
    assert (settled["method"], settled["amount"], settled["credit_note"]) == (
        "credit_note",
        "23.80",
        "CN-000001",
    )
    too_much = {"reason": "More.", "lines": [{"name": "All", "amount": "90"}]}
    assert_problem(call("POST", f"/invoices/{invoice.pk}/credit/", too_much), 409, "too_much")
    assert fields_of(call("POST", f"/invoices/{invoice.pk}/credit/", {"reason": "x"})) == [
        ("missing_field", "lines")
    ]
    assert Invoice.objects.credit_notes().count() == 1


def test_lists_are_filtered_newest_first(account, call):
    first = a_manual_one(account, "100", "2026-04-01T00:00:00Z")
    second = a_manual_one(account, "200", "2026-04-15T00:00:00Z")
    draft = begin_invoice(account, edited_by="ada")
    call("POST", f"/invoices/{first.pk}/payments/", {"amount": "119", "received_on": "2026-04-02"})
    note = call("POST", f"/invoices/{second.pk}/void/", {"reason": "Wrong."}).json()["id"]
    shop = a_project("shop", parent=account.project)
    theirs = begin_invoice(an_account(shop, currency="USD"), edited_by="ada")

    for query, found in (
        ("", [theirs.pk, draft.pk, second.pk, first.pk]),
        ("?kind=any&project=acme", [note, draft.pk, second.pk, first.pk]),
        ("?kind=credit_note", [note]),
        ("?status=draft", [theirs.pk, draft.pk]),
        ("?status=paid", [first.pk]),
        ("?status=void", [second.pk]),
        ("?status=overdue", []),
        ("?number=INV-000002", [second.pk]),
        ("?issued_from=2026-04-15", [second.pk]),
        ("?issued_from=2026-04-01&issued_until=2026-04-15", [first.pk]),
        ("?currency=usd", [theirs.pk]),
        (f"?account={account.pk}&limit=1", [draft.pk]),
    ):
        assert ids(call("GET", f"/invoices/{query}")) == found, query
    assert ids(call("GET", "/credit-notes/?status=issued")) == [note]
    page = call("GET", "/invoices/?limit=3").json()
    assert ids(call("GET", page["next"].partition("/api/v1")[2])) == [first.pk]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=late", "status"),
        ("kind=receipt", "kind"),
        ("issued_from=yesterday", "issued_from"),
        ("issued_until=2026-02-30", "issued_until"),
        ("account=acme", "account"),
        ("number=%00", "number"),
        ("colour=red", "colour"),
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
    ],
)
def test_bad_filter_is_named(call, query, field):
    answer = call("GET", f"/invoices/?{query}")

    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_field", field)])


HUGE = "9" * 27
A_LINE = {"name": "Work", "amount": "1"}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ([], "invalid_field", None),
        ({"account": "1"}, "invalid_field", "account"),
        ({"account": True}, "invalid_field", "account"),
        ({"project": 7}, "invalid_field", "project"),
        ({"colour": 1}, "invalid_field", "colour"),
        ({"notes": 1}, "invalid_field", "notes"),
        ({"notes": "x" * 2001}, "invalid_field", "notes"),
        ({"notes": "a\x00b"}, "invalid_field", "notes"),
        ({"lines": "none"}, "invalid_field", "lines"),
        ({"lines": {"name": "x"}}, "invalid_field", "lines"),
        ({"lines": [A_LINE] * 201}, "invalid_field", "lines"),
        ({"lines": [A_LINE, 1]}, "invalid_field", "lines[1]"),
        ({"lines": [A_LINE, {"amount": "1"}]}, "missing_field", "lines[1].name"),
        ({"lines": [{"name": 1, "amount": "1"}]}, "invalid_field", "lines[0].name"),
        ({"lines": [{"name": "x" * 201, "amount": "1"}]}, "invalid_field", "lines[0].name"),
        ({"lines": [{"name": "x"}]}, "missing_field", "lines[0].amount"),
        ({"lines": [{"name": "x", "amount": None}]}, "missing_field", "lines[0].amount"),
        ({"lines": [{"name": "x", "amount": "0"}]}, "invalid_field", "lines[0].amount"),
        ({"lines": [{"name": "x", "amount": "NaN"}]}, "invalid_field", "lines[0].amount"),
        ({"lines": [{"name": "x", "amount": "1.005"}]}, "invalid_field", "lines[0].amount"),
        ({"lines": [{"name": "x", "amount": HUGE}]}, "invalid_field", "lines[0].amount"),
        ({"lines": [{"name": "x", "amount": "1e24"}]}, "invalid_field", "lines[0].amount"),
        ({"lines": [{"name": "x", "amount": True}]}, "invalid_field", "lines[0].amount"),
        ({"lines": [{"name": "x", "amount": {}}]}, "invalid_field", "lines[0].amount"),
        (
            {"lines": [{"name": "x", "amount": "1", "unit_amount": "1"}]},
            "invalid_field",
            "lines[0].unit_amount",
        ),
        (
            {"lines": [{"name": "x", "quantity": "1e20", "unit_amount": "1e20"}]},
            "invalid_field",
            "lines[0].quantity",
        ),
        ({"lines": [{**A_LINE, "reason": 1}]}, "invalid_field", "lines[0].reason"),
        ({"lines": [{**A_LINE, "line": 1}]}, "invalid_field", "lines[0].line"),
    ],
)
def test_bad_draft_is_refused_by_path_and_nothing_is_begun(call, body, code, field):
    answer = call("POST", "/invoices/", body)

    assert (answer.status_code, fields_of(answer)) == (422, [(code, field)]), answer.content
    assert not Invoice.objects.exists()


@pytest.mark.parametrize(
    ("route", "body", "code", "field"),
    [
        ("discounts/", {"reason": "x", "percent": "1"}, "missing_field", "name"),
        ("discounts/", {"name": "x", "percent": "1"}, "missing_field", "reason"),
        ("discounts/", {"name": "x", "reason": "y"}, "invalid_field", "percent"),
        ("discounts/", {"name": "x", "reason": "y", "percent": "101"}, "invalid_field", "percent"),
        ("discounts/", {"name": "x", "reason": "y", "percent": [1]}, "invalid_field", "percent"),
        ("discounts/", {"name": "x", "reason": "y", "fixed_amount": "-1"}, "invalid_field", "fixed_amount"),
        (
            "discounts/",
            {"name": "x", "reason": "y", "fixed_amount": "0.001"},
            "invalid_field",
            "fixed_amount",
        ),
        ("discounts/", {"name": "x", "reason": "y", "fixed_amount": HUGE}, "invalid_field", "fixed_amount"),
        ("lines/", [], "invalid_field", None),
        ("lines/", {"name": "x", "amount": HUGE}, "invalid_field", "amount"),
        ("issue/", {"early": "yes"}, "invalid_field", "early"),
        ("issue/", {"now": True}, "invalid_field", "now"),
        ("approve/", {"note": 1}, "invalid_field", "note"),
        ("approve/", {"note": "x" * 2001}, "invalid_field", "note"),
        ("recompute/", {"as_of": "now"}, "invalid_field", "as_of"),
        ("void/", {"reason": 1}, "invalid_field", "reason"),
        (
            "credit/",
            {"reason": "x", "lines": [{"name": "x", "amount": "-1"}]},
            "invalid_field",
            "lines[0].amount",
        ),
        ("credit/", {"reason": "x", "lines": [{"name": "x"}]}, "missing_field", "lines[0].amount"),
        (
            "credit/",
            {"reason": "x", "lines": [{"name": "x", "amount": "1", "line": "7"}]},
            "invalid_field",
            "lines[0].line",
        ),
        ("", {"notes": None}, "missing_field", "notes"),
        ("", {"notes": ["x"]}, "invalid_field", "notes"),
    ],
)
def test_bad_change_names_its_field_and_changes_nothing(account, call, route, body, code, field):
    if route == "credit/":
        document = a_manual_one(account)
    else:
        document = begin_invoice(account, lines=[ManualLine("Work", Decimal("1"))], edited_by="ada")
    before = list(Invoice.objects.values()), document.lines.count(), document.discounts.count()

    answer = call("PATCH" if not route else "POST", f"/invoices/{document.pk}/{route}", body)

    assert (answer.status_code, fields_of(answer)) == (422, [(code, field)]), answer.content
    assert (list(Invoice.objects.values()), document.lines.count(), document.discounts.count()) == before


def test_lines_and_documents_that_are_not_there_are_not_found(account, call):
    draft = begin_invoice(account, lines=[ManualLine("Work", Decimal("1"))], edited_by="ada")
    invoice = a_manual_one(account)
    a_line_of_another = {"name": "x", "amount": "1", "line": draft.lines.get().pk}

    for method, path, body in (
        ("GET", f"/invoices/{2**70}/", None),
        ("DELETE", f"/invoices/{draft.pk}/lines/{invoice.lines.get().pk}/", None),
        ("DELETE", f"/invoices/{draft.pk}/lines/{2**70}/", None),
        ("DELETE", f"/invoices/{draft.pk}/discounts/{2**70}/", None),
        ("POST", f"/invoices/{invoice.pk}/payments/{2**70}/take-back/", {"reason": "x"}),
        ("POST", f"/invoices/{invoice.pk}/credit/", {"reason": "x", "lines": [a_line_of_another]}),
        ("POST", "/invoices/", {"account": 2**70}),
    ):
        assert_problem(call(method, path, body), 404, "not_found")


def test_key_sees_documents_of_its_project_and_below_alone(account):
    shop = an_account(a_project("shop", parent=account.project))
    globex = an_account(a_project("globex"))
    own, below, theirs = (begin_invoice(each, edited_by="ada") for each in (account, shop, globex))

    assert ids(Caller(account.project)("GET", "/invoices/")) == [below.pk, own.pk]
    assert ids(Caller(shop.project)("GET", "/invoices/")) == [below.pk]
    for call, invoice in ((Caller(account.project), theirs), (Caller(shop.project), own)):
        for method, route, body in (
            ("GET", "", None),
            ("PATCH", "", {"notes": "x"}),
            ("DELETE", "", None),
            ("POST", "lines/", A_LINE),
            ("POST", "issue/", {}),
        ):
            assert_problem(call(method, f"/invoices/{invoice.pk}/{route}", body), 404, "not_found")
    assert Invoice.objects.count() == 3


@pytest.mark.parametrize(
    ("right", "method", "route", "body", "status"),
    [
        ("view_invoice", "GET", "", None, 200),
        ("change_invoice", "PATCH", "", {"notes": "x"}, 200),
        ("change_invoice", "POST", "lines/", A_LINE, 201),
        ("issue_invoice", "POST", "issue/", {}, 200),
        ("approve_invoice", "POST", "approve/", {}, 201),
        ("delete_invoice", "DELETE", "", None, 204),
    ],
)
def test_staff_need_the_right_of_the_admin(account, right, method, route, body, status):
    draft = begin_invoice(account, lines=[ManualLine("Work", Decimal("1"))], edited_by="ada")
    others = Permission.objects.exclude(content_type__app_label="billing", codename=right)

    answers = []
    for permissions in (others, Permission.objects.filter(codename=right)):
        user = User.objects.create_user(f"staff-{len(answers)}", is_staff=True)
        user.user_permissions.set(permissions)
        client = Client()
        client.force_login(user)
        path = f"/api/v1/invoices/{draft.pk}/{route}"
        answers.append(client.generic(method, path, json.dumps(body or {}), "application/json"))

    assert_problem(answers[0], 403, "permission_denied")
    assert answers[1].status_code == status, answers[1].content


def test_list_asks_the_database_as_often_for_many_as_for_one(account, call, django_assert_num_queries):
    a_manual_one(account)
    call("GET", "/invoices/")
    with CaptureQueriesContext(connection) as for_one:
        assert len(ids(call("GET", "/invoices/"))) == 1
    for _ in range(3):
        a_manual_one(account)

    with django_assert_num_queries(len(for_one)):
        assert len(ids(call("GET", "/invoices/"))) == 4
