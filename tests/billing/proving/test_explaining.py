"""Why a line costs what it costs: its steps, its days, and whether the ledger still says so."""

from decimal import Decimal
from typing import Any

import pytest

from billing.invoicing.draft_edits import ManualLine, add_line, begin_invoice
from billing.invoicing.voiding import void
from billing.models import BillingAccount, InvoiceLine
from billing.money import exact_text
from billing.proving.explaining import Explanation, explained
from billing.selling.plans import publish_plan
from metering.attributing.scope_tree import attribute
from tests.billing.billed import a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, a_void_of, at
from tests.metering.sealing.sealed_ledger import behind_the_guards

pytestmark = pytest.mark.django_db

TIERS = {
    "model": "graduated",
    "tiers": [
        {"up_to": "100", "unit_amount": "0.10"},
        {"up_to": None, "unit_amount": "0.05", "flat_amount": "2"},
    ],
}


def a_customer(price: Any, *, key: str = "acme", metric: Any = None, **options: Any) -> BillingAccount:
    """Somebody with one price from 1 March on."""
    account_options, split_by = options.pop("account", {}), options.pop("split_by", [])
    project, metric = a_project(key), metric or a_metric("tokens", display_name="Tokens", unit="token")
    account = an_account(project, **account_options)
    plan = a_draft(a_usage_price(metric, price, **options))
    plan.prices.update(split_by=split_by)
    a_subscription(account, publish_plan(plan))
    return account


def shown(explanation: Explanation) -> list[tuple[str, ...]]:
    """(kind, quantity, of, rate, amount) of each step, as texts; nothing for what a step hasn't."""
    return [
        tuple(
            [step.kind]
            + [
                "" if value is None else exact_text(value)
                for value in (step.quantity, step.of, step.rate, step.amount)
            ]
        )
        for step in explanation.steps
    ]


def days_of(explanation: Explanation) -> list[tuple[str, str | None, int]]:
    """(local start, value, events) of each bucket with events."""
    assert explanation.course is not None
    return [
        (
            f"{bucket.window.start.astimezone(explanation.zone):%Y-%m-%d %H:%M}",
            None if bucket.value is None else format(bucket.value.normalize(), "f"),
            bucket.event_count,
        )
        for bucket in explanation.course.buckets
        if bucket.event_count
    ]


def line_of(account: BillingAccount, **which: Any) -> InvoiceLine:
    return draft_of(account).lines.get(**which)


def test_graduated_price_is_explained_tier_by_tier():
    account = a_customer(TIERS, account={"tax_rates": [{"name": "VAT", "percent": "19"}]})
    acme = account.project
    used(acme, "100", "23.5", on="2026-03-10T12:00:00Z")
    used(acme, "6.5", on="2026-03-12T12:00:00Z")
    billed("2026-04-01T00:00:00Z")

    explanation = explained(line_of(account))

    assert shown(explanation) == [
        ("quantity", "130", "", "", ""),
        ("usage", "100", "", "0.1", "10"),
        ("usage", "30", "", "0.05", "3.5"),  # 1.50 and the tier's 2.00
        ("rounded", "", "", "", "13.5"),
        ("tax", "", "", "19", "2.57"),  # 2.565
        ("total", "", "", "", "16.07"),
    ]
    assert days_of(explanation) == [("2026-03-10 00:00", "123.5", 2), ("2026-03-12 00:00", "6.5", 1)]
    assert len(explanation.course.buckets) == 31
    assert explanation.course.adds_up
    assert explanation.rerun.event_count == 3
    assert explanation.stands is True


def test_days_are_those_of_the_clocks_that_the_period_was_cut_by():
    account = a_customer(None, account={"timezone": "Asia/Kolkata"})
    used(account.project, "1", on="2026-03-10T18:29:59Z")
    used(account.project, "2", on="2026-03-10T18:30:00Z")
    billed("2026-04-01T00:00:00Z")

    explanation = explained(draft_of(account).lines.latest("id"))
    account.timezone = "UTC"
    account.save()
    again = explained(draft_of(account).lines.latest("id"))

    assert days_of(explanation) == [("2026-03-10 00:00", "1", 1), ("2026-03-11 00:00", "2", 1)]
    assert days_of(again) == days_of(explanation)


