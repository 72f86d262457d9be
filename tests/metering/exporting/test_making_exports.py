"""Exports in the background: asked for, made, cancelled, kept for a while."""

import dataclasses
import datetime as dt

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from metering.errors import Conflict, NotFound
from metering.exporting import exports as exporting
from metering.exporting import usage_kinds
from metering.exporting.export_kinds import Asked, kind_named
from metering.exporting.exports import (
    cancel_export,
    file_of,
    run_due_exports,
)
from metering.models import Export, ExportPiece
from metering.rolling_up.rollups import roll_up
from metering.texts.csv_blocks import Block
from tests.concurrency.rivals import Rival
from tests.factories import a_metric, a_project, an_event, recorded
from tests.metering.exporting.asked import asked

# The file is written on a connection of its own, which sees what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


def content_of(export: Export) -> str:
    export.refresh_from_db()
    return b"".join(file_of(export, at=timezone.now())).decode()


def ids_in(text: str) -> list[str]:
    return [line.split(",")[5] for line in text.splitlines()[1:]]


@pytest.fixture(autouse=True)
def acme():
    acme = a_project("acme")
    a_metric()
    recorded(*(an_event(acme, id=f"e-{number}", quantity=number) for number in range(1, 6)))
    return acme


@pytest.fixture
def small_pieces(monkeypatch):
    """A piece a row."""
    monkeypatch.setattr(exporting, "PIECE_BYTES", 1)
    real = kind_named("usage_events").blocks

    def row_by_row(wanted):
        for block in real(wanted):
            for number, line in enumerate(block.data.splitlines(keepends=True)):
                yield Block(line, int(number > 0))

    replace_blocks(monkeypatch, row_by_row)


def replace_blocks(monkeypatch, blocks):
    monkeypatch.setattr(
        usage_kinds, "USAGE_EVENTS", dataclasses.replace(usage_kinds.USAGE_EVENTS, blocks=blocks)
    )


def test_file_is_what_the_direct_export_gives():
    export = asked(start="2024-05-01", to="2024-06-01T00:00:00+02:00")
    assert (export.state, export.row_count, export.filters) == (
        "queued",
        0,
        {"from": "2024-05-01T00:00:00Z", "to": "2024-05-31T22:00:00Z"},
    )

    assert run_due_exports() == 1

    text = content_of(export)
    direct = b"".join(block.data for block in kind_named("usage_events").blocks(Asked())).decode()
    assert text == direct
    assert ids_in(text) == ["e-1", "e-2", "e-3", "e-4", "e-5"]
    assert (export.state, export.row_count, export.byte_count) == ("finished", 5, len(text.encode()))
    assert export.done_fraction == 1
    assert export.expires_at - export.finished_at == dt.timedelta(days=7)


def test_rollups_are_exported():
    roll_up()
    export = asked("usage_rollups", metric="tokens", granularity="MONTH")

    run_due_exports()

    assert content_of(export).splitlines()[1:] == [
        'tokens,acme,acme,month,2024-05-01T00:00:00.000000Z,"","",{},15,5'
    ]


def test_key_gets_what_lies_below_it(acme):
    shop, other = a_project("shop", parent=acme), a_project("other")
    recorded(an_event(shop, id="in-shop"), an_event(other, id="elsewhere"))
    of_acme, of_shop = asked(by=acme), asked(by=shop)

    run_due_exports()

    assert ids_in(content_of(of_acme)) == ["e-1", "e-2", "e-3", "e-4", "e-5", "in-shop"]
    assert ids_in(content_of(of_shop)) == ["in-shop"]
    with pytest.raises(NotFound):
        asked(by=shop, project="acme")


def test_nothing_to_export_is_a_header():
    export = asked(event_name="nothing")

    run_due_exports()

    assert content_of(export).count("\n") == 1
    assert export.row_count == 0


def test_files_are_kept_in_pieces(small_pieces):
    export = asked()

    run_due_exports()

    assert ids_in(content_of(export)) == ["e-1", "e-2", "e-3", "e-4", "e-5"]
    assert (export.piece_count, export.row_count) == (6, 5)


def test_killed_between_pieces_it_is_begun_anew(small_pieces):
    export = asked()

    def killed(at):
        if at.row_count == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_due_exports(on_progress=killed)
    export.refresh_from_db()
    assert (export.state, export.row_count, ExportPiece.objects.count()) == ("running", 3, 4)
    recorded(an_event("acme", id="meanwhile"))

    assert run_due_exports() == 1

    assert ids_in(content_of(export)) == ["e-1", "e-2", "e-3", "e-4", "e-5", "meanwhile"]
    assert (export.state, export.row_count, export.attempt_count) == ("finished", 6, 2)


def test_one_on_which_workers_die_is_given_up():
    export = asked()
    Export.objects.update(state="running", attempt_count=3)

    run_due_exports()

    export.refresh_from_db()
    assert (export.state, export.failure) == (
        "failed",
        "Given up: 3 workers in turn ended unexpectedly at it.",
    )
    with pytest.raises(Conflict, match="failed; there is no file"):
        file_of(export, at=timezone.now())


def test_cancelled_while_it_is_made_it_leaves_nothing(small_pieces):
    export = asked()

    run_due_exports(on_progress=lambda at: cancel_elsewhere(export) if at.row_count == 2 else None)

    export.refresh_from_db()
    assert (export.state, ExportPiece.objects.count()) == ("cancelled", 0)
    with pytest.raises(Conflict):
        cancel_export(export)


def cancel_elsewhere(export):
    """As another process does: the worker's own connection is in a snapshot that may not write."""
    Rival(lambda: cancel_export(export)).join()


def test_cancelling_stops_the_query(monkeypatch):
    closed = []

    def endless(wanted):
        try:
            while True:
                yield Block(b"x" * 2_000_000, 1)
        finally:
            closed.append(True)

    replace_blocks(monkeypatch, endless)
    export = asked()

    run_due_exports(on_progress=lambda at: cancel_elsewhere(export) if at.piece_count == 3 else None)

    assert closed == [True]
    assert not connection.in_atomic_block


def test_file_that_grows_too_large_fails(monkeypatch):
    monkeypatch.setattr(exporting, "MAX_BYTES", 100)
    export = asked()

    run_due_exports()

    export.refresh_from_db()
    assert (export.state, ExportPiece.objects.count()) == ("failed", 0)


def test_failure_of_ours_is_said_and_others_go_on(monkeypatch):
    def broken(wanted):
        raise RuntimeError("secret")
        yield

    replace_blocks(monkeypatch, broken)
    first, second = asked(), asked("usage_rollups", metric="tokens")

    assert run_due_exports() == 2

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == ("failed", "finished")
    assert first.failure == "Something failed on our side; it has been logged. Ask for the file again."


def test_command_makes_what_waits(capsys):
    export = asked()

    call_command("run_exports", remove_old=True)

    assert ids_in(content_of(export)) == ["e-1", "e-2", "e-3", "e-4", "e-5"]
    assert capsys.readouterr().out == "1 exports done.\n0 old exports removed.\n"


def test_command_says_what_failed(monkeypatch):
    monkeypatch.setattr(exporting, "MAX_BYTES", 100)
    asked()

    with pytest.raises(CommandError, match="ask for less"):
        call_command("run_exports")
