"""Issuing, approving and voiding from pages, one document and many."""

import datetime as dt
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from billing.invoicing.draft_edits import ManualLine, add_line, begin_invoice
from billing.invoicing.issuing import issue
from billing.models import BillingAccount, Invoice, NumberSeries, Seller
from billing.selling.accounts import change_account
from billing.selling.plans import publish_plan
from billing.settling.credits import credit_available, grant_credit
from billing.settling.payments import record_payment
from tests.billing.admin.conftest import Clerk
from tests.billing.admin.reading import confirmed, errors_of, read, text_of, told, url
from tests.billing.billed import a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db

APRIL = "2026-04-02T10:00:00Z"


@pytest.fixture
def issuer(clerk: Clerk) -> Client:
    return clerk("view_invoice", "issue_invoice")


def by_hand(account: BillingAccount, amount: str) -> Invoice:
    draft = begin_invoice(account, edited_by="ada")
    add_line(draft, ManualLine("Work", Decimal(amount)), added_by="ada")
    draft.refresh_from_db()
    return draft


def test_page_shows_what_issuing_means(issuer: Client, account: BillingAccount) -> None:
    grant_credit(account, amount=Decimal(20), kind="paid", name="Deposit", now=timezone.now())

    page = read(issuer, url("issue", draft_of(account).pk))

    assert "Issue the invoice: Acme Ltd, Draft" in page
    assert "Invoice, net 72.35 EUR Tax 13.75 EUR Total 86.10 EUR" in page
    assert "Paid by credit: Deposit −20.00 EUR To be paid 66.10 EUR Due 14 days after issue" in page
    assert "Number the next one, now INV-000001 Mailed to invoices@acme.example" in page
    assert "early" not in page


def test_draft_is_issued(issuer: Client, account: BillingAccount) -> None:
    draft = draft_of(account)

    response = confirmed(issuer, "issue", draft)

    assert told(response) == ["INV-000001 is issued."]
    draft.refresh_from_db()
    assert (draft.number, draft.issued_by, draft.amount_due) == ("INV-000001", "kim", Decimal("86.10"))


def test_draft_that_changed_since_is_not_issued(issuer: Client, account: BillingAccount) -> None:
    draft = draft_of(account)
    seen = issuer.get(url("issue", draft.pk)).context["form"]["seen"].value()
    add_line(draft, ManualLine("More", Decimal(5)), added_by="ada")

    errors = errors_of(issuer.post(url("issue", draft.pk), {"seen": seen}))

    assert errors == {"__all__": ["The draft has changed since you looked at it; look again."]}
    assert not Invoice.objects.issued().exists()


def test_early_issue_is_asked_for_in_so_many_words(issuer: Client) -> None:
    acme, tokens = a_project("acme"), a_metric("tokens")
    account = an_account(acme, issue_grace_days=3)
    a_seller()
    day, midnight = dt.timedelta(days=1), timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    a_subscription(
        account,
        publish_plan(a_draft(a_usage_price(tokens), interval="day")),
        effective_from=midnight - day,
    )
    used(acme, "10", on=(midnight - day / 2).isoformat())
    billed(midnight.isoformat())
    draft = draft_of(account)

    page = read(issuer, url("issue", draft.pk))
    refused = errors_of(confirmed(issuer, "issue", draft))
    issued_early = confirmed(issuer, "issue", draft, is_early="on")

    assert "This is early: usage of its periods may still arrive until" in page
    assert "issue it then, or say that it is early" in refused["__all__"][0]
    assert told(issued_early) == ["INV-000001 is issued."]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("outdated", "changed after this draft was computed"),
        ("unapproved", "a second person has to approve"),
        ("unsold", "Say who issues invoices first"),
        ("empty", "The draft has no lines."),
    ],
)
def test_what_holds_a_draft_back_stands_in_place_of_the_button(
    issuer: Client, account: BillingAccount, state: str, words: str
) -> None:
    draft = begin_invoice(account, edited_by="ada") if state == "empty" else draft_of(account)
    if state == "outdated":
        change_account(account, {"legal_name": "Acme SE"}, now=timezone.now())
    if state == "unapproved":
        BillingAccount.objects.update(approval_above=Decimal(1))
        add_line(draft, ManualLine("More", Decimal(5)), added_by="ada")
    if state == "unsold":
        Seller.objects.all().delete()

    shown = issuer.get(url("issue", draft.pk))
    errors = errors_of(confirmed(issuer, "issue", draft))

    assert words in text_of(shown)
    assert shown.context["button"] == ""
    assert words in errors["__all__"][0]
    assert not Invoice.objects.issued().exists()


