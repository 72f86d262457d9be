"""Home tells finance staff what waits in money, and how the month goes beside the last."""

import re
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from billing.invoicing.approvals import approve, approved_as_they_are
from billing.invoicing.draft_edits import ManualLine, add_line, begin_invoice
from billing.invoicing.issuing import issue
from billing.invoicing.voiding import void
from billing.models import BillingAccount, Invoice, InvoiceDispatch, ParkedAccount
from billing.reporting.month_revenue import days_so_far, month_revenue
from billing.reporting.revenue import revenue_by_month
from billing.settling.payments import record_payment
from tests.billing.admin.reading import read
from tests.billing.admin.staff import a_billed_customer, staff_with, superuser, url
from tests.billing.billed import a_day, a_seller, billed, issued, used
from tests.billing.factories import a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db

HOME = reverse("admin:index")
FOOTED = ("?standing=to_approve", "")
IN_JUNE = at("2026-06-02T10:00:00Z")


@pytest.fixture(autouse=True)
def _in_june(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("metering.admin.home", "billing.admin.invoice_list"):
        monkeypatch.setattr(f"{module}.database_now", lambda: IN_JUNE)


def matters(client: Client) -> dict[str, tuple[str, list[str]]]:
    """(number, amounts) by title, without those of the ledger."""
    found = client.get(HOME).context["matters"]
    return {
        str(each["matter"].title): (each["count"], list(each["matter"].amounts))
        for each in found
        if each["count"]
    }


def rows_behind(client: Client, title: str) -> int:
    [url] = [
        each["matter"].url
        for each in client.get(HOME).context["matters"]
        if str(each["matter"].title) == title
    ]
    context = client.get(url).context
    return len(context["rows"]) if "rows" in context else int(context["cl"].result_count)


def panel_text(client: Client) -> str:
    [panel] = client.get(HOME).context["panels"]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", panel.body))


def a_manual_draft(account: BillingAccount, amount: str, *, by: str = "ada") -> Invoice:
    draft = begin_invoice(account, edited_by=by)
    add_line(draft, ManualLine("Work", Decimal(amount)), added_by=by)
    return draft


def an_invoice(account: BillingAccount, amount: str, *, on: str) -> Invoice:
    return issue(a_manual_draft(account, amount), now=at(f"{on}T12:00:00Z"), issued_by="ada")


# -- what waits --------------------------------------------------------------------------------------------


def test_each_number_is_that_of_the_rows_behind_it():
    a_seller()
    acme = a_project("acme")
    account = an_account(acme, approve_corrections_above=Decimal(0), payment_terms_days=14)
    other = an_account(a_project("beta"), currency="USD", payment_terms_days=14)
    a_subscription(account, a_plan(a_usage_price(a_metric())))
    used(acme, "100")
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-03T00:00:00Z")
    used(acme, "50")
    billed("2026-05-01T00:00:00Z")
    an_invoice(other, "1200", on="2026-05-01")
    paid = an_invoice(other, "30", on="2026-05-01")
    record_payment(paid, amount=Decimal(30), received_on=a_day("2026-05-02"), recorded_by="ada", now=IN_JUNE)
    void(an_invoice(other, "40", on="2026-05-01"), reason="twice", voided_by="ada", now=IN_JUNE)
    an_invoice(other, "50", on="2026-05-25")
    a_manual_draft(other, "12.50")
    a_manual_draft(other, "7.50")
    ParkedAccount.objects.create(account=other, code="seller_unknown", reason="Say who you are.")
    InvoiceDispatch.objects.filter(invoice=paid).update(state="failed")
    client = superuser()

    found = matters(client)

    assert found == {
        "Parked accounts": ("1", []),
        "Documents that couldn't be sent": ("1", []),
        "Overdue invoices": ("2", ["10.00 EUR", "1,200.00 USD"]),
        "Drafts to review": ("2", ["20.00 USD"]),
        "Corrections to decide": ("1", ["+5.00 EUR"]),
    }
    assert {title: str(rows_behind(client, title)) for title in found} == {
        title: count for title, (count, _amounts) in found.items()
    }


def test_oldest_of_overdue_invoices_waits_since_the_day_after_it_was_due():
    a_seller()
    account = an_account(a_project("acme"), payment_terms_days=14)
    an_invoice(account, "10", on="2026-05-10")
    an_invoice(account, "20", on="2026-05-15")

    [each] = [one for one in superuser().get(HOME).context["matters"] if one["count"]]

    assert each["matter"].since == at("2026-05-25T00:00:00Z")
    assert each["age"] == "8 days ago"


def test_approval_waits_for_those_who_may_give_it_and_did_not_do_the_work():
    a_seller()
    account = an_account(a_project("acme"), approval_above=Decimal(100))
    a_manual_draft(account, "250")
    a_manual_draft(account, "90")
    own = a_manual_draft(account, "300", by="kim")
    approved = a_manual_draft(account, "400")
    approve(approved, approved_by="bob")
    outdated = a_manual_draft(account, "500")
    approve(outdated, approved_by="bob")
    add_line(outdated, ManualLine("More", Decimal(1)), added_by="ada")

    kim = staff_with("view_invoice", "approve_invoice", name="kim")
    eve = staff_with("view_invoice", name="eve")

    assert matters(kim)["Approvals waiting for you"] == ("2", ["751.00 EUR"])
    assert rows_behind(kim, "Approvals waiting for you") == 2
    assert "Approvals waiting for you" not in matters(eve)
    left_out = "1 more draft waits for approval that you worked on yourself: somebody else approves it."
    assert left_out in read(kim, url("invoice", "changelist") + "?standing=to_approve")
    assert left_out not in read(kim, url("invoice", "changelist"))
    narrowed, whole = (kim.get(url("invoice", "changelist") + query) for query in FOOTED)
    assert "2 shown, 5 invoices in all" in narrowed.content.decode()
    assert ">5 invoices in all" in whole.content.decode()
    assert approved_as_they_are([own.pk, approved.pk, outdated.pk]) == {approved.pk}
    assert approved_as_they_are([]) == set()


@pytest.mark.parametrize(
    ("right", "titles"),
    [
        ("view_invoice", ["Overdue invoices", "Drafts to review"]),
        ("view_parkedaccount", ["Parked accounts"]),
        ("view_periodcorrection", []),
        ("view_project", []),
    ],
)
def test_people_see_the_matters_of_what_they_may_see(right, titles):
    _acme, account, _invoice = a_billed_customer()
    ParkedAccount.objects.create(account=account, code="seller_unknown", reason="Say who you are.")
    a_manual_draft(account, "5")

    client = staff_with(right)

    assert list(matters(client)) == titles
    assert bool(client.get(HOME).context["panels"]) == (right == "view_invoice")


def test_whoever_acts_elsewhere_is_told_of_nothing_that_others_see_to():
    _acme, account, _invoice = a_billed_customer()
    a_manual_draft(account, "5")

    assert matters(staff_with("view_invoice", "change_project", name="operator")) == {}
    assert list(matters(staff_with("view_invoice", "issue_invoice", name="finance"))) == ["Drafts to review"]
    assert list(matters(staff_with("view_invoice", "export_data", name="auditor"))) == [
        "Overdue invoices",
        "Drafts to review",
    ]


def test_fresh_installation_is_led_to_its_first_invoice():
    steps = superuser().get(HOME).context["first_steps"]
    a_billed_customer()
    later = staff_with("view_invoice").get(HOME).context["first_steps"]

    assert [each.title for each in steps] == ["Nothing is measured yet", "Nothing was billed yet"]
    assert steps[1].upcoming.title == "Say who you are"
    assert later == []


# -- the month so far --------------------------------------------------------------------------------------


def test_month_is_beside_the_same_days_and_the_whole_of_the_last():
    a_seller()
    acme, beta = an_account(a_project("acme", name="Acme")), an_account(a_project("beta", name="Beta"))
    an_invoice(acme, "1000", on="2026-05-02")
    an_invoice(acme, "500", on="2026-05-03")
    an_invoice(acme, "900", on="2026-06-01")
    an_invoice(beta, "220", on="2026-06-02")
    a_manual_draft(beta, "33.33")
    an_invoice(beta, "7", on="2026-04-30")

    [revenue] = month_revenue(days_so_far(IN_JUNE.date()), count=8)
    text = panel_text(superuser())

    assert (revenue.whole.now, revenue.whole.drafted) == (Decimal(1120), Decimal("33.33"))
    assert (revenue.whole.same, revenue.whole.before) == (Decimal(1000), Decimal(1500))
    assert [(part.name, part.revenue.now) for part in revenue.accounts] == [
        ("Acme Ltd", Decimal(900)),
        ("Beta Ltd", Decimal(220)),
    ]
    assert "All documents 1,120.00 33.33 1,000.00 ▲ 12 % more 1,500.00" in text
    assert "Acme Ltd 900.00 0.00 1,000.00 ▼ 10 % less 1,500.00" in text
    assert "2026-05-01 to 2026-05-02" in text


def test_by_metric_and_by_customer_add_up_to_all():
    acme, account, _invoice = a_billed_customer()
    used(acme, "40", on="2026-04-10T00:00:00Z")
    billed("2026-05-01T00:00:00Z")
    issued(account, "2026-05-02T00:00:00Z")
    used(acme, "60", on="2026-05-10T00:00:00Z")
    billed("2026-06-01T00:00:00Z")
    issued(account, "2026-06-02T00:00:00Z")

    [revenue] = month_revenue(days_so_far(IN_JUNE.date()), count=8)
    [_april, _may, june] = revenue_by_month([a_day(f"2026-0{month}-01") for month in (4, 5, 6)])["EUR"]

    assert [(part.name, part.revenue.now, part.revenue.before) for part in revenue.metrics] == [
        ("", Decimal(30), Decimal(30)),
        ("Tokens", Decimal(6), Decimal(4)),
    ]
    assert revenue.whole.now == june.total == Decimal(36)
    assert revenue.whole.less(revenue.metrics) == revenue.whole.less(revenue.accounts)
    assert revenue.whole.less(revenue.metrics).now == 0


def test_each_number_leads_to_the_rows_that_add_up_to_it():
    acme, account, _invoice = a_billed_customer()
    used(acme, "40", on="2026-04-10T00:00:00Z")
    billed("2026-05-01T00:00:00Z")
    issued(account, "2026-05-02T00:00:00Z")
    used(acme, "60", on="2026-05-10T00:00:00Z")
    billed("2026-06-01T00:00:00Z")
    client = superuser()
    [panel] = client.get(HOME).context["panels"]

    def added_up(address: str) -> str:
        rows = client.get(address).context["cl"].result_list
        amounts = [row.net_amount if hasattr(row, "net_amount") else row.subtotal for row in rows]
        return f"{sum(amounts):,.2f}"

    numbers = re.findall(
        r'<td class="is-number"[^>]*><a class="mb-link" href="([^"]+)">([^<]+)</a>', panel.body
    )
    addresses = [address.replace("&amp;", "&") for address, _text in numbers]

    assert [text for _address, text in numbers] == (
        ["36.00", "34.00", "34.00"] * 2 + ["30.00", "30.00", "30.00"] + ["6.00", "4.00", "4.00"]
    )
    assert [added_up(address) for address in addresses] == [text for _address, text in numbers]


def test_others_are_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("billing.admin.home_revenue.SHOWN", 1)
    a_seller()
    for number in range(1, 4):
        account = an_account(a_project(f"project-{number}", name=f"Project {number}"))
        an_invoice(account, f"{number}0", on="2026-06-01")

    text = panel_text(superuser())

    assert "Project 3 Ltd 30.00" in text
    assert "2 others 30.00 0.00 0.00 new 0.00" in text
    assert "Project 2" not in text


@pytest.mark.parametrize(
    ("today", "first", "before", "same_end"),
    [
        ("2026-06-02", "2026-06-01", "2026-05-01", "2026-05-03"),
        ("2026-03-31", "2026-03-01", "2026-02-01", "2026-03-01"),
        ("2026-03-28", "2026-03-01", "2026-02-01", "2026-03-01"),
        ("2026-03-27", "2026-03-01", "2026-02-01", "2026-02-28"),
        ("2027-01-01", "2027-01-01", "2026-12-01", "2026-12-02"),
    ],
)
def test_as_many_days_of_last_month_are_compared(today, first, before, same_end):
    days = days_so_far(a_day(today))

    assert (days.first, days.before, days.same_end) == (a_day(first), a_day(before), a_day(same_end))


def test_without_documents_there_is_no_card():
    assert superuser().get(HOME).context["panels"] == []


def test_pages_that_one_may_not_open_are_no_links():
    a_seller()
    account = an_account(a_project("acme", name="Acme"))
    an_invoice(account, "10", on="2026-06-01")
    address = reverse("admin:billing_billingaccount_change", args=[account.pk])

    [seen] = staff_with("view_invoice", "view_billingaccount", name="ada").get(HOME).context["panels"]
    [unseen] = staff_with("view_invoice", name="bob").get(HOME).context["panels"]

    assert address in seen.body
    assert address not in unseen.body
    assert "Acme Ltd" in unseen.body


def test_home_stays_within_its_queries(django_assert_max_num_queries: DjangoAssertNumQueries):
    acme, account, _invoice = a_billed_customer(approval_above=Decimal(1))
    for number in range(3):
        other = an_account(a_project(f"other-{number}"), currency=("EUR", "USD", "CHF")[number])
        an_invoice(other, "10", on="2026-05-01")
        a_manual_draft(account, "20")
    used(acme, "5", on="2026-06-01T00:00:00Z")
    client = staff_with(*Permission.objects.values_list("codename", flat=True))

    with django_assert_max_num_queries(20):
        page = client.get(HOME)

    assert matters(client)["Approvals waiting for you"][0] == "3"
    assert page.status_code == 200
