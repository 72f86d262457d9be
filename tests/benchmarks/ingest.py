"""Recording over HTTP against a bare COPY, and single events against an empty view.

    python tests/benchmarks/ingest.py [--rounds 5] [--rows 20000]

Every round measures each thing once, in turn, so that the machine's moods hit all alike. The load generator
runs beside the server on the same cores; connections are kept alive; bodies are made before the clock starts.
"""

import argparse
import datetime as dt
import json
import multiprocessing
import re
import socket
import statistics
import time
from hashlib import blake2b

import psycopg
from house import a_database, a_web_server, furnish

CLIENTS = 16  # a commit waits for the disk: only many at once share the wait
BATCH = 1000


BEGINNING = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)


def event(number: int) -> dict:
    """As an application sends them: in the order of time, a thousand a minute, from fifty users."""
    occurred_at = BEGINNING + number * dt.timedelta(milliseconds=60)
    return {
        "id": f"bench-{number}",
        "project": f"project-{number % 10}",
        "event_name": "llm.request",
        "subject_type": "user",
        "subject_id": f"user-{number % 50}",
        "occurred_at": occurred_at.isoformat(),
        "labels": {"prompt_tokens": number % 4000, "generated_tokens": number % 700, "model": "large"},
    }


def copy_lines(numbers: range, project_ids: dict[str, int], tenant_id: int) -> str:
    lines = []
    for number in numbers:
        e = event(number)
        project_id = project_ids[e["project"]]
        payer = tenant_id if number % 2 else project_id
        digest = blake2b(e["id"].encode(), digest_size=32).hexdigest()
        lines.append(
            f"{project_id}\t{payer}\tcopy\t{e['id']}\t{e['event_name']}\tuser\t{e['subject_id']}\t"
            f"{json.dumps(e['labels'])}\t{e['occurred_at']}\tusage\t\\\\x{digest}\n"
        )
    return "".join(lines)


def bare_copy(url: str, text: str) -> float:
    """Seconds for one COPY of the rows into the ledger, in one transaction on one connection."""
    with psycopg.connect(url) as connection:
        began = time.perf_counter()
        with (
            connection.cursor() as cursor,
            cursor.copy(
                "COPY metering_usageevent (project_id, billing_scope_id, source, event_id, event_name,"
                " subject_type, subject_id, labels, occurred_at, kind, digest) FROM STDIN"
            ) as copy,
        ):
            copy.write(text)
        connection.commit()
        return time.perf_counter() - began


def request_bytes(path: str, body: bytes, key: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def client(port: int, requests: list[bytes], expected: bytes, ready, go, done) -> None:
    """Send the requests one after another on one connection; complain about any other status."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ready.release()
    go.wait()
    for request in requests:
        connection.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65_536)
        head, _, body = received.partition(b"\r\n\r\n")
        missing = int(_LENGTH.search(head)[1]) - len(body)
        while missing > 0:
            missing -= len(connection.recv(65_536))
        if not head.startswith(expected):
            raise SystemExit(f"unexpected answer: {received[:400]!r}")
    done.release()


def timed_requests(port: int, requests: list[bytes], expected: bytes) -> float:
    """Seconds until all requests are answered, spread over a few client processes."""
    ready, done = multiprocessing.Semaphore(0), multiprocessing.Semaphore(0)
    go = multiprocessing.Event()
    clients = [
        multiprocessing.Process(target=client, args=(port, requests[i::CLIENTS], expected, ready, go, done))
        for i in range(CLIENTS)
    ]
    for process in clients:
        process.start()
    for _ in clients:
        ready.acquire()
    began = time.perf_counter()
    go.set()
    for _ in clients:
        if not done.acquire(timeout=120):
            raise SystemExit("a client didn't finish")
    seconds = time.perf_counter() - began
    for process in clients:
        process.join()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--singles", type=int, default=2_000)
    options = parser.parse_args()
    with a_database() as url:
        key = furnish()
        from metering.models import Project
        from metering.rolling_up.rollups import roll_up

        ids = dict(Project.objects.values_list("key", "id"))
        with a_web_server() as port:
            rates: dict[str, list[float]] = {"copy": [], "batches": [], "singles": [], "empty": []}
            number = 0
            for round_number in range(options.rounds + 1):
                copied = copy_lines(range(number, number + options.rows), ids, ids["tenant"])
                batches = [
                    request_bytes(
                        "/api/v1/usage-events/",
                        json.dumps([event(n) for n in range(start, start + BATCH)]).encode(),
                        key,
                    )
                    for start in range(number, number + options.rows, BATCH)
                ]
                number += options.rows
                singles = [
                    request_bytes("/api/v1/usage-events/", json.dumps(event(n)).encode(), key)
                    for n in range(number, number + options.singles)
                ]
                number += options.singles
                empty = [request_bytes("/empty/", b"{}", key)] * options.singles
                measured = {
                    "copy": options.rows / bare_copy(url, copied),
                    "batches": options.rows / timed_requests(port, batches, b"HTTP/1.1 201"),
                    "singles": options.singles / timed_requests(port, singles, b"HTTP/1.1 201"),
                    "empty": options.singles / timed_requests(port, empty, b"HTTP/1.1 200"),
                }
                roll_up()
                if round_number:  # the first warms up
                    for name, rate in measured.items():
                        rates[name].append(rate)
        from metering.models import UsageEvent

        assert UsageEvent.objects.count() == number + options.rows * (options.rounds + 1)
    report(rates)


def report(rates: dict[str, list[float]]) -> None:
    def median_ratio(one: str, other: str) -> str:
        ratios = [a / b for a, b in zip(rates[one], rates[other], strict=True)]
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

    print(f"{'':38}{'median':>10}{'min':>10}{'max':>10}")
    for name, label in (
        ("copy", "bare COPY, one connection, rows/s"),
        ("batches", f"HTTP batches of {BATCH}, events/s"),
        ("empty", "empty DRF view, requests/s"),
        ("singles", "HTTP single events, requests/s"),
    ):
        values = rates[name]
        print(f"{label:38}{statistics.median(values):>10,.0f}{min(values):>10,.0f}{max(values):>10,.0f}")
    print(f"batches / COPY, round by round:   {median_ratio('batches', 'copy')}")
    print(f"singles / empty view, by round:   {median_ratio('singles', 'empty')}")


if __name__ == "__main__":
    main()