def test_second_person_approves(clerk: Clerk, issuer: Client, account: BillingAccount) -> None:
    BillingAccount.objects.update(approval_above=Decimal(1))
    draft = draft_of(account)
    add_line(draft, ManualLine("More", Decimal(5)), added_by="ada")
    ben = clerk("view_invoice", "approve_invoice", name="ben")

    page = read(ben, url("approve", draft.pk))
    response = confirmed(ben, "approve", draft, note="Agreed on the phone.")

    assert "Last edited by ada. By hand: More 5.00 EUR Invoice, net 77.35 EUR" in page
    assert told(response) == ["It is approved."]
    approval = draft.approvals.get()
    assert (approval.approved_by, approval.note) == ("ben", "Agreed on the phone.")
    assert told(confirmed(issuer, "issue", draft)) == ["INV-000001 is issued."]


def test_what_is_approved_as_it_is_needs_no_button_for_it(clerk: Clerk, account: BillingAccount) -> None:
    BillingAccount.objects.update(approval_above=Decimal(1))
    draft = draft_of(account)
    add_line(draft, ManualLine("More", Decimal(5)), added_by="ada")
    ben, button = clerk("view_invoice", "approve_invoice", name="ben"), url("approve", draft.pk)
    offered = [button in ben.get(url("change", draft.pk)).content.decode()]

    confirmed(ben, "approve", draft)
    offered.append(button in ben.get(url("change", draft.pk)).content.decode())
    add_line(draft, ManualLine("Still more", Decimal(5)), added_by="ada")
    offered.append(button in ben.get(url("change", draft.pk)).content.decode())

    assert offered == [True, False, True]


def test_nobody_approves_their_own_work(clerk: Clerk, account: BillingAccount) -> None:
    BillingAccount.objects.update(approval_above=Decimal(1))
    draft = draft_of(account)
    add_line(draft, ManualLine("More", Decimal(5)), added_by="ben")
    ben = clerk("view_invoice", "approve_invoice", name="ben")

    shown = ben.get(url("approve", draft.pk))
    errors = errors_of(confirmed(ben, "approve", draft))

    assert shown.context["button"] == ""
    assert errors == {"__all__": ["You edited this document; somebody else has to approve it."]}
    assert not draft.approvals.exists()


def test_void_says_what_follows_and_does_it(clerk: Clerk, account: BillingAccount) -> None:
    grant_credit(account, amount=Decimal(20), kind="paid", now=at("2026-04-01T00:00:00Z"))
    invoice = issued(account, APRIL)
    voider = clerk("view_invoice", "void_invoice")

    page = read(voider, url("void", invoice.pk))
    response = voider.post(url("void", invoice.pk), {"reason": "Wrong address."})

    assert "with the next number, now CN-000001" in page
    assert "2 billed periods (3 prices) are open again" in page
    assert "20.00 EUR of credit goes back to the account." in page
    assert "Mailed to invoices@acme.example" in page
    assert told(response) == ["INV-000001 is void; CN-000001 takes it back."]
    note = Invoice.objects.get(number="CN-000001")
    assert (note.total, note.reason, note.issued_by) == (Decimal("-86.10"), "Wrong address.", "kim")
    assert credit_available(account, at=timezone.now()) == 20


def test_void_is_refused_while_payments_are_allocated(clerk: Clerk, account: BillingAccount) -> None:
    invoice = issued(account, APRIL)
    record_payment(invoice, amount=Decimal(10), received_on=dt.date(2026, 4, 9), now=timezone.now())
    voider = clerk("view_invoice", "void_invoice")

    page = read(voider, url("void", invoice.pk))
    errors = errors_of(voider.post(url("void", invoice.pk), {"reason": "Wrong."}))
    without_reason = errors_of(voider.post(url("void", invoice.pk), {"reason": " "}))

    assert "Payments of 10.00 EUR are allocated to it: take them back first." in page
    assert errors == {
        "__all__": ["Payments are allocated to INV-000001; take them back first, or issue a credit note."]
    }
    assert list(without_reason) == ["reason"]
    assert Invoice.objects.count() == 1


