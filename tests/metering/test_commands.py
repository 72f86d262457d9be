"""The commands: what they print, what they leave behind, with which status they end."""

import datetime as dt
import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from metering import guards
from metering.demo.facts import facts_in, write_facts
from metering.errors import Invalid, Unavailable
from metering.keys import principal_of, revoke_api_key
from metering.models import (
    ApiKey,
    CatalogueVersion,
    Fence,
    Heartbeat,
    MetricDefinition,
    PendingContribution,
    Project,
    UsageEvent,
    VerificationRun,
)
from metering.progress import Progress
from metering.rolling_up.rollups import roll_up
from tests.factories import a_metric, a_project, an_event, recorded

COMMANDS = (
    "load_demo",
    "simulate_usage",
    "roll_up",
    "rebuild_rollups",
    "reattribute",
    "create_api_key",
    "doctor",
    "seal_ledger",
    "verify",
    "run_billing",
    "send_invoices",
    "expire_credits",
)
EVERYTHING = frozenset({"ingest", "read", "manage", "backfill", "bill"})


def said_by(name: str, *arguments: Any, **options: Any) -> str:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out, no_color=True, **options)
    return out.getvalue()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command(name, "--help")

    assert ended.value.code == 0
    assert f"examples:\n  manage.py {name}" in capsys.readouterr().out


