"""The ledger in the admin: never written, never counted, found through indexes."""

import datetime as dt

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from metering.admin import paging
from metering.health import EXACT_UP_TO
from metering.measuring.streams import TOTAL
from metering.models import UsageEvent, UsageMeterRollup
from metering.rolling_up.rollups import roll_up
from tests.factories import a_metric, a_project, a_void_of, an_event, ledger_rows, recorded

from .conftest import World

EVENTS = "admin:metering_usageevent_changelist"
ROLLUPS = "admin:metering_usagemeterrollup_changelist"


def listed(client: Client, **query: object) -> list[str]:
    """Event ids in the order shown."""
    response = client.get(reverse(EVENTS), query)
    assert response.status_code == 200
    return [event.event_id for event in response.context["cl"].result_list]


@pytest.mark.parametrize("page", ["change", "delete"])
def test_posting_to_an_event_is_refused_and_changes_nothing(staff: Client, world: World, page: str) -> None:
    before = ledger_rows("id", "event_id", "quantity", "labels")

    response = staff.post(
        reverse(f"admin:metering_usageevent_{page}", args=[world.event.pk]), {"quantity": "7", "post": "yes"}
    )

    assert response.status_code == 403
    assert ledger_rows("id", "event_id", "quantity", "labels") == before


@pytest.mark.parametrize("page", ["change", "delete"])
def test_posting_to_a_rollup_is_refused_and_changes_nothing(staff: Client, world: World, page: str) -> None:
    before = list(UsageMeterRollup.objects.order_by("id").values())

    response = staff.post(
        reverse(f"admin:metering_usagemeterrollup_{page}", args=[before[0]["id"]]), {"post": "yes"}
    )

    assert response.status_code == 403
    assert list(UsageMeterRollup.objects.order_by("id").values()) == before


def test_events_cannot_be_added_or_deleted_in_bulk(staff: Client, world: World) -> None:
    added = staff.post(reverse("admin:metering_usageevent_add"), {"event_id": "made-up"})
    staff.post(
        reverse(EVENTS),
        {"action": "delete_selected", "_selected_action": [world.event.pk], "post": "yes"},
    )

    assert added.status_code == 403
    assert len(ledger_rows("id")) == 5


@pytest.mark.parametrize("query", [{}, {"event_name": "tokens"}, {"q": "req-3"}, {"q": "3"}])
@pytest.mark.parametrize("name", [EVENTS, ROLLUPS])
def test_list_of_many_rows_never_counts_them(
    staff: Client, world: World, name: str, query: dict[str, str]
) -> None:
    if name == ROLLUPS:
        query = {}
    with CaptureQueriesContext(connection) as queries:
        staff.get(reverse(name), query)

    # The size of the table is told by a count of so many rows at most, or by an estimate; and a search for an
    # event's own id counts the projects to look it up in.
    bounded = (f"LIMIT {EXACT_UP_TO + 1})", "SELECT count(*) FROM wanted)")
    counting = [
        q["sql"] for q in queries if "count(" in q["sql"].lower() and not any(b in q["sql"] for b in bounded)
    ]
    assert counting == []


def test_number_of_queries_does_not_grow_with_the_page(staff: Client, world: World) -> None:
    with CaptureQueriesContext(connection) as few:
        staff.get(reverse(EVENTS))
    recorded(*(an_event(world.shop, id=f"more-{number}") for number in range(40)))
    with CaptureQueriesContext(connection) as many:
        staff.get(reverse(EVENTS))

    assert len(many) == len(few)


def test_newest_recorded_comes_first_without_a_filter(staff: Client, world: World) -> None:
    recorded(an_event(world.shop, id="late", occurred_at="2024-01-01T00:00:00Z"))

    assert listed(staff) == ["late", "req-5", "req-4", "req-3", "req-2", "req-1"]


def test_newest_use_comes_first_with_a_filter(staff: Client, world: World) -> None:
    recorded(an_event(world.shop, id="late", occurred_at="2024-01-01T00:00:00Z"))

    assert listed(staff, project__id__exact=world.shop.pk) == [
        "req-5",
        "req-4",
        "req-3",
        "req-2",
        "req-1",
        "late",
    ]


