"""What comes to more than the limit of its account takes a second person, whichever way it goes out."""

from decimal import Decimal

import pytest
from django.utils import timezone

from billing.errors import (
    ApprovalMissing,
    DraftChangedSince,
    InvoiceIsPaid,
    OwnWorkNotApproved,
    VoidNotEdited,
    VoidWaits,
)
from billing.invoicing.approvals import approve, content_digest
from billing.invoicing.draft_edits import (
    ManualLine,
    add_line,
    begin_invoice,
    discard_draft,
    remove_line,
    set_notes,
)
from billing.invoicing.issuing import issue
from billing.invoicing.standing import Status, status_of
from billing.invoicing.voiding import void
from billing.models import BilledPeriod, BillingAccount, Invoice, ParkedAccount
from billing.proving.explaining import explained, lines_to_explain
from billing.settling.credits import credit_available, grant_credit
from billing.settling.payments import record_payment
from metering.keys import create_api_key
from metering.models import Project
from tests.billing.admin.staff import a_billed_customer
from tests.billing.billed import billed, draft_of, table_of, used
from tests.billing.proof import assert_verified
from tests.factories import at

pytestmark = pytest.mark.django_db

WORK = ManualLine("Work", Decimal("150"))
MAY = at("2026-05-02T00:00:00Z")


@pytest.fixture
def account() -> BillingAccount:
    """Acme, whose invoice of March over 70.00 is issued."""
    _acme, account, _invoice = a_billed_customer(approval_above=Decimal(50))
    return account


def voided(account: BillingAccount) -> tuple[Invoice, Invoice]:
    """The invoice, and what voiding it made."""
    invoice = account.invoices.issued().get(kind="invoice")
    return invoice, void(invoice, now=MAY, reason="Wrong customer.", voided_by="fin")


def issued_by_fin(draft: Invoice) -> Invoice:
    return issue(draft, now=MAY, issued_by="fin", is_early=True)


# -- what was agreed to --------------------------------------------------------------------------------------


def test_nothing_is_changed_after_it_was_agreed_to(account: BillingAccount) -> None:
    draft = begin_invoice(account, lines=[WORK], edited_by="fin")
    approve(draft, approved_by="app")

    set_notes(draft, "Pay to our new account.", edited_by="fin")

    with pytest.raises(ApprovalMissing):
        issued_by_fin(draft)
    approve(draft, approved_by="app")
    assert issued_by_fin(draft).notes == "Pay to our new account."


def test_whoever_wrote_the_note_does_not_approve_it(account: BillingAccount) -> None:
    draft = begin_invoice(account, lines=[WORK], edited_by="fin")

    set_notes(draft, "Thank you.", edited_by="app")

    with pytest.raises(OwnWorkNotApproved):
        approve(draft, approved_by="app")


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": Decimal(3)},
        {"name": "Other work"},
        {"reason": "Asked for by phone."},
        {"group": {"region": "eu"}},
        {"service_end_on": at("2026-03-31T00:00:00Z").date()},
    ],
)
def test_digest_is_of_all_that_is_shown_of_a_line(account: BillingAccount, change: dict[str, object]) -> None:
    draft = begin_invoice(account, lines=[WORK], edited_by="fin")
    before = content_digest(draft)

    draft.lines.update(**change)

    assert content_digest(draft) != before


def test_digest_is_of_who_is_billed(account: BillingAccount) -> None:
    draft = begin_invoice(account, lines=[WORK], edited_by="fin")
    before = content_digest(draft)

    BillingAccount.objects.update(tax_id="DE000000001")

    assert content_digest(Invoice.objects.get(pk=draft.pk)) != before


def test_what_is_agreed_to_or_issued_is_what_was_seen(account: BillingAccount) -> None:
    draft = begin_invoice(account, lines=[WORK], edited_by="fin")
    seen = content_digest(draft)
    add_line(draft, ManualLine("More", Decimal(9000)), added_by="fin")

    with pytest.raises(DraftChangedSince):
        approve(draft, approved_by="app", seen=seen)
    approve(draft, approved_by="app", seen=content_digest(Invoice.objects.get(pk=draft.pk)))
    with pytest.raises(DraftChangedSince):
        issue(draft, now=MAY, issued_by="fin", is_early=True, seen=seen)


# -- voiding -------------------------------------------------------------------------------------------------


