"""A verification as a whole: what it stores, how it goes on, what ends it, and the checks of the ledger."""

from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from metering import tasks
from metering.correcting.corrections import void_events
from metering.errors import Conflict, Invalid, NotFound
from metering.models import Fence, Heartbeat, PendingContribution, VerificationRun
from metering.rolling_up.rollups import roll_up
from metering.verifying import verification, verification_checks
from metering.verifying.verification import (
    Report,
    end_lost_runs,
    last_verification,
    request_verification,
    verify,
    verify_requested,
)
from metering.verifying.verification_checks import SimpleCheck
from metering.verifying.verification_findings import Outcome
from tests.factories import a_metric, a_project, an_event, recorded
from tests.metering.sealing.sealed_ledger import an_empty_ledger, behind_the_guards, execute, three_seals

pytestmark = pytest.mark.django_db
EVERYTHING = ["guards", "seals", "positions", "voids", "payers", "pending", "rollups"]
BILLING = ["invoice_lines", "invoice_totals", "invoice_numbers", "billed_periods", "credits", "unbilled"]
LEDGER = ["voids", "payers", "positions", "pending"]


@pytest.fixture
def acme(db: None) -> None:
    a_project("acme")
    a_metric("tokens")
    a_metric("peak", event_name="tokens", aggregation="MAX")
    recorded(*(an_event(quantity=quantity) for quantity in (5, 7, 9)))
    roll_up()


def codes(report: Report) -> list[str]:
    return [breach.code for breach in report.breaches]


# -- the verb ---------------------------------------------------------------------------------------------


def test_verification_is_stored_with_everything_it_looked_at(acme: None) -> None:
    told: list[tuple[int, int, str]] = []

    report = verify(
        requested_by="kim", on_progress=lambda place: told.append((place.done, place.total, place.step))
    )

    run = VerificationRun.objects.get()
    assert (report.run_id, report.state, report.breaches) == (run.pk, "passed", [])
    assert (run.state, run.requested_by, run.trigger, run.breach_count) == ("passed", "kim", "code", 0)
    assert (run.step_count, run.done_count, run.current_step) == (14, 14, "")
    assert run.started_at is not None
    assert run.finished_at is not None
    assert [stored["check"] for stored in run.findings] == [*EVERYTHING, "rollups", *BILLING]
    assert [stored["subject"] for stored in run.findings[6:8]] == ["peak", "tokens"]
    assert told[0] == (0, 14, "Guards")
    assert told[-1] == (13, 14, "Unbilled usage: 1-200")
    assert Heartbeat.objects.get(job="verify").facts["breaches"] == 0
    assert last_verification() == run


