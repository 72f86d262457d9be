"""Importing a file by hand: upload, meaning of columns, progress, what was left out."""

import csv
import gzip
import io
import json

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from metering.admin import event_import as pages
from metering.answering.exports import EVENT_COLUMNS
from metering.importing import event_uploads
from metering.importing.event_uploads import import_due_files
from metering.models import EventImport, EventImportPiece, UsageEvent
from tests.factories import NOON

from .conftest import World

ADD = "admin:metering_eventimport_add"
CSV = f"""Time,What,Tokens,Region,Zip
2024-05-15 12:00:00,tokens,5,eu,0012
2024-05-15 13:00:00,tokens,6,=us,0013
2024-05-15 14:00:00,nothing,7,us,0013
{NOON},tokens,many,us,0013
""".encode()


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The worker is played by the test; how often it was called."""
    calls: list[bool] = []
    monkeypatch.setattr(pages.import_files, "apply_async", lambda **_: calls.append(True))
    return calls


def uploaded(client: Client, content: bytes, name: str = "usage.csv"):
    return client.post(reverse(ADD), {"file": SimpleUploadedFile(name, content)})


def url(job: EventImport, page: str, *args: object) -> str:
    return reverse(f"admin:metering_eventimport_{page}", args=[job.pk, *args])


RIGHT = {"project": "shop", "timezone": "UTC", "meaning_1": "event_name", "meaning_2": "quantity"}


def asked(client: Client, job: EventImport, **changes: str) -> dict[str, str]:
    """What the form of the second step holds, with changes."""
    form = client.get(url(job, "columns")).context["form"]
    return {field.name: field.value() or "" for field in form} | changes


def test_file_is_uploaded_understood_and_imported(staff: Client, world: World, woken: list[bool]) -> None:
    answer = uploaded(staff, CSV)
    job = EventImport.objects.get()
    assert answer.status_code == 302
    assert answer.url == url(job, "columns")
    assert (job.state, job.origin, job.requested_by, job.size) == ("draft", "upload", "root", len(CSV))
    assert UsageEvent.objects.count() == 5

    told = asked(staff, job, project="shop", timezone="Europe/Berlin")
    assert [told[f"meaning_{n}"] for n in range(5)] == [
        "occurred_at",
        "label:text",
        "label:text",  # one of the values is no number
        "label:text",
        "label:text",  # a number with a leading zero is a code
    ]
    told |= {"meaning_1": "event_name", "meaning_2": "quantity", "meaning_4": ""}
    checked = staff.post(url(job, "columns"), told | {"check": "1"})
    tried = checked.context["tried"]
    assert (tried.checked_count, tried.fine_count) == (4, 2)
    assert [(count, reject.line, reject.code, reject.field) for count, reject in tried.problems] == [
        (1, 4, "unknown_event_name", "event_name (What)"),
        (1, 5, "invalid_value", "quantity (Tokens)"),
    ]
    assert UsageEvent.objects.count() == 5

    started = staff.post(url(job, "columns"), told | {"start": "1"})
    job.refresh_from_db()
    assert (started.url, job.state, woken) == (url(job, "change"), "queued", [True])
    assert 'data-active="yes"' in staff.get(url(job, "change")).content.decode()

    assert import_due_files() is False

    job.refresh_from_db()
    assert (job.state, job.created_count, job.rejected_count, job.line_count) == ("finished", 2, 2, 5)
    assert EventImportPiece.objects.count() == 0
    new = UsageEvent.objects.order_by("id")[5:]
    assert [(str(e.occurred_at), e.quantity, e.labels) for e in new] == [
        ("2024-05-15 10:00:00+00:00", 5, {"region": "eu"}),
        ("2024-05-15 11:00:00+00:00", 6, {"region": "=us"}),
    ]
    shown = staff.get(url(job, "change")).content.decode()
    assert 'data-active="no"' in shown
    assert "quantity (Tokens)" in shown
    assert LogEntry.objects.filter(object_id=str(job.pk)).count() == 2


def test_native_lines_need_no_columns(staff: Client, world: World) -> None:
    line = json.dumps({"id": "n-1", "event_name": "tokens", "quantity": 1, "occurred_at": NOON}) + "\n"
    uploaded(staff, gzip.compress(line.encode()), "usage.ndjson.gz")
    job = EventImport.objects.get()

    page = staff.get(url(job, "columns"))
    staff.post(url(job, "columns"), {"project": "shop", "source": "batch", "start": "1"})
    import_due_files()

    job.refresh_from_db()
    assert "First lines" in page.content.decode()
    assert (job.state, job.created_count) == ("finished", 1)
    assert UsageEvent.objects.order_by("-id")[0].source == "batch"


@pytest.mark.parametrize(
    ("content", "name", "part"),
    [
        (b"", "a.csv", "The submitted file is empty."),
        (b"PK\x03\x04 and so on", "a.xlsx", "a ZIP archive or a spreadsheet"),
        (b"a,b\nM\xfcller,1\n", "a.csv", "Line 2 isn&#x27;t UTF-8"),
        (b'[{"id": 1}]', "a.json", "It is a JSON array"),
        (gzip.compress(b"a,b\n" * 99, mtime=0)[:-5], "a.csv.gz", "can&#x27;t be decompressed"),
    ],
)
def test_unreadable_file_is_refused_beside_its_field(
    staff: Client, world: World, content: bytes, name: str, part: str
) -> None:
    answer = uploaded(staff, content, name)

    assert answer.status_code == 200
    assert part in answer.content.decode()
    assert EventImport.objects.count() == EventImportPiece.objects.count() == 0


def test_file_that_is_too_large_is_refused(
    staff: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_uploads, "MAX_UPLOAD_BYTES", 5_000)
    monkeypatch.setattr(event_uploads, "MAX_CONTENT_BYTES", 1_000_000)

    large = uploaded(staff, CSV * 50)
    bomb = uploaded(staff, gzip.compress(b"0" * 2_000_000))

    assert "The file has more than" in large.content.decode()
    assert "Decompressed it has more than 1 MB" in bomb.content.decode()
    assert EventImport.objects.count() == EventImportPiece.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"project": "nobody"}, "There is no project “nobody”."),
        ({"timezone": "Mars"}, "There is no time zone &#x27;Mars&#x27;."),
        ({"meaning_1": "occurred_at"}, "can’t mean the same|can&#x27;t mean the same"),
        ({"meaning_3": "label:text", "label_3": ""}, "names no label"),
        ({"source": ""}, "This field is required."),
        ({"meaning_3": "weight"}, "Select a valid choice."),
    ],
)
def test_meaning_that_does_not_fit_is_refused(
    staff: Client, world: World, changes: dict[str, str], part: str
) -> None:
    uploaded(staff, CSV)
    job = EventImport.objects.get()

    answer = staff.post(url(job, "columns"), asked(staff, job, start="1", **changes))

    job.refresh_from_db()
    assert answer.status_code == 200
    assert any(one in answer.content.decode() for one in part.split("|"))
    assert job.state == "draft"


def test_import_of_which_nothing_would_be_recorded_is_not_started(staff: Client, world: World) -> None:
    uploaded(staff, CSV)
    job = EventImport.objects.get()

    answer = staff.post(url(job, "columns"), asked(staff, job, start="1"))

    job.refresh_from_db()
    page = answer.content.decode()
    assert "Nothing was started" in page
    assert "None of the first 4 events can be recorded like this." in page
    assert job.state == "draft"


def test_another_delimiter_shows_other_columns(staff: Client, world: World) -> None:
    uploaded(staff, b"a;b,c,d\n1;2,3,4\n")
    job = EventImport.objects.get()
    assert staff.get(url(job, "columns")).context["form"].header == ["a;b", "c", "d"]

    staff.post(url(job, "columns"), asked(staff, job, delimiter=";"))

    assert staff.get(url(job, "columns")).context["form"].header == ["a", "b,c,d"]


def test_the_same_content_is_not_imported_twice_at_once(staff: Client, world: World) -> None:
    uploaded(staff, CSV)
    uploaded(staff, CSV)
    first, second = EventImport.objects.order_by("id")
    told = asked(staff, first, start="1", **RIGHT)
    staff.post(url(first, "columns"), told)

    answer = staff.post(url(second, "columns"), told)

    assert "is being imported already" in answer.content.decode()
    assert list(EventImport.objects.order_by("id").values_list("state", flat=True)) == ["queued", "draft"]


def test_waiting_import_is_cancelled(staff: Client, world: World) -> None:
    uploaded(staff, CSV)
    job = EventImport.objects.get()
    staff.post(url(job, "columns"), asked(staff, job, start="1", **RIGHT))

    assert staff.get(url(job, "cancel")).status_code == 200
    staff.post(url(job, "cancel"))
    again = staff.post(url(job, "cancel"), follow=True)

    job.refresh_from_db()
    assert job.state == "cancelled"
    assert EventImportPiece.objects.count() == 0
    assert "This import is cancelled already." in again.content.decode()
    assert import_due_files() is False
    assert UsageEvent.objects.count() == 5


def test_log_is_kept_in_english_and_read_in_the_language_of_the_page(staff: Client, world: World) -> None:
    uploaded(staff, CSV)
    job = EventImport.objects.get()

    staff.post(url(job, "cancel"), HTTP_ACCEPT_LANGUAGE="de")

    assert LogEntry.objects.latest("id").change_message == "Cancelled."
    assert "Cancelled." in staff.get(url(job, "history")).content.decode()
    assert "Abgebrochen." in staff.get(url(job, "history"), HTTP_ACCEPT_LANGUAGE="de").content.decode()


def test_failed_import_is_tried_again_and_goes_on(
    staff: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded(staff, CSV)
    job = EventImport.objects.get()
    staff.post(url(job, "columns"), asked(staff, job, start="1", **RIGHT))
    with monkeypatch.context() as patch:
        patch.setattr(event_uploads, "import_chunks", lambda *_, **__: 1 / 0)
        import_due_files()
    job.refresh_from_db()
    assert (job.state, job.created_count) == ("failed", 0)
    assert "Try again" in staff.get(url(job, "change")).content.decode()

    staff.post(url(job, "retry"))
    import_due_files()

    job.refresh_from_db()
    assert (job.state, job.failure, job.created_count) == ("finished", "", 2)
    refused = staff.post(url(job, "retry"), follow=True)
    assert "removed meanwhile" in refused.content.decode()


def test_rejects_are_downloaded_and_harmless(staff: Client, world: World) -> None:
    good = f"tokens,shop,{NOON}"
    uploaded(staff, f"event_name,project,occurred_at\n=cmd(),shop,{NOON}\n{good}\n".encode())
    job = EventImport.objects.get()
    staff.post(url(job, "columns"), asked(staff, job, start="1", source="@x"))
    import_due_files()

    table = staff.get(url(job, "rejects", "csv"))
    lines = staff.get(url(job, "rejects", "ndjson"))

    assert table["Content-Disposition"] == f'attachment; filename="import-{job.pk}-rejects.csv"'
    (row,) = csv.DictReader(io.StringIO(table.getvalue().decode(), newline=""))
    assert row == {
        "line": "2",
        "code": "unknown_event_name",
        "field": "event_name",
        "detail": "no metric listens to '=cmd()' in this project",
        "original": f"'=cmd(),shop,{NOON}",
    }
    assert json.loads(lines.getvalue())["original"] == f"=cmd(),shop,{NOON}"


def test_only_who_may_import_files_does(onlooker: Client, staff: Client, world: World) -> None:
    uploaded(staff, CSV)
    job = EventImport.objects.get()

    answers = [
        onlooker.get(reverse(ADD)).status_code,
        uploaded(onlooker, CSV).status_code,
        onlooker.get(url(job, "columns")).status_code,
        onlooker.post(url(job, "columns"), {"start": "1"}).status_code,
        onlooker.post(url(job, "cancel")).status_code,
        onlooker.post(url(job, "retry")).status_code,
    ]

    assert answers == [403] * 6
    assert onlooker.get(url(job, "change")).status_code == 200
    assert onlooker.get(url(job, "rejects", "csv")).status_code == 200
    assert EventImport.objects.get().state == "draft"


def test_the_right_to_import_is_enough(world: World) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="import_events"))
    client = Client()
    client.force_login(clerk)

    answer = uploaded(client, CSV)

    job = EventImport.objects.get()
    assert answer.url == url(job, "columns")
    assert (
        reverse("admin:metering_eventimport_changelist")
        in client.get(reverse("admin:index")).content.decode()
    )
    assert client.get(reverse("admin:metering_eventimport_changelist")).status_code == 200
    nobody = Client()
    nobody.force_login(User.objects.create_user("nobody", is_staff=True))
    assert nobody.get(url(job, "change")).status_code == 403
    assert nobody.get(url(job, "rejects", "csv")).status_code == 403


def test_names_and_lines_are_shown_as_text(staff: Client, world: World) -> None:
    uploaded(staff, b"<script>a</script>,b'x\n<script>b</script>,1\n", "<script>c.csv")
    job = EventImport.objects.get()

    page = staff.get(url(job, "columns")).content.decode()

    for letter in "abc":
        assert f"<script>{letter}" not in page
    assert "&lt;script&gt;a" in page


def test_missing_import_is_not_found(staff: Client, world: World) -> None:
    job = EventImport(pk=77)

    assert [staff.get(url(job, page)).status_code for page in ("change", "columns", "cancel")] == [404] * 3


def test_what_is_voided_in_an_export_is_named_and_not_left_out(staff: Client, world: World) -> None:
    cells = dict.fromkeys(EVENT_COLUMNS, "") | {
        "project": "shop",
        "source": "api",
        "event_id": "gone",
        "event_name": "tokens",
        "quantity": "7",
        "labels": "{}",
        "occurred_at": NOON,
        "kind": "usage",
        "voided_by": "9",
    }
    rows = [cells, cells | {"event_id": "stays", "voided_by": ""}]
    text = io.StringIO()
    writer = csv.DictWriter(text, EVENT_COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    uploaded(staff, text.getvalue().encode())
    job = EventImport.objects.get()

    checked = staff.post(url(job, "columns"), asked(staff, job) | {"check": "1"})
    staff.post(url(job, "columns"), asked(staff, job) | {"start": "1"})
    import_due_files()

    job.refresh_from_db()
    assert "1 row is a voided event or a void; such rows are skipped." in checked.content.decode()
    assert (job.created_count, job.cancelled_count, job.left_out_count) == (1, 1, 0)
    assert "voided events and their voids, skipped" in staff.get(url(job, "change")).content.decode()
