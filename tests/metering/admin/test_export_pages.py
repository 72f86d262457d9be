"""Exporting by hand: choosing, asking, watching, downloading."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from metering.admin import export as pages
from metering.models import Export, ExportPiece
from tests.factories import a_project

from .conftest import World

ADD, LIST = "admin:metering_export_add", "admin:metering_export_changelist"


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """No worker listens; how often one was called."""
    calls: list[bool] = []
    monkeypatch.setattr(pages.run_exports, "apply_async", lambda **_: calls.append(True))
    return calls


def url(export: Export, page: str) -> str:
    return reverse(f"admin:metering_export_{page}", args=[export.pk])


def ask_url(kind: str) -> str:
    return f"{reverse(ADD)}?kind={kind}"


def an_export(state: str = "finished", **fields: Any) -> Export:
    export = Export.objects.create(
        **{"kind": "usage_events", "requested_by": "ada", "state": state, "piece_count": 1, **fields}
    )
    ExportPiece.objects.create(export=export, number=0, data=b"a,b\n")
    Export.objects.filter(pk=export.pk).update(byte_count=4, finished_at=timezone.now())
    export.refresh_from_db()
    return export


def somebody(*rights: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


def test_kinds_are_offered_and_asked_by_their_filters(staff: Client, world: World) -> None:
    chosen = staff.get(reverse(ADD)).content.decode()
    asked = staff.get(ask_url("usage_rollups"))

    for title in ("Invoice register", "Journal", "Usage statement", "Usage events", "Rollups of a metric"):
        assert title in chosen
    assert list(asked.context["form"].fields) == ["metric", "project", "granularity", "from", "to"]
    assert '<option value="tokens">Tokens</option>' in asked.content.decode()
    assert "First instant of the hour, day or month, UTC." in asked.content.decode()


def test_file_is_made_in_the_background(staff: Client, world: World, woken: list[bool]) -> None:
    response = staff.post(ask_url("usage_events"), {"project": "shop", "from": "2024-05-12"})

    export = Export.objects.get()
    assert (response.status_code, response["Location"]) == (302, url(export, "change"))
    assert (export.kind, export.filters, export.project, export.requested_by, export.state) == (
        "usage_events",
        {"project": "shop", "from": "2024-05-12T00:00:00Z"},
        None,
        "root",
        "queued",
    )
    assert woken == [True]
    assert LogEntry.objects.get().object_id == str(export.pk)


def test_file_is_downloaded_at_once(staff: Client, world: World) -> None:
    response = staff.post(ask_url("usage_events"), {"from": "2024-05-15", "now": "1"})

    text = b"".join(response.streaming_content).decode()
    assert response["Content-Disposition"] == 'attachment; filename="usage-events.csv"'
    assert [line.split(",")[5] for line in text.splitlines()[1:]] == ["req-5"]
    assert not Export.objects.exists()


@pytest.mark.parametrize(
    ("kind", "fields", "error"),
    [
        ("usage_rollups", {}, ("metric", "This field is required.")),
        ("usage_rollups", {"metric": "none"}, (None, "There is no metric 'none'.")),
        ("usage_events", {"from": "soon"}, ("from", "Is not an RFC 3339 time")),
        ("usage_events", {"from": "2024-05-02", "to": "2024-05-01"}, ("to", "Lies before the beginning.")),
        ("invoice_register", {"account": "77"}, (None, "There is no billing account 77.")),
        ("invoice_register", {"account": "x"}, ("account", "Must be a whole number.")),
        ("invoice_register", {"currency": "XXX"}, ("currency", "There is no currency 'XXX'")),
        ("usage_statement", {"from": "2024-01-01", "until": "2026-01-01"}, ("until", "At most 366 days.")),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(
    staff: Client, world: World, kind: str, fields: dict[str, str], error: tuple[str | None, str]
) -> None:
    for button in ({}, {"now": "1"}):
        response = staff.post(ask_url(kind), fields | button)

        field, said = error
        errors = response.context["form"].errors[field or "__all__"]
        assert errors[0].startswith(said)
    assert not Export.objects.exists()


def test_page_tells_how_far_it_is_until_it_is_done(staff: Client, db: None) -> None:
    export = an_export("running", row_count=1500, expected_count=6000)
    Export.objects.update(finished_at=None)

    running = staff.get(url(export, "change")).content.decode()
    Export.objects.update(state="finished", finished_at=timezone.now())
    finished = staff.get(url(export, "change")).content.decode()

    assert "1,500 of ~6,000 rows" in running
    assert 'aria-valuenow="25"' in running
    assert 'data-active="yes"' in running
    assert url(export, "download") not in running
    assert 'data-active="no"' in finished
    assert url(export, "download") in finished


def test_page_warns_where_no_worker_comes(staff: Client, db: None) -> None:
    export = an_export("queued")
    assert "Is a worker running" not in staff.get(url(export, "change")).content.decode()

    Export.objects.update(requested_at=timezone.now() - dt.timedelta(seconds=31))

    assert "Is a worker running" in staff.get(url(export, "change")).content.decode()


def test_file_is_downloaded_from_the_list(staff: Client, db: None) -> None:
    export = an_export()

    listed = staff.get(reverse(LIST)).content.decode()
    response = staff.get(url(export, "download"))

    assert url(export, "download") in listed
    assert b"".join(response.streaming_content) == b"a,b\n"
    assert (response["Content-Length"], response["Content-Disposition"]) == (
        "4",
        f'attachment; filename="usage-events-{export.pk}.csv"',
    )


def test_download_of_one_under_way_says_so(staff: Client, db: None) -> None:
    export = an_export("running")

    response = staff.get(url(export, "download"), follow=True)

    assert "This export is running; there is no file." in response.content.decode()


def test_export_is_cancelled_and_removed(staff: Client, db: None) -> None:
    export = an_export("running")

    assert staff.get(url(export, "cancel")).status_code == 200
    staff.post(url(export, "cancel"))
    export.refresh_from_db()
    assert (export.state, ExportPiece.objects.count()) == ("cancelled", 0)
    staff.post(url(export, "remove"))

    export.refresh_from_db()
    assert (export.state, export.requested_by) == ("removed", "ada")


def test_removed_export_says_who_took_it_and_offers_no_file(staff: Client, db: None) -> None:
    export = an_export()

    staff.post(url(export, "remove"))

    listed, page = (
        staff.get(reverse(LIST)).content.decode(),
        staff.get(url(export, "change")).content.decode(),
    )
    for text in (listed, page):
        assert "ada" in text
        assert "Removed" in text
        assert url(export, "download") not in text
    assert url(export, "remove") not in page
    assert not ExportPiece.objects.exists()
    again = staff.post(url(export, "remove"), follow=True)
    assert "This export is removed already." in again.content.decode()
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Removed the file."]


def test_what_another_asked_for_is_left_alone(db: None) -> None:
    clerk = somebody("export_data", "view_usageevent")
    others = an_export("running"), an_export(), an_export(requested_by="clerk", project=a_project("acme"))
    own = an_export(requested_by="clerk")

    for export in others:
        page = clerk.get(url(export, "change")).content.decode()
        for name in ("cancel", "remove"):
            assert url(export, name) not in page
            assert (clerk.get(url(export, name)).status_code, clerk.post(url(export, name)).status_code) == (
                403,
                403,
            )
    assert url(own, "remove") in clerk.get(url(own, "change")).content.decode()
    assert clerk.post(url(own, "remove")).status_code == 302
    assert list(Export.objects.order_by("pk").values_list("state", flat=True)) == [
        "running",
        "finished",
        "finished",
        "removed",
    ]


def test_file_whose_days_are_over_is_not_given_out_before_it_is_removed(
    staff: Client, settings: Any, db: None
) -> None:
    settings.EXPORT_KEPT_DAYS = 2
    export = an_export()
    Export.objects.update(finished_at=timezone.now() - dt.timedelta(days=2))

    listed, page = (
        staff.get(reverse(LIST)).content.decode(),
        staff.get(url(export, "change")).content.decode(),
    )
    answer = staff.get(url(export, "download"), follow=True)

    assert url(export, "download") not in listed + page
    assert "The days for which this file was kept are over. Ask for it again." in answer.content.decode()


def test_onlooker_downloads_but_asks_for_nothing(onlooker: Client, db: None) -> None:
    export = an_export()

    assert onlooker.get(url(export, "download")).status_code == 200
    for page in (reverse(ADD), ask_url("usage_events"), url(export, "cancel"), url(export, "remove")):
        assert onlooker.get(page).status_code == 403
        assert onlooker.post(page).status_code == 403
    assert Export.objects.get() == export


def test_clerk_gets_files_of_what_she_may_see(db: None) -> None:
    events, journal = an_export(), an_export(kind="journal")
    clerk = somebody("export_data", "view_invoice")

    offered = clerk.get(reverse(ADD)).content.decode()

    assert "Journal" in offered
    assert "kind=usage_events" not in offered
    assert clerk.get(url(journal, "download")).status_code == 200
    assert clerk.get(url(events, "download")).status_code == 404
    assert clerk.get(url(events, "change")).status_code == 404
    clerk.post(ask_url("usage_events"), {"now": "1"})
    clerk.post(ask_url("usage_events"), {})
    assert Export.objects.count() == 2


def test_somebody_else_sees_nothing(db: None) -> None:
    export = an_export()
    other = somebody("view_usageevent", "view_invoice")

    for page in (reverse(LIST), reverse(ADD), url(export, "change"), url(export, "download")):
        assert other.get(page).status_code == 403


def test_empty_list_says_what_to_do(staff: Client) -> None:
    assert "Nothing was exported yet" in staff.get(reverse(LIST)).content.decode()
