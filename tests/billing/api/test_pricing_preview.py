"""`POST /pricing/preview/`: what a price would bill."""

import pytest

from billing.api.pricing_preview import MAX_EVENTS
from billing.rating.tiers import MAX_TIERS
from metering.models import Project
from tests.billing.prices import tiers
from tests.factories import a_project
from tests.metering.api.callers import PROBLEM_JSON, Caller

pytestmark = pytest.mark.django_db

PER_UNIT = {"model": "per_unit", "unit_amount": "0.333"}
SEATS = {"model": "graduated", "tiers": tiers(("5", "5", "10"), (None, "4", "2.5"))}
VOLUME = {"model": "volume", "tiers": tiers(("15", "10"), (None, "5"))}
CARDS = {"model": "percentage", "rate_percent": "2.9", "fixed_amount_per_event": "0.30"}


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


@pytest.fixture
def call(acme) -> Caller:
    return Caller(acme, "read")


def preview(call: Caller, price: object, **members: object) -> dict:
    answer = call.post("/pricing/preview/", {"price": price, "currency": "USD", **members})
    assert answer.status_code == 200, answer.content
    return answer.json()


def usage(tier: int | None, quantity: str, unit: str, amount: str, flat: str = "0.00") -> dict:
    return {
        "kind": "usage",
        "tier": tier,
        "quantity": quantity,
        "unit_amount": unit,
        "flat_amount": flat,
        "amount": amount,
    }


def other(kind: str, amount: str, flat: str = "0.00") -> dict:
    return {
        "kind": kind,
        "tier": None,
        "quantity": None,
        "unit_amount": None,
        "flat_amount": flat,
        "amount": amount,
    }


def test_six_seats_are_41_50(call):
    assert preview(call, SEATS, quantity="6") == {
        "amount": "41.50",
        "lines": [usage(1, "5", "5.00", "35.00", "10.00"), usage(2, "1", "4.00", "6.50", "2.50")],
    }


@pytest.mark.parametrize(
    ("price", "members", "amount"),
    [
        ({"model": "flat", "amount": "49"}, {}, "49.00"),
        ({"model": "flat", "amount": "49"}, {"quantity": "0"}, "49.00"),
        (PER_UNIT, {"quantity": "3"}, "1.00"),
        (VOLUME, {"quantity": "16"}, "80.00"),
        ({"model": "package", "package_size": "100", "package_amount": "5"}, {"quantity": "101"}, "10.00"),
        (CARDS, {"events": ["10", "80"]}, "3.21"),
        (
            {"model": "graduated_percentage", "tiers": tiers((None, "3", "5"), rate="rate_percent")},
            {"quantity": "100"},
            "8.00",
        ),
        ({"model": "dynamic", "multiplier": "1.2"}, {"quantity": "12.34"}, "14.81"),
    ],
)
def test_every_model_has_its_amount(call, price, members, amount):
    assert preview(call, price, **members)["amount"] == amount


def test_true_up_to_10000_yen_is_a_line_of_its_own_and_part_of_the_amount(call):
    price = {"model": "per_unit", "unit_amount": "8500.5", "min_amount": "10000"}

    assert preview(call, price, quantity="1", currency="JPY") == {
        "amount": "10000",
        "lines": [usage(None, "1", "8500.5", "8500.5", "0"), other("true_up", "1499", "0")],
    }


def test_discount_and_maximum_are_lines(call):
    price = {"model": "per_unit", "unit_amount": "5", "discount_percent": "10", "max_amount": "20"}

    assert preview(call, price, quantity="5") == {
        "amount": "20.00",
        "lines": [
            usage(None, "5", "5.00", "25.00"),
            other("discount", "-2.50"),
            other("maximum", "-2.50"),
        ],
    }


def test_events_are_priced_in_the_order_sent(call):
    price = {**CARDS, "free_events": "1", "per_event_min": "1"}

    assert preview(call, price, events=["80", "10"]) == {
        "amount": "1.00",
        "lines": [
            usage(None, "10", "0.029", "0.29"),
            {**usage(None, "1", "0.30", "0.30"), "kind": "event_fee"},
            other("event_minimum", "0.41"),
        ],
    }


