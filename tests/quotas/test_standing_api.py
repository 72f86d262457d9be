"""`/quotas/standing/`: how much of each limit is used."""

import csv
import io
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metering.attributing.scope_tree import attribute
from metering.models import Project
from metering.rolling_up.rollups import roll_up
from quotas.utilisation import Asked, period_of, utilisations_in, utilisations_of
from tests.factories import a_metric, a_project, an_event, at, recorded
from tests.metering.api.callers import Caller, fields_of

from .factories import a_quota

pytestmark = pytest.mark.django_db

NOW = at("2024-05-16T12:00:00Z")  # half of May is over


@pytest.fixture
def acme(monkeypatch) -> Project:
    monkeypatch.setattr("quotas.api.standing.database_now", lambda: NOW)
    acme = a_project("acme", parent=a_project("tenant"))
    attribute(a_project("chat", parent=acme), payer=acme)
    return acme


def standing(call: Caller, path: str = "") -> list[dict]:
    answer = call.get(f"/quotas/standing/{path}")
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


def test_standing_says_what_is_used_left_and_coming(acme):
    quota = a_quota(acme, a_metric(unit="token"), limit="500")
    recorded(an_event("acme", quantity=60), an_event("chat", quantity=40))

    answer = Caller(acme).get("/quotas/standing/").json()

    assert answer == {
        "position": 0,
        "results": [
            {
                "quota": quota.pk,
                "project": "acme",
                "metric": "tokens",
                "unit": "token",
                "mode": "hard",
                "period": "month",
                "counting": "rollups",
                "period_start": "2024-05-01T00:00:00Z",
                "resets_at": "2024-06-01T00:00:00Z",
                "used": "100",
                "held": "0",
                "limit": "500",
                "remaining": "400",
                "fraction": "0.2",
                "projected": "200",
            }
        ],
        "next": None,
        "previous": None,
    }


def test_used_may_exceed_the_limit_and_nothing_remains(acme):
    a_quota(acme, a_metric(), limit="10", mode="monitor")
    recorded(an_event("acme", quantity=25))

    [row] = standing(Caller(acme))

    assert (row["used"], row["remaining"], row["fraction"]) == ("25", "0", "2.5")


def test_limit_of_zero_has_no_fraction(acme):
    a_quota(acme, a_metric(), limit="0")

    [row] = standing(Caller(acme))

    assert (row["used"], row["remaining"], row["fraction"]) == ("0", "0", None)


@pytest.mark.parametrize(
    ("definition", "used", "projected"),
    [
        ({"aggregation": "COUNT"}, "3", "6"),
        ({"aggregation": "SUM"}, "9", "18"),
        ({"aggregation": "SUM", "meter_type": "gauge"}, "9", None),
        ({"aggregation": "MAX", "meter_type": "gauge"}, "5", None),
        ({"aggregation": "MIN", "meter_type": "gauge"}, "1", None),
        ({"aggregation": "AVG", "meter_type": "gauge"}, "3", None),
        ({"aggregation": "LATEST", "meter_type": "gauge"}, "3", None),
        ({"aggregation": "UNIQUE_COUNT", "data_type": "STRING", "value_property": "user"}, "2", None),
        ({"aggregation": "SUM", "is_incremental": False}, "4", "8"),
    ],
)
@pytest.mark.parametrize("ticks", [False, True])
def test_metrics_of_every_aggregation_have_a_standing(acme, definition, used, projected, ticks):
    a_quota(acme, a_metric(**definition), limit="100", mode="monitor")
    recorded(
        *(
            an_event("acme", quantity=quantity, occurred_at=f"2024-05-0{day}T12:00:00Z", labels={"user": who})
            for day, quantity, who in ((2, 1, "kim"), (3, 5, "ada"), (4, 3, "kim"))
        )
    )
    if ticks:
        roll_up()

    [row] = standing(Caller(acme))

    if definition.get("is_incremental") is False:  # 1, 5, 3: 4 more, then a restart from zero
        used, projected = "7", "14"
    assert (row["used"], row["projected"]) == (used, projected)


def test_metric_without_a_value_has_used_nothing_so_far(acme):
    a_quota(acme, a_metric(aggregation="MAX", meter_type="gauge"), limit="10")

    [row] = standing(Caller(acme))

    assert (row["used"], row["remaining"], row["fraction"]) == (None, "10", "0")


def test_projection_is_silent_in_the_first_hour_and_without_an_end(acme, monkeypatch):
    metric = a_metric()
    for period in ("hour", "day", "month", "never"):
        a_quota(acme, metric, limit="100", period=period)
    recorded(an_event("acme", quantity=3, occurred_at="2024-06-01T00:20:00Z"))
    call = Caller(acme)

    monkeypatch.setattr("quotas.api.standing.database_now", lambda: at("2024-06-01T00:59:59Z"))
    assert [row["projected"] for row in standing(call)] == [None] * 4
    monkeypatch.setattr("quotas.api.standing.database_now", lambda: at("2024-06-01T06:00:00Z"))
    assert [row["projected"] for row in standing(call)] == [None, "12", "360", None]


