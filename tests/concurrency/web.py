"""Web servers of our own on the test's database, and clients in processes of their own that talk to them."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.concurrency.rivals import database_url, wait_until

START_SECONDS = 60

# Posts each of its bodies to the API, one after the other on one connection, once it is told to begin.
_CLIENT = """
import http.client, json, sys
port, key, bodies = json.loads(sys.stdin.readline())
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
connection.connect()
print("ready", flush=True)
sys.stdin.readline()
answers = []
for body in bodies:
    connection.request(
        "POST", "/api/v1/usage-events/", json.dumps(body),
        {"Authorization": "Bearer " + key, "Content-Type": "application/json"},
    )
    answer = connection.getresponse()
    answers.append([answer.status, dict(answer.getheaders()), json.loads(answer.read())])
print(json.dumps(answers), flush=True)
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    document: dict[str, Any]


@dataclass(frozen=True)
class WebServer:
    port: int

    def post(self, path: str, body: object, *, key: str, method: str = "POST") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request(method, f"/api/v1{path}", json.dumps(body), headers)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), json.loads(answer.read()))

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        return False


@contextlib.contextmanager
def web_servers(
    count: int = 1, *, workers: int = 1, threads: int = 4, **environment: str
) -> Iterator[list[WebServer]]:
    """Gunicorn as in production, so many servers of so many processes each; gone afterwards."""
    servers, processes = [], []
    url = database_url()
    try:
        for _ in range(count):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            servers.append(WebServer(port))
            processes.append(
                subprocess.Popen(
                    [
                        *(sys.executable, "-m", "gunicorn", "config.wsgi", "--worker-class", "gthread"),
                        *("--workers", str(workers), "--threads", str(threads)),
                        *("--bind", f"127.0.0.1:{port}", "--log-level", "warning"),
                        *("--keep-alive", "60", "--graceful-timeout", "2"),
                    ],
                    env={
                        **os.environ,
                        "DJANGO_SETTINGS_MODULE": "config.settings",
                        "DATABASE_URL": url,
                        "OWNER_DATABASE_URL": url,
                        "LOG_LEVEL": "ERROR",
                        **environment,
                    },
                )
            )
        for server in servers:
            wait_until(server._answers, seconds=START_SECONDS)
        yield servers
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def posted_at_once(
    servers: Sequence[WebServer], bodies: Sequence[Sequence[object]], *, key: str
) -> list[list[Answer]]:
    """The answers to each client's bodies. Clients are processes, begin together and take servers in turn."""
    clients = [
        subprocess.Popen(
            [sys.executable, "-S", "-c", _CLIENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in bodies
    ]
    try:
        for number, (client, own) in enumerate(zip(clients, bodies, strict=True)):
            assert client.stdin is not None
            port = servers[number % len(servers)].port
            client.stdin.write(json.dumps([port, key, own]) + "\n")
            client.stdin.flush()
        for client in clients:
            assert client.stdout is not None
            assert client.stdout.readline() == "ready\n"
        for client in clients:
            assert client.stdin is not None
            client.stdin.write("go\n")
            client.stdin.flush()
        return [
            [Answer(*answer) for answer in json.loads(client.communicate(timeout=120)[0])]
            for client in clients
        ]
    finally:
        for client in clients:
            client.kill()
            client.wait()