def test_no_usage_has_no_lines(call):
    assert preview(call, PER_UNIT, quantity="0") == {"amount": "0.00", "lines": []}
    assert preview(call, CARDS, events=[]) == {"amount": "0.00", "lines": []}
    assert preview(call, PER_UNIT, quantity="-5") == {"amount": "0.00", "lines": []}


def test_second_unit_at_0_333_is_34_cents(call):
    assert preview(call, PER_UNIT, quantity="1")["amount"] == "0.33"
    assert preview(call, PER_UNIT, quantity="1", prior_quantity="0")["amount"] == "0.33"
    assert preview(call, PER_UNIT, quantity="1", prior_quantity="1") == {
        "amount": "0.34",
        "lines": [usage(None, "1", "0.333", "0.333")],
    }


def test_sixteenth_seat_is_a_credit_of_70_with_both_sides_shown(call):
    assert preview(call, VOLUME, quantity="1", prior_quantity="15") == {
        "amount": "-70.00",
        "lines": [usage(1, "-15", "10.00", "-150.00"), usage(2, "16", "5.00", "80.00")],
    }


def test_usage_taken_back_is_a_negative_quantity(call):
    assert preview(call, VOLUME, quantity="-1", prior_quantity="16")["amount"] == "70.00"


def test_slice_across_a_bound_shows_what_falls_into_each_tier(call):
    assert preview(call, SEATS, quantity="3", priorQuantity="4") == {
        # 45.50 for seven less 30 for four
        "amount": "15.50",
        "lines": [usage(1, "1", "5.00", "5.00"), usage(2, "2", "4.00", "10.50", "2.50")],
    }


def test_lines_of_a_slice_come_in_the_order_of_tiers_with_the_discount_last(call):
    halved = {**SEATS, "discount_percent": "50"}

    assert preview(call, halved, quantity="3", prior_quantity="4") == {
        "amount": "7.75",
        "lines": [
            usage(1, "1", "5.00", "5.00"),
            usage(2, "2", "4.00", "10.50", "2.50"),
            other("discount", "-7.75"),
        ],
    }


def test_fixed_fee_is_not_billed_again_by_a_later_slice(call):
    fee = {"model": "flat", "amount": "49"}

    assert preview(call, fee, quantity="1", prior_quantity="1") == {"amount": "0.00", "lines": []}


def test_json_numbers_stay_exact_and_codes_come_in_any_case(call):
    body = '{"price": {"model": "per_unit", "unit_amount": 0.1}, "quantity": 3, "currency": "kwd"}'

    assert call.post("/pricing/preview/", body).json()["amount"] == "0.300"


