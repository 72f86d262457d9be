"""`manage.py import_events`: what it says, what it leaves behind, with which status it ends."""

import csv
import gzip
import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from metering.answering.event_listing import EventFilter
from metering.answering.exports import events_csv
from metering.importing import event_imports
from metering.models import EventImport, UsageEvent
from tests.factories import NOON, a_metric, a_project, a_void_of, an_event, at, ledger_rows, recorded

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    a_project("acme")
    a_metric()


def run(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("import_events", *arguments, stdout=out, no_color=True)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def unusable(*arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        call_command("import_events", *arguments, stdout=io.StringIO(), no_color=True)
    assert caught.value.returncode == 2
    assert UsageEvent.objects.count() == 0
    return str(caught.value)


def write(name: str, *events: dict[str, Any]) -> str:
    Path(name).write_text("".join(json.dumps(event) + "\n" for event in events))
    return name


def test_help_ends_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("import_events", "--help")

    assert ended.value.code == 0
    assert "examples:\n  manage.py import_events" in capsys.readouterr().out


def test_all_recorded_is_0_and_leaves_no_rejects() -> None:
    name = write("usage.ndjson", an_event(id="a"), an_event(id="b", project=None))

    status, said = run(name, "--project", "acme", "--source", "batch")

    assert status == 0
    assert "usage.ndjson: 2 recorded, 0 were there, 0 in conflict, 0 rejected" in said
    assert ledger_rows("source", "event_id") == [("batch", "a"), ("batch", "b")]
    assert run(name, "--project", "acme", "--source", "batch")[0] == 0
    assert [path.name for path in Path().iterdir()] == ["usage.ndjson"]


def test_some_left_out_is_1_and_they_are_listed() -> None:
    recorded(an_event(id="held", quantity=1), source="import")
    name = write(
        "usage.ndjson", an_event(id="held", quantity=2), an_event(project="nobody"), an_event(id="ok")
    )

    status, said = run(name)
    again, _ = run(name, "--rejects", "left.csv")

    assert (status, again) == (1, 1)
    assert "1 recorded, 0 were there, 1 in conflict, 1 rejected" in said
    first, second = map(json.loads, Path("usage.ndjson.rejects.ndjson").read_text().splitlines())
    assert (first["line"], first["code"], first["field"]) == (1, "conflict", "id")
    assert (second["line"], second["code"], second["field"]) == (2, "unknown_project", "project")
    assert second["original"] == Path(name).read_text().splitlines()[1]
    with Path("left.csv").open(newline="") as file:
        assert [row["line"] for row in csv.DictReader(file)] == ["1", "2"]


def test_csv_is_mapped_by_options() -> None:
    Path("u.csv.gz").write_bytes(
        gzip.compress(
            "\ufeffTime;Größe;Region;Note\n2024-05-15 14:00:00;1,5;eu;x\n2024-05-15 14:00:00;2;;\n".encode()
        )
    )

    status, said = run(
        "u.csv.gz", "--map", "occurred_at=Time", "--map", "labels.size:number=Größe", "--map",
        "labels.region=Region", "--constant", "event_name=tokens", "--project", "acme",
        "--timezone", "Europe/Berlin",
    )  # fmt: skip

    assert status == 1
    assert "left out: Note" in said
    assert ledger_rows("labels", "occurred_at") == [({"size": 2}, at("2024-05-15T12:00:00Z"))]
    (line,) = Path("u.csv.gz.rejects.ndjson").read_text().splitlines()
    assert json.loads(line)["field"] == "labels.size (Größe)"


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    line = json.dumps(an_event(id="a")).encode() + b"\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Pipe(gzip.compress(line))))

    status, said = run("-")

    assert (status, UsageEvent.objects.count()) == (0, 1)
    assert "standard input: 1 recorded" in said


def test_dry_run_records_nothing_and_says_what_would_be() -> None:
    name = write("usage.ndjson", an_event(id="a"), an_event(project="nobody"))

    status, said = run(name, "--dry-run")

    assert status == 1
    assert "Nothing was recorded. Checked: 1 new, 0 there already, 1 rejected or in conflict." in said
    assert UsageEvent.objects.count() == EventImport.objects.count() == 0
    assert len(Path("usage.ndjson.rejects.ndjson").read_text().splitlines()) == 1


def test_what_is_voided_in_an_export_is_skipped_and_nothing_is_wrong() -> None:
    results = recorded(an_event(id="stays", quantity=10), an_event(id="goes", quantity=7))
    a_void_of(results[1].id)
    a_project("moved")
    export = b"".join(events_csv(EventFilter())).replace(b",acme,", b",moved,")
    Path("moved.csv").write_bytes(export)

    tried, would = run("moved.csv", "--dry-run")
    status, said = run("moved.csv")

    assert (tried, status) == (0, 0)
    assert "Checked: 1 new, 0 there already, 0 rejected or in conflict, 2 skipped (voided" in would
    assert (
        "1 recorded, 0 were there, 0 in conflict, 0 rejected, 2 skipped (voided events and their voids)"
        in said
    )
    assert [path.name for path in Path().iterdir()] == ["moved.csv"]


def test_limit_stops_and_the_next_run_goes_on() -> None:
    name = write("usage.ndjson", *(an_event(id=f"e-{n}") for n in range(5)))

    status, said = run(name, "--limit", "2")
    assert (status, UsageEvent.objects.count()) == (0, 2)
    assert "Stopped behind line 2" in said
    status, said = run(name)

    assert "Going on behind line 2" in said
    assert (status, UsageEvent.objects.count()) == (0, 5)
    assert EventImport.objects.get().state == "finished"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_ends_behind_the_chunk_and_says_how_to_go_on(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_imports, "CHUNK_EVENTS", 2)
    name = write("usage.ndjson", an_event(project="nobody"), *(an_event(id=f"e-{n}") for n in range(4)))
    move_on = event_imports._move_on

    def interrupted(*arguments: Any, **options: Any) -> None:
        signal.raise_signal(number)
        move_on(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(event_imports, "_move_on", interrupted)
        status, said = run(name)
    assert (status, UsageEvent.objects.count()) == (130, 1)
    assert "Stopped behind line 2, everything up to there is committed. Run the same command again" in said
    assert len(Path("usage.ndjson.rejects.ndjson").read_text().splitlines()) == 1

    status, said = run(name)

    assert (status, UsageEvent.objects.count()) == (1, 4)
    assert len(Path("usage.ndjson.rejects.ndjson").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["missing.csv"], "missing.csv: No such file or directory."),
        (["."], ".: Is a directory."),
        (["empty"], "empty: It is empty."),
        (["binary"], "binary: It isn't text: it holds NUL bytes."),
        (["latin"], "latin: Line 2 isn't UTF-8. Save the file as UTF-8."),
        (["array.json"], "It is a JSON array."),
        (["u.csv", "--map", "occurred_at"], "--map: 'occurred_at' isn't of the form NAME=VALUE."),
        (["u.csv", "--map", "occurred_at=When"], "--map: The file has no column 'When'. It has: 'a', 'b'."),
        (["u.csv", "--constant", "weight=5"], "--constant: Events have no member 'weight'"),
        (["u.csv", "--timezone", "Mars"], "--timezone: There is no time zone 'Mars'."),
        (["u.ndjson", "--map", "id=a"], "--map: for CSV only"),
        (["u.csv", "--limit", "0"], "--limit: at least 1."),
        (["u.csv", "--source", ""], "--source: 1 to 255 characters."),
        (["u.csv", "--rejects", "."], "isn't a regular file"),
        (["u.csv", "--rejects", "u.csv"], "--rejects: that is the file itself."),
        (["u.csv", "--rejects", "nowhere/x"], "nowhere/x: No such file or directory."),
    ],
)
def test_what_can_not_be_used_is_2(arguments: list[str], part: str) -> None:
    Path("empty").write_bytes(b"")
    Path("binary").write_bytes(b"\x7fELF\x00\x00")
    Path("latin").write_bytes(b"a,b\nM\xfcller,1\n")
    Path("array.json").write_bytes(b"[{}]")
    Path("u.csv").write_bytes(b"a,b\n1,2\n")
    Path("u.ndjson").write_bytes(b'{"id": "' + NOON.encode() + b'"}\n')

    assert part in unusable(*arguments)
    assert EventImport.objects.count() == 0
