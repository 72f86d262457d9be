"""`GET /usage/` and `GET /usage-summaries/`: exact at once, by windows, zones, groups and filters."""

import csv
import io

import pytest

from metering.attributing.scope_tree import attribute
from metering.defining.definitions import archive_metric
from metering.models import PendingContribution, Project
from metering.rolling_up.rollups import roll_up
from tests.factories import a_metric, a_project, an_event, recorded
from tests.metering.api.callers import Caller, assert_problem, fields_of

pytestmark = pytest.mark.django_db


def usage(api, **query):
    """(window_start, window_end, value, record_count, group) of each result."""
    answer = api.get("/usage/", query={"metric": "tokens", **query})
    assert answer.status_code == 200, answer.content
    return [tuple(result.values()) for result in answer.json()["results"]]


def values(api, **query):
    """(group, value) of each result; the value alone without groups."""
    rows = usage(api, **query)
    return [(tuple(group.values()), value) if group else value for _, _, value, _, group in rows]


@pytest.fixture(params=["pending", "rolled up", "half"])
def spring(request, acme, api):
    """Usage around the night in which Berlin's clocks went from 2 to 3 (2024-03-31T01:00Z).

    Whether it is pending, rolled up, or one half of each must never matter.
    """
    chat, search = (Project.objects.get(key=key) for key in ("chat", "search"))
    attribute(chat, payer=acme)
    events = [
        an_event(
            acme,
            quantity="0.1",
            subject_type="user",
            subject_id="ada",
            occurred_at="2024-03-30T22:59:59.999999Z",
            labels={"region": "eu", "paid": True},
        ),
        an_event(
            acme,
            quantity="0.2",
            subject_type="user",
            subject_id="ada",
            occurred_at="2024-03-30T23:00:00Z",
            labels={"region": "eu", "paid": False},
        ),
        an_event(
            chat,
            quantity="4",
            subject_type="user",
            subject_id="bob",
            occurred_at="2024-03-31T00:59:59Z",
            labels={"region": "us"},
        ),
        an_event(
            chat,
            quantity="8",
            subject_type="team",
            subject_id="bob",
            occurred_at="2024-03-31T01:00:00Z",
            labels={"region": "us", "tier": 1},
        ),
        an_event(
            search, quantity="16", occurred_at="2024-03-31T22:00:00Z", labels={"region": "eu", "tier": 1.0}
        ),
    ]
    recorded(*events[:3])
    if request.param in {"rolled up", "half"}:
        roll_up()
    recorded(*events[3:])
    if request.param == "rolled up":
        roll_up()
        assert not PendingContribution.objects.exists()
    recorded(an_event(a_project("globex"), quantity="1000", occurred_at="2024-03-31T01:00:00Z"))
    return api


def test_all_that_the_key_sees_is_one_exact_number(spring):
    answer = spring.get("/usage/?metric=tokens").json()

    assert answer.pop("position") >= 0
    assert answer == {
        "metric": "tokens",
        "unit": "",
        "from": None,
        "to": None,
        "read_from": "rollups",
        "results": [
            {"window_start": None, "window_end": None, "value": "28.3", "record_count": 5, "group": {}}
        ],
    }


def test_scope_says_whose_usage(spring):
    assert values(spring, project="acme") == ["0.3"]
    assert values(spring, project="acme", scope="own") == ["0.3"]
    assert values(spring, project="acme", scope="TREE") == ["28.3"]
    assert values(spring, project="acme", scope="billed") == ["12.3"]
    assert values(spring, scope="billed") == ["12.3"]
    assert values(spring, projectId="chat") == ["12"]
    assert values(spring, project="chat", scope="billed") == ["0"]


def test_days_are_cut_on_the_clocks_of_the_zone(spring):
    assert usage(spring, window="day", timezone="Europe/Berlin") == [
        ("2024-03-30T00:00:00+01:00", "2024-03-31T00:00:00+01:00", "0.1", 1, {}),
        ("2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00", "12.2", 3, {}),
        ("2024-04-01T00:00:00+02:00", "2024-04-02T00:00:00+02:00", "16", 1, {}),
    ]


def test_days_and_weeks_and_months_in_utc(spring):
    march = {"from": "2024-03-01", "to": "2024-04-01"}

    assert usage(spring, window="day", **march) == [
        ("2024-03-30T00:00:00Z", "2024-03-31T00:00:00Z", "0.3", 2, {}),
        ("2024-03-31T00:00:00Z", "2024-04-01T00:00:00Z", "28", 3, {}),
    ]
    assert usage(spring, window="week", **march) == [
        ("2024-03-25T00:00:00Z", "2024-04-01T00:00:00Z", "28.3", 5, {}),
    ]
    assert usage(spring, window="month", **march) == [
        ("2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z", "28.3", 5, {}),
    ]


