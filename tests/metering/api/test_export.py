"""`GET /usage/export/`: streamed, safe in spreadsheets, and the source again when read back."""

import csv
import io
import json

import pytest

from metering.attributing.scope_tree import install_surface
from metering.models import Project
from metering.rolling_up.rollups import roll_up
from tests.factories import NOON, a_metric, an_event, recorded
from tests.metering.api.callers import assert_problem

pytestmark = pytest.mark.django_db

EVENT_HEADER = (
    "id,project,billing_scope,surface,source,event_id,event_name,subject_type,subject_id,quantity,labels,"
    "occurred_at,recorded_at,kind,voids,voided_by"
)
NASTY = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "'quoted",
    "''",
    "'=1",
    '"',
    '""',
    "a,b",
    "a;b",
    "line\nbreak",
    "line\r\nbreak",
    "ünïcödé 😀",
    "\ufeffBOM",
    " blank ",
    "\\.",
    "\\N",
    "NULL",
    "%s",
    "0012",
    "1e5",
    "x" * 255,
    "\n=1",
]


def text_of(answer) -> str:
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return b"".join(answer.streaming_content).decode()


def rows_of(answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text_of(answer), newline="")))


def test_event_is_exported_with_all_its_columns(acme, api):
    install_surface(project=acme, key="bot", name="Bot")
    recorded(
        an_event(
            acme,
            id="e1",
            source="gateway",
            quantity="-0",
            labels={"b": 1, "a": "x"},
            surface="bot",
            subject_type="user",
            subject_id="ada",
        )
    )

    answer = api.get("/usage/export/")
    assert answer["Content-Disposition"] == 'attachment; filename="usage-events.csv"'
    header, line = text_of(answer).splitlines()

    assert header == EVENT_HEADER
    row_id, *cells = next(csv.reader([line]))
    assert int(row_id) > 0
    assert cells[:11] == [
        "acme",
        "acme",
        "bot",
        "gateway",
        "e1",
        "tokens",
        "user",
        "ada",
        "0",
        '{"a": "x", "b": 1}',
        "2024-05-15T12:00:00.000000Z",
    ]
    assert cells[12:] == ["usage", "", ""]


@pytest.mark.parametrize("text", NASTY)
def test_text_can_not_act_as_a_formula_and_reads_back(acme, api, text):
    a_metric("nasty", event_name=text[:200])
    recorded(
        an_event(
            acme,
            id=text,
            source=text,
            event_name=text[:200],
            subject_type=text,
            subject_id=text,
            labels={text: text},
        )
    )

    (row,) = rows_of(api.get("/usage/export/"))

    for name in ("event_id", "source", "event_name", "subject_type", "subject_id"):
        assert row[name][0] not in "=+-@\t\r\n"
        source = text[:200] if name == "event_name" else text
        assert row[name] == (f"'{source}" if source[0] in "=+-@\t\r\n'" else source)
    assert json.loads(row["labels"]) == {text: text}


def test_numbers_stay_numbers(acme, api):
    a_metric("level", meter_type="gauge")
    recorded(
        an_event(acme, id="e1", event_name="level", quantity="-12.50"),
        an_event(acme, id="e2", quantity="1e20"),
        an_event(acme, id="e3"),
    )

    lines = text_of(api.get("/usage/export/")).splitlines()

    assert ",-12.5,{}," in lines[1]
    assert ",100000000000000000000,{}," in lines[2]
    assert ",,{}," in lines[3]


def test_export_is_filtered_and_ordered_by_id(acme, api):
    chat = Project.objects.get(key="chat")
    recorded(
        an_event(acme, id="a", occurred_at="2024-05-03T12:00:00Z"),
        an_event(chat, id="b", occurred_at="2024-05-02T12:00:00Z", labels={"region": "eu"}),
        an_event(acme, id="c", occurred_at="2024-05-01T12:00:00Z", subject_id="ada"),
    )

    def events(**query):
        return "".join(row["event_id"] for row in rows_of(api.get("/usage/export/", query=query)))

    assert events() == "abc"
    assert events(project="chat") == "b"
    assert events(**{"from": "2024-05-02", "to": "2024-05-03"}) == "b"
    assert events(**{"labels[region]": "eu"}) == "b"
    assert events(subject_id="ada") == "c"
    assert events(event_name="unheard") == ""
    assert events(eventId="%' OR 1=1 --") == ""


