"""Plans, accounts and subscriptions over HTTP: shapes, refusals by path, and who sees what."""

import pytest
from django.utils import timezone

from billing.models import BillingAccount, Plan, Subscription
from metering.models import Project
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

from .callers import Caller

pytestmark = pytest.mark.django_db

TOKENS = {"metric": "tokens", "price": {"model": "per_unit", "unit_amount": "1"}}


@pytest.fixture
def tree() -> dict[str, Project]:
    tenant = a_project("tenant", kind="tenant")
    acme = a_project("acme", parent=tenant)
    return {
        "tenant": tenant,
        "acme": acme,
        "shop": a_project("shop", parent=acme),
        "globex": a_project("globex", parent=tenant),
    }


def a_body(**overrides: object) -> dict[str, object]:
    return {
        "key": "pro",
        "name": "Pro",
        "currency": "eur",
        "interval": "MONTHLY",
        "prices": [
            {"name": "Base", "price": {"model": "flat", "amount": "49.00"}, "charged": "advance"},
            {
                "metricKey": "tokens",
                "labelMatch": {"regionCode": "eu"},
                "price": {
                    "model": "graduated",
                    "tiers": [{"upTo": "5", "unitAmount": "2"}, {"upTo": None, "unitAmount": "1"}],
                },
                "includedQuantity": "10",
                "splitBy": ["project", "labels.regionCode"],
            },
            {"metric": "tokens", "price": {"model": "per_unit", "unit_amount": "0.10"}},
        ],
        **overrides,
    }


def problem(answer) -> tuple[int, str | None]:
    return answer.status_code, answer.json()["errors"][0]["field"]


def test_plan_is_defined_published_cloned_and_archived(tree):
    a_metric("tokens")
    call = Caller(tree["acme"])

    made = call("POST", "/plans/", a_body())
    assert made.status_code == 201, made.json()
    plan = Plan.objects.get()
    shown = made.json()
    assert (shown["id"], shown["key"], shown["version"], shown["state"]) == (plan.pk, "pro", 1, "draft")
    assert (shown["project"], shown["currency"], shown["interval"]) == ("acme", "EUR", "month")
    assert shown["prices"][1] == {
        "name": "tokens",
        "kind": "usage",
        "metric": "tokens",
        "price": {
            "model": "graduated",
            "tiers": [
                {"up_to": "5", "unit_amount": "2", "flat_amount": "0"},
                {"up_to": None, "unit_amount": "1", "flat_amount": "0"},
            ],
            "usage_discount": "10",
        },
        "included_quantity": "10",
        "label_match": {"regionCode": "eu"},
        "per_project": False,
        "split_by": ["project", "labels.regionCode"],
        "charged": "arrears",
    }

    # What was shown can be sent back as it is.
    again = call("PATCH", "/plans/pro/", {"prices": shown["prices"], "description": "For teams"})
    assert again.status_code == 200, again.json()
    assert again.json()["prices"] == shown["prices"]

    assert call("POST", "/plans/pro/publish/").json()["state"] == "published"
    assert call("PATCH", "/plans/pro/", {"name": "Other"}).status_code == 409
    assert call("DELETE", "/plans/pro/").status_code == 409
    assert call("POST", "/plans/pro/clone/", {}).json()["version"] == 2
    assert call("GET", "/plans/pro/").json()["version"] == 1
    assert call("GET", "/plans/pro/?version=2").json()["state"] == "draft"
    assert call("DELETE", "/plans/pro/").status_code == 204  # the draft
    assert call("POST", "/plans/pro/archive/").json()["state"] == "archived"
    assert call("GET", "/plans/?state=archived&key=pro&currency=eur").json()["results"][0]["id"] == plan.pk