def test_fill_shows_the_windows_without_events(spring):
    night = {
        "from": "2024-03-31T00:00:00+01:00",
        "to": "2024-03-31T05:00:00+02:00",
        "timezone": "Europe/Berlin",
    }

    assert usage(spring, window="hour", fill="true", **night) == [
        ("2024-03-31T00:00:00+01:00", "2024-03-31T01:00:00+01:00", "0.2", 1, {}),
        ("2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00", "4", 1, {}),
        ("2024-03-31T03:00:00+02:00", "2024-03-31T04:00:00+02:00", "8", 1, {}),
        ("2024-03-31T04:00:00+02:00", "2024-03-31T05:00:00+02:00", "0", 0, {}),
    ]
    assert [row[2] for row in usage(spring, window="hour", **night)] == ["0.2", "4", "8"]


@pytest.mark.parametrize(
    ("start", "end", "value"),
    [
        ("2024-03-31", "2024-04-01", "28"),
        ("2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z", "12.2"),
        ("2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00", "12.2"),
        ("2024-03-30T22:59:59.999999Z", "2024-03-30T23:00:00Z", "0.1"),
        ("2024-03-30T22:59:59.9999999Z", "2024-03-30T23:00:00.000001Z", "0.3"),
        ("2024-03-31T00:59:59Z", "2024-03-31T01:00:00.000001Z", "12"),
        ("2024-03-31T00:30:00Z", None, "28"),
        (None, "2024-03-31T00:30:00Z", "0.3"),
        ("2020-01-01", "2020-01-02", "0"),
    ],
)
def test_interval_is_half_open_at_any_instant(spring, start, end, value):
    interval = {name: at for name, at in (("from", start), ("to", end)) if at is not None}

    assert values(spring, **interval) == [value]


def test_plus_of_an_offset_may_arrive_as_a_blank(spring):
    answer = spring.get("/usage/?metric=tokens&from=2024-03-31T00:00:00+01:00&to=2024-04-01T00:00:00+02:00")

    assert answer.json()["results"][0]["value"] == "12.2"
    assert (answer.json()["from"], answer.json()["to"]) == ("2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z")


def test_date_is_a_day_of_the_zone(spring):
    assert values(spring, **{"from": "2024-03-31", "to": "2024-04-01", "timezone": "Europe/Berlin"}) == [
        "12.2"
    ]


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("project", [(("acme",), "0.3"), (("chat",), "12"), (("search",), "16")]),
        ("billing_scope", [(("acme",), "12.3"), (("search",), "16")]),
        ("subject_type", [(("",), "16"), (("team",), "8"), (("user",), "4.3")]),
        ("subject_id", [(("",), "16"), (("ada",), "0.3"), (("bob",), "12")]),
        ("labels.region", [(("eu",), "16.3"), (("us",), "12")]),
        ("labels[region]", [(("eu",), "16.3"), (("us",), "12")]),
        ("labels.paid", [(("false",), "0.2"), (("true",), "0.1"), ((None,), "28")]),
        ("labels.tier", [(("1",), "24"), ((None,), "4.3")]),
        ("labels.nothing", [((None,), "28.3")]),
        (
            "project,labels.region",
            [(("acme", "eu"), "0.3"), (("chat", "us"), "12"), (("search", "eu"), "16")],
        ),
        (
            "subject_type, subject_id",
            [(("", ""), "16"), (("team", "bob"), "8"), (("user", "ada"), "0.3"), (("user", "bob"), "4")],
        ),
    ],
)
def test_groups(spring, group_by, expected):
    assert sorted(values(spring, group_by=group_by), key=str) == sorted(expected, key=str)


def test_groups_within_windows_ascend(spring):
    rows = usage(spring, window="day", group_by="labels.region", **{"from": "2024-03-30", "to": "2024-04-01"})

    assert [(start, group["region"], value) for start, _, value, _, group in rows] == [
        ("2024-03-30T00:00:00Z", "eu", "0.3"),
        ("2024-03-31T00:00:00Z", "eu", "16"),
        ("2024-03-31T00:00:00Z", "us", "12"),
    ]