def test_list_is_filtered(acme):
    tokens, seats = a_metric(), a_metric("seats")
    a_quota(acme, tokens, limit="100", period="month")
    a_quota(acme, seats, limit="100", mode="soft")
    a_quota(Project.objects.get(key="chat"), tokens, limit="50")
    recorded(an_event("chat", quantity=45))
    call = Caller(acme)

    def found(query):
        return [(row["project"], row["metric"]) for row in standing(call, query)]

    assert found("") == [("acme", "tokens"), ("acme", "seats"), ("chat", "tokens")]
    assert found("?project=chat") == [("chat", "tokens")]
    assert found("?metric=seats") == [("acme", "seats")]
    assert found("?mode=SOFT") == [("acme", "seats")]
    assert found("?min_fraction=0.9") == [("chat", "tokens")]
    assert found("?min_fraction=0.450001") == [("chat", "tokens")]
    assert found("?min_fraction=1") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("min_fraction=-1", "min_fraction"),
        ("min_fraction=lots", "min_fraction"),
        ("mode=strict", "mode"),
        ("cursor=abc", "cursor"),
        ("limit=0", "limit"),
        ("colour=red", "colour"),
    ],
)
def test_wrong_parameter_is_named(acme, query, field):
    assert fields_of(Caller(acme).get(f"/quotas/standing/?{query}")) == [("invalid_field", field)]


@pytest.mark.parametrize("query", ["", "&min_fraction=0.5"])
def test_pages_go_forth_and_back(acme, query, monkeypatch):
    monkeypatch.setattr("quotas.api.standing.MAX_LOOKED_AT", 4)
    metric, call = a_metric(), Caller(acme)
    for number in range(12):
        project = a_project(f"p-{number}", parent=acme)
        a_quota(project, metric, limit="10")
        # Of the narrow question, every third one.
        recorded(an_event(project, quantity=9 if number % 3 == 0 or not query else 1))

    def walk(url, towards):
        keys, pages = [], 0
        while url is not None:
            answer = call.get(url.removeprefix("http://testserver/api/v1")).json()
            page = [row["project"] for row in answer["results"]]
            keys = keys + page if towards == "next" else page + keys
            last, url, pages = answer, answer[towards], pages + 1
            assert pages < 30
        return keys, last

    wanted = [f"p-{number}" for number in range(12) if number % 3 == 0 or not query]
    keys, last = walk(f"/quotas/standing/?limit=2{query}", "next")
    assert keys == wanted
    back, first = walk(last["previous"], "previous")
    assert back + [row["project"] for row in last["results"]] == wanted
    assert first["previous"] is None


def test_page_is_a_table_for_spreadsheets(acme):
    a_quota(acme, a_metric(unit="=cmd"), limit="500")
    recorded(an_event("acme", quantity=100))
    call = Caller(acme)

    answer = call.get("/quotas/standing/", headers={"accept": "text/csv"})

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    header, row = csv.reader(io.StringIO(answer.content.decode()))
    assert header[:4] == ["quota", "project", "metric", "unit"]
    assert row[1:4] == ["acme", "tokens", "'=cmd"]
    assert row[-6:] == ["100", "0", "500", "400", "0.2", "200"]
    assert not answer.has_header("Link")


def test_key_sees_its_own_tree_only(acme):
    metric = a_metric()
    a_quota(acme, metric, limit="1")
    a_quota(Project.objects.get(key="tenant"), metric, limit="1")

    assert [row["project"] for row in standing(Caller(acme))] == ["acme"]
    assert standing(Caller(Project.objects.get(key="chat"))) == []


def test_more_quotas_of_a_metric_cost_no_more_statements(acme):
    metric = a_metric()

    def statements(count):
        for number in range(count):
            a_quota(a_project(f"{count}-{number}", parent=acme), metric, limit="10")
        call = Caller(acme)
        standing(call)  # the catalogue is read again after a change
        with CaptureQueriesContext(connection) as found:
            standing(call)
        return len(found)

    assert statements(1) == statements(20)


def test_standing_of_any_period_can_be_asked(acme):
    quota = a_quota(acme, a_metric(), limit="10", period="day")
    recorded(an_event("acme", quantity=3, occurred_at="2024-05-14T12:00:00Z"))
    periods = [period_of(quota, at=at(f"2024-05-{day}T00:00:00Z")) for day in (13, 14)]

    found = utilisations_in([Asked(quota, period) for period in periods], now=NOW)

    assert [one.used for one in found] == [Decimal(0), Decimal(3)]
    assert utilisations_of([], now=NOW) == {}
