"""The command from its first refusal to its last goodbye; the programs that it runs are small stand-ins."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from config import embedded
from config.embedded import Keyring, is_alive, postgres, prepare_var, valkey
from config.management.commands import load_whole_demo, quickstart
from config.management.commands.quickstart import AlreadyRunning, Claim
from config.management.commands.test import pytest_arguments
from config.supervisor import Child, Supervisor, end_children

REPOSITORY = Path(postgres.__file__).resolve().parents[2]
# The real command with a small web, no worker, and nothing to migrate or load.
STAND_IN = """
import sys
from pathlib import Path

import django

django.setup()
from django.core.management import call_command
from config.management.commands.quickstart import Command
from config.supervisor import Child


class Small(Command):
    def prepare(self, var, environment):
        (var / "page").mkdir(exist_ok=True)
        (var / "page" / "healthz").write_text("ok")

    def children(self, var, environment, port):
        line = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
        return [Child("web", line, environment, var / "page", var / "log" / "web.log")]


Small().run_from_argv(["manage.py", "quickstart", *sys.argv[1:]])
"""


class Quickstart:
    """A run of the stand-in in its own process."""

    def __init__(self, var: Path, *arguments: str) -> None:
        self.var = var
        self.process = subprocess.Popen(
            [sys.executable, "-c", STAND_IN, "--var", str(var), *arguments],
            cwd=REPOSITORY,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""

    def until(self, words: str) -> str:
        """Read the output up to the line with `words`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if words in line:
                return self.output
        pytest.fail(f"{words!r} never came:\n{self.output}")

    def ended(self) -> tuple[int, str]:
        rest, _ = self.process.communicate(timeout=30)
        return self.process.returncode, self.output + rest

    def facts(self) -> dict[str, str]:
        return dict(json.loads((self.var / "quickstart.json").read_text()))


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    """A place with a space in its path; whatever runs there afterwards is ended."""
    path = tmp_path / "a place" / "var"
    yield path
    if path.is_dir():
        call_command("quickstart", stop=True, var=path, stdout=StringIO())
        postgres.destroy(path)


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_run_refuses_a_second_one_and_ends_by_ctrl_c_with_all_it_started(var: Path) -> None:
    first = Quickstart(var, "--port", "0")
    first.until("Ctrl-C stops everything")
    facts = first.facts()
    servers = [postgres.find(var), valkey.find(var)]

    second = Quickstart(var, "--port", "0").ended()
    asked_at = time.monotonic()
    first.process.send_signal(signal.SIGINT)
    status, output = first.ended()

    assert second[0] == 1
    assert f"A quickstart already runs at {facts['base_url']}" in second[1]
    assert status == 0, output
    assert output.rstrip().endswith("Stopped.")
    assert time.monotonic() - asked_at < 10
    assert [server is not None and is_alive(server.pid) for server in servers] == [False, False]
    assert embedded.can_bind(int(facts["base_url"].rpartition(":")[2]))


def test_killed_run_leaves_only_postgres_and_the_next_one_attaches_to_it(var: Path) -> None:
    first = Quickstart(var, "--port", "0")
    first.until("Ctrl-C stops everything")
    database, broker = postgres.find(var), valkey.find(var)
    assert database is not None
    assert broker is not None
    port = first.facts()["base_url"].rpartition(":")[2]

    first.process.kill()
    first.process.wait()
    assert embedded.wait_until(lambda: not is_alive(broker.pid), seconds=5)
    second = Quickstart(var, "--port", port)
    second.until("Ctrl-C stops everything")
    after = postgres.find(var)
    second.process.terminate()
    status, output = second.ended()

    assert "was running" in output
    assert after is not None
    assert (after.pid, after.application_url) == (database.pid, database.application_url)
    assert status == 0
    assert not is_alive(database.pid)


def test_no_serve_leaves_the_servers_up_until_stop(var: Path) -> None:
    status, output = Quickstart(var, "--no-serve").ended()
    database, broker = postgres.find(var), valkey.find(var)
    said = StringIO()
    call_command("quickstart", stop=True, var=var, stdout=said)

    assert status == 0, output
    assert "quickstart --stop" in output
    assert database is not None
    assert broker is not None
    assert said.getvalue().strip() == "Stopped Valkey, PostgreSQL."
    assert (postgres.find(var), valkey.find(var)) == (None, None)


def test_busy_port_is_named_before_anything_is_started(var: Path, busy_port: int) -> None:
    with pytest.raises(CommandError, match=f"Port {busy_port} is in use .*--port {busy_port + 1}"):
        call_command("quickstart", port=busy_port, var=var)

    assert not (var / "postgres").exists()


def test_broken_var_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CommandError, match=r"quickstart can't run: .*file is a file"):
        call_command("quickstart", port=0, var=tmp_path / "file")


def test_failing_step_ends_in_its_own_words_and_stops_what_was_started(
    var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(command: quickstart.Command, var: Path, environment: dict[str, str]) -> None:
        command.manage("Trying", ["no_such_command"], environment, log=var / "log" / "prepare.log")

    monkeypatch.setattr(quickstart.Command, "prepare", prepare)

    with pytest.raises(CommandError, match=r"(?s)`manage\.py no_such_command` failed .*Unknown command"):
        call_command("quickstart", port=0, var=var, stdout=StringIO())

    assert (postgres.find(var), valkey.find(var)) == (None, None)


@pytest.mark.parametrize("compiled", [True, False])
def test_preparing_starts_no_process_for_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    given: list[str] = []
    monkeypatch.setattr(quickstart, "is_compiled", lambda language: compiled)
    monkeypatch.setattr(
        quickstart.Command, "manage", lambda command, title, arguments, *_, **__: given.append(arguments[0])
    )
    (tmp_path / "quickstart.json").write_text("{}")

    quickstart.Command().prepare(tmp_path, {})

    assert given == [*([] if compiled else ["translations"]), "migrate", "load_whole_demo"]


def test_whole_demo_is_loaded_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[str, ...]] = []
    monkeypatch.setattr(load_whole_demo, "call_command", lambda *arguments, **_: given.append(arguments))

    call_command("load_whole_demo", facts=Path("facts.json"), stdout=StringIO())

    assert given == [
        ("load_demo", "--facts", "facts.json"),
        ("simulate_usage",),
        ("load_demo_limits",),
        ("load_demo_bills",),
        ("seal_ledger",),
    ]


