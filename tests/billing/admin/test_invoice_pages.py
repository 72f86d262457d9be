"""The list of documents and the page of one, as finance staff read them."""

import datetime as dt
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from billing.invoicing.approvals import approve
from billing.invoicing.draft_edits import ManualLine, add_discount, add_line, begin_credit_note, begin_invoice
from billing.invoicing.issuing import issue
from billing.invoicing.voiding import void
from billing.models import BillingAccount, Invoice, InvoiceLine, ParkedAccount, Price
from billing.selling.accounts import change_account
from billing.selling.plans import publish_plan
from billing.settling.credits import grant_credit
from billing.settling.payments import record_payment, take_back_payment
from metering.models import OutgoingMail
from tests.billing.admin.conftest import Clerk
from tests.billing.admin.reading import read, text_of, told, url
from tests.billing.billed import a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_draft, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db

APRIL = "2026-04-02T10:00:00Z"
OF_DRAFTS = ("recompute", "add_line", "add_discount", "edit_notes", "discard", "issue", "approve")
OF_ISSUED = ("record_payment", "begin_credit_note", "void")


def issued_now(account: BillingAccount, *, days_ago: int = 0, amount: str = "100") -> Invoice:
    """By hand, so that nothing but the day of issue is in it."""
    draft = begin_invoice(account, edited_by="ada")
    add_line(draft, ManualLine("Work", Decimal(amount)), added_by="ada")
    return issue(draft, now=timezone.now() - dt.timedelta(days=days_ago), issued_by="ada")


def paid(invoice: Invoice, amount: str, **options: object):
    return record_payment(
        invoice,
        amount=Decimal(amount),
        received_on=dt.date(2026, 4, 9),
        now=at("2026-04-09T10:00:00Z"),
        **{"reference": "SEPA 8812", "recorded_by": "ada", **options},
    ).payment


def test_list_without_documents_says_where_they_come_from(staff: Client) -> None:
    page = read(staff, url("changelist"))

    assert "No documents yet" in page
    assert "Billing runs draft one invoice per account once a period is over." in page


def test_list_shows_what_is_owed_since_when(staff: Client, account: BillingAccount) -> None:
    draft_id = draft_of(account).pk
    late = issued_now(account, days_ago=20)
    part = issued_now(account, amount="200")
    paid(part, "38")

    page = read(staff, url("changelist"))

    row = "Invoice Acme Ltd acme 2026-03-01 to 2026-04-30 86.10 EUR net 72.35 – – Draft"
    assert f"Draft ({draft_id}) {row}" in page
    assert late.number in page
    assert "6 days overdue Overdue" in page
    assert "238.00 EUR net 200.00 200.00 EUR" in page
    assert "in 14 days Partly paid" in page


@pytest.mark.parametrize(
    ("standing", "numbers"),
    [
        ("", ["CN-000001", "INV-000004", "INV-000003", "INV-000002", "INV-000001", "Draft"]),
        ("drafts", ["Draft"]),
        ("open", ["INV-000003", "INV-000002"]),
        ("overdue", ["INV-000002"]),
        ("paid", ["INV-000001"]),
        ("void", ["INV-000004"]),
        ("credit_notes", ["CN-000001"]),
    ],
)
def test_tabs_hold_what_they_say(
    staff: Client, account: BillingAccount, standing: str, numbers: list[str]
) -> None:
    paid(issued_now(account), "119")
    issued_now(account, days_ago=20)
    issued_now(account)
    other = an_account(a_project("other"))  # a void empties the account's draft
    void(issued_now(other), now=timezone.now(), reason="Twice.", voided_by="ada")

    rows = staff.get(url("changelist"), {"standing": standing}).context["cl"].result_list

    assert [row.number or "Draft" for row in rows] == numbers


@pytest.mark.parametrize(
    ("term", "count"), [("INV-000001", 1), ("inv-0000", 2), ("1", 1), ("acme", 2), ("Acme L", 2), ("zzz", 0)]
)
def test_documents_are_found_by_number_customer_and_project(
    staff: Client, account: BillingAccount, term: str, count: int
) -> None:
    issued_now(account)
    issued_now(an_account(a_project("other"), legal_name="Other"))

    found = staff.get(url("changelist"), {"q": term}).context["cl"].result_list

    assert len(found) == count


def test_draft_says_in_the_list_what_holds_it_back(staff: Client, account: BillingAccount) -> None:
    assert "Draft ready" in read(staff, url("changelist"))

    change_account(account, {"approval_above": "100"}, now=timezone.now())
    assert "Draft out of date" in read(staff, url("changelist"))

    billed("2026-04-01T00:00:00Z")
    add_line(draft_of(account), ManualLine("Support", Decimal("120")), added_by="ada")
    assert "Draft to be approved" in read(staff, url("changelist"))


