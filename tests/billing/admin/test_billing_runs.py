"""Asking for billing runs, watching them, and what becomes of accounts that couldn't be billed."""

import pytest
from django.test import Client

from billing.admin import billing_run
from billing.invoicing import runs
from billing.models import BillingAccount, BillingRun, Invoice, ParkedAccount
from metering.clock import ledger_end
from metering.models import Fence
from tests.billing.admin.staff import a_billed_customer, staff_with, superuser, url
from tests.billing.factories import a_fee, a_plan, a_subscription, an_account
from tests.factories import a_project, at

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_worker_and_no_fence(monkeypatch):
    """A fence would wait for the test's own transaction, a message for a broker."""
    monkeypatch.setattr(billing_run, "wake", lambda task: None)
    monkeypatch.setattr(
        runs, "raise_fence", lambda: Fence(position=ledger_end(), fenced_at=at("2026-05-01T00:00:00Z"))
    )


def a_parked_account() -> tuple[BillingAccount, ParkedAccount]:
    account = an_account(a_project("acme"), issues_automatically=False)
    a_subscription(account, a_plan(a_fee("30")))
    run = BillingRun.objects.create(
        as_of=at("2026-04-01T00:00:00Z"), position=0, state="finished", parked_count=1, account_count=1
    )
    parked = ParkedAccount.objects.create(account=account, code="conflict", reason="Two plans.", run=run)
    return account, parked


def test_bill_now_asks_first_and_then_lets_a_run_wait():
    an_account(a_project("acme"))
    client = superuser()

    asked = client.get(url("billingrun", "bill_now")).content.decode()
    assert "1 account is looked through." in asked
    assert "nothing goes out" in asked
    assert not BillingRun.objects.exists()

    answer = client.post(url("billingrun", "bill_now"))
    run = BillingRun.objects.get()
    assert (run.state, run.trigger, run.requested_by) == ("queued", "admin", "root")
    assert answer.url == url("billingrun", "change", run.pk)
    assert not Invoice.objects.exists()


def test_run_that_issues_by_itself_is_said_to():
    an_account(a_project("acme"), issues_automatically=True)

    page = superuser().get(url("billingrun", "bill_now"))

    assert "1 account has its invoices issued without review" in page.content.decode()
    assert page.context["variant"] == "danger"


def test_second_request_is_refused_in_words():
    client = superuser()
    client.post(url("billingrun", "bill_now"))

    page = client.post(url("billingrun", "bill_now"), follow=True)

    assert "A billing run is waiting for a worker already." in page.content.decode()
    assert BillingRun.objects.count() == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "This field is required."),
        ("soon", "No date or time; write it like 2026-01-31"),
        ("2999-01-01", "Lies in the future"),
        ("9999-99-99", "No date or time"),
    ],
)
def test_wrong_instant_is_said_beside_its_field(text, words):
    page = superuser().post(url("billingrun", "bill_as_of"), {"as_of": text})

    assert list(page.context["form"].errors) == ["as_of"]
    assert words in str(page.context["form"].errors["as_of"])
    assert not BillingRun.objects.exists()


def test_bill_as_of_takes_a_day_in_utc():
    superuser().post(url("billingrun", "bill_as_of"), {"as_of": "2026-04-01"})

    assert BillingRun.objects.get().as_of == at("2026-04-01T00:00:00Z")


@pytest.mark.parametrize(("state", "is_active"), [("queued", "yes"), ("running", "yes"), ("finished", "no")])
def test_page_of_a_run_keeps_itself_fresh_while_it_is_under_way(state, is_active):
    run = BillingRun.objects.create(
        as_of=at("2026-04-01T00:00:00Z"),
        position=None if state == "queued" else 7,
        state=state,
        account_count=40,
        done_count=10,
    )

    page = superuser().get(url("billingrun", "change", run.pk)).content.decode()

    assert f'data-active="{is_active}"' in page
    assert ("setTimeout" in page) is (is_active == "yes")
    assert ("10 of 40 accounts" in page) is (state != "queued")


def test_page_of_a_run_lists_what_it_parked():
    _account, parked = a_parked_account()

    page = superuser().get(url("billingrun", "change", parked.run_id)).content.decode()

    assert "1 account couldn&#x27;t be billed" in page
    assert "Two plans." in page


