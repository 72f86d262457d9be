from decimal import Decimal

import pytest

from billing.errors import CorrectionDecided, CorrectionOutdated, DraftOutdated
from billing.invoicing.corrections import approve_correction, write_off_correction
from billing.invoicing.due import issued_lines_of, live_lines
from billing.invoicing.voiding import void
from billing.models import BilledPeriod, BillingAccount, Invoice, PeriodCorrection
from metering.errors import Invalid
from metering.models import UsageEvent
from tests.billing.billed import a_seller, billed, draft_of, issued, table_of, used
from tests.billing.factories import a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, a_void_of, at

pytestmark = pytest.mark.django_db

NOW = at("2026-05-02T09:00:00Z")
MAY, LATE = "2026-05-01T00:00:00Z", "2026-03-31T23:00:00Z"


@pytest.fixture
def account() -> BillingAccount:
    """March is billed with 100 tokens at 0.10, and 50 late ones came to light: 5.00, which waits."""
    tokens = a_metric("tokens", display_name="Tokens")
    account = an_account(a_project("acme"), approve_corrections_above="4")
    a_seller()
    a_subscription(account, a_plan(a_usage_price(tokens)))
    used(account.project, "100")
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-01T01:00:00Z")
    used(account.project, "50", on=LATE)
    billed(MAY)
    return account


def the_open_one() -> PeriodCorrection:
    return PeriodCorrection.objects.get(state__in=("waiting", "approved", "drafted"))


def march() -> tuple[str, str, str]:
    """What March is booked with, what is open, what was written off of it."""
    [period] = BilledPeriod.objects.filter(period_start=at("2026-03-01T00:00:00Z"))
    lines = live_lines(issued_lines_of([period])[period.pk])
    found = list(period.corrections.all())
    amounts = (
        sum((line.amount for line in lines), Decimal(0)),
        sum((one.difference for one in found if one.state in {"waiting", "approved", "drafted"}), Decimal(0)),
        sum((one.difference for one in found if one.state == "written_off"), Decimal(0)),
    )
    return tuple(format(amount, ".2f") for amount in amounts)  # type: ignore[return-value]


def test_correction_waits_until_it_is_approved_and_then_is_drafted_and_booked(account):
    assert Invoice.objects.filter(issued_at=None).count() == 0
    assert march() == ("10.00", "5.00", "0.00")

    approved = approve_correction(the_open_one(), decided_by="ada", reason="Seen.", now=NOW)

    assert (approved.state, approved.decided_by, approved.decided_at, approved.reason) == (
        "approved",
        "ada",
        NOW,
        "Seen.",
    )
    billed(MAY)
    assert table_of(draft_of(account)) == [
        ("usage (correction)", "Tokens", "-100", "-10.00"),
        ("usage (correction)", "Tokens", "150", "15.00"),
    ]
    assert the_open_one().state == "drafted"
    issued(account, "2026-05-02T00:00:00Z")
    assert march() == ("15.00", "0.00", "0.00")
    with pytest.raises(CorrectionDecided):
        approve_correction(PeriodCorrection.objects.get(), decided_by="ada", now=NOW)


def test_approval_falls_when_the_difference_changes(account):
    approve_correction(the_open_one(), decided_by="ada", now=NOW)

    used(account.project, "10", on=LATE)
    billed(MAY)

    waiting = the_open_one()
    assert (waiting.state, waiting.difference, waiting.decided_by) == ("waiting", Decimal("6"), "")


def test_write_off_settles_the_period(account):
    position = the_open_one().position

    written_off = write_off_correction(the_open_one(), decided_by="ada", reason="Our mistake.", now=NOW)

    assert (written_off.state, written_off.decided_by, written_off.invoice) == ("written_off", "ada", None)
    period = BilledPeriod.objects.get(pk=written_off.billed_period_id)
    assert (period.position, period.learned_at_position) == (position, None)
    assert march() == ("10.00", "0.00", "5.00")
    billed(MAY)
    assert march() == ("10.00", "0.00", "5.00")
    assert Invoice.objects.filter(issued_at=None).count() == 0