# --- load_demo --------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_load_demo_leaves_data_rollups_a_fence_and_access(tmp_path: Path) -> None:
    path = tmp_path / "quickstart.json"
    path.write_text('{"base_url": "http://127.0.0.1:8000", "ports": [1]}')
    path.chmod(0o644)

    said = said_by("load_demo", "--facts", str(path))

    facts = json.loads(path.read_text())
    assert facts == {
        "base_url": "http://127.0.0.1:8000",
        "ports": [1],
        "username": "admin",
        "password": facts["password"],
        "api_key": facts["api_key"],
        "staff": facts["staff"],
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["quickstart.json"]
    assert len(facts["password"]) == 20
    user = get_user_model().objects.get(username="admin")
    assert user.check_password(facts["password"])
    assert user.is_superuser
    assert user.is_staff
    assert list(facts["staff"]) == ["operator", "finance", "approver", "auditor"]
    for name, password in facts["staff"].items():
        person = get_user_model().objects.get(username=name)
        assert person.check_password(password)
        assert (person.is_staff, person.is_superuser) == (True, False)
        assert [group.name.lower() for group in person.groups.all()] == [name]
    principal = principal_of(facts["api_key"])
    assert principal is not None
    assert principal.project_path == Project.objects.get(key="platform").path
    assert principal.permissions == EVERYTHING
    assert UsageEvent.objects.count() == 19_366
    assert PendingContribution.objects.count() == 0
    assert Fence.objects.get().position == UsageEvent.objects.order_by("-id").values_list("id", flat=True)[0]
    assert facts["password"] not in said
    assert facts["api_key"] not in said
    assert "19,366 requests, 19,366 recorded now, 0 were there." in said

    said_again = said_by("load_demo", "--facts", str(path))

    assert json.loads(path.read_text()) == facts
    assert "19,366 requests, 0 recorded now, 19,366 were there." in said_again
    assert said_again.count("kept, in ") == 6
    assert UsageEvent.objects.count() == 19_366
    assert get_user_model().objects.count() == 5
    assert ApiKey.objects.count() == 1

    revoke_api_key(ApiKey.objects.get(), revoked_at=timezone.now())
    write_facts(path, {**facts, "password": "something else"})

    said_by("load_demo", "--facts", str(path))

    renewed = json.loads(path.read_text())
    assert renewed["api_key"] != facts["api_key"]
    assert principal_of(renewed["api_key"]) is not None
    user.refresh_from_db()
    assert user.check_password(renewed["password"])
    assert not user.check_password(facts["password"])


@pytest.mark.django_db(transaction=True)
def test_load_demo_without_a_file_tells_the_secrets_once() -> None:
    said = said_by("load_demo")

    (password,) = (line.split()[3] for line in said.splitlines() if line.startswith("Superuser admin"))
    (key,) = (line.split()[2] for line in said.splitlines() if line.startswith("API key"))
    assert get_user_model().objects.get(username="admin").check_password(password)
    assert principal_of(key) is not None

    said_again = said_by("load_demo")

    assert "Superuser admin, password: made earlier and kept" in said_again
    assert "API key: made earlier and kept" in said_again
    assert get_user_model().objects.get(username="admin").check_password(password)
    assert ApiKey.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("content", ["not json", "[1]"])
def test_load_demo_refuses_a_file_that_it_could_not_keep(tmp_path: Path, content: str) -> None:
    path = tmp_path / "quickstart.json"
    path.write_text(content)

    with pytest.raises(CommandError, match="move it away and try again"):
        said_by("load_demo", "--facts", str(path))

    assert path.read_text() == content
    assert Project.objects.count() == 0


def test_facts_that_can_not_be_written_leave_the_old_ones(tmp_path: Path) -> None:
    assert facts_in(tmp_path / "none.json") == {}
    with pytest.raises(Unavailable, match="can't be written: No such file or directory"):
        write_facts(tmp_path / "missing" / "facts.json", {})

    path = tmp_path / "facts.json"
    write_facts(path, {"a": 1})
    with pytest.raises(TypeError):
        write_facts(path, {"a": object()})
    assert facts_in(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["facts.json"]
    path.write_text("{")
    with pytest.raises(Invalid):
        facts_in(path)


# --- simulate_usage ---------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_simulate_usage_records_the_last_days_up_to_now_and_never_twice() -> None:
    said = said_by("simulate_usage", "--days", "2")

    event_count = UsageEvent.objects.count()
    assert f"{event_count:,} events recorded now, 0 were there." in said
    assert PendingContribution.objects.count() == 0
    times = UsageEvent.objects.order_by("occurred_at").values_list("occurred_at", flat=True)
    now = timezone.now()
    assert now - dt.timedelta(days=2, minutes=20) <= times[0]
    assert now - dt.timedelta(minutes=50) <= times[event_count - 1] <= now
    assert set(UsageEvent.objects.values_list("project__key", flat=True)) == {
        "simulated-chat",
        "simulated-shop",
    }
    assert sorted(MetricDefinition.objects.values_list("key", "aggregation")) == [
        ("active_seats", "MAX"),
        ("api_calls", "COUNT"),
        ("egress_bytes", "SUM"),
        ("response_ms", "AVG"),
        ("stored_gb", "LATEST"),
    ]

    said_by("simulate_usage", "--days", "2")

    recorded_ids = UsageEvent.objects.values_list("project_id", "event_id")
    assert len(set(recorded_ids)) == len(recorded_ids)
    # A slot may have ended between the two runs; everything else was there.
    assert recorded_ids.count() - event_count < 40


@pytest.mark.django_db
def test_simulate_usage_says_what_it_lacks(tmp_path: Path, settings: Any) -> None:
    settings.VAR_DIR = tmp_path
    for arguments, complaint in (
        (["--days", "-1"], "--days must be from 0 to 400"),
        (["--rate", "0"], "--rate must be above 0"),
        (["--live"], r"quickstart.json names no address and key; give --url and --key"),
        (["--live", "--days", "0", "--url", "x", "--key", "y"], "'x' is no http or https address"),
    ):
        with pytest.raises(CommandError, match=complaint):
            said_by("simulate_usage", *arguments)

    assert Project.objects.count() == 0


def test_simulate_usage_live_stops_on_ctrl_c_with_a_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any, tally: Any, **options: Any) -> None:
        tally["created"] += 1_234
        raise KeyboardInterrupt

    monkeypatch.setattr("metering.management.commands.simulate_usage.keep_sending", interrupted)

    said = said_by("simulate_usage", "--live", "--days=0", "--url=http://127.0.0.1:1", "--key=mbk_x.y")

    assert said == (
        "Sending about 5 events a second; Ctrl-C stops.\nStopped.\nLive traffic: 1,234 created.\n"
    )


# --- roll_up ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_roll_up_drains_and_shows_the_bucket_asked_for() -> None:
    a_project("acme")
    a_metric("tokens")
    recorded(an_event("acme", quantity="2.5"), an_event("acme", quantity="1", subject_id="u"))

    said = said_by("roll_up", "--period-type", "daily")

    assert said.splitlines()[0].startswith("2 contributions merged into 9 rollup rows in ")
    assert said.splitlines()[1:] == [
        "day from 2024-05-15T00:00:00Z to 2024-05-16T00:00:00Z:",
        "metric  project  paid by  value  records",
        "tokens  acme     acme       3.5        2",
    ]
    assert PendingContribution.objects.count() == 0
    hour = said_by("roll_up", "--period-type", "hourly", "--period-start", "2024-05-15T11:00:00Z")
    assert hour.splitlines()[1:] == [
        "hour from 2024-05-15T11:00:00Z to 2024-05-15T12:00:00Z:",
        "no usage",
    ]
    month = said_by("roll_up", "--period-type", "monthly", "--period-start", "2024-05-01")
    assert month.splitlines()[-1].split() == ["tokens", "acme", "acme", "3.5", "2"]
    assert said_by("roll_up").startswith("0 contributions merged into 0 rollup rows")


@pytest.mark.django_db
def test_roll_up_without_usage_says_so() -> None:
    assert said_by("roll_up", "--period-type", "daily").splitlines()[1:] == ["There are no rollups yet."]


@pytest.mark.django_db
def test_roll_up_refuses_a_start_that_is_none() -> None:
    a_project("acme")
    a_metric("tokens")
    recorded(an_event("acme"))
    for arguments, complaint in (
        (["--period-start", "2024-05-15"], "--period-start needs --period-type"),
        (["--period-type", "hourly", "--period-start", "noon"], "not an RFC 3339 time"),
        (["--period-type", "monthly", "--period-start", "2024-05-15"], "starts at 2024-05-01T00:00:00Z"),
    ):
        with pytest.raises(CommandError, match=complaint):
            said_by("roll_up", *arguments)

    assert PendingContribution.objects.count() == 1


# --- create_api_key ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_create_api_key_prints_a_key_that_works_once() -> None:
    acme = a_project("acme")

    said = said_by(
        "create_api_key",
        *("--project", "acme", "--name", "gateway", "--permission", "read", "--permission", "ingest"),
    )

    key, sentence = said.splitlines()
    principal = principal_of(key)
    assert principal is not None
    assert principal.project_id == acme.pk
    assert principal.permissions == {"read", "ingest"}
    assert sentence.startswith("Key of acme for gateway: may read, ingest; never expires.")


@pytest.mark.django_db
def test_create_api_key_answers_in_json() -> None:
    a_project("acme")

    answer = json.loads(
        said_by(
            "create_api_key",
            *("--project", "acme", "--name", "gateway", "--permission", "read"),
            *("--expires-at", "2999-01-01T00:00:00+01:00", "--json"),
        )
    )

    row = ApiKey.objects.get()
    assert answer == {
        "api_key": answer["api_key"],
        "prefix": row.shown_prefix,
        "project": "acme",
        "name": "gateway",
        "permissions": ["read"],
        "expires_at": "2998-12-31T23:00:00Z",
    }
    assert principal_of(answer["api_key"]) is not None


@pytest.mark.django_db
def test_create_api_key_refuses_and_makes_nothing() -> None:
    a_project("acme")
    for arguments, complaint in (
        (["--project", "nobody", "--permission", "read"], "There is no project 'nobody'"),
        (["--project", "acme", "--permission", "fly"], "invalid choice: 'fly'"),
        (["--project", "acme"], "required: --permission"),
        (["--project", "acme", "--permission", "read", "--expires-at", "soon"], "not an RFC 3339 time"),
        (["--project", "acme", "--permission", "read", "--expires-at", "2020-01-01T00:00:00Z"], "past"),
    ):
        with pytest.raises(CommandError, match=complaint):
            said_by("create_api_key", "--name", "gateway", *arguments)

    assert ApiKey.objects.count() == 0


# --- doctor -----------------------------------------------------------------------------------------------


@pytest.fixture
def application_role(settings: Any) -> str:
    """A role with the application's rights, as in an installation; the tests' own one is a superuser."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE meterbook_doctor_patient NOLOGIN")
    settings.APPLICATION_ROLE = "meterbook_doctor_patient"
    settings.DATABASE_URL = "postgres://meterbook_doctor_patient@127.0.0.1/meterbook"
    call_command("doctor", "--fix-guards", "--json", stdout=io.StringIO())
    return "meterbook_doctor_patient"


@pytest.fixture(autouse=True)
def _redis_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redis.Redis.ping", lambda self: True)


def examined() -> tuple[bool, dict[str, list[str]]]:
    """The verdict, and the status of each check, several where it found several things."""
    out = io.StringIO()
    try:
        call_command("doctor", "--json", stdout=out)
        passed = True
    except CommandError:
        passed = False
    report = json.loads(out.getvalue())
    assert report["healthy"] is passed
    statuses: dict[str, list[str]] = {}
    for finding in report["checks"]:
        statuses.setdefault(finding["check"], []).append(finding["status"])
    return passed, statuses


@pytest.mark.django_db
def test_doctor_praises_a_sound_installation(application_role: str) -> None:
    roll_up()

    assert examined() == (
        True,
        {
            "database": ["ok"],
            "migrations": ["ok"],
            "guards": ["ok"],
            "rights": ["ok"],
            "version row": ["ok"],
            "tick": ["ok"],
            "verification": ["warning"],
            "redis": ["ok"],
        },
    )
    said = said_by("doctor")
    assert f"ok       rights        {application_role} may only read the ledger and add to it" in said


@pytest.mark.django_db
def test_doctor_finds_a_missing_guard_and_fixes_it(application_role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER usage_event_refuses_change ON metering_usageevent")
        cursor.execute("ALTER TABLE metering_usageevent DISABLE TRIGGER usage_event_refuses_truncate")
        cursor.execute(f"GRANT UPDATE ON metering_usageevent TO {application_role}")

    passed, statuses = examined()

    assert not passed
    assert statuses["guards"] == ["failed", "failed"]
    assert statuses["rights"] == ["failed"]
    with pytest.raises(CommandError, match=r"^3 checks failed\.$"):
        said_by("doctor")

    said = said_by("doctor", "--fix-guards")

    assert said.startswith("Guards of the ledger put back.\n")
    assert guards.guard_breaches() == []
    assert guards.right_breaches(application_role) == []


@pytest.mark.django_db
def test_doctor_fails_when_usage_waits_for_a_tick_that_does_not_come(application_role: str) -> None:
    assert examined()[1]["tick"] == ["warning"]
    a_project("acme")
    a_metric("tokens")
    recorded(an_event("acme"))
    Heartbeat.objects.create(job="roll_up", finished_at=timezone.now() - dt.timedelta(hours=1))
    passed, statuses = examined()
    assert passed
    assert statuses["tick"] == ["warning"]

    PendingContribution.objects.update(created_at=timezone.now() - dt.timedelta(minutes=6))

    passed, statuses = examined()
    assert not passed
    assert statuses["tick"] == ["failed"]


@pytest.mark.django_db
def test_doctor_fails_without_version_row_migrations_or_redis(
    application_role: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    CatalogueVersion.objects.all().delete()
    assert examined()[1]["version row"] == ["failed"]

    monkeypatch.undo()
    settings.REDIS_URL = "redis://:secret@127.0.0.1:1/0"
    with pytest.raises(CommandError):
        said_by("doctor")
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("doctor", "--json", stdout=out)
    (finding,) = (each for each in json.loads(out.getvalue())["checks"] if each["check"] == "redis")
    assert finding["status"] == "failed"
    assert finding["detail"].startswith("127.0.0.1:1: ")
    assert "secret" not in out.getvalue()

    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'metering'")
    passed, statuses = examined()
    assert not passed
    assert statuses["migrations"] == ["failed"]
    assert "guards" not in statuses


# --- Progress ---------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def write(self, msg: str = "", style_func: None = None, ending: str | None = None) -> int:
        return super().write(msg + ("\n" if ending is None else ending))


class Log(Terminal):
    def isatty(self) -> bool:
        return False


def test_progress_is_one_line_on_a_terminal_and_none_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.progress.REDRAW_SECONDS", 0.0)
    terminal, log = Terminal(), Log()

    for out in (terminal, log):
        with Progress(out, "Loading", total=2_000) as progress:
            progress.at(1_000)
            progress.say("Loaded 2,000.")

    assert terminal.getvalue() == "\r\x1b[2KLoading: 1,000 of 2,000\r\x1b[2KLoaded 2,000.\n"
    assert log.getvalue() == "Loaded 2,000.\n"


def test_progress_leaves_no_half_line_behind() -> None:
    terminal = Terminal()

    def fail_while_loading() -> None:
        with Progress(terminal, "Loading") as progress:
            progress.at(5)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_while_loading()

    assert terminal.getvalue() == "\r\x1b[2KLoading: 5\r\x1b[2K"


# --- verify -----------------------------------------------------------------------------------------------


@pytest.fixture
def used(db: None) -> None:
    a_project("acme")
    a_metric("tokens")
    recorded(an_event(quantity="5"))
    roll_up()


def test_verify_says_what_it_looked_at(used: None) -> None:
    said = said_by("verify", "--check", "rollups", "--check", "voids")

    lines = said.splitlines()
    assert lines[0] == "passed   voids           0 cancelled events"
    assert lines[1] == "passed   rollups tokens  6 buckets from 1 reading"
    assert lines[2].startswith("Passed: 2 steps in ")
    assert VerificationRun.objects.get().trigger == "command"


@pytest.mark.django_db
def test_verify_names_what_is_wrong_and_ends_with_status_1(application_role: str, used: None) -> None:
    assert "verification  nothing was verified yet" in said_by("doctor")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE metering_usagemeterrollup SET value_sum = 6 WHERE granularity = 'day'")
    out = io.StringIO()

    with pytest.raises(CommandError, match="2 breaches") as ended:
        call_command("verify", stdout=out, no_color=True)
    with pytest.raises(CommandError, match="2 breaches"):
        call_command("verify", "--json", "--metric", "tokens", stdout=(document := io.StringIO()))

    assert ended.value.returncode == 1
    assert (
        "- Day 2024-05-15, project acme, total: held are readings 1, sum 6, the ledger gives"
        in out.getvalue()
    )
    (finding,) = json.loads(document.getvalue())["findings"]
    assert (finding["check"], finding["subject"], finding["breach_count"]) == ("rollups", "tokens", 2)
    passed, statuses = examined()
    assert (passed, statuses["verification"]) == (False, ["failed"])


@pytest.mark.parametrize(
    "arguments", [["--check", "moon"], ["--metric", "moon"], ["--head", "moon"], ["--limit", "0"]]
)
def test_verify_that_can_not_be_asked_ends_with_status_2(used: None, arguments: list[str]) -> None:
    with pytest.raises(CommandError) as ended:
        said_by("verify", *arguments)

    assert ended.value.returncode == 2
    assert not VerificationRun.objects.exists()


def test_verify_is_interrupted_by_ctrl_c(used: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("metering.verifying.verification_checks.rollup_outcome", stop)

    with pytest.raises(CommandError, match="Interrupted") as ended:
        said_by("verify")

    assert ended.value.returncode == 130
    assert VerificationRun.objects.get().state == "interrupted"
