"""What documents show, number by number."""

from decimal import Decimal

import pytest

from billing.documents.document_view import document_view, file_name_of
from billing.documents.document_words import days_words, file_name, money_words, rate_words
from billing.documents.line_views import Block, LineView, Section
from billing.documents.tier_views import TierView
from billing.invoicing.draft_edits import ManualLine, begin_invoice
from billing.invoicing.sellers import change_seller
from billing.invoicing.voiding import void
from billing.models import Invoice
from billing.selling.accounts import change_account
from billing.selling.plans import publish_plan
from tests.billing.billed import a_day, a_seller, billed, draft_of, issued, used
from tests.billing.documents.documents import (
    THREE_TIERS,
    a_customer,
    a_rich_draft,
    a_simple_invoice,
)
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, at

pytestmark = pytest.mark.django_db


def shown(view) -> list[tuple[str, str, list[tuple[str, str, str, str, str]]]]:
    return [
        (
            section.name,
            section.period,
            [
                (line.name, line.quantity, line.unit, line.rate, line.amount)
                for block in section.blocks
                for line in block.lines
            ],
        )
        for section in view.sections
    ]


def test_invoice_shows_who_what_when_and_how_much():
    invoice = a_simple_invoice()

    view = document_view(invoice)

    assert (view.title, view.number, view.is_draft) == ("Invoice", "INV-000001", False)
    assert (view.seller.name, view.seller.address) == (
        "Meterbook Test AG",
        ("1 Test Street", "10115 Berlin", "Germany"),
    )
    assert (view.customer.name, view.customer.address, view.customer.tax_id) == (
        "Acme Chat GmbH",
        ("12 Harbour Road", "8001 Zürich", "Switzerland"),
        "CHE-123.456.789",
    )
    assert (view.issued_on, view.due_on, view.period) == (
        "1 April 2026",
        "1 May 2026",
        "1 March – 30 April 2026",
    )
    assert shown(view) == [
        (
            "Team",
            "1–31 March 2026",
            [("Base fee", "", "", "", "30.00"), ("Tokens", "123,423.5", "token", "0.10", "12,342.35")],
        ),
        ("Team", "1–30 April 2026", [("Base fee", "", "", "", "30.00")]),
    ]
    assert view.subtotal == "12,402.35"
    [vat] = view.taxes
    assert (vat.name, vat.percent, vat.base, vat.amount) == ("VAT", "19%", "12,402.35", "2,356.45")
    assert (view.total, view.credit_drawn, view.amount_due) == ("14,758.80", "", "14,758.80")
    assert (view.terms, view.payment_details) == ("Due within 30 days, by 1 May 2026.", "IBAN DE89 3704")


def test_rich_invoice_shows_tiers_corrections_discounts_taxes_and_credit():
    view = document_view(issued(a_rich_draft().account, "2026-05-03T01:00:00Z"))

    tiers = (
        TierView("Tier 1", "1,000", "0.10", "100.00"),
        TierView("Tier 2", "9,000", "0.08", "720.00"),
    )
    april = (*tiers, TierView("Tier 3, with 5.00 flat", "13,456", "0.0525", "711.44"))
    march = (*tiers, TierView("Tier 3, with 5.00 flat", "3,145.5", "0.0525", "170.14"))
    assert view.sections == [
        Section(
            "Business",
            "1–30 April 2026",
            [Block("", [LineView("Tokens", "", "23,456", "token", "", "1,531.44", april)])],
        ),
        Section("Business", "1–31 May 2026", [Block("", [LineView("Base fee", "", "", "", "", "490.00")])]),
        Section("Further items", "", [Block("", [LineView("Workshop", "", "3", "", "150.00", "450.00")])]),
        Section(
            "Business",
            "1–31 March 2026",
            [
                Block(
                    "Billed before, taken back (INV-000001)",
                    [LineView("Tokens", "", "−12,345.5", "token", "", "−948.14")],
                ),
                Block("Billed instead", [LineView("Tokens", "", "13,145.5", "token", "", "990.14", march)]),
            ],
            is_correction=True,
            difference="42.00",
        ),
    ]
    assert view.subtotal == "2,513.44"
    assert [(one.name, one.percent, one.amount) for one in view.discounts] == [("Loyalty", "10%", "−247.14")]
    assert [(tax.name, tax.percent, tax.base, tax.amount) for tax in view.taxes] == [
        ("VAT", "19%", "2,266.30", "430.60"),
        ("City levy", "2.5%", "2,266.30", "56.67"),
    ]
    assert (view.total, view.credit_drawn, view.amount_due) == ("2,753.57", "−250.00", "2,503.57")
    assert view.notes == "Thank you.\nSee you in June."


def test_issued_document_keeps_what_it_shows_and_a_draft_follows():
    draft = a_rich_draft()
    before = document_view(Invoice.objects.issued().get())

    change_seller({"legal_name": "Renamed AG"})
    change_account(draft.account, {"legal_name": "Renamed GmbH"}, now=at("2026-05-02T12:00:00Z"))

    assert document_view(Invoice.objects.issued().get()) == before
    after = document_view(Invoice.objects.get(pk=draft.pk))
    assert (after.seller.name, after.customer.name) == ("Renamed AG", "Renamed GmbH")
    assert (after.is_draft, after.number, after.issued_on, after.due_on) == (True, "", "", "")
    assert after.terms == "Due within 30 days of issue."