def test_voiding_above_the_limit_waits_for_a_second_person(account: BillingAccount) -> None:
    invoice, note = voided(account)

    assert (note.is_draft, note.total, note.reason) == (True, Decimal(-70), "Wrong customer.")
    assert_verified()
    reruns = [explained(line).rerun for line in lines_to_explain().filter(invoice=note)]
    assert [rerun.matches for rerun in reruns if rerun is not None] == [True]
    assert status_of(_loaded(invoice), on=invoice.issued_on) == Status.ISSUED
    with pytest.raises(ApprovalMissing):
        issued_by_fin(note)
    with pytest.raises(OwnWorkNotApproved):
        approve(note, approved_by="fin")

    approve(note, approved_by="app")
    issued = issued_by_fin(note)

    assert (issued.number, issued.total) == ("CN-000001", Decimal(-70))
    assert status_of(_loaded(invoice), on=invoice.issued_on) == Status.VOID
    assert {line.reverses_id for line in issued.lines.all()} == {line.pk for line in invoice.lines.all()}
    assert not BilledPeriod.objects.filter(invoice=invoice).exists()
    assert_verified()


def test_voiding_up_to_the_limit_is_done_at_once(account: BillingAccount) -> None:
    BillingAccount.objects.update(approval_above=Decimal(70))

    _invoice, note = voided(account)

    assert note.number == "CN-000001"
    assert_verified()


def test_a_voiding_that_waits_is_a_mirror_and_begun_once(account: BillingAccount) -> None:
    _invoice, note = voided(account)

    for edit in (
        lambda: add_line(note, ManualLine("Less", Decimal(1)), added_by="fin"),
        lambda: remove_line(note, 1, removed_by="fin"),
        lambda: set_notes(note, "Sorry.", edited_by="fin"),
    ):
        with pytest.raises(VoidNotEdited):
            edit()
    with pytest.raises(VoidWaits):
        voided(account)
    discard_draft(note)
    _invoice, again = voided(account)
    assert again.is_draft


def test_what_happened_meanwhile_stands_against_it(account: BillingAccount) -> None:
    invoice, note = voided(account)
    approve(note, approved_by="app")
    record_payment(invoice, amount=Decimal(5), received_on=MAY.date(), now=MAY)

    with pytest.raises(InvoiceIsPaid):
        issued_by_fin(note)

    assert Invoice.objects.get(pk=note.pk).is_draft
    assert note.lines.filter(reverses=None).count() == invoice.lines.count()


def test_runs_go_on_while_a_voiding_waits(account: BillingAccount) -> None:
    _invoice, note = voided(account)
    approve(note, approved_by="app")
    used(account.project, "50")

    billed("2026-05-01T00:00:00Z")

    assert not ParkedAccount.objects.exists()
    assert any("correction" in kind for kind, *_ in table_of(draft_of(account)))
    issued_by_fin(note)
    assert not Invoice.objects.drafts().exists()  # what was computed is taken off, and computed again
    billed("2026-05-01T00:00:00Z")
    assert draft_of(account).lines.exists()
    assert_verified()


def test_credit_comes_back_once_it_is_void(account: BillingAccount) -> None:
    grant_credit(account, amount=Decimal(200), kind="paid", now=timezone.now())
    paid = issued_by_fin(_approved(begin_invoice(account, lines=[WORK], edited_by="fin")))
    assert credit_available(account, at=timezone.now()) == 50

    note = void(paid, now=timezone.now(), reason="Twice.", voided_by="fin")
    assert credit_available(account, at=timezone.now()) == 50
    issued_by_fin(_approved(note))

    assert credit_available(account, at=timezone.now()) == 200
    assert_verified()


# -- who is a second person ----------------------------------------------------------------------------------


def signature(project: Project, *, created_by: str) -> str:
    row, _key = create_api_key(project=project, name="ERP", permissions=["manage"], created_by=created_by)
    return f"ERP (mbk_{row.key_id}…)"


def test_two_keys_of_one_person_are_one_person(account: BillingAccount) -> None:
    one, other = (signature(account.project, created_by="olga") for _ in range(2))
    draft = begin_invoice(account, lines=[WORK], edited_by=one)

    for approver in (one, other, "olga"):
        with pytest.raises(OwnWorkNotApproved):
            approve(draft, approved_by=approver)

    approve(draft, approved_by=signature(account.project, created_by="piet"))


def test_what_somebody_edited_is_not_approved_by_their_key(account: BillingAccount) -> None:
    draft = begin_invoice(account, lines=[WORK], edited_by="olga")

    with pytest.raises(OwnWorkNotApproved):
        approve(draft, approved_by=signature(account.project, created_by="olga"))


def test_keys_that_nobody_made_are_persons_of_their_own(account: BillingAccount) -> None:
    one, other = (signature(account.project, created_by="") for _ in range(2))
    draft = begin_invoice(account, lines=[WORK], edited_by=one)

    assert approve(draft, approved_by=other).approved_by == other


def _approved(draft: Invoice) -> Invoice:
    approve(draft, approved_by="app")
    return draft


def _loaded(invoice: Invoice) -> Invoice:
    return Invoice.objects.with_open_amount().get(pk=invoice.pk)
