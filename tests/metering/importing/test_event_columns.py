"""Columns of CSV and what they mean."""

from decimal import Decimal

import pytest

from metering.answering.exports import EVENT_COLUMNS
from metering.errors import EventError, Invalid
from metering.importing.carried import Origin, origin_of
from metering.importing.event_columns import (
    Cancelled,
    RowOptions,
    Rows,
    cells_of,
    header_of,
    parsed_pairs,
)


def event(header: str, row: str, **options: object) -> object:
    return Rows(header.split(","), RowOptions(**options)).event(cells_of(row, ","))


def rejected(header: str, row: str, **options: object) -> tuple[str, str | None, str]:
    found = event(header, row, **options)
    assert isinstance(found, EventError)
    return found.code, found.field, found.detail


def test_columns_with_our_names_need_no_mapping() -> None:
    found = event(
        "eventName,timestamp,projectId,quantity,labels.region,labels.size:number,comment",
        "tokens,2024-05-15T12:00:00Z,acme, 5 ,eu,1.50,hello",
    )

    assert found == {
        "event_name": "tokens",
        "occurred_at": "2024-05-15T12:00:00Z",
        "project": "acme",
        "quantity": "5",
        "labels": {"region": "eu", "size": Decimal("1.5")},
    }


def test_mapping_and_constants_say_what_others_mean() -> None:
    found = event(
        "Time,Region,Size,Paid,Extra",
        '2024-05-15T12:00:00Z,eu,12,yes,"{""a"": [1.10]}"',
        columns={
            "timestamp": "Time",
            "labels.place.region": "Region",
            "labels.place.size:number": "Size",
            "labels.paid:boolean": "Paid",
            "labels.extra:json": "Extra",
        },
        constants={"event_name": "tokens", "labels.batch:number": "7"},
    )

    assert found == {
        "occurred_at": "2024-05-15T12:00:00Z",
        "event_name": "tokens",
        "labels": {
            "batch": 7,
            "place": {"region": "eu", "size": 12},
            "paid": True,
            "extra": {"a": [Decimal("1.10")]},
        },
    }


def test_empty_cells_are_absent_and_empty_rows_are_nothing() -> None:
    assert event("project,quantity,labels.region", "acme,,") == {"project": "acme"}
    assert event("project,quantity,labels.region", ",,") is None
    assert event("project,quantity", "acme,5,,") == {"project": "acme", "quantity": "5"}


def test_cells_stay_text_unless_told_otherwise() -> None:
    assert event("labels.zip,labels.flag", "0012,true") == {"labels": {"zip": "0012", "flag": "true"}}


def test_apostrophe_of_a_neutral_cell_goes() -> None:
    assert event("subject_id,labels.note", "'=1+1,'tis") == {"subject_id": "=1+1", "labels": {"note": "'tis"}}


@pytest.mark.parametrize(
    ("header", "row", "problem"),
    [
        ("a,quantity", "1", ("invalid_field", None, "the row has 1 cells, the header has 2")),
        ("a,quantity", "1,2,3", ("invalid_field", None, "the row has 3 cells, the header has 2")),
        ("labels.a:number", "1_000", ("invalid_label", "labels.a", "not a decimal number")),
        ("labels.a:number", "NaN", ("invalid_label", "labels.a", "not a decimal number")),
        ("labels.a:boolean", "perhaps", ("invalid_label", "labels.a", "neither true nor false")),
        ("labels.a:json", "{", ("invalid_label", "labels.a", "not valid JSON")),
        ("labels", "[1]", ("invalid_label", "labels", "not a JSON object")),
        (
            "labels.a,labels.a.b",
            "1,2",
            ("invalid_label", "labels.a.b", "'a' is a value, not a group of labels"),
        ),
        (
            "occurred_at",
            "2024-05-15 12:00:00",
            ("invalid_timestamp", "occurred_at", "a time without offset; say by which clocks (time zone)"),
        ),
    ],
)
def test_rows_that_do_not_fit_say_why(header: str, row: str, problem: tuple[str, str | None, str]) -> None:
    assert rejected(header, row) == problem


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-05-15 12:00:00", "2024-05-15T10:00:00Z"),
        ("2024-05-15T12:00", "2024-05-15T10:00:00Z"),
        ("2023-11-16 18:17:03.9799609", "2023-11-16T17:17:03.979960Z"),
        ("2024-10-27 02:30:00", "2024-10-27T00:30:00Z"),  # shown twice: the earlier
        ("2026-11-03", "2026-11-02T23:00:00Z"),
        ("2024-05-15T12:00:00+00:00", "2024-05-15T12:00:00+00:00"),
        ("yesterday", "yesterday"),  # left to the ledger, which says what is wrong
    ],
)
def test_times_without_offset_are_read_by_the_clocks_of_a_zone(text: str, instant: str) -> None:
    assert event("occurred_at", text, timezone="Europe/Berlin") == {"occurred_at": instant}


