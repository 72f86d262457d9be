"""Rolling up and rebuilding a million events against one bare GROUP BY over the same rows.

    python tests/benchmarks/rollups.py [--rounds 5] [--events 1000000] [--in-turns]

Each round measures every thing once, each beside a GROUP BY of its own, so that the machine's moods hit both.
"""

import argparse
import statistics
import time
from collections.abc import Callable

from house import a_database
from ledgers import fill_ledger, fill_pending, furnish_ten_projects

STREAMS, PER_BUCKET, BATCH = 500, 20, 1000
GROUP_BY = """
    SELECT count(*)
      FROM (
            SELECT project_id, billing_scope_id, subject_type, subject_id,
                   date_trunc('hour', occurred_at, 'UTC'), count(*), sum(quantity)
              FROM metering_usageevent
             GROUP BY 1, 2, 3, 4, 5
           ) buckets
"""


def seconds_of(job: Callable[[], object]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def measure(rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Per job and round: its seconds, and those of a GROUP BY, the mean of one before and one after."""
    from django.db import connection

    from metering.models import MetricDefinition
    from metering.rolling_up.rebuilding import rebuild_rollups
    from metering.rolling_up.rollups import roll_up

    def say(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    metric = MetricDefinition.objects.get()
    measured: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        say("TRUNCATE metering_usagemeterrollup, metering_pendingcontribution")
        pending_count = fill_pending(BATCH)
        jobs: dict[str, Callable[[], object]] = {
            f"roll up {pending_count:,} pending rows": roll_up,
            "rebuild intact rollups": lambda: rebuild_rollups(metric),
            "rebuild from nothing": lambda: rebuild_rollups(metric),
        }
        for name, job in jobs.items():
            if name.endswith("nothing"):
                say("TRUNCATE metering_usagemeterrollup")
            before = seconds_of(lambda: say(GROUP_BY))
            took = seconds_of(job)
            after = seconds_of(lambda: say(GROUP_BY))
            measured.setdefault(name, []).append((took, (before + after) / 2))
            print(f"{name:40}{took:8.2f} s, GROUP BY {before:5.2f} s and {after:5.2f} s", flush=True)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--in-turns", action="store_true", help="streams take turns within the hour")
    options = parser.parse_args()
    with a_database():
        furnish_ten_projects()
        in_bursts = not options.in_turns
        fill_ledger(0, options.events, streams=STREAMS, per_bucket=PER_BUCKET, in_bursts=in_bursts)
        measured = measure(options.rounds)
    print(f"\n{'median of rounds':40}{'seconds':>10}{'GROUP BY':>10}{'times':>10}")
    for name, pairs in measured.items():
        took, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
        times = statistics.median(one / other for one, other in pairs)
        print(f"{name:40}{took:>10.2f}{bare:>10.2f}{times:>10.1f}")


if __name__ == "__main__":
    main()
