"""Values of events that can't be recorded are refused by name, and nothing is written."""

import datetime as dt

import pytest
from django.utils import timezone

from metering.models import UsageEvent
from metering.texts.timestamps import iso
from tests.factories import a_metric, an_event
from tests.metering.api.callers import fields_of, row_counts
from tests.metering.api.refusing import raw_event, surprises_among

pytestmark = pytest.mark.django_db


def in_future(**delta):
    return iso(timezone.now() + dt.timedelta(**delta))


# -- numbers and times of events -------------------------------------------------------------------------

NUMBERS = {
    "not a number, as text": '"NaN"',
    "infinity, as text": '"Infinity"',
    "minus infinity, as text": '"-Infinity"',
    "inf": '"inf"',
    "negative for a counter": "-1",
    "negative for a counter, as text": '"-0.000000000001"',
    "1e400": "1e400",
    "1e400 as text": '"1e400"',
    "1e99999999999999999999": "1e99999999999999999999",
    "1e99999999999999999999 as text": '"1e99999999999999999999"',
    "1e-99999999999999999999 as text": '"1e-99999999999999999999"',
    "27 digits before the point": "1" + "0" * 26,
    "13 digits after the point": "0.0000000000001",
    "5,000 digits": "9" * 5000,
    "5,000 digits as text": '"' + "9" * 5000 + '"',
    "5,000 digits after the point": "0." + "1" * 5000,
    "underscores": '"1_000"',
    "thousands": '"1,000"',
    "Arabic digits": '"١٢٣"',
    "full-width digits": '"１２"',
    "superscript": '"²"',
    "hexadecimal": '"0x10"',
    "plus sign": '"+1"',
    "blanks": '" 1 "',
    "line feed": '"1\\n"',
    "empty": '""',
    "true": "true",
    "false": "false",
    "array": "[1]",
    "empty array": "[]",
    "object": '{"value": 1}',
    "empty object": "{}",
}


@pytest.mark.parametrize("sent_as", ["project", "projectId"], ids=["fast path", "careful path"])
def test_quantity_that_is_no_number_is_refused(api, sent_as):
    calls = [
        (
            name,
            lambda number=number: api.post(
                "/usage-events/", raw_event(quantity=number).replace('"project"', f'"{sent_as}"')
            ),
            {422},
            "quantity",
        )
        for name, number in NUMBERS.items()
    ]

    assert surprises_among(calls) == {}


def test_label_that_a_metric_can_not_read_is_refused(acme, api):
    a_metric("bytes", value_property="size")
    calls = [
        (
            name,
            lambda number=number: api.post(
                "/usage-events/", raw_event(event_name='"bytes"', labels=f'{{"size": {number}}}')
            ),
            {400, 422},
            None,
        )
        for name, number in {**NUMBERS, "null": "null"}.items()
    ]

    assert surprises_among(calls) == {}


LITERALS = ("NaN", "Infinity", "-Infinity", "+1", ".5", "1.", "01", "0x10", "1_000", "١")


@pytest.mark.parametrize("shape", ["quantity", "labels"])
def test_number_that_json_does_not_know_is_malformed(api, shape):
    members = {"quantity": "{}", "labels": '{"n": {}}'}
    calls = [
        (
            literal,
            lambda literal=literal: api.post(
                "/usage-events/", raw_event(**{shape: members[shape].replace("{}", literal)})
            ),
            {400, 422},
            None,
        )
        for literal in LITERALS
    ]

    assert surprises_among(calls) == {}


TIMES = {
    "naive": '"2024-05-15T12:00:00"',
    "date": '"2024-05-15"',
    "blank instead of T and offset": '"2024-05-15 12:00:00"',
    "year 1": '"0001-01-01T00:00:00Z"',
    "year 9999": '"9999-12-31T23:59:59Z"',
    "beyond the calendar": '"9999-12-31T23:59:59-14:00"',
    "before the calendar": '"0001-01-01T00:00:00+14:00"',
    "before 1970": '"1969-12-31T23:59:59.999999Z"',
    "before 1970 by its offset": '"1970-01-01T00:30:00+01:00"',
    "leap second": '"2016-12-31T23:59:60Z"',
    "month 13": '"2024-13-01T00:00:00Z"',
    "29 February": '"2023-02-29T00:00:00Z"',
    "hour 24": '"2024-05-15T24:00:00Z"',
    "offset of 25 hours": '"2024-05-15T12:00:00+25:00"',
    "Arabic digits": '"٢٠٢٤-05-15T12:00:00Z"',
    "week date": '"2024-W20-3T12:00:00Z"',
    "basic format": '"20240515T120000Z"',
    "number": "1715774400",
    "number as text": '"1715774400"',
    "true": "true",
    "object": "{}",
    "empty": '""',
    "word": '"now"',
    "blanks": '" 2024-05-15T12:00:00Z"',
    "line feed": '"2024-05-15T12:00:00Z\\n"',
}


