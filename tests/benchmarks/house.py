"""A Meterbook of its own for a benchmark: database, definitions, key, web server; gone afterwards."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(REPOSITORY), str(Path(__file__).parent)]

from config.embedded import postgres  # noqa: E402


@dataclass(frozen=True)
class House:
    port: int
    key: str
    database_url: str


@contextlib.contextmanager
def a_database(kept_in: Path | None = None) -> Iterator[str]:
    """A migrated database with Django set up on it; yields its URL. The next run finds what is `kept_in`."""
    with tempfile.TemporaryDirectory(prefix="meterbook-benchmark-") as directory:
        var = (kept_in or Path(directory)) / "var"
        var.mkdir(parents=True, exist_ok=True)
        server = postgres.start(var, tied=kept_in is None)
        try:
            os.environ |= {
                "DATABASE_URL": server.owner_url,
                "OWNER_DATABASE_URL": server.owner_url,
                "SECRET_KEY": "benchmark",
                "DJANGO_SETTINGS_MODULE": "settings_for_benchmarks",
                "LOG_LEVEL": "ERROR",
            }
            import django
            from django.core.management import call_command

            django.setup()
            call_command("migrate", verbosity=0)
            yield server.owner_url
        finally:
            from django.db import connections

            connections.close_all()
            if kept_in is None:
                postgres.destroy(var)
            else:
                os.kill(server.pid, signal.SIGINT)  # writes out what is in memory, however long that takes
                if server.process is not None:
                    server.process.wait()


def furnish() -> str:
    """Ten projects in one tree, three metrics that listen to one event name; returns a key."""
    from metering.attributing.scope_tree import attribute, create_project
    from metering.defining.definitions import define_metric
    from metering.keys import create_api_key

    tenant = create_project(key="tenant", name="Tenant", kind="tenant")
    for number in range(10):
        project = create_project(key=f"project-{number}", name=f"Project {number}", parent=tenant)
        if number % 2:
            attribute(project, payer=tenant)
    define_metric(key="requests", project=tenant, event_name="llm.request", aggregation="COUNT")
    for name in ("prompt_tokens", "generated_tokens"):
        define_metric(
            key=name, project=tenant, event_name="llm.request", aggregation="SUM", value_property=name
        )
    _, key = create_api_key(project=tenant, name="benchmark", permissions=["ingest", "read"])
    return key


@contextlib.contextmanager
def a_web_server() -> Iterator[int]:
    """Gunicorn as in production, two processes of eight threads; yields its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{Path(__file__).parent}"}
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "config.wsgi", "--worker-class", "gthread"),
            *("--workers", "2", "--threads", "8", "--bind", f"127.0.0.1:{port}"),
            *("--keep-alive", "60", "--log-level", "warning"),
        ],
        cwd=REPOSITORY,
        env=environment,
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(20)
