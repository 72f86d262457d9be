"""Paths, parameters and cursors that name nothing sensible are refused by name."""

import base64

import pytest

from tests.metering.api.callers import fields_of
from tests.metering.api.refusing import (
    PARAMETERS,
    READS,
    assert_refused,
    read,
    surprises_among,
)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE", "POST"])
def test_path_that_names_nothing_is_not_found(api, method):
    body = {"billing_attribution_project": "acme"} if method == "POST" else {}
    paths = [
        "/projects/a%00/",
        "/projects/a%00/attribution/",
        "/metrics/a%00/",
        "/projects/%FF/",
        "/metrics/%ED%A0%80/",
        "/usage-events/" + "9" * 40 + "/",
        "/usage-events/" + "9" * 5000 + "/",
        "/usage-events/-1/",
        "/quotas/" + "9" * 40 + "/",
        "/thresholds/" + "9" * 40 + "/",
        "/quotas/" + "9" * 5000 + "/",
        "/usage-events/abc/",
        "/projects/" + "x" * 5000 + "/",
    ]

    assert (
        surprises_among(
            [(path[:40], lambda path=path: api(method, path, body), {404, 405}, None) for path in paths]
        )
        == {}
    )


@pytest.mark.parametrize("path", READS)
def test_nul_in_a_parameter_is_refused_by_name(api, path):
    calls = [
        (name, lambda name=name: read(api, path, **{name: "a\x00b"}), {422}, name)
        for name in PARAMETERS[path]
    ]

    assert surprises_among(calls) == {}


@pytest.mark.parametrize("path", READS)
def test_unknown_parameter_is_refused_by_name(api, path):
    assert_refused(read(api, path, colour="red"), naming="colour")


@pytest.mark.parametrize("path", READS)
def test_nul_in_the_name_of_a_parameter_is_refused(api, path):
    assert_refused(read(api, path, **{"a\x00": "red"}))


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/usage/", "scope", "everything"),
        ("/usage/", "window", "year"),
        ("/usage/", "window", "fortnight"),
        ("/usage/", "timezone", "Mars/Olympus"),
        ("/usage/", "timezone", "/etc/passwd"),
        ("/usage/", "from", "yesterday"),
        ("/usage/", "from", "2024-05-15T12:00:00"),
        ("/usage/", "from", "2024-02-30"),
        ("/usage/", "from", "0001-01-01"),
        ("/usage/", "to", "9999-12-31"),
        ("/usage/", "to", "9999-12-31T23:59:59Z"),
        ("/usage/", "to", "٢٠٢٤-05-15"),
        ("/usage/", "group_by", "colour"),
        ("/usage/", "group_by", "labels."),
        ("/usage/", "group_by", "project,project"),
        ("/usage/", "fill", "perhaps"),
        ("/usage-summaries/", "period_type", "weekly"),
        ("/usage-summaries/", "period_start", "soon"),
        ("/usage-summaries/", "limit", "0"),
        ("/usage-summaries/", "limit", "1001"),
        ("/usage-summaries/", "limit", "١"),
        ("/usage-events/", "limit", "-1"),
        ("/usage-events/", "limit", "1e2"),
        ("/usage-events/", "from", "x"),
        ("/usage/export/", "type", "everything"),
        ("/usage/export/", "to", "x"),
        ("/usage/export/?type=rollups", "granularity", "week"),
        ("/projects/", "kind", "galaxy"),
        ("/metrics/", "archived", "perhaps"),
        ("/quotas/", "mode", "strict"),
        ("/projects/", "limit", "abc"),
        ("/projects/", "limit", "0"),
        ("/metrics/", "limit", "-1"),
        ("/quotas/", "limit", "5000"),
    ],
)
def test_parameter_that_does_not_fit_is_refused_by_name(api, path, name, value):
    answer = read(api, path, **{name: value})

    assert_refused(answer, naming=name)
    assert answer.status_code == 422


@pytest.mark.parametrize(("path", "name"), [("/usage/", "metric"), ("/usage-summaries/", "metric")])
def test_needed_parameter_is_asked_for(api, path, name):
    assert fields_of(api.get(path)) == [("missing_field", name)]


def test_parameter_given_twice_is_refused(api):
    assert fields_of(api.get("/usage/?metric=a&metric=b")) == [("invalid_field", "metric")]
    assert fields_of(api.get("/usage/?metric=a&metricKey=b")) == [("invalid_field", "metric")]


def as_cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


STREAM = "00000000-0000-0000-0000-000000000001"
PLACE = '"2024-05-15T12:00:00+00:00"'
CURSORS = {
    "word": "garbage",
    "unicode": "é😀",
    "percent": "%%%",
    "one character": "A",
    "not UTF-8": "____",
    "null": as_cursor("null"),
    "object": as_cursor("{}"),
    "array": as_cursor("[]"),
    "deep": as_cursor("[" * 5000),
    "position that is a word": as_cursor("p=abc"),
    "position beyond all": as_cursor("p=" + "9" * 40),
    "position with NUL": as_cursor("p=\x00"),
    "infinite id": as_cursor(f'[{PLACE}, 1e400, 0, "{STREAM}", 0]'),
    "infinite id of an event": as_cursor(f"[{PLACE}, 1e400, 0]"),
    "infinite payer": as_cursor(f'[{PLACE}, 1, Infinity, "{STREAM}", 0]'),
    "huge id": as_cursor(f"[{PLACE}, {'9' * 40}, 0]"),
    "huge id of a row": as_cursor(f'[{PLACE}, {"9" * 40}, 1, "{STREAM}", 0]'),
    "naive": as_cursor('["2024-05-15T12:00:00", 1, 0]'),
    "odd offset of an event": as_cursor('["2024-05-15T12:00:00+00:00:30.5", 1, 0]'),
    "odd offset of a row": as_cursor(f'["2024-05-15T12:00:00+00:00:30.5", 1, 1, "{STREAM}", 0]'),
    "no stream": as_cursor(f"[{PLACE}, 1, 1, 5, 0]"),
}


@pytest.mark.parametrize(
    "path", ["/usage-events/", "/usage-summaries/", "/projects/", "/metrics/", "/quotas/"]
)
def test_cursor_that_is_not_ours_is_refused(api, path):
    calls = [
        (name, lambda cursor=cursor: read(api, path, cursor=cursor), {422}, "cursor")
        for name, cursor in CURSORS.items()
    ]

    assert surprises_among(calls) == {}


def test_too_many_parameters_are_refused(api):
    assert_refused(api.get("/usage/?" + "&".join(f"labels[a{n}]=1" for n in range(1100))))
    assert_refused(api.post("/usage-events/?" + "&".join(f"p{n}=1" for n in range(1100)), []))


def test_too_many_groups_are_refused(api):
    """PostgreSQL knows at most 1,664 columns; whoever asks for more must not hear 'try again'."""
    names = ",".join(f"labels.l{number}" for number in range(1700))

    assert_refused(api.get("/usage/", query={"metric": "tokens", "group_by": names}), naming="group_by")


def test_too_many_windows_are_refused(api):
    answer = api.get(
        "/usage/", query={"metric": "tokens", "window": "hour", "from": "1970-01-01", "to": "8000-01-01"}
    )

    assert_refused(answer, naming="window")


def test_what_takes_a_day_or_a_time_says_both(api):
    answer = read(api, "/usage/", **{"from": "1.11.2026"})

    assert answer.json()["detail"] == (
        "Neither a date, such as 2026-11-01, nor an RFC 3339 time with an offset, such as"
        " 2026-11-01T12:00:00Z."
    )