@pytest.mark.parametrize(
    ("overrides", "path"),
    [
        ({"currency": None}, "currency"),
        ({"currency": "XXX"}, "currency"),
        ({"prices": "none"}, "prices"),
        ({"prices": [{}]}, "prices[0].price"),
        ({"prices": [{"price": {"model": "flat", "amount": "1"}, "colour": 1}]}, "prices[0].colour"),
        (
            {
                "prices": [
                    {"price": {"model": "flat", "amount": "1"}},
                    {
                        "metric": "tokens",
                        "price": {
                            "model": "volume",
                            "tiers": [{"up_to": "-1", "unit_amount": "1"}, {"up_to": None}],
                        },
                    },
                ]
            },
            "prices[1].price.tiers[0].up_to",
        ),
        (
            {"prices": [{"metric": "nope", "price": {"model": "per_unit", "unit_amount": "1"}}]},
            "prices[0].metric",
        ),
        (
            {"prices": [{"price": {"model": "flat", "amount": "1"}, "label_match": []}]},
            "prices[0].label_match",
        ),
        ({"prices": [{**TOKENS, "split_by": "project"}]}, "prices[0].split_by"),
        ({"prices": [{**TOKENS, "split_by": ["project", 7]}]}, "prices[0].split_by[1]"),
        ({"prices": [{**TOKENS, "split_by": ["region"]}]}, "prices[0].split_by[0]"),
        ({"prices": [{**TOKENS, "split_by": ["labels.a\x00b"]}]}, "split_by"),
        ({"interval": "quarterly", "interval_count": 2}, "interval_count"),
        ({"key": None}, "key"),
        ({"key": "No Key"}, "key"),
    ],
)
def test_bad_plan_names_the_member_at_fault(tree, overrides, path):
    a_metric("tokens")

    answer = Caller(tree["acme"])("POST", "/plans/", a_body(**overrides))

    assert problem(answer) == (422, path)
    assert not Plan.objects.exists()


def test_plans_are_seen_along_the_branch_and_changed_by_their_owner(tree):
    a_plan(key="everybody")
    a_draft(key="house", project=tree["tenant"])
    a_draft(key="own", project=tree["acme"])
    a_draft(key="below", project=tree["shop"])
    a_draft(key="theirs", project=tree["globex"])
    call = Caller(tree["acme"])

    listed = [plan["key"] for plan in call("GET", "/plans/").json()["results"]]

    assert listed == ["everybody", "house", "own", "below"]
    assert [plan["key"] for plan in call("GET", "/plans/?project=acme").json()["results"]] == [
        "everybody",
        "house",
        "own",
    ]
    assert call("GET", "/plans/theirs/").status_code == 404
    for method, path, body in (
        ("PATCH", "/plans/house/", {"name": "Mine"}),
        ("DELETE", "/plans/house/", None),
        ("POST", "/plans/house/publish/", {}),
        ("POST", "/plans/everybody/archive/", {}),
        ("POST", "/plans/everybody/clone/", {}),
        ("PATCH", "/plans/theirs/", {"name": "Mine"}),
    ):
        assert call(method, path, body).status_code == 404
    assert not Plan.objects.filter(name="Mine").exists()
    assert Plan.objects.filter(state="draft").count() == 4


def test_account_is_opened_shown_and_changed(tree):
    call = Caller(tree["tenant"])
    body = {
        "project": "acme",
        "legalName": "Acme GmbH",
        "currency": "eur",
        "timezone": "Europe/Berlin",
        "address": ["Street 1", "10115 Berlin"],
        "country": "de",
        "taxId": "DE123",
        "taxRates": [{"name": "VAT", "percent": "19.0"}],
        "paymentTermsDays": 14,
        "invoiceEmails": ["bills@acme.test"],
    }

    made = call("POST", "/billing-accounts/", body)

    assert made.status_code == 201, made.json()
    account = BillingAccount.objects.get()
    shown = made.json()
    assert shown.pop("created_at").endswith("Z")
    assert shown == {
        "id": account.pk,
        "project": "acme",
        "legal_name": "Acme GmbH",
        "address_lines": ["Street 1", "10115 Berlin"],
        "country": "DE",
        "tax_id": "DE123",
        "tax_rates": [{"name": "VAT", "percent": "19"}],
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "payment_terms_days": 14,
        "invoice_emails": ["bills@acme.test"],
        "issue_grace_days": 1,
        "issues_automatically": False,
        "approval_above": None,
        "approve_corrections_above": None,
        "write_off_below": None,
    }
    changed = call("PATCH", f"/billing-accounts/{account.pk}/", {"legal_name": "Acme AG", "tax_rates": []})
    assert (changed.json()["legal_name"], changed.json()["tax_rates"]) == ("Acme AG", [])
    assert call("POST", "/billing-accounts/", body).status_code == 409
    assert [each["id"] for each in call("GET", "/billing-accounts/?project=acme").json()["results"]] == [
        account.pk
    ]