@pytest.mark.parametrize("query", [{}, {"event_name": "tokens"}])
def test_pages_lead_through_all_events_and_back(
    staff: Client, world: World, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging.LargeTableAdmin, "list_per_page", 2)
    pages, url = [], reverse(EVENTS) + ("?event_name=tokens" if query else "")

    changelist = staff.get(url).context["cl"]
    while True:
        pages.append([event.event_id for event in changelist.result_list])
        if changelist.older_url is None:
            break
        changelist = staff.get(reverse(EVENTS) + changelist.older_url).context["cl"]
    back = staff.get(reverse(EVENTS) + changelist.newer_url).context["cl"]

    assert pages == [["req-5", "req-4"], ["req-3", "req-2"], ["req-1"]]
    assert [event.event_id for event in back.result_list] == ["req-3", "req-2"]
    assert back.newer_url is not None


@pytest.mark.parametrize("detail", ["", "totals", "streams", "all"])
def test_rollup_pages_lead_through_all_rows_once(
    staff: Client, world: World, monkeypatch: pytest.MonkeyPatch, detail: str
) -> None:
    monkeypatch.setattr(paging.LargeTableAdmin, "list_per_page", 7)
    seen: list[int] = []

    changelist = staff.get(reverse(ROLLUPS), {"detail": detail}).context["cl"]
    while True:
        seen += [rollup.pk for rollup in changelist.result_list]
        if changelist.older_url is None:
            break
        changelist = staff.get(reverse(ROLLUPS) + changelist.older_url).context["cl"]

    rows = UsageMeterRollup.objects.all()
    if detail in {"", "totals"}:
        rows = rows.filter(stream=TOTAL)
    if detail == "streams":
        rows = rows.exclude(stream=TOTAL)
    assert len(seen) == len(set(seen)) == rows.count() > 7


def test_event_is_found_by_its_id_under_any_source_and_project(staff: Client, world: World) -> None:
    other = a_project("other")
    recorded(an_event(other, id="req-3", source="meter-b"), an_event(other, id="x", source="meter-a"))

    assert sorted(listed(staff, q="req-3")) == ["req-3", "req-3"]
    assert listed(staff, q="req-3", project__id__exact=other.pk) == ["req-3"]
    assert listed(staff, q=str(world.event.pk)) == ["req-1"]
    assert listed(staff, q="req-") == []


def test_bounds_are_utc_and_half_open(staff: Client, world: World) -> None:
    found = listed(
        staff, occurred_at_from="2024-05-12T14:00:00+02:00", occurred_at_until="2024-05-14 12:00:00"
    )

    assert found == ["req-3", "req-2"]


def test_unreadable_bound_is_said_and_ignored(staff: Client, world: World) -> None:
    response = staff.get(reverse(EVENTS), {"occurred_at_from": "yesterday"})

    assert "is no date or time" in response.content.decode()
    assert len(response.context["cl"].result_list) == 5


@pytest.mark.parametrize("place", ["x", "+", "-1", "9" * 30, "W10", "%00", "²"])
def test_made_up_place_shows_the_first_page(staff: Client, world: World, place: str) -> None:
    assert len(listed(staff, place=place)) == 5
    assert len(listed(staff, place=place, event_name="tokens")) == 5


@pytest.mark.parametrize("made_up", ["9" * 30, "0", "-1", "x"])
@pytest.mark.parametrize("name", [EVENTS, ROLLUPS])
def test_made_up_project_finds_nothing(staff: Client, world: World, name: str, made_up: str) -> None:
    response = staff.get(reverse(name), {"project__id__exact": made_up}, follow=True)

    assert response.status_code == 200
    assert made_up == "x" or list(response.context["cl"].result_list) == []