def test_page_reads_like_the_document(staff: Client, account: BillingAccount) -> None:
    draft = draft_of(account)
    add_discount(draft, name="Loyalty", reason="Renewal.", percent=Decimal(10), added_by="ada")

    page = read(staff, url("change", draft.pk))

    assert "A draft: not sent to anybody" in page
    assert "From Meterbook Test AG 1 Test Street 10115 Berlin Germany DE999999999" in page
    assert "To Acme Ltd Hafenstr. 12 20457 Hamburg acme" in page
    assert "Pro 2026-03-01 to 2026-03-31" in page
    assert "Tokens tokens Explain 123.5 tokens 0.10 12.35" in page
    assert "Pro 2026-04-01 to 2026-04-30" in page
    assert "Subtotal 72.35 Loyalty (10%) Renewal. · ada · Remove −7.24" in page
    assert "VAT 19% of 65.11 12.37 Total 77.48 EUR" in page


def test_page_links_customer_subscription_and_metric(staff: Client, account: BillingAccount) -> None:
    page = staff.get(url("change", draft_of(account).pk)).content.decode()

    subscription = account.subscriptions.get()
    assert reverse("admin:billing_billingaccount_change", args=[account.pk]) in page
    assert reverse("admin:billing_subscription_change", args=[subscription.pk]) in page
    metric_id = InvoiceLine.objects.get(metric_key="tokens").metric_id
    assert reverse("admin:metering_metricdefinition_change", args=[metric_id]) in page


def test_corrections_stand_in_a_section_of_their_own(staff: Client, account: BillingAccount) -> None:
    issued(account, APRIL)
    used(account.project, "50", on="2026-03-30T12:00:00Z")
    billed("2026-05-01T00:00:00Z")

    page = read(staff, url("change", draft_of(account).pk))

    assert "Corrections of periods invoiced before 5.00 Pro 2026-03-01 to 2026-03-31" in page
    assert "Tokens tokens · takes back what was billed Explain −123.5 tokens −12.35" in page
    assert "Tokens tokens · as it is known now Explain 173.5 tokens 0.10 17.35" in page


def test_parts_and_tiers_of_a_price_stand_under_it(staff: Client) -> None:
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens", primary_labels=["model"])
    account = an_account(acme)
    price = {
        "model": "graduated",
        "tiers": [
            {"up_to": "100", "unit_amount": "0.10"},
            {"up_to": None, "unit_amount": "0.05", "flat_amount": "2"},
        ],
    }
    plan = a_draft(a_usage_price(tokens, price))
    Price.objects.filter(plan=plan).update(split_by=["labels.model"])
    a_subscription(account, publish_plan(plan))
    used(acme, "150", labels={"model": "large"})
    used(acme, "50", labels={"model": "small"})
    billed("2026-04-01T00:00:00Z")

    page = read(staff, url("change", draft_of(account).pk))

    assert "Tokens 2 parts tokens How it adds up" in page
    assert "Tier 1 100 0.10 10.00 Tier 2, with 2.00 flat 100 0.05 7.00 200 17.00" in page
    assert "model: large Explain 150 12.75 model: small Explain 50 4.25" in page


def test_page_tells_what_became_of_an_invoice(staff: Client, account: BillingAccount) -> None:
    grant_credit(account, amount=Decimal(20), kind="paid", name="Deposit", now=at("2026-04-01T00:00:00Z"))
    billed("2026-04-01T00:00:00Z")
    invoice = issued(account, APRIL)
    paid(invoice, "50")
    taken = paid(invoice, "6.10", reference="bounced")
    take_back_payment(taken, reason="No funds.", recorded_by="ben", received_on=dt.date(2026, 4, 12))

    page = read(staff, url("change", invoice.pk))

    assert "Total 86.10 EUR Paid by credit −20.00 To be paid 66.10 EUR" in page
    assert "16.10 EUR open" in page
    assert "Deposit Credit · Drawn 20.00 EUR" in page
    assert "Bank transfer 2026-04-09 · SEPA 8812 · Take back 50.00" in page
    assert "Bank transfer, taken back 2026-04-12 · bounced · No funds. −6.10" in page
    assert "Issued by ada 2026-04-02 12:00" in page
    assert "50.00 EUR paid by ada" in page
    assert "Payment of 6.10 EUR taken back by ben" in page


def test_page_tells_that_an_invoice_is_void(staff: Client, account: BillingAccount) -> None:
    invoice = issued(account, APRIL)
    note = void(invoice, now=at("2026-04-05T10:00:00Z"), reason="Wrong address.", voided_by="ben")

    page, of_note = read(staff, url("change", invoice.pk)), read(staff, url("change", note.pk))

    assert "Void 86.10 EUR" in page
    assert "Voided by CN-000001 by ben 2026-04-05 12:00 Wrong address." in page
    assert "Credits INV-000001" in of_note
    assert "What it takes back" in of_note
    assert "settles INV-000001 86.10 EUR" in of_note