def test_only_what_is_asked_for_is_checked(acme: None) -> None:
    def names(report: Report) -> list[tuple[str, str]]:
        return [(finding.check, finding.subject) for finding in report.findings]

    assert names(verify(checks=["pending", "seals"])) == [("seals", ""), ("pending", "")]
    assert names(verify(metrics=["peak"])) == [("rollups", "peak")]
    assert names(verify(checks=["voids", "rollups"], metrics=["peak"])) == [
        ("voids", ""),
        ("rollups", "peak"),
    ]
    assert last_verification() is None  # none of them was about everything


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"checks": ["moon"]}, Invalid),
        ({"metrics": ["moon"]}, NotFound),
        ({"head": "moon"}, Invalid),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_stored(
    acme: None, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        verify(**options)

    assert not VerificationRun.objects.exists()


def test_app_adds_a_check_by_the_settings(acme: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    books = SimpleCheck("books", "Books", "They balance.", lambda limit: Outcome(checked=f"{limit} books"))
    monkeypatch.setattr(verification_checks, "BOOKS", books, raising=False)
    settings.VERIFICATION_CHECKS = [
        *settings.VERIFICATION_CHECKS,
        "metering.verifying.verification_checks.BOOKS",
    ]

    (finding,) = verify(checks=["books"], limit=3).findings

    assert (finding.status, finding.checked, finding.title) == ("passed", "3 books", "Books")


def replaced(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*, limit: int) -> Outcome:
        raise error

    check = SimpleCheck("voids", "Voids", "", fail)
    monkeypatch.setattr(verification_checks, "VOIDS", check)


def test_check_that_fails_itself_is_a_breach_and_the_others_go_on(
    acme: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced(monkeypatch, ZeroDivisionError("by zero"))

    report = verify()

    assert (report.state, codes(report), len(report.findings)) == ("failed", ["check_failed"], 14)
    assert report.breaches[0].what == "The check itself failed: ZeroDivisionError: by zero"


def test_ctrl_c_leaves_a_run_that_says_so(acme: None, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(monkeypatch, KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        verify()

    run = VerificationRun.objects.get()
    assert (run.state, run.current_step, run.done_count) == ("interrupted", "", 3)
    assert [stored["check"] for stored in run.findings] == EVERYTHING[:3]
    assert run.summary == "It was stopped before it was done."
    assert last_verification() is None
    assert verify(checks=["payers"]).has_passed


def test_run_whose_database_went_away_is_found_later(acme: None, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(monkeypatch, OperationalError("server closed the connection"))
    with pytest.raises(OperationalError):
        verify()
    run = VerificationRun.objects.get()
    assert run.state == "running"
    assert end_lost_runs() == 0  # this session still holds it

    execute("SELECT pg_advisory_unlock(%s, %s)", verification.LOCK_CLASS, run.pk)

    assert end_lost_runs() == 1
    run.refresh_from_db()
    assert (run.state, run.summary) == ("interrupted", "Its process ended before it was done.")


# -- in the background ------------------------------------------------------------------------------------


def test_requested_run_goes_on_slice_by_slice(acme: None) -> None:
    run = request_verification(trigger="staff", requested_by="kim")
    assert run.state == "queued"

    slices = 0
    while verify_requested(slice_seconds=0):
        slices += 1
        run.refresh_from_db()
        assert (run.state, len(run.findings)) == ("queued", slices)

    run.refresh_from_db()
    assert slices == 13
    assert (run.state, len(run.findings), run.done_count) == ("passed", 14, 14)
    assert verify_requested() is False
    assert VerificationRun.objects.count() == 1


def test_one_request_at_a_time_is_enough(acme: None) -> None:
    request_verification(trigger="staff")

    with pytest.raises(Conflict, match="waiting already"):
        request_verification(trigger="schedule")
    with pytest.raises(Invalid):
        request_verification(trigger="staff", head="moon")

    assert VerificationRun.objects.count() == 1


def test_nightly_job_asks_and_begins(acme: None, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(tasks.go_on_verifying, "delay", lambda: calls.append("delay"))

    tasks.verify_everything()
    tasks.verify_everything()
    tasks.go_on_verifying()

    run = VerificationRun.objects.get()
    assert (run.trigger, run.state, calls) == ("schedule", "passed", ["delay", "delay"])


# -- the ledger -------------------------------------------------------------------------------------------


def test_sealed_row_that_was_changed_fails_the_verification() -> None:
    an_empty_ledger()
    head = three_seals()
    assert verify(checks=["seals"], head=head).has_passed

    behind_the_guards("UPDATE metering_usageevent SET quantity = 0 WHERE id = 1500")

    report = verify(checks=["seals"], head=head)
    assert codes(report) == ["rows_changed"]
    assert report.breaches[0].what.startswith("seal 1, leaf 2, ids 1,001 to 2,000: ")
    assert report.findings[0].notes == ["7 rows recorded since the last seal: no seal answers for them yet."]


def test_end_that_was_cut_off_is_found_with_the_published_head() -> None:
    an_empty_ledger()
    head = three_seals()
    behind_the_guards(
        "DELETE FROM metering_usageevent WHERE id > 2500",
        "DELETE FROM metering_sealleaf WHERE seal_id > 1",
        "DELETE FROM metering_ledgerseal WHERE number > 1",
    )

    assert verify(checks=["seals"]).has_passed
    assert codes(verify(checks=["seals"], head=head)) == ["head_missing"]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        (
            "UPDATE metering_usageevent SET voids = 999999, event_id = '999999' WHERE kind = 'void'",
            "void_of_nothing",
        ),
        (
            "UPDATE metering_usageevent SET voids = id, event_id = id::text WHERE kind = 'void'",
            "void_of_a_void",
        ),
        ("UPDATE metering_usageevent SET id = -5 WHERE kind = 'void'", "void_before_its_event"),
        ("UPDATE metering_usageevent SET occurred_at = now() WHERE kind = 'void'", "void_differs"),
        ("UPDATE metering_usageevent SET labels = '{\"a\": 1}' WHERE kind = 'void'", "void_differs"),
        ("UPDATE metering_usageevent SET source = 'api' WHERE kind = 'void'", "void_misnamed"),
        ("DELETE FROM metering_correction", "void_without_reason"),
        ("DELETE FROM metering_usageevent WHERE kind = 'void'", "correction_without_void"),
        (
            "UPDATE metering_usageevent SET billing_scope_id = (SELECT id FROM metering_project WHERE key ="
            " 'globex')",
            "payer_of_another_tree",
        ),
        ("DELETE FROM metering_fence", ""),
        ("UPDATE metering_fence SET position = 1000000000", "position_beyond_the_ledger"),
        ("UPDATE metering_metricdefinition SET counts_from = 1000000000", "position_beyond_the_ledger"),
        (
            "UPDATE metering_usageevent SET recorded_at = 'infinity' WHERE quantity = 5",
            "recorded_below_a_fence",
        ),
        (
            "UPDATE metering_usageevent SET recorded_at = now() + interval '2 minutes' WHERE quantity = 7",
            "recorded_below_a_fence",
        ),
        ("SELECT setval('metering_usageevent_id_seq', 1)", "position_beyond_the_ledger"),
    ],
)
def test_ledger_that_contradicts_itself_is_found(acme: None, statement: str, code: str) -> None:
    a_project("globex", kind="tenant")
    (last,) = execute("SELECT max(id) FROM metering_usageevent")[0]
    void_events([last], reason="wrong", actor="tests")
    roll_up()
    (end,) = execute("SELECT max(id) FROM metering_usageevent")[0]
    Fence.objects.create(position=end, fenced_at=execute("SELECT clock_timestamp()")[0][0])
    assert verify(checks=LEDGER).has_passed

    behind_the_guards(statement)

    found = codes(verify(checks=LEDGER))
    assert (code in found) if code else not found


def test_voids_are_named_with_what_they_cancel(acme: None) -> None:
    (last,) = execute("SELECT max(id) FROM metering_usageevent")[0]
    (voided,) = void_events([last], reason="wrong", actor="tests")
    behind_the_guards(f"DELETE FROM metering_usageevent WHERE id = {last}")

    report = verify(checks=["voids"])

    assert report.breaches[0].what == f"Void {voided.id} cancels event {last}, which isn't in the ledger."
    assert report.findings[0].checked == "1 cancelled event"


@pytest.mark.parametrize(
    ("change", "code", "part"),
    [
        ("created_at = now() - interval '16 minutes'", "pending_too_long", "has waited for 16 minutes"),
        ("failure = 'out of range'", "pending_set_aside", "was set aside: out of range"),
        ("metric_id = 0", "pending_of_nothing", "metric unknown"),
        ("project_id = 0", "pending_of_nothing", "project unknown"),
    ],
)
def test_contribution_that_does_not_arrive_is_found(acme: None, change: str, code: str, part: str) -> None:
    recorded(an_event(quantity=1))
    assert verify(checks=["pending"]).has_passed
    row = PendingContribution.objects.order_by("id")[0]
    execute(f"UPDATE metering_pendingcontribution SET {change} WHERE id = %s", row.pk)

    (breach,) = verify(checks=["pending"]).breaches

    assert breach.code == code
    assert part in breach.what


def test_history_that_nobody_counts_is_found(acme: None) -> None:
    execute("UPDATE metering_metricdefinition SET is_history_due = TRUE WHERE key = 'peak'")
    assert verify(checks=["pending"]).has_passed

    execute("UPDATE metering_metricdefinition SET created_at = now() - interval '1 hour'")

    assert codes(verify(checks=["pending"])) == ["history_not_counted"]


def test_missing_guard_fails_and_a_role_with_too_many_rights_warns(acme: None) -> None:
    sound = verify(checks=["guards"])
    assert (sound.state, [finding.status for finding in sound.findings]) == ("passed", ["warning"])
    assert "is a superuser" in sound.findings[0].warnings[0].what

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER usage_event_refuses_change ON metering_usageevent")
        report = verify(checks=["guards"])
        transaction.set_rollback(True)

    assert codes(report) == ["guard_missing"]
    assert "usage_event_refuses_change" in report.breaches[0].what
