"""The journal: literal postings of a customer's life, and balance of each entry."""

from collections import defaultdict
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from billing.invoicing.voiding import void
from billing.models import BilledPeriod, PeriodCorrection, Subscription
from billing.reporting.journal import JOURNAL
from billing.selling.subscriptions import cancel
from billing.settling.credits import expire_credits, grant_credit, withdraw_credit
from billing.settling.payments import record_payment, take_back_payment
from metering.errors import Conflict
from tests.billing.billed import a_day, a_seller, billed, issued, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, a_void_of, at, ledger_rows

from .reported import rows_of, text_of

pytestmark = pytest.mark.django_db
HEADER = (
    "entry,booked_on,source,document,account,project,customer,ledger_account,account_code,detail,debit,credit,"
    "currency,text,recorded_at\n"
)


def a_customer(**overrides):
    acme = a_project("acme")
    account = an_account(acme, tax_rates=[{"name": "VAT", "percent": "19"}], **overrides)
    a_seller()
    a_subscription(account, a_plan(a_fee("30"), a_usage_price(a_metric("tokens"))))
    used(acme, "100", "23.5")
    return account


def postings(**filters):
    """(entry's source, ledger account, detail, debit, credit), each entry of which balances."""
    rows = rows_of(JOURNAL, **filters)
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[row["entry"], row["currency"]] += Decimal(row["debit"]) - Decimal(row["credit"])
    assert set(sums.values()) <= {0}
    assert [row["booked_on"] for row in rows] == sorted(row["booked_on"] for row in rows)
    return [(row["text"], row["ledger_account"], row["detail"], row["debit"], row["credit"]) for row in rows]


def balances(**filters):
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows_of(JOURNAL, **filters):
        sums[row["ledger_account"]] += Decimal(row["debit"]) - Decimal(row["credit"])
    return {name: amount for name, amount in sums.items() if amount}


def test_invoice_and_its_payment(settings):
    settings.JOURNAL_ACCOUNTS = {"receivables": "1400", "tax_payable:VAT 19": "3806", "bank:card": "1360"}
    account = a_customer()
    billed("2026-04-01T00:00:00Z")
    invoice = issued(account, "2026-04-01T12:00:00Z")
    record_payment(
        invoice,
        amount=Decimal("86.10"),
        received_on=a_day("2026-04-09"),
        method="card",
        reference="=ref",
        now=at("2026-04-09T09:00:00Z"),
    )
    [paid, _] = [row for row in rows_of(JOURNAL) if row["source"] == "payment"]

    text = text_of(JOURNAL)

    document = f"document:{invoice.pk},2026-04-01,document,INV-000001,{account.pk},acme,Acme Ltd"
    payment = f"{paid['entry']},2026-04-09,payment,INV-000001,{account.pk},acme,Acme Ltd"
    said = f"EUR,payment: =ref,{paid['recorded_at']}"
    assert text == HEADER + (
        f"{document},receivables,1400,,86.10,0.00,EUR,invoice,2026-04-01T12:00:00Z\n"
        f"{document},revenue_usage,4000,,0.00,12.35,EUR,invoice,2026-04-01T12:00:00Z\n"
        f"{document},revenue_fees,4100,,0.00,60.00,EUR,invoice,2026-04-01T12:00:00Z\n"
        f"{document},tax_payable,3806,VAT 19,0.00,13.75,EUR,invoice,2026-04-01T12:00:00Z\n"
        f"{payment},bank,1360,card,86.10,0.00,{said}\n"
        f"{payment},receivables,1400,,0.00,86.10,{said}\n"
    )


