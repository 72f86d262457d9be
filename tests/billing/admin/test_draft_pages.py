"""Changing drafts from their pages: every verb, every refusal shown, nothing written then."""

from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.test import Client

from billing.admin import draft_pages
from billing.invoicing.draft_edits import ManualLine, add_discount, add_line, begin_invoice
from billing.models import BillingAccount, BillingRun, Invoice
from billing.selling.subscriptions import cancel
from metering.clock import ledger_end
from tests.billing.admin.conftest import Clerk
from tests.billing.admin.reading import confirmed, errors_of, read, told, url
from tests.billing.billed import draft_of, table_of, used
from tests.billing.factories import an_account
from tests.factories import a_project, at

pytestmark = pytest.mark.django_db


@pytest.fixture
def editor(clerk: Clerk) -> Client:
    return clerk("view_invoice", "change_invoice")


@pytest.fixture(autouse=True)
def _position_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fence would wait for this test's own transaction."""
    monkeypatch.setattr(draft_pages, "raise_fence", lambda: SimpleNamespace(position=ledger_end()))


def test_line_of_an_amount_is_added(editor: Client, account: BillingAccount) -> None:
    draft = draft_of(account)

    response = confirmed(editor, "add_line", draft, name="Support", amount="-5.50", reason="Ticket 88")

    assert told(response) == ["“Support” is on the draft."]
    line = draft.lines.get(kind="manual")
    assert (line.name, line.amount, line.reason, line.added_by) == (
        "Support",
        Decimal("-5.50"),
        "Ticket 88",
        "kim",
    )
    draft.refresh_from_db()
    assert (draft.total, draft.edited_by) == (Decimal("79.55"), "kim")  # 86.10 - 5.50 - 1.05
    assert "Support Ticket 88 · kim Explain Remove −5.50" in read(editor, url("change", draft.pk))


def test_line_of_a_quantity_is_added(editor: Client, account: BillingAccount) -> None:
    draft = draft_of(account)

    confirmed(editor, "add_line", draft, name="Work", quantity="1.5", unit_amount="33.33")

    assert table_of(draft)[-1] == ("manual", "Work", "1.5", "50.00")


@pytest.mark.parametrize(
    ("page", "fields"),
    [
        ("add_line", {"name": "Support", "amount": "5"}),
        ("add_discount", {"name": "Loyalty", "percent": "10", "reason": "Renewal"}),
        ("edit_notes", {"notes": "Thank you."}),
    ],
)
def test_form_that_is_sent_twice_changes_the_draft_once(
    editor: Client, account: BillingAccount, page: str, fields: dict[str, str]
) -> None:
    draft = draft_of(account)
    form = {"seen": editor.get(url(page, draft.pk)).context["form"]["seen"].value(), **fields}

    answers = [editor.post(url(page, draft.pk), form) for _ in range(2)]

    assert answers[0].url == url("change", draft.pk)
    assert errors_of(answers[1]) == {"__all__": ["The draft has changed since you looked at it; look again."]}
    assert all(answers[1].context["form"][name].value() == value for name, value in form.items())
    assert draft.lines.filter(kind="manual").count() + draft.discounts.count() == (page != "edit_notes")


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"name": "X"}, "amount", "Give an amount, or a quantity and a unit amount."),
        ({"name": "X", "amount": "1.005"}, "amount", "Has more decimals than EUR."),
        ({"name": "X", "amount": "0"}, "amount", "Must not be zero."),
        ({"name": "X", "amount": "NaN"}, "amount", "is no number"),
        ({"name": "X", "amount": "1", "unit_amount": "2"}, "unit_amount", "not both"),
        ({"name": " ", "amount": "1"}, "name", "required"),
    ],
)
def test_wrong_line_names_its_field(
    editor: Client, account: BillingAccount, fields: dict[str, str], field: str, words: str
) -> None:
    draft = draft_of(account)

    errors = errors_of(confirmed(editor, "add_line", draft, **fields))

    assert list(errors) == [field]
    assert words in errors[field][0]
    assert draft.lines.count() == 3


def test_line_by_hand_is_taken_off(editor: Client, account: BillingAccount) -> None:
    draft = draft_of(account)
    line = add_line(draft, ManualLine("Support", Decimal(5)), added_by="ada")
    address = url("remove_line", draft.pk, line.pk)

    assert "Support 5.00 EUR" in read(editor, address)
    response = editor.post(address)

    assert told(response) == ["“Support” is off the draft."]
    assert draft.lines.count() == 3


def test_computed_line_stays(editor: Client, account: BillingAccount) -> None:
    draft = draft_of(account)
    line = draft.lines.get(kind="usage")

    errors = errors_of(editor.post(url("remove_line", draft.pk, line.pk)))

    assert errors == {"__all__": ["The draft has no such line that was added by hand."]}
    assert draft.lines.count() == 3
    assert editor.get(url("remove_line", draft.pk, 0)).status_code == 404


def test_discount_is_added_and_taken_off(editor: Client, account: BillingAccount) -> None:
    draft = draft_of(account)

    added = confirmed(editor, "add_discount", draft, name="Loyalty", percent="10", reason="Renewal")
    assert told(added) == ["“Loyalty” comes to −7.24 EUR."]
    discount = draft.discounts.get()
    removed = editor.post(url("remove_discount", draft.pk, discount.pk))

    assert told(removed) == ["“Loyalty” is off the draft."]
    assert not draft.discounts.exists()


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({}, "percent", "Give either a percentage or an amount."),
        ({"percent": "10", "fixed_amount": "5"}, "percent", "either"),
        ({"percent": "101"}, "percent", "at most 100"),
        ({"fixed_amount": "-5"}, "fixed_amount", "Must be a positive amount in EUR."),
        ({"percent": "10", "reason": ""}, "reason", "required"),
    ],
)
def test_wrong_discount_names_its_field(
    editor: Client, account: BillingAccount, fields: dict[str, str], field: str, words: str
) -> None:
    draft = draft_of(account)

    sent = {"name": "Loyalty", "reason": "Renewal", **fields}
    errors = errors_of(confirmed(editor, "add_discount", draft, **sent))

    assert list(errors) == [field]
    assert words in errors[field][0]
    assert not draft.discounts.exists()