@pytest.mark.parametrize(
    "text", ["2024-03-31 02:30:00", "2024-02-30 12:00:00", "9999-12-31 24:00:00", "2024-02-30"]
)
def test_times_that_no_clock_shows_are_rejected(text: str) -> None:
    code, field, _ = rejected("occurred_at", text, timezone="Europe/Berlin")

    assert (code, field) == ("invalid_timestamp", "occurred_at")


@pytest.mark.parametrize(
    ("header", "options", "field", "part"),
    [
        ("id,event_id", {}, "map", "'id' comes from 'id' and from 'event_id'"),
        ("a", {"columns": {"id": "b"}}, "map", "The file has no column 'b'. It has: 'a'."),
        ("a,a", {"columns": {"id": "a"}}, "map", "more than one column 'a'"),
        ("a", {"columns": {"weight": "a"}}, "map", "Events have no member 'weight'"),
        ("a", {"columns": {"labels.": "a"}}, "map", "'labels.' names no label"),
        ("a", {"columns": {"labels.x:date": "a"}}, "map", "'date' is no type of a label"),
        ("a", {"constants": {"weight": "1"}}, "constant", "Events have no member 'weight'"),
        ("a", {"timezone": "Mars/Base"}, "timezone", "There is no time zone 'Mars/Base'."),
    ],
)
def test_options_that_do_not_fit_the_header_are_refused(
    header: str, options: dict[str, object], field: str, part: str
) -> None:
    with pytest.raises(Invalid) as caught:
        Rows(header.split(","), RowOptions(**options))

    assert caught.value.field == field
    assert part in str(caught.value)


def test_what_is_told_goes_before_what_a_name_says() -> None:
    rows = Rows(
        ["id", "event_id", "project", "note"],
        RowOptions(columns={"id": "event_id"}, constants={"project": "acme"}, ignored=("note",)),
    )

    assert rows.event(["1", "e-1", "other", "x"]) == {"project": "acme", "id": "e-1"}
    assert rows.ignored == ["id", "project", "note"]


def test_own_export_needs_nothing_told() -> None:
    cells = dict.fromkeys(EVENT_COLUMNS, "") | {
        "id": "77",
        "project": "acme",
        "billing_scope": "payer",
        "source": "gateway",
        "event_id": "'=e",
        "event_name": "tokens",
        "quantity": "-5",
        "labels": '{"a": "=1"}',
        "occurred_at": "2024-05-15T12:00:00.000000Z",
        "recorded_at": "2024-05-15T12:00:00.000000Z",
        "kind": "usage",
    }
    rows = Rows(list(EVENT_COLUMNS), RowOptions())

    assert rows.is_own_export
    assert rows.event(list(cells.values())) == {
        "id": "=e",
        "project": "acme",
        "source": "gateway",
        "event_name": "tokens",
        "quantity": "-5",
        "labels": {"a": "=1"},
        "occurred_at": "2024-05-15T12:00:00.000000Z",
    }
    assert "labels" not in (rows.event(list((cells | {"labels": "{}"}).values())) or {})


@pytest.mark.parametrize("what", [{"kind": "void", "voids": "7"}, {"kind": "usage", "voided_by": "78"}])
def test_what_is_voided_in_an_export_counts_for_nothing(what: dict[str, str]) -> None:
    rows = Rows(list(EVENT_COLUMNS), RowOptions())

    assert rows.event([what.get(name, "") for name in EVENT_COLUMNS]) == Cancelled()


@pytest.mark.parametrize(
    ("source", "event_id", "carried"),
    [
        ("meterbook:amend", "17", "amend:17@2024-05-15T12:00:00.000001Z"),
        ("meterbook:hold", "hold:hold_1f", "hold:hold:hold_1f@2024-05-15T12:00:00.000001Z"),
        ("meterbook:import", "amend:3@2024-01-01T00:00:00.000000Z", "amend:3@2024-01-01T00:00:00.000000Z"),
    ],
)
def test_ids_that_a_ledger_gave_itself_are_carried_with_source_and_time(
    source: str, event_id: str, carried: str
) -> None:
    rows = Rows(list(EVENT_COLUMNS), RowOptions())
    cells = {"source": source, "event_id": event_id, "recorded_at": "2024-05-15T12:00:00.000001Z"}

    members = rows.event([cells.get(name, "") for name in EVENT_COLUMNS])

    assert members == {"source": "meterbook:import", "id": carried}
    if carried != event_id:
        assert origin_of(carried) == Origin(source, event_id, "2024-05-15T12:00:00.000001Z")


def test_header_must_name_columns() -> None:
    assert header_of(b' a ,"b,c"', ",") == ["a", "b,c"]
    with pytest.raises(Invalid, match="must name the columns"):
        header_of(b",,", ",")


def test_pairs_are_read_up_to_the_first_sign() -> None:
    assert parsed_pairs(["id=a=b", "labels.x=c"], field="map") == {"id": "a=b", "labels.x": "c"}
    for wrong in (["id"], ["id="], ["id=a", "id=b"], ["weight=a"]):
        with pytest.raises(Invalid) as caught:
            parsed_pairs(wrong, field="map")
        assert caught.value.field == "map"
