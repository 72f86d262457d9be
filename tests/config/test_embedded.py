"""The embedded servers, really launched."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import embedded
from config.embedded import EmbeddedServerError, Keyring, is_alive, postgres, prepare_var, valkey

REPOSITORY = Path(postgres.__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a space in its name, below one of mode 700; its servers are gone after the tests."""
    path = tmp_path_factory.mktemp("a place") / "var"
    prepare_var(path)
    yield path
    server = valkey.find(path)
    if server is not None:
        server.stop()
    postgres.destroy(path)


@pytest.fixture
def database(var: Path) -> postgres.PostgresServer:
    return postgres.start(var, tied=True)


def test_application_and_owner_have_their_rights_and_no_more(database: postgres.PostgresServer) -> None:
    with psycopg.connect(database.superuser_url) as connection:
        roles = connection.execute(
            "SELECT rolname, rolcanlogin, rolcreatedb, rolcreaterole, rolsuper FROM pg_roles"
            " WHERE rolname LIKE 'meterbook%' ORDER BY rolname"
        ).fetchall()
        encoding, owner = connection.execute(
            "SELECT pg_encoding_to_char(encoding), pg_get_userbyid(datdba) FROM pg_database"
            " WHERE datname = 'meterbook'"
        ).fetchone() or (None, None)

    assert roles == [
        ("meterbook_app", True, False, False, False),
        ("meterbook_owner", True, True, True, False),
    ]
    assert (encoding, owner) == ("UTF8", "meterbook_owner")
    with (
        psycopg.connect(database.application_url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE TABLE mine ()")
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("CREATE TABLE ours ()")
        connection.rollback()


def test_nobody_enters_without_the_password(database: postgres.PostgresServer, var: Path) -> None:
    url = database.superuser_url.replace(Keyring(var).secret("postgres"), "guess")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)

    assert stat.S_IMODE((var / "keyring.json").stat().st_mode) == 0o600


def test_running_postgres_is_attached_to(database: postgres.PostgresServer, var: Path) -> None:
    again = postgres.start(var)

    assert (again.pid, again.port, again.was_running) == (database.pid, database.port, True)
    assert again.application_url == database.application_url


def test_killed_postgres_comes_back_with_its_data_and_port(
    database: postgres.PostgresServer, var: Path
) -> None:
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
        connection.commit()

    os.kill(database.pid, signal.SIGKILL)
    assert embedded.wait_until(lambda: not database.is_running(), seconds=5)
    again = postgres.start(var, tied=True)

    assert (again.port, again.was_running) == (database.port, False)
    with psycopg.connect(again.owner_url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]


def test_pid_file_that_names_a_stranger_is_stale(database: postgres.PostgresServer, var: Path) -> None:
    database.stop()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (var / "postgres" / "data" / "postmaster.pid").write_text(
            f"{stranger.pid}\n{var}\n0\n{database.port}\n\n127.0.0.1\n0 0\nready   \n"
        )

        assert postgres.find(var) is None
        again = postgres.start(var, tied=True)

        assert again.pid != stranger.pid
        assert again.is_running()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_taken_port_is_replaced(database: postgres.PostgresServer, var: Path) -> None:
    database.stop()
    with socket.create_server(("127.0.0.1", database.port)):
        again = postgres.start(var, tied=True)

    assert again.port != database.port


def test_postgres_outlives_its_starter_and_is_attached_to(
    database: postgres.PostgresServer, var: Path
) -> None:
    database.stop()
    code = (
        "import os, sys; from pathlib import Path; from config.embedded import postgres;"
        "print(postgres.start(Path(sys.argv[1]), fsync=False).pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, var], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )

    again = postgres.find(var)

    assert done.returncode == -signal.SIGKILL
    assert again is not None
    assert again.pid == int(done.stdout)
    again.stop()
    assert not is_alive(again.pid)
    assert postgres.find(var) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the parent-death signal of Linux")
def test_tied_servers_end_with_a_killed_starter(var: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from config.embedded import postgres, valkey;"
        "v = Path(sys.argv[1]); running = [postgres.find(v), valkey.find(v)];"
        "[server.stop() for server in running if server];"
        "print(postgres.start(v, fsync=False, tied=True).pid, valkey.start(v, tied=True).pid, flush=True);"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, var], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )

    pids = [int(pid) for pid in done.stdout.split()]

    assert len(pids) == 2
    assert embedded.wait_until(lambda: not any(map(is_alive, pids)), seconds=5)


def test_lost_passwords_are_a_clear_message(database: postgres.PostgresServer, var: Path) -> None:
    database.stop()
    keyring = var / "keyring.json"
    keyring.rename(var / "put-aside")
    try:
        with pytest.raises(
            EmbeddedServerError, match=r"keyring\.json, which holds the passwords .* is missing"
        ):
            postgres.start(var)
    finally:
        (var / "put-aside").rename(keyring)


def test_damaged_data_is_a_clear_message_with_the_log(database: postgres.PostgresServer, var: Path) -> None:
    database.stop()
    control = var / "postgres" / "data" / "global" / "pg_control"
    control.rename(control.with_name("put-aside"))
    try:
        with pytest.raises(EmbeddedServerError, match=r"(?s)does not start on .*database system.*begin anew"):
            postgres.start(var)
    finally:
        control.with_name("put-aside").rename(control)


def test_data_of_another_version_is_a_clear_message(tmp_path: Path) -> None:
    prepare_var(tmp_path)
    Keyring(tmp_path).secret("postgres")
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    tmp_path.chmod(0o755)

    with pytest.raises(EmbeddedServerError) as caught:
        postgres.find_binaries(postgres._data_version(data))

    assert "PostgreSQL 9, which made the data directory, is not here" in str(caught.value)


def test_named_directory_without_programs_is_a_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_BINDIR", str(tmp_path))

    with pytest.raises(EmbeddedServerError, match="PG_BINDIR names"):
        postgres.find_binaries()


def test_file_in_place_of_the_directory_is_a_clear_message(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")

    with pytest.raises(EmbeddedServerError, match=r"var is a file, .* choose another place with --var"):
        prepare_var(tmp_path / "var")
    with pytest.raises(EmbeddedServerError, match="choose another place"):
        prepare_var(tmp_path / "var" / "below")


def test_full_disk_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage(5 * 2**20))

    with pytest.raises(EmbeddedServerError, match="has 5 MB left, and 400 are needed"):
        prepare_var(tmp_path / "var")


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_damaged_keyring_is_a_clear_message(tmp_path: Path) -> None:
    (tmp_path / "keyring.json").write_text("{half")

    with pytest.raises(EmbeddedServerError, match="holds the passwords"):
        Keyring(tmp_path).secret("postgres")


def test_valkey_asks_for_its_password_and_keeps_its_data(var: Path) -> None:
    server = valkey.start(var, tied=True)
    redis.from_url(server.url).set("kept", "7")
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)).ping()

    attached = valkey.start(var)
    os.kill(server.pid, signal.SIGKILL)
    assert embedded.wait_until(lambda: not server.is_running(), seconds=5)
    again = valkey.start(var, tied=True)

    assert (attached.pid, attached.was_running) == (server.pid, True)
    assert (again.url, again.was_running) == (server.url, False)
    assert redis.from_url(again.url).get("kept") == b"7"
    again.stop()
    assert valkey.find(var) is None


def test_valkey_pid_file_that_names_a_stranger_is_stale(tmp_path: Path) -> None:
    prepare_var(tmp_path)
    (tmp_path / "valkey").mkdir()
    (tmp_path / "valkey" / "valkey.pid").write_text(str(os.getppid()))

    assert valkey.find(tmp_path) is None


def test_ended_child_does_not_count_as_alive() -> None:
    child = subprocess.Popen(["true"])
    time.sleep(0.2)

    assert not is_alive(child.pid)
    assert child.wait() == 0
