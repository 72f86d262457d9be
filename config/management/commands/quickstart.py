"""`manage.py quickstart`: the whole of Meterbook on this machine, from nothing to a page to sign in at."""

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.embedded import (
    EmbeddedServerError,
    Keyring,
    is_alive,
    last_lines,
    postgres,
    prepare_var,
    tied_to_parent,
    valkey,
    wait_until,
    write_private,
)
from config.embedded.postgres import PostgresServer
from config.embedded.valkey import ValkeyServer
from config.message_catalogues import is_compiled, languages
from config.supervisor import Child, StopRequested, Supervisor, end_children, stop_signals_raise

DEFAULT_PORT = 8000
START_SECONDS = 90.0
EXAMPLES = """
examples:
  python3 manage.py quickstart                      everything, admin at http://127.0.0.1:8000/admin/
  python3 manage.py quickstart --port 9000          on another port (0: any free one)
  python3 manage.py quickstart --var /tmp/metering  data in another directory
  python3 manage.py quickstart --no-serve           servers and data only, for other commands
  python3 manage.py quickstart --stop               stop everything that runs on this directory

Ctrl-C stops everything. Running it again loads nothing twice. Addresses, login and API key are
also in quickstart.json in the data directory.
"""
# What other commands of a shell need in order to find a running quickstart; settings.py reads the file.
SHARED_VARIABLES = (
    "DATABASE_URL",
    "OWNER_DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "API_KEY_PEPPERS",
    "SEAL_KEYS",
    "PUBLIC_URL",
    "APPLICATION_ROLE",
)


Server = TypeVar("Server", PostgresServer, ValkeyServer)


class AlreadyRunning(Exception):
    """Another quickstart holds the directory; `pid` and `url` are what it wrote there, if it got that far."""

    def __init__(self, pid: int | None, url: str | None) -> None:
        self.pid, self.url = pid, url
        super().__init__(f"running at {url} (process {pid})")


class Claim:
    """The right to run on a directory, held by a lock that the system takes back when its holder dies."""

    def __init__(self, var: Path) -> None:
        self.path = var / "quickstart.lock"
        self.after_crash = False
        self._descriptor = -1

    @contextlib.contextmanager
    def held(self) -> Iterator["Claim"]:
        """Hold it; raises `AlreadyRunning` at once when another process does."""
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmbeddedServerError(f"{self.path} can't be opened ({error.strerror}).") from error
        try:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                pid, url = self._holder()
                raise AlreadyRunning(pid, url) from error
            self.after_crash = self._holder()[0] is not None
            try:
                yield self
            finally:
                os.ftruncate(self._descriptor, 0)
        finally:
            os.close(self._descriptor)

    def announce(self, url: str | None) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps({"pid": os.getpid(), "url": url}).encode(), 0)

    def _holder(self) -> tuple[int | None, str | None]:
        try:
            note = json.loads(os.pread(self._descriptor, 4096, 0) or b"{}")
            return note.get("pid"), note.get("url")
        except (ValueError, AttributeError):
            return None, None


@dataclass
class EmbeddedServer(Generic[Server]):
    """An embedded server under supervision: it comes back on the same port, or not at all."""

    name: str
    server: Server
    again: Callable[[], Server] = field(repr=False)

    def is_running(self) -> bool:
        return self.server.is_running()

    def start(self) -> None:
        """Start it again. Raises `EmbeddedServerError` when its port is taken: others know the old one."""
        server = self.again()
        if server.port != self.server.port:
            server.stop()
            raise EmbeddedServerError(f"port {self.server.port} is taken by now. Run quickstart again.")
        self.server = server

    def obituary(self) -> str:
        return f"{self.name} (process {self.server.pid}) ended."