def test_page_that_takes_too_long_is_given_up(
    staff: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(self: object, changelist: object, place: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(paging, "PATIENCE", "50ms")
    monkeypatch.setattr("metering.admin.event.UsageEventAdmin.page_at", slow)

    response = staff.get(reverse(EVENTS))

    assert response.status_code == 200
    assert "That would take too long" in response.content.decode()


def test_unfiltered_page_reads_the_primary_key(staff: Client, world: World) -> None:
    queryset = UsageEvent.objects.order_by("-pk")[:51]

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = queryset.explain()

    assert "Index Scan Backward using metering_usageevent_pkey" in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("object_id", ["0", "99999999999999999999999", "abc", "1_2"])
def test_event_that_does_not_exist_leads_back(staff: Client, db: None, object_id: str) -> None:
    response = staff.get(reverse("admin:metering_usageevent_change", args=[object_id]))

    assert response.status_code == 302


def test_metric_without_events_keeps_pages_working(staff: Client, db: None) -> None:
    a_metric("unused")

    assert listed(staff, event_name="unused", occurred_at_from=dt.date(2024, 1, 1).isoformat()) == []


def test_voided_event_and_its_void_lead_to_each_other(staff: Client, world: World) -> None:
    event_id = world.event.pk
    void_id = a_void_of(event_id)
    to_event, to_void = (
        f'href="{reverse("admin:metering_usageevent_change", args=[row_id])}" title="{title} {row_id}"'
        for row_id, title in ((event_id, "Cancels event"), (void_id, "Cancelled by event"))
    )

    for query in ({}, {"event_name": "tokens"}, {"q": str(event_id)}, {"cancellation": "voided"}):
        assert to_void in staff.get(reverse(EVENTS), query).content.decode()
    for query in ({}, {"event_name": "tokens"}, {"q": str(void_id)}, {"cancellation": "voids"}):
        assert to_event in staff.get(reverse(EVENTS), query).content.decode()
    pages = [
        staff.get(reverse("admin:metering_usageevent_change", args=[row_id])).content.decode()
        for row_id in (event_id, void_id)
    ]
    assert to_void in pages[0]
    assert to_event not in pages[0]
    assert to_event in pages[1]
    assert to_void not in pages[1]


def test_list_is_filtered_by_cancellation(staff: Client, world: World) -> None:
    void_of_1 = str(world.event.pk)
    a_void_of(world.event.pk)

    assert listed(staff, cancellation="none") == ["req-5", "req-4", "req-3", "req-2"]
    assert listed(staff, cancellation="voided") == ["req-1"]
    assert listed(staff, cancellation="voids") == [void_of_1]
    assert listed(staff, cancellation="voided", project__id__exact=world.tenant.pk) == []
    assert listed(staff, cancellation="none", q="req-1") == []
    assert listed(staff, cancellation="voided", q="req-1") == ["req-1"]
    assert listed(staff, cancellation="voids", q=void_of_1) == [void_of_1]
    assert len(listed(staff, cancellation="made up")) == 6


def test_event_that_nothing_cancels_has_no_badge(staff: Client, world: World) -> None:
    page = staff.get(reverse(EVENTS)).content.decode()

    assert "Cancelled by event" not in page
    assert "Cancels event" not in page


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        (
            {"aggregation": "UNIQUE_COUNT", "data_type": "STRING", "value_property": "who"},
            "2 in the whole bucket",
        ),
        ({"aggregation": "TIME_WEIGHTED_AVG"}, "in the whole bucket"),
        ({"is_incremental": False}, "3"),
    ],
)
def test_rows_of_every_kind_of_metric_are_shown(
    staff: Client, world: World, definition: dict[str, object], value: str
) -> None:
    metric = a_metric("special", **definition)
    recorded(
        *(
            an_event(world.event.project, event_name="special", quantity=quantity, labels={"who": who})
            for quantity, who in ((1, "ada"), (4, "bob"))
        )
    )
    roll_up()
    row = UsageMeterRollup.objects.filter(metric=metric, granularity="day", stream=TOTAL).first()
    assert row is not None

    listed_page = staff.get(reverse(ROLLUPS), {"metric__id__exact": metric.pk})
    shown = staff.get(reverse("admin:metering_usagemeterrollup_change", args=[row.pk]))

    assert listed_page.status_code == 200
    assert value in shown.content.decode()