def test_each_step_needs_its_own_right(clerk: Clerk, account: BillingAccount) -> None:
    draft, invoice = draft_of(account), issue(by_hand(account, "5"), now=timezone.now(), issued_by="ada")
    rights = {"issue": "issue_invoice", "approve": "approve_invoice", "void": "void_invoice"}

    for page, right in rights.items():
        document = invoice if page == "void" else draft
        others = set(rights.values()) - {right}
        without = clerk("view_invoice", "change_invoice", "add_payment", *others, name=f"no {page}")
        allowed = clerk("view_invoice", right, name=page)
        assert without.post(url(page, document.pk), {"reason": "x"}).status_code == 403
        assert allowed.get(url(page, document.pk)).status_code == 200
    assert Invoice.objects.issued().count() == 1


# -- many --------------------------------------------------------------------------------------------------


def several(account: BillingAccount) -> list[Invoice]:
    """Two that can be issued in euros, one in yen, one that has to be approved, one that is issued."""
    kyoto = an_account(a_project("kyoto"), legal_name="Kyoto KK", currency="JPY")
    strict = an_account(a_project("strict"), legal_name="Strict AG", approval_above="10")
    return [
        draft_of(account),
        by_hand(account, "10"),
        by_hand(kyoto, "4900"),
        by_hand(strict, "50"),
        issue(by_hand(strict, "7"), now=timezone.now(), issued_by="ada"),
    ]


def test_ticked_drafts_are_shown_with_totals_per_currency(issuer: Client, account: BillingAccount) -> None:
    chosen = several(account)
    ticked = {"action": "issue_selected", "_selected_action": [one.pk for one in chosen], "index": "0"}

    response = issuer.post(url("changelist"), ticked, follow=True)
    page = text_of(response)

    assert "Issue 3 drafts" in page
    assert "EUR, 2 documents 98.00 EUR JPY, one document 4,900 JPY" in page  # 86.10 + 11.90
    assert "Left out" in page
    assert "Strict AG What was added by hand, or the credit note, comes to more than 10.00 EUR" in page
    assert "INV-000001 Strict AG INV-000001 is issued and never changes" in page
    assert Invoice.objects.issued().count() == 1


def test_many_are_issued_each_for_itself(issuer: Client, account: BillingAccount) -> None:
    chosen = several(account)
    address = url("issue_many") + "?ids=" + ",".join(str(one.pk) for one in chosen)
    seen = [row["seen"] for row in issuer.get(address).context["ready"]]
    add_line(chosen[1], ManualLine("More", Decimal(5)), added_by="ada")

    page = text_of(issuer.post(address, {"seen": seen}))

    assert "2 documents are issued EUR, one document 86.10 EUR JPY, one document 4,900 JPY" in page
    assert "INV-000002 Acme Ltd 86.10 EUR INV-000003 Kyoto KK 4,900 JPY" in page
    assert "Not issued" in page
    assert "The draft has changed since you looked at it; look again." in page
    assert NumberSeries.objects.get(kind="invoice").last_number == 3
    again = text_of(issuer.post(address, {"seen": seen}))
    assert "Nothing was issued." in again
    assert "INV-000002 is issued and never changes" in again


def test_early_drafts_are_left_out_of_many(issuer: Client, account: BillingAccount) -> None:
    BillingAccount.objects.update(issue_grace_days=10_000)
    draft = draft_of(account)

    page = text_of(issuer.get(url("issue_many") + f"?ids={draft.pk}"))

    assert "None of them can be issued now." in page
    assert "Usage may still arrive until" in page


@pytest.mark.parametrize("ids", ["", "x", "1,x", ",".join(["1"] * 201)])
def test_many_need_ids(issuer: Client, ids: str) -> None:
    response = issuer.get(url("issue_many"), {"ids": ids})

    assert told(response) == ["Tick the drafts to be issued."]


def test_posting_nonsense_issues_nothing(issuer: Client, account: BillingAccount) -> None:
    page = text_of(issuer.post(url("issue_many"), {"seen": ["", "x-y", f"{draft_of(account).pk}", "99-00"]}))

    assert "Nothing was issued." in page
    assert not Invoice.objects.issued().exists()


def test_draft_of_a_run_goes_before_an_older_one_by_hand(issuer: Client) -> None:
    account = an_account(a_project("acme"))
    a_seller()
    older = by_hand(account, "10")
    a_subscription(account, a_plan(a_fee("30")))
    billed("2026-04-01T00:00:00Z")
    address = url("issue_many") + f"?ids={older.pk},{draft_of(account).pk}"
    seen = [row["seen"] for row in issuer.get(address).context["ready"]]

    issuer.post(address, {"seen": seen})

    numbers = Invoice.objects.order_by("number").values_list("number", "origin")
    assert list(numbers) == [("INV-000001", "run"), ("INV-000002", "manual")]