@pytest.mark.parametrize(
    ("filters", "value"),
    [
        ({"labels[region]": "eu"}, "16.3"),
        ({"labels[region]": "us", "labels[tier]": "1"}, "8"),
        ({"labels[paid]": "true"}, "0.1"),
        ({"labels[region]": "nowhere"}, "0"),
        ({"labels[a b']": "%s"}, "0"),
        ({"subject_id": "bob"}, "12"),
        ({"subjectId": "bob", "subjectType": "team"}, "8"),
        ({"subject_id": "bob", "labels[region]": "eu"}, "0"),
        ({"project": "chat", "subject_type": "user"}, "4"),
    ],
)
def test_filters(spring, filters, value):
    assert values(spring, **filters) == [value]


@pytest.mark.parametrize(
    "aggregation_value",
    [("COUNT", "5"), ("AVG", "5.66"), ("MIN", "0.1"), ("MAX", "16"), ("LATEST", "16"), ("SUM", "28.3")],
)
def test_every_aggregation_is_exact_before_and_after_a_tick(acme, api, aggregation_value):
    aggregation, value = aggregation_value
    a_metric("m", event_name="e", aggregation=aggregation)
    for hour, quantity in enumerate(["0.1", "0.2", "4", "8", "16"]):
        api.post(
            "/usage-events/",
            an_event(acme, event_name="e", quantity=quantity, occurred_at=f"2024-05-15T{hour:02}:30:00Z"),
        )

    before = api.get("/usage/?metric=m").json()["results"]
    ragged = api.get("/usage/?metric=m&from=2024-05-15T00:15:00Z&to=2024-05-15T04:45:00Z").json()["results"]
    roll_up()
    after = api.get("/usage/?metric=m").json()["results"]

    assert before == after
    assert (before[0]["value"], before[0]["record_count"]) == (value, 5)
    assert ragged[0]["value"] == value


def test_large_sums_stay_exact(acme, api):
    for quantity in (
        "99999999999999999999999999.999999999999",
        "99999999999999999999999999.999999999999",
        "1e-12",
    ):
        api.post("/usage-events/", an_event(acme, quantity=quantity))

    assert values(api) == ["199999999999999999999999999.999999999999"]


@pytest.mark.parametrize(
    ("aggregation", "empty"),
    [("SUM", "0"), ("COUNT", "0"), ("AVG", None), ("MAX", None), ("MIN", None), ("LATEST", None)],
)
def test_metric_without_usage_has_an_empty_answer(api, acme, aggregation, empty):
    a_metric("quiet", aggregation=aggregation)

    assert usage(api, metric="quiet") == [(None, None, empty, 0, {})]
    assert usage(api, metric="quiet", window="day") == []
    assert usage(api, metric="quiet", group_by="project") == []


def test_archived_metric_keeps_its_history(acme, api):
    metric = a_metric("old")
    api.post("/usage-events/", an_event(acme, event_name="old", quantity=5))
    archive_metric(metric)

    assert values(api, metric="old") == ["5"]


def test_unknown_metric_or_project_is_not_found(api):
    assert_problem(api.get("/usage/?metric=nothing"), 404, "not_found")
    assert_problem(api.get("/usage/?metric=tokens&project=nowhere"), 404, "not_found")
    assert_problem(api.get("/usage-summaries/?metric=nothing"), 404, "not_found")


def test_interval_must_not_be_empty(api):
    answer = api.get("/usage/", query={"metric": "tokens", "from": "2024-05-15", "to": "2024-05-15"})

    assert (answer.status_code, fields_of(answer)) == (422, [("invalid_field", "to")])


def test_label_named_as_a_column_is_a_group_of_its_own(acme, api):
    """A group must show both, or the caller can't tell which is which."""
    api.post("/usage-events/", an_event(acme, subject_id="ada", quantity=1, labels={"subject_id": "x"}))
    api.post("/usage-events/", an_event(acme, subject_id="bob", quantity=2, labels={"subject_id": "x"}))

    rows = usage(api, group_by="subject_id,labels.subject_id")

    assert [len(row[4]) for row in rows] == [2, 2]
    assert {value: set(group.values()) for _, _, value, _, group in rows} == {
        "1": {"ada", "x"},
        "2": {"bob", "x"},
    }


def test_filter_on_an_array_means_the_same_while_recording_and_reading(acme, api):
    a_metric("first", event_name="tagged", event_label_filter={"tags.0": "x"})
    api.post(
        "/usage-events/",
        an_event(acme, event_name="tagged", labels={"tags": ["x"]}, occurred_at="2024-05-15T12:30:00Z"),
    )

    whole = values(api, metric="first")
    ragged = values(api, metric="first", **{"from": "2024-05-15T12:15:00Z"})

    assert whole == ragged