def test_what_is_learned_after_a_write_off_is_another_correction(account):
    write_off_correction(the_open_one(), decided_by="ada", reason="Our mistake.", now=NOW)

    used(account.project, "20", on=LATE)
    billed(MAY)

    assert march() == ("10.00", "2.00", "5.00")
    assert the_open_one().state == "drafted"
    issued(account, "2026-05-02T00:00:00Z")
    assert march() == ("17.00", "0.00", "0.00")  # what was written off is billed with the rest


def test_usage_learned_before_the_write_off_is_not_forgotten(account):
    found = the_open_one()
    used(account.project, "20", on=LATE)
    billed("2026-04-02T00:00:00Z", an_account(a_project("other")))  # looks through the ledger, for another

    write_off_correction(found, decided_by="ada", reason="Our mistake.", now=NOW)

    assert BilledPeriod.objects.get(pk=found.billed_period_id).learned_at_position > found.position
    billed(MAY)
    assert march() == ("10.00", "2.00", "5.00")


def test_write_off_takes_it_off_the_draft(account):
    approve_correction(the_open_one(), decided_by="ada", now=NOW)
    billed(MAY)
    draft = draft_of(account)

    write_off_correction(the_open_one(), decided_by="ada", reason="Our mistake.", now=NOW)

    with pytest.raises(DraftOutdated):
        issued(account, "2026-05-02T00:00:00Z")
    billed(MAY)
    assert not Invoice.objects.filter(pk=draft.pk).exists()
    assert march() == ("10.00", "0.00", "5.00")


def test_decided_ones_stay_decided(account):
    found = the_open_one()
    write_off_correction(found, decided_by="ada", reason="Our mistake.", now=NOW)

    with pytest.raises(CorrectionDecided, match="written off"):
        approve_correction(found, decided_by="grace", now=NOW)
    with pytest.raises(CorrectionDecided, match="written off"):
        write_off_correction(found, decided_by="grace", reason="Twice.", now=NOW)
    assert march() == ("10.00", "0.00", "5.00")


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2001, "a\x00b"])
def test_write_off_says_why(account, reason):
    with pytest.raises(Invalid) as refusal:
        write_off_correction(the_open_one(), decided_by="ada", reason=reason, now=NOW)

    assert refusal.value.field == "reason"
    assert march() == ("10.00", "5.00", "0.00")


def test_void_after_a_write_off_bills_the_whole_and_writes_nothing_off(account):
    write_off_correction(the_open_one(), decided_by="ada", reason="Our mistake.", now=NOW)

    void(Invoice.objects.get(number="INV-000001"), now=NOW, reason="Wrong address.", voided_by="ada")
    billed(MAY)
    issued(account, "2026-05-02T10:00:00Z")

    assert march() == ("15.00", "0.00", "0.00")


def test_void_leaves_no_correction_open_of_what_is_to_be_billed_again(account):
    found = the_open_one()

    void(Invoice.objects.get(number="INV-000001"), now=NOW, reason="Wrong address.", voided_by="ada")

    assert march() == ("0.00", "0.00", "0.00")
    assert not PeriodCorrection.objects.filter(pk=found.pk).exists()


def test_correction_found_before_a_void_is_not_written_off(account):
    approve_correction(the_open_one(), decided_by="ada", now=NOW)
    billed(MAY)
    second = issued(account, "2026-05-02T00:00:00Z")  # March is booked with 15 now
    used(account.project, "60", on=LATE)
    billed(MAY)
    found = the_open_one()
    assert (found.billed_amount, found.difference) == (Decimal("15"), Decimal("6"))

    void(second, now=NOW, reason="Wrong.", voided_by="ada")

    with pytest.raises(CorrectionOutdated):
        write_off_correction(found, decided_by="ada", reason="Our mistake.", now=NOW)
    billed(MAY)
    assert march() == ("10.00", "11.00", "0.00")


def test_difference_that_is_gone_is_not_decided(account):
    found = the_open_one()
    late = UsageEvent.objects.latest("id").pk
    a_void_of(late)
    billed(MAY)

    with pytest.raises(CorrectionOutdated):
        approve_correction(found, decided_by="ada", now=NOW)
    with pytest.raises(CorrectionOutdated):
        write_off_correction(found, decided_by="ada", reason="Our mistake.", now=NOW)
    assert march() == ("10.00", "0.00", "0.00")