def test_parked_account_is_tried_again():
    account, parked = a_parked_account()
    client = superuser()
    listed = client.get(url("parkedaccount", "changelist")).content.decode()
    assert "Two plans." in listed
    assert url("parkedaccount", "try_again", parked.pk) in listed

    assert client.get(url("parkedaccount", "change", parked.pk)).status_code == 200
    client.get(url("parkedaccount", "try_again", parked.pk))
    assert ParkedAccount.objects.exists()
    answer = client.post(url("parkedaccount", "try_again", parked.pk))

    assert answer.url == url("billingaccount", "change", account.pk)
    assert not ParkedAccount.objects.exists()
    assert account.invoices.get().issued_at is None
    assert BillingRun.objects.latest("id").account_count == 1


def test_account_that_still_fails_says_why(monkeypatch):
    _account, parked = a_parked_account()

    def refuse(*_args, **_options):
        raise ValueError("Still two plans.")

    monkeypatch.setattr(runs, "draft", refuse)
    page = superuser().post(url("parkedaccount", "try_again", parked.pk), follow=True)

    assert "Still not: Still two plans." in page.content.decode()
    assert ParkedAccount.objects.get().reason == "Still two plans."


def test_onlookers_start_nothing():
    _account, parked = a_parked_account()
    client = staff_with("view_billingrun", "view_parkedaccount")

    assert client.get(url("billingrun", "changelist")).status_code == 200
    assert client.get(url("billingrun", "change", parked.run_id)).status_code == 200
    assert "Try again" not in client.get(url("parkedaccount", "changelist")).content.decode()
    for page in ("bill_now", "bill_as_of"):
        assert client.post(url("billingrun", page), {"as_of": "2026-04-01"}).status_code == 403
    assert client.post(url("parkedaccount", "try_again", parked.pk)).status_code == 403
    assert BillingRun.objects.count() == 1


def test_empty_lists_say_what_they_would_hold():
    client: Client = superuser()

    for model, words in (
        ("billingrun", "Nothing was billed yet"),
        ("parkedaccount", "No account is parked"),
        ("periodcorrection", "No corrections"),
        ("creditgrant", "No credit was given yet"),
        ("creditentry", "No credit moved yet"),
    ):
        page = client.get(url(model, "changelist"))
        assert page.status_code == 200
        assert words in page.content.decode()


@pytest.mark.parametrize("model", ["billingrun", "parkedaccount", "periodcorrection", "creditgrant"])
def test_rows_that_are_not_there_are_not_found(model):
    assert superuser().get(url(model, "change", "0"), follow=True).status_code in {200, 404}


def test_account_page_shows_its_money(monkeypatch):
    _acme, account, invoice = a_billed_customer()
    ParkedAccount.objects.create(account=account, code="conflict", reason="Two plans.")
    monkeypatch.setattr("billing.admin.account.database_now", lambda: at("2026-05-03T00:00:00Z"))

    page = superuser().get(url("billingaccount", "change", account.pk))

    money = page.context["money"]
    assert [(card["title"], card["value"], card["note"]) for card in money["cards"]] == [
        ("Owed", "70.00 EUR", "1 open invoice"),
        ("Overdue", "70.00 EUR", "1 invoice"),
        ("Prepaid credit", "0.00 EUR", "drawn as soon as an invoice is issued"),
    ]
    [document] = money["documents"]
    assert (str(document["issued_on"]), str(document["due_on"])) == ("2026-04-02", "2026-05-02")
    text = page.content.decode()
    assert "This account couldn't be billed" in text
    assert str(invoice.number) in text
    assert url("creditgrant", "add") + f"?account={account.pk}" in text


def test_account_page_without_the_right_shows_no_money():
    _acme, account, _invoice = a_billed_customer()

    page = staff_with("view_billingaccount").get(url("billingaccount", "change", account.pk))

    assert page.status_code == 200
    assert "money" not in page.context


def test_limits_of_an_account_are_shown_without_trailing_zeros():
    account = an_account(a_project("acme"), approval_above="200", write_off_below="0.50")

    page = superuser().get(url("billingaccount", "change", account.pk)).content.decode()

    assert 'value="200"' in page
    assert 'value="0.5"' in page