@pytest.mark.parametrize(
    ("overrides", "path"),
    [
        ({"legal_name": " "}, "legal_name"),
        ({"legal_name": None}, "legal_name"),
        ({"currency": "XTS"}, "currency"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"country": "Germany"}, "country"),
        ({"payment_terms_days": -1}, "payment_terms_days"),
        ({"payment_terms_days": "14"}, "payment_terms_days"),
        ({"invoice_emails": ["a@b.test", "x\r\nBcc: y@z.test"]}, "invoice_emails[1]"),
        ({"invoice_emails": ["nobody"]}, "invoice_emails[0]"),
        ({"tax_rates": [{"name": "VAT", "percent": "101"}]}, "tax_rates[0].percent"),
        (
            {"tax_rates": [{"name": "VAT", "percent": "19"}, {"name": "VAT", "percent": "1"}]},
            "tax_rates[1].name",
        ),
        ({"address_lines": ["ok", 1]}, "address_lines[1]"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_account_names_the_member_at_fault(tree, overrides, path):
    body = {"project": "acme", "legal_name": "Acme", "currency": "EUR", **overrides}

    answer = Caller(tree["tenant"])("POST", "/billing-accounts/", body)

    assert problem(answer) == (422, path)
    assert not BillingAccount.objects.exists()


def test_subscription_is_begun_previewed_changed_and_cancelled(tree):
    tokens = a_metric("tokens")
    account = an_account(tree["acme"])
    a_plan(a_fee("31"), a_usage_price(tokens), key="basic")
    a_plan(a_fee("62"), key="pro")
    call = Caller(tree["tenant"])

    made = call(
        "POST",
        "/subscriptions/",
        {"project": "acme", "plan": "basic", "effectiveFrom": "2026-03-01T00:00:00Z"},
    )
    assert made.status_code == 201, made.json()
    subscription = Subscription.objects.get()
    url = f"/subscriptions/{subscription.pk}/"
    shown = made.json()
    assert (shown["account"], shown["plan"], shown["plan_version"]) == (account.pk, "basic", 1)
    assert (shown["anchor"], shown["anchor_on"], shown["replaces"]) == ("calendar", None, None)
    assert call("GET", f"{url}periods/?until=2026-04-15").json()["results"][1] == {
        "start": "2026-04-01T00:00:00Z",
        "end": "2026-05-01T00:00:00Z",
        "first_day": "2026-04-01",
        "days": 30,
        "of_days": 30,
        "is_trial": False,
    }

    order = {"plan": "pro", "at": "2026-03-11T12:00:00Z"}
    preview = call("POST", f"{url}change-plan/preview/", order)
    assert preview.status_code == 200, preview.json()
    assert preview.json()["lines"] == [
        {"kind": "credit", "name": "Base fee", "amount": "-21.00", "days": 21, "of_days": 31, "due": "now"},
        {"kind": "charge", "name": "Base fee", "amount": "42.00", "days": 21, "of_days": 31, "due": "now"},
    ]
    assert (preview.json()["due_now"], preview.json()["metrics_lost"]) == ("21.00", ["tokens"])
    assert Subscription.objects.count() == 1

    new = call("POST", f"{url}change-plan/", order).json()
    assert (new["plan"], new["replaces"], new["effective_from"]) == (
        "pro",
        subscription.pk,
        "2026-03-11T12:00:00Z",
    )
    assert call("GET", url).json()["replaced_by"] == new["id"]

    new_url = f"/subscriptions/{new['id']}/"
    cancelled = call("POST", f"{new_url}cancel/", {"at": "2099-01-01T00:00:00Z"}).json()
    assert (cancelled["effective_until"], cancelled["cancelled_at"] is not None) == (
        "2099-01-01T00:00:00Z",
        True,
    )
    assert call("POST", f"{new_url}withdraw-cancellation/").json()["effective_until"] is None
    moved = call("PATCH", new_url, {"anchor": "anniversary", "anchorOn": "2026-01-15"}).json()
    assert (moved["anchor"], moved["anchor_on"]) == ("anniversary", "2026-01-15")
    states = {
        state: [each["id"] for each in call("GET", f"/subscriptions/?state={state}").json()["results"]]
        for state in ("ended", "active", "scheduled")
    }
    assert states == {"ended": [subscription.pk], "active": [new["id"]], "scheduled": []}


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({}, 422, "plan"),
        ({"plan": "nope"}, 404, None),
        ({"plan": "basic", "plan_version": 7}, 404, None),
        ({"plan": "basic", "effective_from": "2026-03-01"}, 422, "effective_from"),
        ({"plan": "basic", "anchor_on": "2026-3-1", "anchor": "anniversary"}, 422, "anchor_on"),
        ({"plan": "basic", "anchor": "moon"}, 422, "anchor"),
        ({"plan": "dollars"}, 409, "plan"),
        ({"plan": "draft"}, 409, "plan"),
        ({"plan": "basic", "account": "x"}, 422, "account"),
    ],
)
def test_bad_subscription_says_why(tree, body, status, path):
    an_account(tree["acme"])
    a_plan(key="basic")
    a_plan(key="dollars", currency="USD")
    a_draft(key="draft")

    answer = Caller(tree["tenant"])("POST", "/subscriptions/", {"project": "acme", **body})

    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    if path is not None:
        assert problem(answer) == (status, path)
    assert not Subscription.objects.exists()