def test_time_that_names_no_instant_is_refused(api):
    calls = [
        (
            name,
            lambda time=time: api.post("/usage-events/", raw_event(occurred_at=time)),
            {422},
            "occurred_at",
        )
        for name, time in TIMES.items()
    ]

    assert surprises_among(calls) == {}


def test_five_minutes_ahead_is_now_and_ten_is_the_future(acme, api):
    soon = api.post("/usage-events/", an_event(acme, id="soon", occurred_at=in_future(minutes=4, seconds=50)))
    later = api.post("/usage-events/", an_event(acme, id="later", occurred_at=in_future(minutes=10)))

    assert soon.status_code == 201
    assert fields_of(later) == [("timestamp_in_future", "occurred_at")]
    assert list(UsageEvent.objects.values_list("event_id", flat=True)) == ["soon"]


@pytest.mark.parametrize(
    "time",
    [
        "1970-01-01T00:00:00Z",
        "2024-03-31T02:30:00+01:00",
        "2024-05-15t12:00:00z",
        "2024-05-15T12:00:00.9999999Z",
        "2024-05-15T23:59:59-12:00",
    ],
)
def test_any_instant_since_1970_is_taken(acme, api, time):
    assert api.post("/usage-events/", an_event(acme, occurred_at=time)).status_code == 201


# -- texts that can't be stored ----------------------------------------------------------------------------

NUL = "\\u0000"
TEXTS = ("id", "source", "project", "event_name", "metric_key", "subject_type", "subject_id", "surface")


@pytest.mark.parametrize("wrapped", ["{}", "[{}]"])
@pytest.mark.parametrize("name", TEXTS)
def test_nul_in_a_text_of_an_event_is_refused(api, name, wrapped):
    answer = api.post("/usage-events/", wrapped.replace("{}", raw_event(**{name: f'"a{NUL}b"'})))

    assert answer.status_code == 422
    assert fields_of(answer) == [("invalid_field", name)]
    assert row_counts() == (0, 0)


@pytest.mark.parametrize(
    "labels",
    [
        f'{{"a": "{NUL}"}}',
        f'{{"{NUL}": 1}}',
        f'{{"a": {{"b{NUL}": 1}}}}',
        f'{{"a": {{"b": ["x", "y{NUL}"]}}}}',
    ],
)
def test_nul_anywhere_in_labels_is_refused(api, labels):
    answer = api.post("/usage-events/", raw_event(labels=labels))

    assert fields_of(answer) == [("invalid_label", "labels")]
    assert row_counts() == (0, 0)


SURROGATES = [r'"\ud800"', r'"a\udfff"', r'"\udc00\ud800"', r'"\ud83d x"', r'"\ud83d\u0041"']


def test_lone_surrogate_is_refused(api):
    places = {
        "id": "{}",
        "subject_id": "{}",
        "unknown": "{}",
        "labels": '{"a": {}}',
        "labels of labels": '{"a": [{"b": {}}]}',
        "label name": "{{}: 1}",
    }
    calls = [
        (
            f"{text} in {place}",
            lambda text=text, place=place, shape=shape: api.post(
                "/usage-events/",
                raw_event(**{"labels" if "label" in place else place: shape.replace("{}", text)}),
            ),
            {400, 422},
            None,
        )
        for text in SURROGATES
        for place, shape in places.items()
    ]

    assert surprises_among(calls) == {}


def test_surrogate_pair_is_one_character(acme, api):
    assert api.post("/usage-events/", raw_event(id=r'"\ud83d\ude00"')).status_code == 201

    assert UsageEvent.objects.get().event_id == "😀"


def test_label_that_a_metric_groups_by_may_be_a_large_number(acme, api):
    a_metric("grouped", primary_labels=["n"])

    answers = [
        api.post("/usage-events/", raw_event(event_name='"grouped"', labels=f'{{"n": {"9" * 250}{last}}}'))
        for last in (1, 2)
    ]

    assert {answer.status_code for answer in answers} <= {201, 422}, [a.content for a in answers]