def test_csv_says_the_same_as_json(spring):
    query = {
        "metric": "tokens",
        "window": "day",
        "group_by": "project,labels.region",
        "timezone": "Europe/Berlin",
    }

    rows = spring.get("/usage/", query=query).json()["results"]
    for answer in (
        spring.get("/usage/", query=query, headers={"accept": "text/csv"}),
        spring.get("/usage/", query={**query, "format": "csv"}),
    ):
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert list(csv.reader(io.StringIO(answer.content.decode()))) == [
            ["window_start", "window_end", "project", "region", "value", "record_count"],
            *(
                [
                    row["window_start"],
                    row["window_end"],
                    *row["group"].values(),
                    row["value"],
                    str(row["record_count"]),
                ]
                for row in rows
            ),
        ]


def test_csv_of_usage_holds_no_formula(acme, api):
    api.post("/usage-events/", an_event(acme, subject_id='=cmd|"x"!A1', quantity=3))

    answer = api.get("/usage/?metric=tokens&group_by=subject_id&format=csv")

    assert list(csv.reader(io.StringIO(answer.content.decode())))[1] == ["", "", '\'=cmd|"x"!A1', "3", "1"]


# -- /usage-summaries/ -------------------------------------------------------------------------------------


def test_summary_row_has_all_its_members(acme, api):
    api.post("/usage-events/", an_event(acme, quantity="1.5", subject_type="user", subject_id="ada"))

    (row,) = api.get("/usage-summaries/?metric=tokens").json()["results"]
    assert row.pop("id").startswith("tokens:acme:acme:daily:2024-05-15T00:00:00Z:")
    assert row == {
        "metric": "tokens",
        "project": "acme",
        "billing_scope": "acme",
        "subject_type": "user",
        "subject_id": "ada",
        "labels": {},
        "period_type": "daily",
        "period_start": "2024-05-15T00:00:00Z",
        "period_end": "2024-05-16T00:00:00Z",
        "total_quantity": "1.5",
        "record_count": 1,
    }


def test_summaries_add_what_is_pending_to_what_is_rolled_up(acme, api):
    api.post("/usage-events/", an_event(acme, quantity=1))
    roll_up()
    api.post("/usage-events/", an_event(acme, quantity=2))

    before = api.get("/usage-summaries/?metric=tokens&period_type=hourly").json()["results"]
    roll_up()
    after = api.get("/usage-summaries/?metric=tokens&periodType=HOURLY").json()["results"]

    assert before == after
    assert [(row["total_quantity"], row["record_count"]) for row in after] == [("3", 2)]


def test_summaries_are_filtered(spring):
    def totals(**query):
        answer = spring.get("/usage-summaries/", query={"metric": "tokens", **query})
        return [row["total_quantity"] for row in answer.json()["results"]]

    assert totals(period_type="monthly", subject_id="bob") == ["8", "4"] or totals(
        period_type="monthly", subject_id="bob"
    ) == ["4", "8"]
    assert totals(period_type="monthly", project="search") == ["16"]
    assert totals(period_type="daily", period_start="2024-03-30T00:00:00Z") == ["0.3"]
    assert totals(period_type="hourly", period_start="2024-03-30T22:00:00Z") == ["0.1"]
    assert totals(period_type="daily", subject_type="team") == ["8"]
    assert totals(period_type="daily", period_start="2024-03-30T00:30:00Z") == []


def test_summaries_page_in_both_directions_with_every_row_once(acme, api):
    for number in range(23):
        recorded(
            an_event(
                acme,
                quantity=number,
                subject_id=f"s{number % 4}",
                occurred_at=f"2024-05-{number % 6 + 1:02}T12:00:00Z",
            )
        )
        if number == 11:
            roll_up()
    everything = api.get("/usage-summaries/?metric=tokens").json()
    assert (everything["next"], everything["previous"]) == (None, None)
    wanted = [row["id"] for row in everything["results"]]
    assert len(set(wanted)) == len(wanted) == 12

    assert_pages(api, "/usage-summaries/?metric=tokens&limit=5", wanted)


def pages_of(api, url: str, direction: str):
    """The pages from `url` on, and the address of the last one."""
    pages = []
    while url:
        answer = api.get(url.removeprefix("http://testserver").removeprefix("/api/v1"))
        assert answer.status_code == 200
        pages.append(answer.json())
        url, last = answer.json()[direction], url
    return pages, last


def assert_pages(api, url: str, wanted: list):
    """Forward and back again, each row once and in order."""
    forward, last = pages_of(api, url, "next")
    backward, _ = pages_of(api, last, "previous")
    size = len(forward[0]["results"])

    assert [row["id"] for page in forward for row in page["results"]] == wanted
    assert all(len(page["results"]) == size for page in forward[:-1])
    assert forward[0]["previous"] is None
    assert [row["id"] for page in reversed(backward) for row in page["results"]] == wanted
    assert len(backward) == len(forward)