def test_credit_note_names_its_invoice_its_reason_and_where_the_money_went():
    invoice = a_simple_invoice()

    note = void(invoice, now=at("2026-04-02T00:00:00Z"), reason="Wrong company.", voided_by="ada")
    view = document_view(note)

    assert (view.title, view.number, view.credited_number) == ("Credit note", "CN-000001", "INV-000001")
    assert (view.reason, view.total, view.due_on) == ("Wrong company.", "−14,758.80", "")
    assert (view.terms, view.payment_details) == ("", "")
    assert view.settlement == ["14,758.80 EUR settles invoice INV-000001."]
    assert not any(section.is_correction for section in view.sections)
    assert shown(view)[0] == (
        "Team",
        "1–31 March 2026",
        [("Base fee", "", "", "", "−30.00"), ("Tokens", "−123,423.5", "token", "", "−12,342.35")],
    )


def test_credit_note_that_settles_nothing_is_credit():
    account, tokens = a_customer(), a_metric("tokens", unit="token")
    a_seller()
    volume = {
        "model": "volume",
        "tiers": [{"up_to": "15", "unit_amount": "10"}, {"up_to": None, "unit_amount": "5"}],
    }
    a_subscription(account, a_plan(a_usage_price(tokens, volume)))
    used(account.project, "15")
    billed("2026-04-01T00:00:00Z")
    issued(account, "2026-04-01T01:00:00Z")
    used(account.project, "1")
    billed("2026-05-01T00:00:00Z")

    view = document_view(issued(account, "2026-05-01T01:00:00Z"))

    assert (view.title, view.total) == ("Credit note", "−83.30")
    assert view.settlement == ["83.30 EUR is credit that pays your next invoices."]
    [section] = view.sections
    assert (section.period, section.difference) == ("1–31 March 2026", "−70.00")


def test_lines_by_label_show_the_tiers_of_the_whole_once():
    account, tokens = a_customer(), a_metric("tokens", unit="token", primary_labels=["region"])
    plan = a_draft(a_usage_price(tokens, THREE_TIERS))
    plan.prices.update(split_by=["labels.region"])
    a_subscription(account, publish_plan(plan))
    used(account.project, "900", labels={"region": "eu"})
    used(account.project, "600", labels={"region": "us"})
    used(account.project, "500", labels={"other": "x"})

    billed("2026-04-01T00:00:00Z")
    [section] = document_view(draft_of(account)).sections

    [block] = section.blocks
    assert [(line.note, line.quantity, line.amount, line.tiers_of) for line in block.lines] == [
        ("region: eu", "900", "81.00", ""),
        ("region: us", "600", "54.00", ""),
        ("region: none", "500", "45.00", "Together 2,000 token"),
    ]
    assert [[tier.amount for tier in line.tiers] for line in block.lines] == [[], [], ["100.00", "80.00"]]


def test_days_are_those_of_the_accounts_clocks():
    account = a_customer(timezone="Pacific/Auckland")
    a_seller()
    a_subscription(account, a_plan(a_fee("30")), at("2026-03-01T00:00:00", "Pacific/Auckland"))

    billed("2026-03-15T00:00:00Z")
    view = document_view(issued(account, "2026-03-31T12:30:00Z"))

    assert (view.issued_on, view.due_on, view.period) == ("1 April 2026", "1 May 2026", "1–31 March 2026")


def test_part_of_a_fee_says_for_how_many_days():
    account = a_customer()
    a_subscription(account, a_plan(a_fee("31")), at("2026-03-18T00:00:00Z"))

    billed("2026-03-18T00:00:00Z")
    [section] = document_view(draft_of(account)).sections

    assert (section.period, section.blocks[0].lines[0].note) == ("18–31 March 2026", "14 of 31 days")


@pytest.mark.parametrize(
    ("currency", "usage", "total"), [("JPY", "12,342", "12,402"), ("KWD", "12,342.350", "12,402.350")]
)
def test_amounts_have_the_decimals_of_their_currency(currency, usage, total):
    view = document_view(a_simple_invoice(currency=currency, tax_rates=[]))

    assert shown(view)[0][2][1][4] == usage
    assert (view.total, view.currency) == (total, currency)


def test_invoice_that_credit_pays_asks_for_nothing():
    invoice = a_simple_invoice()
    invoice.credit_drawn, invoice.amount_due = invoice.total, Decimal(0)

    view = document_view(invoice)

    assert (view.is_settled, view.amount_due, view.terms, view.payment_details) == (True, "0.00", "", "")


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2026-03-01", "2026-04-01", "1–31 March 2026"),
        ("2026-03-01", "2026-03-02", "1 March 2026"),
        ("2026-03-18", "2026-05-01", "18 March – 30 April 2026"),
        ("2026-12-01", "2027-02-01", "1 December 2026 – 31 January 2027"),
    ],
)
def test_days_include_the_last(start, end, text):
    assert days_words(a_day(start), a_day(end)) == text


