"""Prepaid credit and corrections in the admin: given, withdrawn, decided, and by whom."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import BillingAccount, CreditEntry, CreditGrant, PeriodCorrection
from billing.settling.credits import credit_available, grant_credit
from metering.admin.consequences import SEEN
from tests.billing.admin.staff import a_billed_customer, staff_with, superuser, url
from tests.billing.billed import a_seller, billed, issued, used
from tests.billing.factories import a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at
from tests.metering.admin.confirming import confirmed

pytestmark = pytest.mark.django_db

MARCH = at("2026-03-01T00:00:00Z")


def form(customer: BillingAccount, **overrides: object) -> dict[str, object]:
    return {
        "account": customer.pk,
        "kind": "paid",
        "amount": "500",
        "name": "Order 17",
        "priority": "10",
        "expires_at": "2999-01-01",
        "reason": "Paid by bank transfer on 3 March.",
        **overrides,
    }


def a_waiting_correction() -> tuple[BillingAccount, PeriodCorrection]:
    """50 tokens came late, at 0.10 each: 5.00 wait for approval."""
    a_seller()
    acme = a_project("acme")
    account = an_account(acme, approve_corrections_above=Decimal(0))
    a_subscription(account, a_plan(a_usage_price(a_metric(display_name="Tokens"))))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-02T00:00:00Z")
    used(acme, "50")
    billed("2026-05-01T00:00:00Z")
    return account, PeriodCorrection.objects.get()


def test_credit_is_granted_by_form():
    account = an_account(a_project("acme"), timezone="Europe/Berlin")

    answer = confirmed(superuser(), url("creditgrant", "add"), form(account))

    assert answer.status_code == 302
    grant = CreditGrant.objects.get()
    assert (grant.amount, grant.currency, grant.kind, grant.priority) == (500, "EUR", "paid", 10)
    assert (grant.name, grant.granted_by) == ("Order 17", "root")
    assert grant.expires_at == at("2999-01-01T23:00:00Z")  # the end of that day in Berlin
    assert credit_available(account, at=MARCH) == 500


@pytest.mark.parametrize(
    ("overrides", "field", "words"),
    [
        ({"amount": "0"}, "amount", "Must be a positive amount in EUR."),
        ({"amount": "0.001"}, "amount", "Has more decimals than EUR."),
        ({"amount": "lots"}, "amount", "is no number"),
        ({"priority": "1000"}, "priority", "Must be from 0 to 999."),
        ({"expires_at": "2020-01-01"}, "expires_at", "Lies in the past."),
        ({"expires_at": "soon"}, "expires_at", "No date or time"),
        ({"kind": "credit_note"}, "kind", "valid choice"),
        ({"reason": ""}, "reason", "required"),
        ({"account": "0"}, "account", "valid choice"),
    ],
)
def test_wrong_grant_names_its_field(overrides, field, words):
    account = an_account(a_project("acme"))

    answer = confirmed(superuser(), url("creditgrant", "add"), form(account, **overrides))

    errors = answer.context["adminform"].form.errors
    assert list(errors) == [field]
    assert words in str(errors[field])
    assert not CreditGrant.objects.exists()


def test_impossible_credit_is_refused_before_anybody_is_asked():
    account = an_account(a_project("acme"))
    client = superuser()

    for overrides, errors in (
        ({"amount": "250.505"}, {"amount": ["Has more decimals than EUR."]}),
        ({"priority": "1000"}, {"priority": ["Must be from 0 to 999."]}),
        ({"expires_at": "2020-01-01"}, {"expires_at": ["Lies in the past."]}),
    ):
        answer = client.post(url("creditgrant", "add"), form(account, **overrides))
        assert answer.context["adminform"].form.errors == errors
    assert not CreditGrant.objects.exists()


def test_credit_is_valid_on_its_last_day():
    account = an_account(a_project("acme"), timezone="Europe/Berlin")
    client = superuser()

    asked = client.post(url("creditgrant", "add"), form(account))
    confirmed(client, url("creditgrant", "add"), form(account))
    confirmed(client, url("creditgrant", "add"), form(account, expires_at="2999-01-01 08:00"))
    confirmed(client, url("creditgrant", "add"), form(account, expires_at=""))

    assert "It is valid until 2999-01-01 (included)." in map(str, asked.context["sentences"])
    assert credit_available(account, at=at("2999-01-01T22:59:59Z")) == 1000
    assert credit_available(account, at=at("2999-01-01T23:00:00Z")) == 500
    whole, timed, endless = CreditGrant.objects.order_by("id")
    for grant, words in (
        (whole, "2999-01-01 (included)"),
        (timed, "2999-01-01 08:00"),
        (endless, "without end"),
    ):
        assert words in client.get(url("creditgrant", "change", grant.pk)).content.decode()
        assert words in client.get(url("creditgrant", "changelist")).content.decode()
    page = client.get(url("billingaccount", "change", account.pk)).content.decode()
    assert "500.00 EUR of it is valid until 2999-01-01 08:00" in page


def test_credit_of_a_zone_that_skips_midnight_is_valid_on_its_last_day():
    account = an_account(a_project("acme"), timezone="Asia/Beirut")
    client = superuser()

    confirmed(client, url("creditgrant", "add"), form(account, expires_at="2027-03-27"))

    grant = CreditGrant.objects.get()
    assert grant.expires_at == at("2027-03-27T22:00:00Z")  # their 28th begins at 01:00
    page = client.get(url("creditgrant", "change", grant.pk)).content.decode()
    assert "2027-03-27 (included)" in page


def test_what_is_left_is_withdrawn_with_a_reason():
    _acme, account, invoice = a_billed_customer()
    grant = grant_credit(account, amount=Decimal(100), kind="promotional", name="Hello", now=MARCH).grant
    client = superuser()
    page = client.get(url("creditgrant", "change", grant.pk)).content.decode()
    assert "Withdraw what is left" in page
    asked = client.get(url("creditgrant", "withdraw", grant.pk)).content.decode()
    assert "100.00 EUR of 100.00 EUR are left" in asked

    without = client.post(url("creditgrant", "withdraw", grant.pk), {"reason": ""})
    assert list(without.context["form"].errors) == ["reason"]
    client.post(url("creditgrant", "withdraw", grant.pk), {"reason": "Given twice."})

    entries = CreditEntry.objects.order_by("id").values_list("kind", "amount", "reason", "entered_by")
    assert list(entries) == [
        ("granted", Decimal(100), "", ""),
        ("withdrawn", Decimal(-100), "Given twice.", "root"),
    ]
    entry = CreditEntry.objects.latest("id")
    assert client.get(url("creditentry", "change", entry.pk)).status_code == 200
    page = client.get(url("creditgrant", "change", grant.pk)).content.decode()
    assert "Withdraw what is left" not in page
    assert "Given twice." in page
    again = client.post(url("creditgrant", "withdraw", grant.pk), {"reason": "Once more."})
    assert "Nothing is left of this credit." in again.content.decode()
    assert invoice.number == "INV-000001"


def test_grants_are_found_by_how_they_stand():
    account = an_account(a_project("acme"))
    grant_credit(account, amount=Decimal(1), kind="paid", name="Endless", now=MARCH)
    grant_credit(
        account,
        amount=Decimal(2),
        kind="paid",
        name="Spring",
        expires_at=at("2026-04-01T00:00:00Z"),
        now=MARCH,
    )
    client = superuser()

    def named(standing: str) -> list[str]:
        page = client.get(url("creditgrant", "changelist") + f"?standing={standing}")
        return [grant.name for grant in page.context["cl"].result_list]

    assert [named("usable"), named("expired"), named("used_up")] == [["Endless"], ["Spring"], []]


def test_lists_of_credit_take_the_same_queries_for_more_rows():
    account = an_account(a_project("acme"))
    client, counts = superuser(), []
    for _more in range(2):
        for _one in range(3):
            grant_credit(account, amount=Decimal(10), kind="paid", now=MARCH)
        for model in ("creditgrant", "creditentry"):
            with CaptureQueriesContext(connection) as queries:
                client.get(url(model, "changelist"))
            counts.append(len(queries))

    assert counts[:2] == counts[2:]


def test_onlookers_give_and_take_nothing():
    account = an_account(a_project("acme"))
    grant = grant_credit(account, amount=Decimal(10), kind="paid", now=MARCH).grant
    client = staff_with("view_creditgrant", "view_creditentry", "view_billingaccount")

    assert client.get(url("creditgrant", "change", grant.pk)).status_code == 200
    assert client.get(url("creditentry", "changelist")).status_code == 200
    assert confirmed(client, url("creditgrant", "add"), form(account)).status_code == 403
    assert client.post(url("creditgrant", "withdraw", grant.pk), {"reason": "No."}).status_code == 403
    assert CreditEntry.objects.count() == 1


def test_correction_is_approved():
    _account, correction = a_waiting_correction()
    client = superuser()
    page = client.get(url("periodcorrection", "change", correction.pk)).content.decode()
    assert "+5.00 EUR" in page
    assert "Approve" in page

    client.post(url("periodcorrection", "approve", correction.pk), {"reason": "Checked with support."})

    correction.refresh_from_db()
    assert (correction.state, correction.decided_by) == ("approved", "root")
    assert correction.reason == "Checked with support."
    again = client.post(url("periodcorrection", "approve", correction.pk), {"reason": ""})
    assert again.status_code == 200
    assert again.context["form"].non_field_errors()


def test_correction_is_written_off_with_a_reason():
    _account, correction = a_waiting_correction()
    client = superuser()

    without = client.post(url("periodcorrection", "write_off", correction.pk), {"reason": ""})
    assert list(without.context["form"].errors) == ["reason"]
    client.post(url("periodcorrection", "write_off", correction.pk), {"reason": "Our mistake."})

    correction.refresh_from_db()
    assert (correction.state, correction.reason) == ("written_off", "Our mistake.")
    page = client.get(url("periodcorrection", "change", correction.pk)).content.decode()
    assert url("periodcorrection", "write_off", correction.pk) not in page


def test_onlookers_decide_nothing():
    _account, correction = a_waiting_correction()
    client = staff_with("view_periodcorrection", "view_billingaccount")

    assert client.get(url("periodcorrection", "change", correction.pk)).status_code == 200
    for decision in ("approve", "write_off"):
        answer = client.post(url("periodcorrection", decision, correction.pk), {"reason": "No."})
        assert answer.status_code == 403
    correction.refresh_from_db()
    assert correction.state == "waiting"


def test_correction_on_its_account_and_in_the_queue():
    account, correction = a_waiting_correction()
    client = superuser()

    line = client.get(url("billingaccount", "change", account.pk)).context["money"]["corrections"][0]
    listed = client.get(url("periodcorrection", "changelist") + "?state__exact=waiting")

    assert (line["name"], line["period"]) == ("Tokens", "2026-03-01")
    assert [row.pk for row in listed.context["cl"].result_list] == [correction.pk]
    assert "2026-03-01 to 2026-03-31" in listed.content.decode()


def test_form_that_is_sent_twice_gives_credit_once():
    account = an_account(a_project("acme"))
    client = superuser()
    page = client.get(url("creditgrant", "add"))
    key = page.context["adminform"].form.get_initial_for_field(
        page.context["adminform"].form.fields["key"], "key"
    )
    sent = form(account, key=key)

    answers = [confirmed(client, url("creditgrant", "add"), sent) for _ in range(2)]
    confirmed(client, url("creditgrant", "add"), form(account, key=f"page-{uuid4()}"))

    assert [answer.status_code for answer in answers] == [302, 302]
    assert f'value="{key}"' in page.content.decode()
    assert CreditGrant.objects.count() == 2


def test_what_was_confirmed_is_what_is_given():
    account = an_account(a_project("acme"))
    client = superuser()

    asked = client.post(url("creditgrant", "add"), form(account, amount="10"))
    other = client.post(
        url("creditgrant", "add"), {**form(account, amount="10000"), SEEN: asked.context["seen"]}
    )

    assert "10,000.00 EUR" in other.content.decode()
    assert not CreditGrant.objects.exists()