def test_payment_taken_back_and_paid_again_beyond_what_is_owed():
    account = a_customer()
    billed("2026-04-01T00:00:00Z")
    invoice = issued(account, "2026-04-01T12:00:00Z")
    now = at("2026-04-09T09:00:00Z")
    first = record_payment(invoice, amount=Decimal(50), received_on=a_day("2026-04-02"), now=now).payment
    take_back_payment(first, reason="Bounced.", recorded_by="ada", received_on=a_day("2026-04-03"))
    record_payment(
        invoice,
        amount=Decimal(100),
        received_on=a_day("2026-04-04"),
        reference="RG INV-000001",
        now=now,
        excess_to_credit=True,
    )

    found = postings(kind="payment")

    assert found == [
        ("payment", "bank", "bank_transfer", "50.00", "0.00"),
        ("payment", "receivables", "", "0.00", "50.00"),
        ("payment taken back: Bounced.", "bank", "bank_transfer", "0.00", "50.00"),
        ("payment taken back: Bounced.", "receivables", "", "50.00", "0.00"),
        ("payment: RG INV-000001", "bank", "bank_transfer", "100.00", "0.00"),
        ("payment: RG INV-000001", "receivables", "", "0.00", "86.10"),
        ("payment: RG INV-000001", "customer_credit", "", "0.00", "13.90"),
    ]
    assert postings(kind="credit") == []
    assert balances() == {
        "bank": 100,
        "customer_credit": Decimal("-13.90"),
        "revenue_usage": Decimal("-12.35"),
        "revenue_fees": -60,
        "tax_payable": Decimal("-13.75"),
    }


def test_receipt_that_is_taken_back_leaves_the_bank_as_one_sum():
    account = a_customer()
    billed("2026-04-01T00:00:00Z")
    invoice = issued(account, "2026-04-01T12:00:00Z")
    paid = record_payment(
        invoice,
        amount=Decimal(100),
        received_on=a_day("2026-04-04"),
        reference="RG INV-000001",
        now=at("2026-04-09T09:00:00Z"),
        excess_to_credit=True,
    ).payment

    take_back_payment(paid, reason="Bounced.", recorded_by="ada", received_on=a_day("2026-04-07"))

    text = "payment taken back: RG INV-000001; Bounced."
    assert postings(start="2026-04-05", until="2026-04-08") == [
        (text, "bank", "bank_transfer", "0.00", "100.00"),
        (text, "receivables", "", "86.10", "0.00"),
        (text, "customer_credit", "", "13.90", "0.00"),
    ]
    assert {row["document"] for row in rows_of(JOURNAL, kind="payment")} == {"INV-000001"}
    assert postings(kind="credit") == []


def test_credit_that_a_payment_left_and_somebody_withdrew_is_for_finance_to_clear():
    account = a_customer()
    billed("2026-04-01T00:00:00Z")
    paid = record_payment(
        issued(account, "2026-04-01T12:00:00Z"),
        amount=Decimal(100),
        received_on=a_day("2026-04-04"),
        now=at("2026-04-09T09:00:00Z"),
        excess_to_credit=True,
    ).payment

    withdraw_credit(account.credit_grants.get(), reason="Paid out.", entered_by="ada")
    take_back_payment(paid, reason="Bounced.", recorded_by="ada", received_on=a_day("2026-04-07"))

    assert postings(kind="credit") == [
        ("paid credit withdrawn: Paid out.", "clearing", "", "0.00", "13.90"),
        ("paid credit withdrawn: Paid out.", "customer_credit", "", "13.90", "0.00"),
    ]
    assert (balances()["bank"], balances()["clearing"]) == (Decimal("13.90"), Decimal("-13.90"))


def test_credit_is_a_liability_where_it_was_paid_and_an_expense_where_it_was_not():
    account = a_customer()
    now = at("2026-03-31T00:00:00Z")
    for kind, amount, priority in (("promotional", "6", 1), ("paid", "20", 2), ("paid", "7", 900)):
        grant = grant_credit(account, amount=Decimal(amount), kind=kind, priority=priority, now=now).grant
    withdraw_credit(grant, reason="By mistake.", entered_by="ada")
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-01T12:00:00Z")

    assert postings(kind="credit") == [
        ("paid credit granted: Paid in advance", "bank", "", "20.00", "0.00"),
        ("paid credit granted: Paid in advance", "customer_credit", "", "0.00", "20.00"),
        ("paid credit granted: Paid in advance", "bank", "", "7.00", "0.00"),
        ("paid credit granted: Paid in advance", "customer_credit", "", "0.00", "7.00"),
        ("paid credit withdrawn: By mistake.", "clearing", "", "0.00", "7.00"),
        ("paid credit withdrawn: By mistake.", "customer_credit", "", "7.00", "0.00"),
        ("promotional credit drawn: Promotional", "promotional_expense", "", "6.00", "0.00"),
        ("promotional credit drawn: Promotional", "receivables", "", "0.00", "6.00"),
        ("paid credit drawn: Paid in advance", "receivables", "", "0.00", "20.00"),
        ("paid credit drawn: Paid in advance", "customer_credit", "", "20.00", "0.00"),
    ]
    assert balances()["receivables"] == Decimal("60.10")