def test_export_is_a_stream_in_small_pieces(acme, api):
    recorded(*(an_event(acme, labels={"text": "x" * 1000}) for _ in range(500)))

    answer = api.get("/usage/export/")
    chunks = [len(chunk) for chunk in answer.streaming_content]

    assert answer.streaming
    assert len(chunks) > 5
    assert max(chunks) < 128 * 1024


@pytest.mark.django_db(transaction=True)
def test_reader_that_goes_away_leaves_the_connection_usable(acme, api):
    recorded(*(an_event(acme, labels={"text": "x" * 5000}) for _ in range(200)))

    answer = api.get("/usage/export/")
    next(iter(answer.streaming_content))
    answer.close()

    assert len(rows_of(api.get("/usage/export/"))) == 200


@pytest.mark.parametrize("is_rolled_up", [False, True])
def test_rollups_are_exported(acme, api, is_rolled_up):
    a_metric("by-region", event_name="calls", primary_labels=["region"])
    for quantity, region in (("0.1", "=eu"), ("0.2", "=eu"), ("4", "us")):
        recorded(
            an_event(
                acme, event_name="calls", quantity=quantity, labels={"region": region}, subject_id="=ada"
            )
        )
    if is_rolled_up:
        roll_up()

    answer = api.get("/usage/export/?type=rollups&metric=by-region&granularity=day")
    assert answer["Content-Disposition"] == 'attachment; filename="rollups-by-region-day.csv"'
    rows = rows_of(answer)

    assert sorted((row["subject_id"], row["labels"], row["value"], row["record_count"]) for row in rows) == [
        ("'=ada", '{"region": "=eu"}', "0.3", "2"),
        ("'=ada", '{"region": "us"}', "4", "1"),
    ]
    assert {
        (r["metric"], r["project"], r["billing_scope"], r["granularity"], r["bucket_start"]) for r in rows
    } == {("by-region", "acme", "acme", "day", "2024-05-15T00:00:00.000000Z")}


@pytest.mark.parametrize(
    ("aggregation", "readings"),
    [
        ("AVG", ["100000000000000000000", "0", "0"]),
        ("AVG", ["0.1", "0.2", "0.2"]),
        ("AVG", ["10", "0", "0"]),
        ("SUM", ["99999999999999999999999999.999999999999", "0.000000000001"]),
        ("MAX", ["1", "3", "2"]),
        ("MIN", ["3", "1", "2"]),
        ("LATEST", ["3", "1", "2"]),
        ("COUNT", ["3", "1", "2"]),
    ],
)
def test_export_says_the_number_that_usage_says(acme, api, aggregation, readings):
    a_metric("m", event_name="e", aggregation=aggregation, value_property="v")
    recorded(*(an_event(acme, event_name="e", labels={"v": reading}) for reading in readings))

    (row,) = rows_of(api.get("/usage/export/?type=rollups&metric=m&granularity=month"))

    assert row["value"] == api.get("/usage/?metric=m").json()["results"][0]["value"]
    assert row["value"] == api.get("/usage-summaries/?metric=m").json()["results"][0]["total_quantity"]


def test_export_of_an_unknown_metric_is_not_found(api):
    assert_problem(api.get("/usage/export/?type=rollups&metric=nothing"), 404, "not_found")


def test_export_of_nothing_is_a_header(api):
    assert text_of(api.get("/usage/export/")) == EVENT_HEADER + "\n"


def test_times_are_in_utc(acme, api):
    recorded(an_event(acme, occurred_at="2024-05-15T14:00:00.5+02:00"))

    assert rows_of(api.get("/usage/export/"))[0]["occurred_at"] == NOON.replace("Z", ".500000Z")
