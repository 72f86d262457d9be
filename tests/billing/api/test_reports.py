"""The running period and what-if over HTTP: shapes, refusals by member, CSV."""

import csv
import datetime as dt
import io

import pytest
from django.utils import timezone

from billing.models import Invoice
from metering.clock import ledger_end
from metering.models import MetricDefinition, Project
from tests.billing.billed import used
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project
from tests.metering.api.callers import Caller, fields_of

pytestmark = pytest.mark.django_db

DAYS = {"from": "2026-03-01", "until": "2026-04-01"}


@pytest.fixture(autouse=True)
def _positions_are_final(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fence would wait for the very transaction that the test runs in."""
    for module in ("running", "what_if"):
        monkeypatch.setattr(f"billing.api.{module}.final_position", ledger_end)


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


@pytest.fixture
def tokens() -> MetricDefinition:
    return a_metric("tokens", display_name="Tokens", unit="token")


def test_running_period_is_shown_as_a_bill(acme, tokens):
    account = an_account(acme, tax_rates=[{"name": "VAT", "percent": "19"}])
    now = timezone.now()
    begun = now - dt.timedelta(days=10)
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens)), begun, anchor="anniversary")
    used(acme, "100", on=(now - dt.timedelta(days=1)).isoformat())

    answer = Caller(acme, "read").get(f"/billing-accounts/{account.pk}/running/")

    assert answer.status_code == 200, answer.content
    shown = answer.json()
    assert (shown["running_amount"], shown["total"], shown["amount_due"]) == ("40.00", "47.60", "47.60")
    assert [(line["kind"], line["amount"], line["tax_amount"]) for line in shown["lines"]] == [
        ("fee", "30.00", "5.70"),
        ("usage", "10.00", "1.90"),
    ]
    assert shown["taxes"] == [{"name": "VAT", "percent": "19", "amount": "7.60", "base": "40.00"}]
    [_fee, usage] = shown["charges"]
    assert (usage["metric"], usage["quantity"], usage["amount"]) == ("tokens", "100", "10.00")
    assert 27 <= float(usage["projected_amount"]) <= 32  # about three times as long as was over
    assert shown["projection"]["method"] == "linear"
    assert Invoice.objects.count() == 0


def test_account_without_a_plan_has_an_empty_running_period(acme):
    account = an_account(acme)

    shown = Caller(acme, "read").get(f"/billing-accounts/{account.pk}/running/").json()

    assert (shown["lines"], shown["periods"], shown["total"]) == ([], [], "0.00")


def test_what_if_compares_two_plans(acme, tokens):
    account = an_account(acme, legal_name="=Acme")
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(tokens), name="Basic"))
    a_draft(a_fee("20"), a_usage_price(tokens, {"model": "per_unit", "unit_amount": "0.05"}), key="pro")
    used(acme, "100")
    call = Caller(acme, "read")

    shown = call.post("/pricing/what-if/", {"plan": "pro", **DAYS}).json()

    assert shown["totals"] == {
        "current": "40.00",
        "hypothetical": "25.00",
        "difference": "-15.00",
        "fraction": "-0.375",
    }
    assert (shown["plan"], shown["version"], shown["is_draft"], shown["currency"]) == ("pro", 1, True, "EUR")
    assert (shown["cheaper_count"], shown["dearer_count"], shown["unchanged_count"]) == (1, 0, 0)
    assert [bucket["count"] for bucket in shown["buckets"]] == [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    [one] = shown["accounts"]
    assert (one["account"], one["project"], one["plans"]) == (account.pk, "acme", ["Basic"])
    assert one["by_subject"][1] == {
        "kind": "usage",
        "name": "tokens",
        "current": "10.00",
        "hypothetical": "5.00",
        "difference": "-5.00",
        "fraction": "-0.5",
    }

    answer = call.post(
        "/pricing/what-if/", {"plan": "pro", "accounts": [account.pk], **DAYS}, HTTP_ACCEPT="text/csv"
    )
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    header, row = csv.reader(io.StringIO(answer.content.decode()))
    cells = dict(zip(header, row, strict=True))
    assert (cells["legal_name"], cells["difference"], cells["difference_percent"]) == (
        "'=Acme",
        "-15.00",
        "-37.5",
    )
    assert (cells["usage tokens, current"], cells["usage tokens, hypothetical"]) == ("10.00", "5.00")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "plan"),
        ({"plan": "pro", "from": "2026-03-01"}, 422, "until"),
        ({"plan": "pro", "from": "2026-02-30", "until": "2026-04-01"}, 422, "from"),
        ({"plan": "pro", "from": "1 March", "until": "2026-04-01"}, 422, "from"),
        ({"plan": "pro", "from": "2026-04-01", "until": "2026-03-01"}, 422, "until"),
        ({"plan": "pro", "from": "2026-03-01", "until": "2999-03-01"}, 422, "until"),
        ({"plan": "pro", "from": "0001-01-01", "until": "0001-02-01"}, 422, "from"),
        ({"plan": "pro", "accounts": [], **DAYS}, 422, "accounts"),
        ({"plan": "pro", "accounts": "all", **DAYS}, 422, "accounts"),
        ({"plan": "pro", "accounts": [True], **DAYS}, 422, "accounts[0]"),
        ({"plan": "pro", "accounts": [2**70], **DAYS}, 422, "accounts[0]"),
        ({"plan": "pro", "accounts": list(range(1, 102)), **DAYS}, 422, "accounts"),
        ({"plan": "pro", "accounts": [1], "on_plan": "x", **DAYS}, 422, "on_plan"),
        ({"plan": "pro", "version": "1", **DAYS}, 422, "version"),
        ({"plan": "pro", "plans": 1, **DAYS}, 422, "plans"),
        ({"plan": "pro", "version": 7, **DAYS}, 404, None),
        ({"plan": "pro", "accounts": [2**62], **DAYS}, 404, None),
        ({"plan": "nothing", **DAYS}, 404, None),
    ],
)
def test_bad_questions_are_refused_by_member(acme, body, status, field):
    a_draft(key="pro")

    answer = Caller(acme, "read").post("/pricing/what-if/", body)

    assert answer.status_code == status, answer.content
    if field is not None:
        assert [found for _code, found in fields_of(answer)] == [field]


def test_account_of_another_currency_is_refused_by_name(acme):
    account = an_account(acme, legal_name="Acme", currency="USD")
    a_draft(key="pro")

    answer = Caller(acme, "read").post("/pricing/what-if/", {"plan": "pro", "accounts": [account.pk], **DAYS})

    assert (answer.status_code, fields_of(answer)) == (422, [("wrong_currency", "accounts")])
    assert "Acme" in answer.json()["detail"]


def test_more_accounts_than_a_request_takes_are_refused(acme, monkeypatch):
    monkeypatch.setattr("billing.api.what_if.MAX_ACCOUNTS", 1)
    plan = a_plan()
    a_draft(key="pro")
    for project in (acme, a_project(parent=acme)):
        a_subscription(an_account(project), plan)

    answer = Caller(acme, "read").post("/pricing/what-if/", {"plan": "pro", **DAYS})

    assert (answer.status_code, fields_of(answer)) == (422, [("too_many_accounts", "accounts")])
    assert "manage.py what_if" in answer.json()["detail"]
