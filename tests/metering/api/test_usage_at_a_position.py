"""Usage as the ledger stood at a position: the same bytes for ever; and the answers that levels give."""

import pytest

from metering.correcting.corrections import void_events
from metering.models import MetricDefinition
from metering.rolling_up.rollups import roll_up
from metering.texts.timestamps import iso
from tests.factories import a_metric, an_event, at, recorded
from tests.metering.api.callers import assert_problem, fields_of
from tests.metering.api.test_events_at_a_position import fenced

pytestmark = pytest.mark.django_db

KINDS = {
    "count": {"aggregation": "COUNT"},
    "sum": {},
    "avg": {"aggregation": "AVG"},
    "max": {"aggregation": "MAX"},
    "latest": {"aggregation": "LATEST"},
    "unique": {"aggregation": "UNIQUE_COUNT"},
    "increase": {"is_incremental": False},
    "total": {"reporting_method": "total", "reset_period": "daily"},
    "level": {"aggregation": "TIME_WEIGHTED_AVG"},
}
MAY = {"from": "2024-05-01T00:00:00Z", "to": "2024-06-01T00:00:00Z"}


def questions(metric: str, position: int) -> list[tuple[str, dict[str, object]]]:
    asked: dict[str, object] = {"metric": metric, "as_of": position}
    return [
        ("/usage/", {**asked, **MAY}),
        ("/usage/", {**asked, **MAY, "window": "day", "timezone": "Asia/Kathmandu", "fill": "true"}),
        ("/usage/", {**asked, "window": "hour"}),
        ("/usage/", {**asked, **MAY, "group_by": "subject_id,region"}),
        ("/usage-summaries/", {**asked, "period_type": "daily", "limit": 2}),
        ("/usage/export/", {**asked, "type": "rollups", "granularity": "hour"}),
    ]


def answered(api, path: str, query: dict[str, object]) -> bytes:
    answer = api.get(path, query=query)
    assert answer.status_code == 200, (path, query, answer.content)
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


@pytest.fixture
def kinds(acme) -> dict[str, MetricDefinition]:
    return {
        key: a_metric(key, event_name="readings", primary_labels=["region"], **fields)
        for key, fields in KINDS.items()
    }


def some_readings(acme, *, day: int):
    return recorded(
        *(
            an_event(
                acme,
                event_name="readings",
                subject_id=subject,
                quantity=quantity,
                labels={"region": region},
                occurred_at=f"2024-05-{day:02}T{hour:02}:30:00Z",
            )
            for subject, quantity, region, hour in (
                ("ada", 5, "eu", 9),
                ("ada", 9, "eu", 12),
                ("bob", 7, "us", 12),
                ("ada", 3, "eu", 20),
            )
        )
    )


def test_an_answer_at_a_position_has_the_same_bytes_after_writes_voids_and_ticks(api, acme, kinds):
    first = some_readings(acme, day=10)
    position = fenced()
    asked = [question for key in kinds for question in questions(key, position)]
    before = [answered(api, *question) for question in asked]

    some_readings(acme, day=9)
    roll_up()
    void_events([first[1].id, first[3].id], reason="wrong", actor="tests")
    some_readings(acme, day=10)
    fenced()
    roll_up()

    assert [answered(api, *question) for question in asked] == before
    assert len(set(before)) > len(kinds) * 4


def test_an_answer_names_its_position_and_where_it_was_read(api, acme, kinds):
    some_readings(acme, day=10)
    position = fenced("2024-05-20T00:00:00Z")
    void_events([recorded(an_event(acme, event_name="readings"))[0].id], reason="x", actor="tests")
    fenced("2024-05-21T00:00:00Z")

    live = api.get("/usage/", query={"metric": "sum"}).json()
    by_position = api.get("/usage/", query={"metric": "sum", "as_of": position}).json()
    by_time = api.get("/usage/", query={"metric": "sum", "as_of": "2024-05-20T12:00:00Z"}).json()

    assert by_position["position"] == position
    assert by_position["read_from"] == "ledger"
    assert by_position["results"][0]["value"] == "24"
    assert by_time == by_position
    assert (live["read_from"], live["results"][0]["value"]) == ("rollups", "24")
    assert live["position"] > position