def test_same_question_has_the_same_answer_with_12_decimals(call):
    price = {"model": "per_unit", "unit_amount": "0.000000000123"}

    assert preview(call, price, quantity="12345678901") == {
        "amount": "1.52",
        "lines": [usage(None, "12345678901", "0.000000000123", "1.518518504823")],
    }


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"price": None}, "missing_field", "price"),
        ({"price": "per_unit"}, "invalid_field", "price"),
        ({"price": {"unit_amount": "1"}}, "missing_field", "price.model"),
        ({"price": {"model": "per_unit"}}, "missing_field", "price.unit_amount"),
        ({"price": {**PER_UNIT, "colour": "red"}}, "invalid_field", "price.colour"),
        (
            {"price": {"model": "graduated", "tiers": tiers(("5", "1"), ("4", "1"), (None, "1"))}},
            "invalid_field",
            "price.tiers[1].up_to",
        ),
        ({"price": {**PER_UNIT, "min_amount": "2", "max_amount": "1"}}, "invalid_field", "price.min_amount"),
        ({"currency": None}, "missing_field", "currency"),
        ({"currency": "XAU"}, "invalid_field", "currency"),
        ({"currency": 840}, "invalid_field", "currency"),
        ({"quantity": None}, "missing_field", "quantity"),
        ({"quantity": "six"}, "invalid_field", "quantity"),
        ({"quantity": "1e26"}, "invalid_field", "quantity"),
        ({"quantity": True}, "invalid_field", "quantity"),
        ({"quantity": ["6"]}, "invalid_field", "quantity"),
        ({"prior_quantity": "-1"}, "invalid_field", "prior_quantity"),
        ({"prior_quantity": "NaN"}, "invalid_field", "prior_quantity"),
        ({"events": ["1"]}, "invalid_field", "events"),
        ({"price": CARDS}, "invalid_field", "quantity"),
        ({"price": CARDS, "quantity": None}, "missing_field", "events"),
        ({"price": CARDS, "quantity": None, "events": "10"}, "invalid_field", "events"),
        ({"price": CARDS, "quantity": None, "events": ["10", None]}, "invalid_field", "events[1]"),
        ({"price": CARDS, "quantity": None, "events": ["10", "x"]}, "invalid_field", "events[1]"),
        (
            {"price": CARDS, "quantity": None, "events": [], "prior_quantity": "1"},
            "invalid_field",
            "prior_quantity",
        ),
        ({"amount": "1"}, "invalid_field", "amount"),
        ({"priorQuantity": "1", "prior_quantity": "1"}, "invalid_field", "prior_quantity"),
    ],
)
def test_wrong_member_is_refused_by_its_path(call, wrong, code, field):
    body = {"price": PER_UNIT, "quantity": "6", "currency": "USD", **wrong}

    answer = call.post("/pricing/preview/", body)

    assert (answer.status_code, answer["Content-Type"]) == (422, PROBLEM_JSON), answer.content
    [error] = answer.json()["errors"]
    assert (error["code"], error["field"]) == (code, field)
    assert error["detail"]


@pytest.mark.parametrize("body", ["", "[]", "6", "{", '{"price": {"model": "flat", "model": "flat"}}'])
def test_body_that_is_no_object_is_refused(call, body):
    assert call.post("/pricing/preview/", body).status_code in {400, 422}


def test_too_many_tiers_and_too_many_events_are_refused(call):
    many = tiers(*((str(number), "1") for number in range(1, MAX_TIERS + 1)), (None, "1"))
    tiered = {"price": {"model": "volume", "tiers": many}, "quantity": "1", "currency": "USD"}
    eventful = {"price": CARDS, "events": ["1"] * (MAX_EVENTS + 1), "currency": "USD"}

    too_many_tiers = call.post("/pricing/preview/", tiered)
    too_many_events = call.post("/pricing/preview/", eventful)

    assert (too_many_tiers.status_code, too_many_tiers.json()["errors"][0]["field"]) == (422, "price.tiers")
    assert (too_many_events.status_code, too_many_events.json()["errors"][0]["field"]) == (413, "events")


def test_as_many_events_as_allowed_are_priced(call):
    # 10,000 x (0.029 + 0.30)
    assert preview(call, CARDS, events=["1"] * MAX_EVENTS)["amount"] == "3290.00"


def test_smallest_and_largest_numbers_together_stay_exact(call):
    nines = "99999999999999999999999999.999999999999"
    price = {"model": "per_unit", "unit_amount": nines, "unit_conversion": {"divide_by": "0.000000000001"}}

    answer = preview(call, price, quantity=nines, prior_quantity=nines, currency="CLF")

    exact = int(nines.replace(".", "")) ** 2  # in units of 1e-24, divided by 1e-12
    assert answer["lines"][0]["amount"] == f"{exact // 10**12}.{exact % 10**12:012}"


def test_reading_is_the_permission_it_takes(acme):
    body = {"price": PER_UNIT, "quantity": "1", "currency": "USD"}

    assert Caller(acme, "ingest", "manage").post("/pricing/preview/", body).status_code == 403
    assert Caller(acme, key="mbk_nobody.nothing").post("/pricing/preview/", body).status_code == 401
    assert Caller(acme, "read").post("/pricing/preview/", body).status_code == 200