def test_conversion_and_included_units_come_before_the_price():
    price = {
        "model": "per_unit",
        "unit_amount": "2",
        "unit_conversion": {"divide_by": "60", "round": "up"},
        "usage_discount": "3",
        "discount_percent": "10",
        "max_amount": "5",
    }
    account = a_customer(price)
    used(account.project, "361")
    billed("2026-04-01T00:00:00Z")

    explanation = explained(line_of(account))

    assert shown(explanation) == [
        ("quantity", "361", "", "", ""),
        ("conversion", "7", "60", "", ""),
        ("included", "4", "3", "", ""),
        ("usage", "4", "", "2", "8"),
        ("discount", "", "", "", "-0.8"),
        ("maximum", "", "", "", "-2.2"),
        ("rounded", "", "", "", "5"),
    ]
    assert explanation.stands is True


def test_part_of_a_period_has_its_part_of_what_is_included():
    price = {"model": "per_unit", "unit_amount": "1", "usage_discount": "31"}
    project, tokens = a_project("acme"), a_metric("tokens")
    account = an_account(project)
    a_subscription(
        account, a_plan(a_usage_price(tokens, price)), at("2026-03-18T00:00:00Z"), anchor="calendar"
    )
    used(project, "20", on="2026-03-20T12:00:00Z")
    billed("2026-04-01T00:00:00Z")

    explanation = explained(line_of(account))

    assert shown(explanation) == [
        ("quantity", "20", "", "", ""),
        ("included", "6", "14", "", ""),
        ("usage", "6", "", "1", "6"),
        ("rounded", "", "", "", "6"),
    ]
    assert explanation.line.share == "14/31"
    assert explanation.stands is True


def test_labels_split_the_whole_and_an_absent_one_is_a_group():
    account = a_customer(TIERS, split_by=["labels.region"])
    acme = account.project
    used(acme, "60", labels={"region": "eu"})
    used(acme, "40", labels={"region": "us"})
    used(acme, "30")
    billed("2026-04-01T00:00:00Z")

    lines = {line.group["region"]: explained(line) for line in draft_of(account).lines.order_by("position")}

    assert {region: shown(found)[-1] for region, found in lines.items()} == {
        "eu": ("split", "60", "130", "", "6.23"),  # 13.50 x 60 / 130 = 6.2308
        "us": ("split", "40", "130", "", "4.15"),  # 4.1538
        None: ("split", "30", "130", "", "3.12"),  # 3.1154, and the cent that is left
    }
    assert {region: days_of(found) for region, found in lines.items()} == {
        "eu": [("2026-03-10 00:00", "60", 1)],
        "us": [("2026-03-10 00:00", "40", 1)],
        None: [("2026-03-10 00:00", "30", 1)],
    }
    assert [found.stands for found in lines.values()] == [True, True, True]


@pytest.mark.parametrize("per_project", [False, True], ids=["split", "each on its own"])
def test_projects_share_one_rating_or_have_their_own(per_project):
    options = {"per_project": True} if per_project else {"split_by": ["project"]}
    account = a_customer(TIERS, **options)
    acme = account.project
    chat = a_project("acme-chat", parent=acme)
    attribute(chat, payer=acme)
    used(acme, "100")
    used(chat, "30")
    billed("2026-04-01T00:00:00Z")

    found = {line.project_key: explained(line) for line in draft_of(account).lines.order_by("position")}

    if per_project:
        assert {key: shown(one) for key, one in found.items()} == {
            "acme": [
                ("quantity", "100", "", "", ""),
                ("usage", "100", "", "0.1", "10"),
                ("rounded", "", "", "", "10"),
            ],
            "acme-chat": [
                ("quantity", "30", "", "", ""),
                ("usage", "30", "", "0.1", "3"),
                ("rounded", "", "", "", "3"),
            ],
        }
    else:
        assert {key: shown(one)[-1] for key, one in found.items()} == {
            "acme": ("split", "100", "130", "", "10.38"),
            "acme-chat": ("split", "30", "130", "", "3.12"),
        }
    assert {key: days_of(one) for key, one in found.items()} == {
        "acme": [("2026-03-10 00:00", "100", 1)],
        "acme-chat": [("2026-03-10 00:00", "30", 1)],
    }
    assert [one.stands for one in found.values()] == [True, True]


def test_each_project_with_its_own_tiers_may_be_split_by_label_too():
    account = a_customer(TIERS, per_project=True, split_by=["labels.region"])
    acme = account.project
    used(acme, "60", labels={"region": "eu"})
    used(acme, "70")
    billed("2026-04-01T00:00:00Z")

    found = [explained(line) for line in draft_of(account).lines.order_by("position")]

    assert [(one.line.group["region"], shown(one)[-1]) for one in found] == [
        ("eu", ("split", "60", "130", "", "6.23")),
        (None, ("split", "70", "130", "", "7.27")),
    ]
    assert [one.stands for one in found] == [True, True]