# -- /usage-events/ ----------------------------------------------------------------------------------------


def test_events_page_in_both_directions_with_every_row_once(acme, api):
    names = [f"e{number:02}" for number in range(23)]
    recorded(
        *(
            an_event(acme, id=name, occurred_at=f"2024-05-{int(name[1:]) % 5 + 1:02}T12:00:00Z")
            for name in names
        )
    )
    everything = api.get("/usage-events/").json()["results"]
    wanted = [row["id"] for row in everything]
    assert sorted(row["event_id"] for row in everything) == names
    assert [(row["occurred_at"], row["id"]) for row in everything] == sorted(
        ((row["occurred_at"], row["id"]) for row in everything), reverse=True
    )

    for limit in (1, 5, 22, 23):
        assert_pages(api, f"/usage-events/?limit={limit}&event_name=tokens", wanted)


def test_rows_that_arrive_while_paging_are_neither_doubled_nor_lost(acme, api):
    recorded(*(an_event(acme, id=f"old {n}", occurred_at=f"2024-05-15T12:00:{n:02}Z") for n in range(20)))
    seen, url = [], "/usage-events/?limit=3"
    while url:
        page = api.get(url.removeprefix("http://testserver/api/v1")).json()
        seen += [row["event_id"] for row in page["results"]]
        number = len(seen)
        recorded(
            an_event(acme, id=f"newer {number}", occurred_at="2024-05-15T13:00:00Z"),
            an_event(acme, id=f"older {number}", occurred_at="2024-05-15T11:00:00Z"),
        )
        url = page["next"]
        if number > 60:
            break

    assert len(set(seen)) == len(seen)
    assert [name for name in seen if name.startswith("old ")] == [f"old {n}" for n in reversed(range(20))]
    assert not any(name.startswith("newer") for name in seen)


@pytest.mark.parametrize(
    ("query", "events"),
    [
        ({}, "edcba"),
        ({"project": "chat"}, "dc"),
        ({"source": "gateway"}, "b"),
        ({"event_id": "a"}, "a"),
        ({"event_name": "calls"}, "e"),
        ({"event_name": "unheard"}, ""),
        ({"subject_type": "user"}, "cb"),
        ({"subjectId": "ada"}, "b"),
        ({"labels[region]": "eu"}, "db"),
        ({"labels[n]": "1"}, "d"),
        ({"labels[a.b]": "x"}, "c"),
        ({"from": "2024-05-02", "to": "2024-05-04"}, "cb"),
        ({"from": "2024-05-03T14:00:00+02:00"}, "edc"),
        ({"to": "2024-05-03T12:00:00Z"}, "ba"),
    ],
)
def test_events_are_filtered(acme, api, query, events):
    chat = Project.objects.get(key="chat")
    a_metric("calls")
    recorded(
        an_event(acme, id="a", occurred_at="2024-05-01T12:00:00Z"),
        an_event(
            acme,
            id="b",
            source="gateway",
            occurred_at="2024-05-02T12:00:00Z",
            subject_type="user",
            subject_id="ada",
            labels={"region": "eu"},
        ),
        an_event(
            chat, id="c", occurred_at="2024-05-03T12:00:00Z", subject_type="user", labels={"a": {"b": "x"}}
        ),
        an_event(chat, id="d", occurred_at="2024-05-04T12:00:00Z", labels={"region": "eu", "n": 1}),
        an_event(acme, id="e", event_name="calls", occurred_at="2024-05-05T12:00:00Z"),
    )
    recorded(an_event(a_project("globex"), id="foreign"))

    assert [row["event_id"] for row in api.get("/usage-events/", query=query).json()["results"]] == list(
        events
    )


def test_event_that_is_not_there_is_not_found(api):
    assert_problem(api.get("/usage-events/1/"), 404, "not_found")


def test_labels_are_given_back_as_they_were_sent(acme, api):
    sent = '{"a": 0.1234567890123456789, "b": 12345678901234567890.5, "c": [1, null], "d": 9007199254740993}'
    api.post("/usage-events/", f'{{"project": "acme", "event_name": "tokens", "id": "e1", "labels": {sent}}}')

    answer = api.get("/usage-events/?event_id=e1")

    for number in ("0.1234567890123456789", "12345678901234567890.5", "9007199254740993"):
        assert number in answer.content.decode()


def test_question_sees_an_event_at_once(acme):
    api = Caller(acme)
    for number in range(1, 4):
        api.post("/usage-events/", an_event(acme, quantity=1))
        assert values(api) == [str(number)]