def test_pages_of_summaries_stay_at_their_position(api, acme, kinds):
    some_readings(acme, day=10)
    position = fenced("2024-05-20T00:00:00Z")
    recorded(an_event(acme, event_name="readings"))
    fenced("2024-05-21T00:00:00Z")
    query = {"metric": "sum", "as_of": iso(at("2024-05-20T12:00:00Z")), "period_type": "hourly", "limit": 2}

    first = api.get("/usage-summaries/", query=query).json()
    some_readings(acme, day=10)
    fenced("2024-05-20T06:00:00Z")
    rest = api.get(first["next"].split("/api/v1")[1]).json()

    assert first["position"] == rest["position"] == position
    assert [row["record_count"] for row in (*first["results"], *rest["results"])] == [1, 1, 1, 1]
    assert rest["next"] is None


def test_position_that_the_ledger_has_not_reached_is_refused(api, acme, kinds):
    for path in ("/usage/", "/usage-summaries/"):
        answer = api.get(path, query={"metric": "sum", "as_of": 10**15})
        assert_problem(answer, 422, "invalid_field")
        assert fields_of(answer) == [("invalid_field", "as_of")]


# -- levels ------------------------------------------------------------------------------------------------


def test_a_level_is_weighed_by_how_long_it_lasted(api, acme):
    a_metric("seats", aggregation="TIME_WEIGHTED_AVG", primary_labels=["plan"])
    recorded(
        *(
            an_event(acme, event_name="seats", quantity=seats, labels={"plan": "pro"}, occurred_at=moment)
            for seats, moment in ((10, "2024-05-15T00:00:00Z"), (20, "2024-05-15T12:00:00Z"))
        )
    )

    def levels(**query):
        answer = api.get("/usage/", query={"metric": "seats", **query})
        assert answer.status_code == 200, answer.content
        return [(row["value"], row["record_count"]) for row in answer.json()["results"]]

    day = {"from": "2024-05-15T00:00:00Z", "to": "2024-05-16T00:00:00Z"}
    assert levels(**day) == [("15", 2)]
    assert levels(**{**day, "to": "2024-05-18T00:00:00Z", "window": "day"}) == [
        ("15", 2),
        ("20", 0),
        ("20", 0),
    ]
    assert levels(**{**day, "from": "2024-05-14T00:00:00Z"}) == [("7.5", 2)]
    assert levels(**{**day, "from": "2024-05-14T00:00:00Z", "window": "day", "fill": "true"}) == [
        ("0", 0),
        ("15", 2),
    ]
    # The day on which Berlin's clocks went forward has 23 hours; the level came in from before.
    recorded(an_event(acme, event_name="seats", quantity=23, occurred_at="2024-03-30T00:00:00Z"))
    assert levels(**{"from": "2024-03-31", "to": "2024-04-01", "timezone": "Europe/Berlin"}) == [("23", 0)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "from"),
        ({"from": "2024-05-15T00:00:00Z"}, "to"),
        ({**MAY, "group_by": "labels.size"}, "group_by"),
        ({**MAY, "labels[size]": "l"}, "group_by"),
    ],
)
def test_a_question_that_levels_have_no_answer_to_is_refused_by_its_field(api, acme, query, field):
    a_metric("seats", aggregation="TIME_WEIGHTED_AVG", primary_labels=["plan"])

    answer = api.get("/usage/", query={"metric": "seats", **query})

    code = "missing_field" if field in {"from", "to"} else "invalid_field"
    assert_problem(answer, 422, code)
    assert fields_of(answer) == [(code, field)]
