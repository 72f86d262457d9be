"""What quotas cost: a remembered decision, and recording under limits that are never passed.

    python tests/benchmarks/quotas.py [--rounds 5]

Every figure is a ratio to something measured beside it, in turn, so that the machine's moods hit both.
Writers are processes that record as the web does behind its parser; batches are made before the clock starts.
"""

import argparse
import contextlib
import datetime as dt
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from house import REPOSITORY, a_database

SCOPES = 200
BATCH = 1000  # over all scopes
HOT_BATCH = 50
DECISIONS = 3000

# For each line of batches: says that it is ready, records them once it is told to, says that it is done.
_WRITER = """
import json, sys
sys.path[:0] = [{repository!r}, {benchmarks!r}]
import django
django.setup()
from metering.ledger import record_events
for line in sys.stdin:
    batches = json.loads(line)
    print("ready", flush=True)
    sys.stdin.readline()
    for batch in batches:
        record_events(batch)
    print("done", flush=True)
"""


def use(project: str, metric: str, number: int, run: str) -> dict:
    return {
        "id": f"{run}-{metric}-{number}",
        "project": project,
        "event_name": metric,
        "quantity": "1",
        "subject_type": "user",
        "subject_id": f"user-{number % 50}",
        "occurred_at": (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)).isoformat(),
    }


def furnish() -> None:
    """Two metrics, of which the tenant's projects limit one; and a scope for many writers."""
    from metering.attributing.scope_tree import create_project
    from metering.defining.definitions import define_metric
    from quotas.enforcement import set_quota

    tenant = create_project(key="tenant", name="Tenant", kind="tenant")
    metrics = {key: define_metric(key=key, aggregation="SUM") for key in ("free", "exact", "rollups")}
    for number in range(SCOPES):
        project = create_project(key=f"scope-{number}", name=f"Scope {number}", parent=tenant)
        for counting in ("ledger", "rollups"):
            metric = metrics["exact" if counting == "ledger" else "rollups"]
            set_quota(project, metric=metric, limit=10**12, counting=counting)
    create_project(key="hot", name="Hot", parent=tenant)
    from metering.models import Project

    for counting, key in (("ledger", "exact"), ("rollups", "rollups")):
        hot = Project.objects.get(key="hot")
        set_quota(hot, metric=metrics[key], limit=10**12, counting=counting)


@contextlib.contextmanager
def a_redis() -> Iterator[str]:
    from config.embedded import prepare_var, valkey

    with tempfile.TemporaryDirectory(prefix="meterbook-benchmark-") as directory:
        var = Path(directory) / "var"
        prepare_var(var)
        server = valkey.start(var, tied=True, durable=False)
        try:
            yield server.url
        finally:
            server.stop()


def decisions_against_incr(redis_url: str) -> tuple[float, float]:
    """Seconds for each of a remembered decision on one event, and of a round trip of INCR."""
    import redis
    from django.utils import timezone

    from metering.admission import Request, admission_policy
    from metering.catalogue import current

    catalogue = current()
    project = catalogue.project("scope-0")
    meaning = catalogue.metric_for(project, "rollups")
    from decimal import Decimal

    policy, client = admission_policy(), redis.Redis.from_url(redis_url)
    request = Request(0, project.id, project.id, timezone.now(), [(meaning, Decimal(1))])

    def decide() -> None:
        assert policy.concerns([request], catalogue=catalogue)
        policy.hold([request], catalogue=catalogue)
        verdicts = policy.judge([request], catalogue=catalogue, now=request.occurred_at, may_backfill=False)
        assert not verdicts.refused

    def timed(what) -> float:
        what()
        began = time.perf_counter()
        for _ in range(DECISIONS):
            what()
        return (time.perf_counter() - began) / DECISIONS

    return timed(decide), timed(lambda: client.incr("quota"))


class Writers:
    """Processes that record, warm after the first time."""

    def __init__(self, count: int) -> None:
        program = _WRITER.format(repository=str(REPOSITORY), benchmarks=str(Path(__file__).parent))
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ,
            )
            for _ in range(count)
        ]

    def rate(self, batches: list[list[dict]]) -> float:
        """Events per second, the batches dealt out among the writers."""
        count = len(self._processes)
        for number, process in enumerate(self._processes):
            self._tell(process, json.dumps(batches[number::count]))
        self._hear("ready")
        began = time.perf_counter()
        for process in self._processes:
            self._tell(process, "go")
        self._hear("done")
        return sum(map(len, batches)) / (time.perf_counter() - began)

    def close(self) -> None:
        for process in self._processes:
            process.stdin.close()
            process.wait(20)

    @staticmethod
    def _tell(process: subprocess.Popen, line: str) -> None:
        process.stdin.write(line + "\n")
        process.stdin.flush()

    def _hear(self, word: str) -> None:
        for process in self._processes:
            if process.stdout.readline() != f"{word}\n":
                raise SystemExit("a writer failed")


def many_scopes(metric: str, run: str, *, count: int) -> list[list[dict]]:
    return [
        [use(f"scope-{number % SCOPES}", metric, number, run) for number in range(start, start + BATCH)]
        for start in range(0, count * BATCH, BATCH)
    ]


def few_scopes(metric: str, run: str, *, count: int) -> list[list[dict]]:
    """Each batch of one scope, which others take, too."""
    return [
        [use(f"scope-{batch % SCOPES}", metric, batch * 100 + number, run) for number in range(100)]
        for batch in range(count)
    ]


def hot_scope(metric: str, run: str, *, count: int) -> list[list[dict]]:
    return [
        [use("hot", metric, number, run) for number in range(start, start + HOT_BATCH)]
        for start in range(0, count * HOT_BATCH, HOT_BATCH)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--writers", type=int, default=2)
    options = parser.parse_args()
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    with a_database(), a_redis() as redis_url:
        from django.conf import settings

        settings.REDIS_URL = os.environ["REDIS_URL"] = redis_url
        furnish()
        from metering.rolling_up.rollups import roll_up

        writers = Writers(options.writers)
        for round_number in range(options.rounds + 1):
            decision, incr = decisions_against_incr(redis_url)
            for shape, make, count in (
                ("200 scopes in each batch of 1,000", many_scopes, 10),
                ("200 scopes in turn, batches of 100", few_scopes, 100),
                ("one hot scope, batches of 50", hot_scope, 100),
            ):
                rates = {
                    metric: writers.rate(make(metric, f"{round_number}-{shape}", count=count))
                    for metric in ("free", "exact", "rollups")
                }
                roll_up()
                if round_number:  # the first warms up
                    for metric, rate in rates.items():
                        note(f"{shape}: {metric}, events/s", rate)
                    for metric in ("exact", "rollups"):
                        note(f"{shape}: {metric} / free", rates[metric] / rates["free"])
            if round_number:
                note("remembered decision, microseconds", decision * 1e6)
                note("Redis INCR, microseconds", incr * 1e6)
                note("INCR / decision", incr / decision)
        writers.close()
    print(f"{'':60}{'median':>10}{'min':>10}{'max':>10}")
    for name, values in found.items():
        print(f"{name:60}{statistics.median(values):>10,.2f}{min(values):>10,.2f}{max(values):>10,.2f}")


if __name__ == "__main__":
    main()
