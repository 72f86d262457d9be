from collections.abc import Callable
from decimal import Decimal

import pytest

from billing.invoicing.approvals import approve
from billing.invoicing.draft_edits import (
    ManualLine,
    add_discount,
    add_line,
    begin_invoice,
    discard_draft,
    set_notes,
)
from billing.invoicing.issuing import issue
from billing.models import Invoice
from metering.errors import Invalid, NotFound
from tests.billing.factories import an_account
from tests.factories import a_project, at

pytestmark = pytest.mark.django_db

WORK = ManualLine("Work", Decimal("10"))


@pytest.mark.parametrize(
    "change",
    [
        lambda draft: add_line(draft, WORK, added_by="ada"),
        lambda draft: add_discount(draft, name="x", reason="y", percent=Decimal(1), added_by="ada"),
        lambda draft: set_notes(draft, "x", edited_by="ada"),
        lambda draft: issue(draft, now=at("2026-04-01T00:00:00Z"), issued_by="ada"),
        lambda draft: approve(draft, approved_by="grace"),
        discard_draft,
    ],
)
def test_draft_that_somebody_removed_meanwhile_is_not_found(change: Callable[[Invoice], object]) -> None:
    draft = begin_invoice(an_account(a_project("acme")), lines=[WORK], edited_by="ada")
    discard_draft(Invoice.objects.get(pk=draft.pk))

    with pytest.raises(NotFound):
        change(draft)

    assert not Invoice.objects.exists()


def test_line_that_comes_to_more_than_can_be_stored_is_refused() -> None:
    draft = begin_invoice(an_account(a_project("acme")), lines=[WORK], edited_by="ada")
    much = ManualLine("Work", quantity=Decimal("1e13"), unit_amount=Decimal("1e11"))

    with pytest.raises(Invalid) as refusal:
        add_line(draft, much, added_by="ada")

    assert refusal.value.field == "quantity"
    assert draft.lines.count() == 1