def test_foreign_accounts_and_subscriptions_are_not_found(tree):
    plan = a_plan(key="basic")
    account = an_account(tree["globex"])
    subscription = a_subscription(account, plan, effective_from=timezone.now())
    call = Caller(tree["acme"])
    account_url, url = f"/billing-accounts/{account.pk}/", f"/subscriptions/{subscription.pk}/"
    before = Subscription.objects.values().get(), BillingAccount.objects.values().get()

    for method, path, body in (
        ("GET", account_url, None),
        ("PATCH", account_url, {"legal_name": "Mine"}),
        ("GET", "/billing-accounts/?project=globex", None),
        ("POST", "/billing-accounts/", {"project": "globex", "legal_name": "x", "currency": "EUR"}),
        ("GET", url, None),
        ("PATCH", url, {"anchor": "calendar"}),
        ("GET", f"{url}periods/", None),
        ("POST", f"{url}change-plan/", {"plan": "basic"}),
        ("POST", f"{url}change-plan/preview/", {"plan": "basic"}),
        ("POST", f"{url}withdraw-change/", {}),
        ("POST", f"{url}cancel/", {}),
        ("POST", f"{url}cancel/preview/", {}),
        ("POST", f"{url}withdraw-cancellation/", {}),
        ("GET", f"/subscriptions/?account={account.pk}", None),
        ("POST", "/subscriptions/", {"account": account.pk, "plan": "basic"}),
        ("GET", "/subscriptions/99999999999999999999999/", None),
        ("GET", "/billing-accounts/99999999999999999999999/", None),
    ):
        assert call(method, path, body).status_code == 404, (method, path)
    assert call("GET", "/billing-accounts/").json()["results"] == []
    assert call("GET", "/subscriptions/").json()["results"] == []
    assert before == (Subscription.objects.values().get(), BillingAccount.objects.values().get())


def test_reading_is_not_managing(tree):
    plan = a_plan(key="basic")
    subscription = a_subscription(an_account(tree["acme"]), plan, effective_from=at("2026-03-01T00:00:00Z"))
    reader, recorder = Caller(tree["acme"], "read"), Caller(tree["acme"], "ingest")

    assert reader("GET", f"/subscriptions/{subscription.pk}/").status_code == 200
    assert reader("POST", f"/subscriptions/{subscription.pk}/cancel/preview/", {}).status_code == 200
    for path in (
        "/plans/",
        "/billing-accounts/",
        "/subscriptions/",
        f"/subscriptions/{subscription.pk}/cancel/",
    ):
        assert reader("POST", path, {}).status_code == 403
    for path in ("/plans/", "/billing-accounts/", "/subscriptions/"):
        assert recorder("GET", path).status_code == 403


def test_pages_lead_on(tree):
    for number in range(3):
        a_draft(key=f"plan-{number}", project=tree["acme"])
    call = Caller(tree["acme"])

    first = call("GET", "/plans/?limit=2").json()
    second = call("GET", first["next"].split("/api/v1")[1]).json()

    assert [plan["key"] for plan in first["results"]] == ["plan-0", "plan-1"]
    assert [plan["key"] for plan in second["results"]] == ["plan-2"]
    assert second["next"] is None