def test_percentage_is_of_each_event():
    price = {
        "model": "percentage",
        "rate_percent": "2.9",
        "fixed_amount_per_event": "0.30",
        "per_event_min": "1",
    }
    account = a_customer(price)
    used(account.project, "10", "80")
    billed("2026-04-01T00:00:00Z")

    explanation = explained(line_of(account))

    assert shown(explanation) == [
        ("quantity", "90", "", "", ""),
        ("usage", "90", "", "0.029", "2.61"),
        ("event_fee", "2", "", "0.3", "0.6"),
        ("event_minimum", "", "", "", "0.41"),  # 0.59 raised to 1; 2.62 is above it
        ("rounded", "", "", "", "3.62"),
    ]
    assert explanation.stands is True


@pytest.mark.parametrize(
    ("definition", "value", "days"),
    [
        ({"aggregation": "MAX"}, "9", ["9", "4"]),
        ({"aggregation": "UNIQUE_COUNT"}, "3", ["2", "2"]),  # 4 on both days
    ],
    ids=["largest", "different"],
)
def test_a_value_that_is_not_the_sum_of_its_days_says_so(definition, value, days):
    account = a_customer(None, metric=a_metric("tokens", **definition))
    used(account.project, "9", "4", "9", on="2026-03-10T12:00:00Z")
    used(account.project, "4", "3", on="2026-03-12T12:00:00Z")
    billed("2026-04-01T00:00:00Z")

    explanation = explained(line_of(account))

    assert shown(explanation)[0] == ("quantity", value, "", "", "")
    assert [(found, count) for _day, found, count in days_of(explanation)] == [
        (days[0], 3),
        (days[1], 2),
    ]
    assert not explanation.course.adds_up
    assert explanation.stands is True


def test_a_counter_is_explained_by_its_increases():
    account = a_customer(None, metric=a_metric("tokens", is_incremental=False))
    used(account.project, "1000", on="2026-02-20T12:00:00Z")  # before the period: what it is compared with
    used(account.project, "1040", on="2026-03-10T12:00:00Z")
    used(account.project, "1100", on="2026-03-12T12:00:00Z")
    used(account.project, "7", on="2026-03-13T12:00:00Z")  # began anew
    billed("2026-04-01T00:00:00Z")

    explanation = explained(line_of(account))

    assert shown(explanation)[0] == ("quantity", "107", "", "", "")
    assert days_of(explanation) == [
        ("2026-03-10 00:00", "40", 1),
        ("2026-03-12 00:00", "60", 1),
        ("2026-03-13 00:00", "7", 1),
    ]
    assert explanation.course.adds_up
    assert explanation.stands is True


def test_minimum_says_what_the_usage_lacks():
    account = a_customer({"model": "per_unit", "unit_amount": "0.333", "min_amount": "50"})
    used(account.project, "1")
    billed("2026-04-01T00:00:00Z")

    usage, true_up = (explained(line) for line in draft_of(account).lines.order_by("position"))

    assert shown(usage)[-1] == ("rounded", "", "", "", "0.33")
    assert shown(true_up) == [
        ("minimum", "", "", "", "50"),
        ("short_of", "", "", "", "0.33"),
        ("true_up", "", "", "", "49.67"),
    ]
    assert true_up.line.amount == Decimal("49.67")
    assert (usage.stands, true_up.stands) == (True, True)


def test_minimum_without_any_usage_has_an_empty_course():
    account = a_customer({"model": "per_unit", "unit_amount": "1", "min_amount": "50"})
    billed("2026-04-01T00:00:00Z")

    explanation = explained(line_of(account))

    assert shown(explanation) == [
        ("minimum", "", "", "", "50"),
        ("short_of", "", "", "", "0"),
        ("true_up", "", "", "", "50"),
    ]
    assert days_of(explanation) == []
    assert explanation.rerun.event_count == 0
    assert explanation.stands is True


def test_fee_of_some_days_says_of_how_many():
    project = a_project("acme")
    account = an_account(project)
    plan = a_plan(a_fee("31"))
    a_subscription(account, plan, at("2026-03-18T00:00:00Z"), anchor="calendar")
    billed("2026-03-20T00:00:00Z")

    explanation = explained(line_of(account))

    assert shown(explanation) == [("fee", "", "", "", "31"), ("days", "14", "31", "", "14")]
    assert (explanation.rerun, explanation.course, explanation.stands) == (None, None, True)