def test_facts_keep_login_and_key_and_are_private(tmp_path: Path) -> None:
    (tmp_path / "quickstart.json").write_text('{"username": "me", "api_key": "k", "base_url": "old"}')
    environment = {name: f"value of {name}" for name in quickstart.SHARED_VARIABLES}

    quickstart.Command().write_facts(tmp_path, environment, "http://127.0.0.1:1")

    assert json.loads((tmp_path / "quickstart.json").read_text()) == {
        "username": "me",
        "api_key": "k",
        "base_url": "http://127.0.0.1:1",
        "admin_url": "http://127.0.0.1:1/admin/",
        "database_url": "value of DATABASE_URL",
        "owner_database_url": "value of OWNER_DATABASE_URL",
        "redis_url": "value of REDIS_URL",
    }
    assert "SECRET_KEY=value of SECRET_KEY\n" in (tmp_path / "quickstart.env").read_text()
    for name in ("quickstart.json", "quickstart.env"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_secrets_are_made_once(tmp_path: Path) -> None:
    prepare_var(tmp_path)

    first = Keyring(tmp_path).secret("secret_key")

    assert len(first) >= 43
    assert Keyring(tmp_path).secret("secret_key") == first


def test_claim_is_free_again_after_its_holder_and_remembers_a_crash(tmp_path: Path) -> None:
    with Claim(tmp_path).held() as claim:
        claim.announce("http://here")
        with pytest.raises(AlreadyRunning) as caught, Claim(tmp_path).held():
            pass

    assert (caught.value.pid, caught.value.url) == (os.getpid(), "http://here")
    with Claim(tmp_path).held() as claim:
        assert claim.after_crash is False
    (tmp_path / "quickstart.lock").write_text('{"pid": 1, "url": null}')
    with Claim(tmp_path).held() as claim:
        assert claim.after_crash is True


class Member:
    """Something supervised that does as it is told."""

    name = "web"

    def __init__(self) -> None:
        self.running = True
        self.starts = 0

    def is_running(self) -> bool:
        return self.running

    def start(self) -> None:
        self.starts += 1

    def obituary(self) -> str:
        return "web ended."


def test_ended_member_is_started_again_a_little_later_each_time() -> None:
    member, said = Member(), list[str]()
    supervisor = Supervisor([member], said.append)
    now = time.monotonic()

    supervisor.look(now)
    member.running = False
    supervisor.look(now)
    supervisor.look(now + 0.9)
    assert member.starts == 0
    supervisor.look(now + 1)
    assert member.starts == 1
    supervisor.look(now + 2)
    supervisor.look(now + 3.9)
    assert member.starts == 1
    supervisor.look(now + 4)
    assert member.starts == 2

    assert said == [
        "web ended.\nStarting web again in 1 s.",
        "web runs again.",
        "web ended.\nStarting web again in 2 s.",
        "web runs again.",
    ]


def test_end_after_a_good_run_waits_the_shortest_time_again() -> None:
    member, said = Member(), list[str]()
    supervisor = Supervisor([member], said.append)
    now = time.monotonic()
    member.running = False

    for moment in (0, 1, 2, 4, 100):
        supervisor.look(now + moment)

    assert said[-1] == "web ended.\nStarting web again in 1 s."


def test_child_that_ignores_the_request_is_killed_with_its_own_children(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = Child("stubborn", ["sh", "-c", "trap '' TERM; sleep 60 & echo $!; wait"], {}, tmp_path, log)
    child.start()
    assert embedded.wait_until(lambda: log.read_text().strip() != "", seconds=5)
    grandchild = int(log.read_text())

    end_children([child], seconds=0.2)

    assert not child.is_running()
    assert embedded.wait_until(lambda: not is_alive(grandchild), seconds=5)
    assert "ended by signal 9" in child.obituary()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["-n", "2"]),
        (["-k", "ledger"], ["-n", "2", "-k", "ledger"]),
        (["-n", "4"], ["-n", "4"]),
        (["-n0"], ["-n0"]),
        (["-p", "no:xdist"], ["-p", "no:xdist"]),
        (["--pdb"], ["--pdb"]),
        (["--", "--help"], ["--help"]),
        (["folder"], ["-n", "2", "{here}/folder"]),
        (["folder/test_a.py"], ["{here}/folder/test_a.py"]),
        (["folder/test_a.py::test_b", "-x"], ["{here}/folder/test_a.py::test_b", "-x"]),
        (["folder/test_a.py", "folder"], ["-n", "2", "{here}/folder/test_a.py", "{here}/folder"]),
    ],
)
def test_two_processes_run_the_tests_unless_told_otherwise(
    given: list[str], expected: list[str], tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "test_a.py").write_text("")

    assert pytest_arguments(given, tmp_path) == [each.format(here=tmp_path) for each in expected]


def test_tests_never_meet_a_quickstart() -> None:
    assert os.environ["DATABASE_URL"] == settings.DATABASE_URL
    shared = REPOSITORY / "var" / "quickstart.env"
    if shared.is_file():
        assert settings.DATABASE_URL not in shared.read_text()