def test_note_to_the_customer_is_saved(editor: Client, account: BillingAccount) -> None:
    draft = draft_of(account)

    response = confirmed(editor, "edit_notes", draft, notes="Thank you.\nSee you.")

    assert told(response) == ["The note is saved."]
    assert "Thank you. See you. Change the note to the customer" in read(editor, url("change", draft.pk))


def test_draft_is_computed_again_with_what_came_since(editor: Client, account: BillingAccount) -> None:
    draft = draft_of(account)
    cancel(account.subscriptions.get(), at=at("2026-04-01T00:00:00", "Europe/Berlin"), now=at(CANCELLED))
    used(account.project, "100", on="2026-03-30T12:00:00Z")

    assert "read from the ledger and priced anew" in read(editor, url("recompute", draft.pk))
    response = editor.post(url("recompute", draft.pk))

    # 30.00 + 22.35 of March, without April: 52.35 + 5.70 + 4.25
    assert told(response) == ["Computed. It comes to 62.30 EUR; before it was 86.10 EUR."]
    run = BillingRun.objects.order_by("-id")[0]
    assert (run.trigger, run.requested_by, run.account_count) == ("admin", "kim", 1)


CANCELLED = "2026-03-20T00:00:00Z"


def test_computing_says_that_the_account_issues_by_itself(editor: Client, account: BillingAccount) -> None:
    BillingAccount.objects.update(issues_automatically=True)

    page = read(editor, url("recompute", draft_of(account).pk))

    assert "This account's drafts are issued automatically" in page


def test_account_that_cannot_be_computed_is_said_so(
    editor: Client, account: BillingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = draft_of(account)

    def broken(*args: object, **options: object) -> None:
        raise ValueError("The price is gone.")

    monkeypatch.setattr("billing.invoicing.runs.draft", broken)

    response = editor.post(url("recompute", draft.pk))

    assert told(response) == ["It couldn't be computed: The price is gone."]
    draft.refresh_from_db()
    assert draft.total == Decimal("86.10")


def test_invoice_is_made_by_hand(editor: Client, account: BillingAccount) -> None:
    assert '<option value="acme">Acme Ltd</option>' in editor.get(url("begin")).content.decode()

    response = editor.post(url("begin"), {"project": "acme"})

    invoice = Invoice.objects.get(origin="manual")
    assert response.url == url("change", invoice.pk)
    assert (invoice.account, invoice.edited_by, invoice.total) == (account, "kim", Decimal(0))
    errors = errors_of(editor.post(url("recompute", invoice.pk)))
    assert errors == {"__all__": ["It was made by hand; there is nothing to compute."]}


def test_customer_of_an_invoice_by_hand_is_named_as_people_name_them(
    editor: Client, account: BillingAccount
) -> None:
    editor.post(url("begin"), {"project": "acme ltd"})
    an_account(a_project("other"), legal_name="Acme LTD")

    errors = errors_of(editor.post(url("begin"), {"project": "Acme Ltd"}))

    assert Invoice.objects.get(origin="manual").account == account
    assert errors == {"project": ["Several customers have this name; give the project's key."]}


def test_invoice_by_hand_needs_an_account(editor: Client, account: BillingAccount) -> None:
    errors = errors_of(editor.post(url("begin"), {"project": "nobody"}))

    assert errors == {"project": ["No customer has this name, or a project with this key."]}
    assert Invoice.objects.count() == 1


def test_draft_is_discarded(editor: Client, account: BillingAccount) -> None:
    draft = draft_of(account)

    assert "Total 86.10 EUR" in read(editor, url("discard", draft.pk))
    add_line(draft, ManualLine("Support", Decimal(5)), added_by="ada")
    unseen = errors_of(editor.post(url("discard", draft.pk), {"seen": "00"}))
    response = confirmed(editor, "discard", draft)

    assert unseen == {"__all__": ["The draft has changed since you looked at it; look again."]}
    assert told(response) == ["The draft of Acme Ltd is discarded."]
    assert not Invoice.objects.exists()


def test_editing_needs_the_right_to_change_invoices(clerk: Clerk, account: BillingAccount) -> None:
    issuer = clerk("view_invoice", "issue_invoice", "approve_invoice", "void_invoice", "add_payment")
    draft = begin_invoice(an_account(a_project("other")), edited_by="ada")
    line = add_line(draft, ManualLine("Work", Decimal(50)), added_by="ada")
    discount = add_discount(draft, name="Less", reason="x", percent=Decimal(5), added_by="ada")

    for page in ("recompute", "add_line", "add_discount", "edit_notes", "discard"):
        assert issuer.post(url(page, draft.pk), {"name": "X", "amount": "1"}).status_code == 403
    assert issuer.post(url("remove_line", draft.pk, line.pk)).status_code == 403
    assert issuer.post(url("remove_discount", draft.pk, discount.pk)).status_code == 403
    assert issuer.post(url("begin"), {"project": "acme"}).status_code == 403
    assert (draft.lines.count(), draft.discounts.count(), Invoice.objects.count()) == (1, 1, 2)