def test_line_by_hand_says_who_and_why():
    account = an_account(a_project("acme"))
    invoice = begin_invoice(account, edited_by="ada")
    line = add_line(
        invoice,
        ManualLine("Workshop", quantity=Decimal(3), unit_amount=Decimal("150"), reason="Agreed in May."),
        added_by="ada",
    )

    explanation = explained(line)

    assert shown(explanation) == [("by_hand", "3", "", "150", "450")]
    assert (explanation.line.added_by, explanation.line.reason) == ("ada", "Agreed in May.")
    assert explanation.stands is None


def test_void_after_issuing_changes_no_answer_and_is_told_apart():
    account = a_customer(None)
    a_seller()
    first_id, _second_id = used(account.project, "100", "20")
    billed("2026-04-01T00:00:00Z")
    invoice = issued(account, "2026-04-01T01:00:00Z")
    before = explained(invoice.lines.get())

    a_void_of(first_id)
    used(account.project, "5", "6", on="2026-03-31T23:00:00Z")
    used(account.project, "7", on="2026-04-01T00:00:00Z")  # of the next period
    after = explained(invoice.lines.get())

    assert shown(after) == shown(before)
    assert days_of(after) == days_of(before) == [("2026-03-10 00:00", "120", 2)]
    assert after.rerun == before.rerun
    assert after.stands is True
    assert not before.learned
    assert (after.learned.voided_count, after.learned.later_count) == (1, 2)


def test_reversal_leads_to_what_it_reverses_and_back():
    account = a_customer(TIERS)
    a_seller()
    used(account.project, "130")
    billed("2026-04-01T00:00:00Z")
    invoice = issued(account, "2026-04-01T01:00:00Z")
    note = void(invoice, now=at("2026-04-02T00:00:00Z"), reason="Wrong customer.", voided_by="ada")
    booked, taken_back = invoice.lines.get(), note.lines.get()

    explanation = explained(taken_back)

    assert explanation.origin == booked
    assert shown(explanation)[-2:] == [("rounded", "", "", "", "13.5"), ("reversal", "", "", "", "-13.5")]
    assert explained(booked).reversal == taken_back
    assert explanation.stands is True


def test_correction_is_explained_at_its_own_position():
    account = a_customer(None)
    a_seller()
    used(account.project, "100")
    billed("2026-04-01T00:00:00Z")
    first = issued(account, "2026-04-01T01:00:00Z").lines.get()
    used(account.project, "10", on="2026-03-31T23:00:00Z")
    billed("2026-05-01T00:00:00Z")

    reversal, anew = (explained(line) for line in draft_of(account).lines.order_by("position"))

    assert (reversal.origin, reversal.line.quantity) == (first, -100)
    assert days_of(anew) == [("2026-03-10 00:00", "100", 1), ("2026-03-31 00:00", "10", 1)]
    assert not anew.learned
    assert (reversal.learned.voided_count, reversal.learned.later_count) == (0, 1)
    assert (reversal.stands, anew.stands) == (True, True)


def test_altered_ledger_is_found_out():
    account = a_customer(None)
    first_id, second_id = used(account.project, "100", "20")
    billed("2026-04-01T00:00:00Z")
    line = line_of(account)
    assert explained(line).stands is True

    behind_the_guards(f"UPDATE metering_usageevent SET quantity = 10 WHERE id = {first_id}")
    altered = explained(line)
    behind_the_guards(f"DELETE FROM metering_usageevent WHERE id = {second_id}")
    removed = explained(line)

    assert altered.stands is False
    assert altered.rerun.differences == ("quantity", "amount")
    assert (altered.rerun.quantity, altered.rerun.amount) == (Decimal(30), Decimal("3"))
    assert removed.rerun.differences == ("events", "digest", "quantity", "amount")


def test_short_period_is_shown_by_hours():
    project, tokens = a_project("acme"), a_metric("tokens")
    account = an_account(project)
    plan = a_plan(a_usage_price(tokens), interval="day")
    a_subscription(account, plan, at("2026-03-10T00:00:00Z"))
    used(project, "4", on="2026-03-10T12:20:00Z")
    used(project, "5", on="2026-03-10T12:59:59.999999Z")
    billed("2026-03-11T00:00:00Z")

    explanation = explained(line_of(account))

    assert explanation.course.unit == "hour"
    assert len(explanation.course.buckets) == 24
    assert days_of(explanation) == [("2026-03-10 12:00", "9", 2)]