def test_page_warns_before_a_draft_is_issued(staff: Client, account: BillingAccount) -> None:
    fields = {"approval_above": "100", "invoice_emails": []}
    change_account(account, fields, now=timezone.now())
    ParkedAccount.objects.create(account=account, code="x", reason="A price is missing.")

    outdated = read(staff, url("change", draft_of(account).pk))
    billed("2026-04-01T00:00:00Z")
    draft = draft_of(account)
    add_line(draft, ManualLine("Support", Decimal("120")), added_by="ada")
    to_approve = read(staff, url("change", draft.pk))
    approve(draft, approved_by="ben")
    approved = read(staff, url("change", draft.pk))

    assert (
        "changed after this draft was computed; compute it again and look at it. Compute it again" in outdated
    )
    assert "The last billing run couldn't bill this account: A price is missing." in outdated
    assert "The account has no e-mail address: it won't be mailed." in outdated
    assert "what was added by hand comes to more than 100.00 EUR. Approve" in to_approve
    assert "Approved as it is now by ben" in approved


def test_page_counts_the_days_of_grace(staff: Client) -> None:
    account = a_daily_customer()

    page = read(staff, url("change", draft_of(account).pk))

    assert "3 days of grace are left: usage may still arrive until" in page


def a_daily_customer() -> BillingAccount:
    """Billed by the day, up to the last midnight; three days of grace."""
    acme, tokens = a_project("daily"), a_metric("tokens")
    account = an_account(acme, issue_grace_days=3)
    a_seller()
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    day = dt.timedelta(days=1)
    plan = publish_plan(a_draft(a_usage_price(tokens), interval="day"))
    a_subscription(account, plan, effective_from=midnight - day)
    used(acme, "10", on=(midnight - day / 2).isoformat())
    billed(midnight.isoformat())
    return account


def test_nothing_edits_or_deletes_a_document(staff: Client, account: BillingAccount) -> None:
    draft, invoice = draft_of(account), issued_now(account)

    for document in (draft, invoice):
        before = Invoice.objects.values().get(pk=document.pk)
        assert staff.post(url("change", document.pk), {"number": "X"}).status_code == 403
        assert staff.get(url("delete", document.pk)).status_code == 403
        assert staff.post(url("delete", document.pk), {"post": "yes"}).status_code == 403
        assert Invoice.objects.values().get(pk=document.pk) == before
    assert staff.get(url("add")).status_code == 403
    assert 'name="_save"' not in staff.get(url("change", invoice.pk)).content.decode()


@pytest.mark.parametrize(
    "page", ["recompute", "add_line", "add_discount", "edit_notes", "discard", "issue", "approve"]
)
def test_issued_documents_refuse_what_drafts_allow(staff: Client, account: BillingAccount, page: str) -> None:
    invoice = issued_now(account)
    before = Invoice.objects.values().get(pk=invoice.pk)

    response = staff.post(url(page, invoice.pk), {"name": "X", "amount": "1", "reason": "x", "percent": "1"})

    assert response.url == url("change", invoice.pk)
    assert told(response) == ["INV-000001 is issued and never changes; issue a credit note."]
    assert Invoice.objects.values().get(pk=invoice.pk) == before


@pytest.mark.parametrize("page", OF_ISSUED)
def test_drafts_refuse_what_issued_documents_allow(staff: Client, account: BillingAccount, page: str) -> None:
    draft = draft_of(account)

    response = staff.post(url(page, draft.pk), {"reason": "x", "amount": "1"})

    assert told(response) == ["The document is a draft; issue it first."]


def test_files_of_drafts_are_called_by_customer_and_draft(staff: Client, account: BillingAccount) -> None:
    draft = draft_of(account)

    names = [staff.get(url(page, draft.pk))["Content-Disposition"] for page in ("pdf", "csv")]

    assert names == [
        f'attachment; filename="draft-acme-{draft.pk}.pdf"',
        f'attachment; filename="draft-acme-{draft.pk}.csv"',
    ]