class Command(BaseCommand):
    """Edge: parses, runs the steps in order, prints, supervises."""

    help = "Run the whole of Meterbook on this machine: servers, demo data, web, worker and beat."
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": textwrap.dedent(EXAMPLES), "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of the web (default: 8000)")
        parser.add_argument(
            "--var",
            type=Path,
            default=settings.BASE_DIR / "var",
            metavar="DIR",
            help="where data, logs and passwords lie (default: var/ beside manage.py)",
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--no-serve",
            action="store_true",
            help="prepare and load everything, leave PostgreSQL and Valkey running, start no web and worker",
        )
        what.add_argument("--stop", action="store_true", help="stop everything that runs on the directory")

    def handle(self, *args: Any, **options: Any) -> None:
        var = Path(options["var"]).expanduser().absolute()
        if not 0 <= options["port"] <= 65535:
            raise CommandError(f"{options['port']} is no port number.")
        try:
            with stop_signals_raise():
                if options["stop"]:
                    self.stop(var)
                else:
                    self.run(var, port=options["port"], serve=not options["no_serve"])
        except EmbeddedServerError as error:
            raise CommandError(f"quickstart can't run: {error}") from error
        except AlreadyRunning as running:
            where = f" at {running.url}" if running.url else ""
            raise CommandError(
                f"A quickstart already runs{where} on {var} (process {running.pid or 'unknown'}). Use that "
                f"one, stop it with Ctrl-C in its terminal or `{_command('--stop', var)}`, "
                "or choose another --var."
            ) from running
        except StopRequested:
            self.say("Interrupted; what was started is stopped. Running it again goes on from here.")
            sys.exit(130)

    def run(self, var: Path, *, port: int, serve: bool) -> None:
        """Prepare, load, serve until asked to stop. Whatever fails, what this run started is stopped."""
        began = time.monotonic()
        prepare_var(var)
        (var / "static").mkdir(exist_ok=True)
        with Claim(var).held() as claim:
            port = self.usable_port(port, patient=claim.after_crash) if serve else port or DEFAULT_PORT
            base_url = f"http://127.0.0.1:{port}"
            claim.announce(base_url if serve else None)
            started: list[PostgresServer | ValkeyServer] = []
            children: list[Child] = []
            try:
                database = self.start_server("PostgreSQL", partial(postgres.start, var), started)
                broker = self.start_server("Valkey", partial(valkey.start, var, tied=serve), started)
                environment = self.environment(var, database.server, broker.server, base_url)
                self.write_facts(var, environment, base_url)
                self.prepare(var, environment)
                facts = json.loads((var / "quickstart.json").read_text())
                if not serve:
                    self.say(
                        f"\nPrepared in {time.monotonic() - began:.0f} s. PostgreSQL and Valkey stay up:"
                    )
                    self.say(f"  facts, addresses and key   {var / 'quickstart.json'}")
                    self.say(f"  to stop them               {_command('--stop', var)}")
                    return
                children = self.children(var, environment, port)
                self.start_children(children, base_url)
                self.welcome(var, facts, time.monotonic() - began)
                try:
                    Supervisor([database, broker, *children], self.say).watch_forever()
                except StopRequested:
                    self.say("\nStopping ...")
                    started = [database.server, broker.server]  # also those that an earlier run left
                    raise
            except StopRequested:
                self.end(children, started)
                if not children:
                    raise
                self.say("Stopped.")
            except BaseException:
                self.end(children, started)
                raise

    def usable_port(self, port: int, *, patient: bool) -> int:
        """`port`, free now (0: any free one). After a crash the old web may need a moment to end."""
        reason: list[str] = []

        def is_free() -> bool:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as error:
                    reason[:] = [
                        "is in use by another program"
                        if error.errno == errno.EADDRINUSE
                        else f"can't be used ({error.strerror})"
                    ]
                    return False
                reason[:] = [str(probe.getsockname()[1])]
                return True

        if not wait_until(is_free, seconds=6 if patient else 0):
            raise CommandError(
                f"Port {port} {reason[0]}. Stop what uses it, or choose another one: "
                f"{_command('--port ' + str(port + 1 if port < 65535 else DEFAULT_PORT))}"
            )
        return int(reason[0])

    def start_server(
        self, name: str, start: Callable[[], Server], started: list[PostgresServer | ValkeyServer]
    ) -> EmbeddedServer[Server]:
        """The server, running; one that was not is appended to `started` as soon as it is."""
        with self.step(f"Starting {name}") as remarks:
            server = start()
            if server.was_running:
                remarks.append("was running")
            else:
                started.append(server)
        return EmbeddedServer(name, server, start)

    def environment(
        self, var: Path, database: PostgresServer, broker: ValkeyServer, url: str
    ) -> dict[str, str]:
        """The environment of every child: nothing of it is read from a file or left to chance."""
        keyring = Keyring(var)
        inherited = {key: value for key, value in os.environ.items() if key != "METERBOOK_AS_OWNER"}
        return inherited | {
            "DATABASE_URL": database.application_url,
            "OWNER_DATABASE_URL": database.owner_url,
            "REDIS_URL": broker.url,
            "SECRET_KEY": keyring.secret("secret_key"),
            "API_KEY_PEPPERS": f"1:{keyring.secret('api_key_pepper')}",
            "SEAL_KEYS": f"1:{keyring.secret('seal_key')}",
            "PUBLIC_URL": url,
            "APPLICATION_ROLE": postgres.APPLICATION_ROLE,
            "STATIC_ROOT": str(var / "static"),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONUNBUFFERED": "1",
        }

    def write_facts(self, var: Path, environment: dict[str, str], base_url: str) -> None:
        """Write quickstart.json, which keeps an earlier login and key, and quickstart.env; both mode 600."""
        path = var / "quickstart.json"
        try:
            facts = json.loads(path.read_text())
        except (OSError, ValueError):
            facts = {}
        facts = facts if isinstance(facts, dict) else {}
        facts |= {
            "base_url": base_url,
            "admin_url": f"{base_url}/admin/",
            "database_url": environment["DATABASE_URL"],
            "owner_database_url": environment["OWNER_DATABASE_URL"],
            "redis_url": environment["REDIS_URL"],
        }
        write_private(path, json.dumps(facts, indent=2) + "\n")
        lines = [f"{name}={environment[name]}" for name in SHARED_VARIABLES]
        write_private(var / "quickstart.env", "\n".join([*lines, ""]))

    def prepare(self, var: Path, environment: dict[str, str]) -> None:
        """Translations, tables, the demo. Each is a command of its own and safe to repeat."""
        log = var / "log" / "prepare.log"
        if not all(is_compiled(language) for language in languages()):
            self.manage("Compiling the translations", ["translations", "compile"], environment, log=log)
        self.manage("Creating and updating the tables", ["migrate", "--verbosity", "0"], environment, log=log)
        facts = var / "quickstart.json"
        self.manage("Loading the demo", ["load_whole_demo", "--facts", str(facts)], environment)
        (var / "quickstart.json").chmod(0o600)

    def manage(
        self, title: str, arguments: list[str], environment: dict[str, str], *, log: Path | None = None
    ) -> None:
        """Run a command of manage.py as a step. With `log` its output is shown only when it fails."""
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments]
        with self.step(title, open_ended=log is None):
            output: int | None = None
            if log is not None:
                log.unlink(missing_ok=True)
                output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                process = subprocess.Popen(
                    command,
                    env=environment,
                    cwd=settings.BASE_DIR,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    # Ctrl-C is for the supervisor, which ends the command without its traceback.
                    start_new_session=True,
                    preexec_fn=tied_to_parent(signal.SIGTERM),
                )
            finally:
                if output is not None:
                    os.close(output)
            try:
                status = process.wait()
            except BaseException:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(3)
                process.kill()
                process.wait()
                raise
            if status != 0:
                words = f". It said:{last_lines(log, 25)}" if log is not None else "; its words are above."
                raise CommandError(f"`manage.py {arguments[0]}` failed with status {status}{words}")

    def children(self, var: Path, environment: dict[str, str], port: int) -> list[Child]:
        python, directory = [sys.executable, "-m"], Path(settings.BASE_DIR)
        web = (
            "gunicorn config.wsgi --worker-class gthread --workers 2 --threads 8 --graceful-timeout 3 "
            f"--no-control-socket --bind 127.0.0.1:{port}"
        )
        celery = "celery -A config.celery"
        worker = f"{celery} worker --concurrency 2 -l WARNING --without-gossip --without-mingle"
        beat = f"{celery} beat -S django --pidfile= -l WARNING"
        quiet = dict(environment)
        if os.geteuid() == 0:
            # Celery advises against root on every start; who runs a whole demo as root has decided that.
            quiet["PYTHONWARNINGS"] = "ignore:You're running the worker with superuser privileges"
        return [
            Child(name, [*python, *line.split()], env, directory, var / "log" / f"{name}.log")
            for name, line, env in (
                ("web", web, environment),
                ("worker", worker, quiet),
                ("beat", beat, quiet),
            )
        ]

    def start_children(self, children: list[Child], base_url: str) -> None:
        """Start web, worker and beat, and return when the web is healthy."""
        with self.step("Starting web, worker and beat"):
            for child in children:
                child.start()
            deadline = time.monotonic() + START_SECONDS
            answer = "none"
            while True:
                for child in children:
                    if not child.is_running():
                        raise CommandError(child.obituary())
                answer = _health(base_url)
                if answer == "200":
                    return
                if time.monotonic() > deadline:
                    log = children[0].log
                    raise CommandError(
                        f"{base_url}/healthz is not healthy after {START_SECONDS:.0f} s (answer: {answer}). "
                        f"The end of {log}:{last_lines(log)}"
                    )
                time.sleep(0.1)

    def end(self, children: list[Child], servers: list[PostgresServer | ValkeyServer]) -> None:
        """Stop the processes first, then the servers that they use."""
        end_children(children)
        for server in reversed(servers):
            try:
                server.stop()
            except EmbeddedServerError as error:
                self.stderr.write(str(error))

    def stop(self, var: Path) -> None:
        """Stop whatever runs on `var`: a supervisor with all it started, then servers that were left."""
        if not var.is_dir():
            raise CommandError(f"{var} does not exist, so nothing runs there.")
        stopped = []
        try:
            with Claim(var).held():
                pass
        except AlreadyRunning as running:
            pid = running.pid
            if pid is None:
                raise
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            if not wait_until(lambda: not is_alive(pid), seconds=20):
                raise CommandError(f"The quickstart (process {pid}) does not stop.") from running
            stopped.append("web, worker and beat with their servers")
        for name, server in (("Valkey", valkey.find(var)), ("PostgreSQL", postgres.find(var))):
            if server is not None:
                server.stop()
                stopped.append(name)
        self.say(f"Stopped {', '.join(stopped)}." if stopped else f"Nothing was running on {var}.")

    def welcome(self, var: Path, facts: dict[str, Any], seconds: float) -> None:
        base_url, key = facts["base_url"], facts.get("api_key", "")
        rows = [
            ("Admin", facts["admin_url"]),
            ("sign in as", f"{facts.get('username', '?')} / {facts.get('password', '?')}"),
            *(
                ("or as", f"{name} / {password}")
                for name, password in facts.get("staff", {}).items()
                if password is not None
            ),
            ("API docs", f"{base_url}/api/docs/"),
            ("API key", key),
            ("all of this", f"{var / 'quickstart.json'} (only for you)"),
            ("logs", str(var / "log")),
        ]
        self.say(f"\nMeterbook is running ({seconds:.0f} s).")
        self.say("")
        for label, value in rows:
            self.say(f"  {label:<12} {value}")
        self.say("\nAsk for the usage of every day:")
        self.say("")
        self.say(
            f'  curl -H "Authorization: Bearer {key}" \\\n'
            f"    '{base_url}/api/v1/usage/?metric=llm_requests&window=day'"
        )
        self.say("\nCtrl-C stops everything.")

    @contextlib.contextmanager
    def step(self, title: str, *, open_ended: bool = False) -> Iterator[list[str]]:
        """Announce a step and say how long it took; `open_ended` ones print lines of their own in between."""
        began = time.monotonic()
        remarks: list[str] = []
        self.stdout.write(f"{title} ...", ending="\n" if open_ended else "")
        self.stdout.flush()
        try:
            yield remarks
        except BaseException:
            if not open_ended:
                self.say(" failed")
            raise
        remark = "".join(f", {each}" for each in remarks)
        self.say(f"{'  done in' if open_ended else ''} {time.monotonic() - began:.1f} s{remark}")

    def say(self, line: str) -> None:
        """Print at once. A terminal that is gone must not keep us from cleaning up."""
        with contextlib.suppress(OSError):
            self.stdout.write(line)
            self.stdout.flush()


def _health(base_url: str) -> str:
    """The status of /healthz, or why there is none. A proxy of the environment is not for this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{base_url}/healthz", timeout=5) as response:
            return str(response.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return str(error)


def _command(option: str, var: Path | None = None) -> str:
    """A command line to paste."""
    place = "" if var in (None, Path(settings.BASE_DIR) / "var") else f' --var "{var}"'
    return f"python3 manage.py quickstart {option}{place}"