def test_numbers_are_grouped_and_rates_exact():
    assert money_words(Decimal("-1234567.5"), "EUR") == "−1,234,567.50"
    assert rate_words("0.000012345", "EUR") == "0.000012345"
    assert rate_words("1200", "JPY") == "1,200"


def test_file_names_are_harmless():
    assert file_name("INV-000042", "pdf") == "INV-000042.pdf"
    assert file_name('../a b\r\n"/000042', "csv") == "a-b-000042.csv"
    assert file_name("№", "pdf") == "document.pdf"


def test_file_of_a_draft_is_called_by_customer_and_draft():
    invoice = a_simple_invoice()
    draft = begin_invoice(invoice.account, lines=[ManualLine("Work", Decimal(1))], edited_by="ada")

    assert file_name_of(invoice, "pdf") == "INV-000001.pdf"
    assert file_name_of(draft, "csv") == f"draft-acme-{draft.pk}.csv"


def test_project_is_named_where_lines_are_by_project():
    account, tokens = a_customer(), a_metric("tokens", unit="token")
    a_subscription(account, a_plan(a_usage_price(tokens, per_project=True)))
    used(account.project, "10")

    billed("2026-04-01T00:00:00Z")
    [section] = document_view(draft_of(account)).sections

    assert [(line.note, line.amount) for line in section.blocks[0].lines] == [("Acme Chat", "1.00")]


@pytest.mark.parametrize(
    ("price", "quantities", "expected"),
    [
        (
            {"model": "package", "package_size": "1000", "package_amount": "5"},
            ["2500"],
            ("2,500", "", "15.00", [("Packages of 1,000", "3", "5.00", "15.00")]),
        ),
        (
            {"model": "per_unit", "unit_amount": "0.10", "usage_discount": "100"},
            ["250"],
            (
                "250",
                "",
                "15.00",
                [("Included", "100", "", ""), ("Beyond what is included", "150", "0.10", "15.00")],
            ),
        ),
        (
            {"model": "per_unit", "unit_amount": "2", "unit_conversion": {"divide_by": "1000"}},
            ["2500"],
            ("2,500", "", "5.00", [("Units of 1,000", "2.5", "2.00", "5.00")]),
        ),
        (
            {
                "model": "graduated",
                "tiers": [{"up_to": "2", "unit_amount": "3"}, {"up_to": None, "unit_amount": "2"}],
                "unit_conversion": {"divide_by": "1000"},
            },
            ["3500"],
            (
                "3,500",
                "",
                "9.00",
                [
                    ("Tier 1, in units of 1,000", "2", "3.00", "6.00"),
                    ("Tier 2, in units of 1,000", "1.5", "2.00", "3.00"),
                ],
            ),
        ),
        (
            {"model": "percentage", "rate_percent": "2.9", "fixed_amount_per_event": "0.30"},
            ["100", "50"],
            (
                "150",
                "",
                "4.95",
                [("Usage", "150", "2.9%", "4.35"), ("Fee for each event", "2", "0.30", "0.60")],
            ),
        ),
        (
            {
                "model": "volume",
                "tiers": [{"up_to": "15", "unit_amount": "10"}, {"up_to": None, "unit_amount": "5"}],
            },
            ["16"],
            ("16", "5.00", "80.00", []),
        ),
        ({"model": "dynamic", "multiplier": "1.2"}, ["50"], ("50", "× 1.2", "60.00", [])),
        (
            {"model": "per_unit", "unit_amount": "1", "max_amount": "40"},
            ["50"],
            (
                "50",
                "",
                "40.00",
                [("Usage", "50", "1.00", "50.00"), ("Down to the maximum", "", "", "−10.00")],
            ),
        ),
    ],
)
def test_line_says_how_its_price_makes_the_amount(price, quantities, expected):
    account, tokens = a_customer(tax_rates=[]), a_metric("tokens")
    a_subscription(account, a_plan(a_usage_price(tokens, price)))
    used(account.project, *quantities)

    billed("2026-04-01T00:00:00Z")
    [section] = document_view(draft_of(account)).sections

    [line] = section.blocks[0].lines
    tiers = [(tier.name, tier.quantity, tier.rate, tier.amount) for tier in line.tiers]
    assert (line.quantity, line.rate, line.amount, tiers) == expected


def test_tax_that_differs_from_that_of_the_whole_says_why():
    account = an_account(a_project("acme"), tax_rates=[{"name": "VAT", "percent": "23"}])
    a_seller()
    prices = [a_fee("1.02", name=name, charged="arrears") for name in ("One", "Two", "Three")]
    a_subscription(account, a_plan(*prices))
    billed("2026-04-01T00:00:00Z")

    [tax] = document_view(draft_of(account)).taxes

    # 0.2346 on each line is 0.23; of 3.06 it would be 0.70
    assert (tax.base, tax.amount, tax.is_by_line) == ("3.06", "0.69", True)