def test_documents_are_downloaded_and_sent_again(staff: Client, account: BillingAccount) -> None:
    invoice = issued_now(account)

    pdf, table = staff.get(url("pdf", invoice.pk)), staff.get(url("csv", invoice.pk))
    assert (pdf["Content-Type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    assert pdf["Content-Disposition"] == 'attachment; filename="INV-000001.pdf"'
    assert table["Content-Type"] == "text/csv; charset=utf-8"
    assert "INV-000001" in table.content.decode()

    change_account(account, {"invoice_emails": []}, now=timezone.now())
    assert "The account has no addresses" in read(staff, url("resend", invoice.pk))
    change_account(account, {"invoice_emails": ["ap@acme.test"]}, now=timezone.now())
    assert "ap@acme.test" in read(staff, url("resend", invoice.pk))
    assert told(staff.post(url("resend", invoice.pk))) == ["INV-000001 is on its way to ap@acme.test."]
    assert OutgoingMail.objects.get().recipients == ["ap@acme.test"]


def test_a_draft_is_drafted_before_it_is_computed(staff: Client, account: BillingAccount) -> None:
    page = read(staff, url("change", draft_of(account).pk))

    assert page.index("Drafted by a billing run") < page.index("billed up to 2026-04-01")


def test_rate_stands_beside_a_quantity_only_where_the_two_make_the_amount(staff: Client) -> None:
    acme = a_project("acme")
    calls, bytes_out = a_metric("calls", display_name="Calls"), a_metric("bytes", display_name="Egress")
    account = an_account(acme)
    beyond = {"model": "per_unit", "unit_amount": "0.10", "usage_discount": "100"}
    per_thousand = {"model": "per_unit", "unit_amount": "2", "unit_conversion": {"divide_by": "1000"}}
    plan = a_draft(a_usage_price(calls, beyond), a_usage_price(bytes_out, per_thousand))
    a_subscription(account, publish_plan(plan))
    used(acme, "250", event_name="calls")
    used(acme, "2500", event_name="bytes")
    billed("2026-04-01T00:00:00Z")

    page = read(staff, url("change", draft_of(account).pk))

    assert "Included 100 Beyond what is included 150 0.10 15.00 250 15.00" in page
    assert "Units of 1,000 2.5 2.00 5.00 2,500 5.00" in page


def test_who_may_only_look_is_offered_files_and_nothing_else(clerk: Clerk, account: BillingAccount) -> None:
    onlooker = clerk("view_invoice")
    draft, invoice = draft_of(account), issued_now(account)

    assert onlooker.get(url("changelist")).status_code == 200
    for document in (draft, invoice):
        response = onlooker.get(url("change", document.pk))
        assert [action["title"] for action in response.context["actions_detail"]] == ["PDF", "Lines as CSV"]
        assert "Add a line" not in text_of(response)
    for page in OF_DRAFTS:
        assert onlooker.post(url(page, draft.pk)).status_code == 403
    for page in OF_ISSUED:
        assert onlooker.post(url(page, invoice.pk)).status_code == 403
    for address in (url("begin"), url("issue_many")):
        assert onlooker.post(address).status_code == 403
    assert clerk(name="nobody").get(url("changelist")).status_code == 403


def test_unknown_document_is_said_to_be_unknown(staff: Client) -> None:
    assert staff.get(url("issue", 99)).status_code == 404
    assert staff.get(url("change", 99)).status_code == 302
    assert staff.get(url("issue", "9" * 30)).status_code == 404


def queries_of(client: Client, address: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_page_of_300_lines_asks_no_more_than_one_of_three(staff: Client, account: BillingAccount) -> None:
    draft = draft_of(account)
    staff.get(url("change", draft.pk))  # the first page of a process asks for what it then holds in memory
    few = queries_of(staff, url("change", draft.pk))
    some = list(draft.lines.order_by("position"))
    copies = []
    for number in range(300):
        line = InvoiceLine.objects.get(pk=some[number % 3].pk)
        line.pk, line.position, line.group = None, 10 + number, {"region": f"eu-{number}"}
        copies.append(line)
    InvoiceLine.objects.bulk_create(copies)

    many = queries_of(staff, url("change", draft.pk))

    assert (few, many) == (17, 17)


def test_list_of_100_documents_asks_no_more_than_one_of_one(staff: Client, account: BillingAccount) -> None:
    few = queries_of(staff, url("changelist"))
    for _number in range(99):
        begin_invoice(account, edited_by="ada")

    many = queries_of(staff, url("changelist"))

    assert (few, many) == (15, 15)


def test_credit_note_page_says_where_its_amount_went(staff: Client, account: BillingAccount) -> None:
    invoice = issued(account, APRIL)
    paid(invoice, "86.10")
    usage = invoice.lines.get(kind="usage")
    note = begin_credit_note(
        invoice, lines=[ManualLine("Goodwill", Decimal(10), credits=usage)], reason="Outage.", edited_by="ben"
    )
    issue(note, now=at("2026-04-20T10:00:00Z"), issued_by="ada")

    page, of_note = read(staff, url("change", invoice.pk)), read(staff, url("change", note.pk))

    assert "Credit notes CN-000001 −11.90 EUR" in page
    assert "Credited by CN-000001 by ada" in page
    assert "Where it went credit of the account 11.90 EUR" in of_note