def test_expired_credit_is_income():
    account = a_customer()
    grant_credit(
        account,
        amount=Decimal(20),
        kind="paid",
        expires_at=at("2026-03-02T00:00:00Z"),
        now=at("2026-03-01T00:00:00Z"),
    )

    expire_credits(now=at("2026-03-03T00:00:00Z"))

    assert balances() == {"bank": 20, "expired_credit": -20}


def test_void_invoice_leaves_nothing_but_the_credit_given_back():
    account = a_customer()
    grant_credit(account, amount=Decimal(20), kind="paid", now=at("2026-03-31T00:00:00Z"))
    billed("2026-04-01T00:00:00Z")
    invoice = issued(account, "2026-04-01T12:00:00Z")

    void(invoice, now=at("2026-04-02T00:00:00Z"), reason="Wrong.", voided_by="ada")

    postings()
    assert balances() == {"bank": 20, "customer_credit": -20}


def test_credit_note_that_settles_nothing_becomes_credit():
    account = a_customer()
    billed("2026-04-01T00:00:00Z")
    invoice = issued(account, "2026-04-01T12:00:00Z")
    record_payment(
        invoice, amount=Decimal("86.10"), received_on=a_day("2026-04-02"), now=at("2026-04-02T00:00:00Z")
    )
    for (event_id,) in ledger_rows("id"):
        a_void_of(event_id)
    cancel(Subscription.objects.get(), at=at("2026-04-03T00:00:00Z"), now=at("2026-04-03T00:00:00Z"))
    billed("2026-05-01T00:00:00Z")
    issued(account, "2026-05-01T12:00:00Z")

    postings()
    assert "receivables" not in balances()
    assert balances()["customer_credit"] < 0


def test_write_off_is_an_expense_beside_the_revenue():
    account = a_customer()
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-01T12:00:00Z")
    period = BilledPeriod.objects.filter(price__kind="usage").earliest("id")
    PeriodCorrection.objects.create(
        billed_period=period,
        account=account,
        position=1,
        period_end=period.period_end,
        billed_amount="12.35",
        rated_amount="12.85",
        difference="0.50",
        state="written_off",
        decided_at=at("2026-04-30T23:30:00Z"),
        reason="Too little to bill.",
    )

    assert postings(kind="write_off", start="2026-04-30", until="2026-05-01") == [
        ("write-off: Too little to bill.", "write_offs", "", "0.50", "0.00"),
        ("write-off: Too little to bill.", "revenue_usage", "", "0.00", "0.50"),
    ]


def test_days_are_those_of_the_customer():
    account = a_customer(timezone="Asia/Tokyo")
    grant_credit(account, amount=Decimal(20), kind="paid", now=at("2026-03-31T00:00:00Z"))
    [row, _] = rows_of(JOURNAL)
    tokyo = at(row["recorded_at"]).astimezone(ZoneInfo("Asia/Tokyo")).date()

    assert row["booked_on"] == tokyo.isoformat()
    assert text_of(JOURNAL, until=tokyo.isoformat()) == HEADER
    assert len(rows_of(JOURNAL, start=tokyo.isoformat())) == 2


def test_another_tenant_has_another_journal():
    a_customer()
    billed("2026-04-01T00:00:00Z")
    stranger = a_project("stranger")

    assert text_of(JOURNAL, project_path=stranger.path) == HEADER
    assert text_of(JOURNAL, currency="USD") == HEADER


def test_document_that_does_not_add_up_stops_the_journal(monkeypatch):
    account = a_customer()
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-01T12:00:00Z")
    monkeypatch.setattr("billing.reporting.journal.line_kinds_of", lambda account: ["usage"])

    with pytest.raises(Conflict, match="INV-000001 doesn't balance"):
        text_of(JOURNAL)
