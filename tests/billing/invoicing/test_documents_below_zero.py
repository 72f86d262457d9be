"""What comes to less than nothing is a credit note, whoever made it."""

from decimal import Decimal

import pytest

from billing.invoicing.draft_edits import ManualLine, add_discount, add_line, begin_invoice, remove_line
from billing.invoicing.issuing import issue
from billing.models import Invoice
from tests.billing.billed import a_seller
from tests.billing.factories import an_account
from tests.billing.proof import assert_verified
from tests.factories import a_project, at

pytestmark = pytest.mark.django_db


def test_invoice_by_hand_below_zero_is_a_credit_note() -> None:
    a_seller()
    account = an_account(a_project("acme"))
    draft = begin_invoice(account, edited_by="ada")
    add_line(draft, ManualLine("Goodwill", amount=Decimal("-20")), added_by="ada")
    add_line(draft, ManualLine("Setup", amount=Decimal("5")), added_by="ada")

    note = issue(draft, now=at("2026-04-01T00:00:00Z"), issued_by="bob")

    assert (note.number, note.kind, note.total) == ("CN-000001", "credit_note", Decimal("-15"))
    assert account.credit_entries.get().amount == 15
    assert_verified()


def test_draft_by_hand_turns_into_an_invoice_again() -> None:
    account = an_account(a_project("acme"))
    draft = begin_invoice(account, edited_by="ada")
    goodwill = add_line(draft, ManualLine("Goodwill", amount=Decimal("-20")), added_by="ada")
    assert Invoice.objects.get().kind == "credit_note"

    add_line(draft, ManualLine("Setup", amount=Decimal("50")), added_by="ada")
    assert Invoice.objects.get().kind == "invoice"
    remove_line(draft, goodwill.pk, removed_by="ada")
    add_discount(draft, name="Loyal", reason="Deal.", percent=Decimal(10), added_by="ada")

    assert Invoice.objects.get().total == 45
