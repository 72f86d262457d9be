"""Reading a month by day from a small and from a large ledger; or a year by the hour.

    python tests/benchmarks/reading.py [--small 100000] [--large 5000000] [--requests 60]
    python tests/benchmarks/reading.py --year [--requests 5]

One ledger grows from the small size to the large one, by more events of the same streams, days and projects.
Each request is timed beside one that asks for a metric without usage, so that a change of the machine's mood
between the two sizes shows. Requests go through the whole of the API, in one process, without a network.

The year is of ten streams with six events in each hour, 8,760 windows. Each request is timed beside the same
question as a bare GROUP BY over the ledger.
"""

import argparse
import statistics
import time

from house import a_database
from ledgers import fill_ledger, furnish_ten_projects

STREAMS, HOURS = 50, 24 * 31


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=5_000_000)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--year", action="store_true")
    options = parser.parse_args()
    if options.year:
        read_a_year(options.requests or 5)
    else:
        read_a_growing_ledger(options.small, options.large, options.requests or 60)


def read_a_growing_ledger(small_size: int, large_size: int, requests: int) -> None:
    with a_database():
        furnish_ten_projects()
        from metering.defining.definitions import define_metric
        from metering.keys import create_api_key
        from metering.models import MetricDefinition, Project, UsageEvent
        from metering.rolling_up.rebuilding import rebuild_rollups

        metric = MetricDefinition.objects.get()
        define_metric(key="unused", aggregation="SUM")
        _, key = create_api_key(
            project=Project.objects.get(key="tenant"), name="benchmark", permissions=["read"]
        )
        medians = {}
        first = 0
        for size in (small_size, large_size):
            per_bucket = max(1, (size - first) // (STREAMS * HOURS))
            fill_ledger(
                0, size - first, streams=STREAMS, per_bucket=per_bucket, in_bursts=True, prefix=f"{size}-"
            )
            first = size
            began = time.perf_counter()
            found = rebuild_rollups(metric)
            rebuilt = time.perf_counter() - began
            assert UsageEvent.objects.count() == size
            print(f"{size:,} events, {found.row_count:,} rollups (rebuilt in {rebuilt:.1f} s)", flush=True)
            medians[size] = measure(key, requests)
        for number, name in enumerate(("month by day", "the same by project", "one project", "no usage")):
            small, large = medians[small_size][number], medians[large_size][number]
            mood = medians[large_size][-1] / medians[small_size][-1]
            print(
                f"{name:22}{small * 1000:8.1f} ms at {small_size:,}{large * 1000:8.1f} ms at"
                f" {large_size:,}{large / small:8.2f} times,"
                f"{large / small / mood:6.2f} less the machine's mood"
            )


def measure(key: str, count: int) -> list[float]:
    """Median seconds of each question, asked in turn."""
    from django.db import connection
    from django.test import Client

    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) metering_usagemeterrollup")
    month = "from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z&window=day"
    questions = (
        f"metric=tokens&{month}",
        f"metric=tokens&{month}&group_by=project",
        f"metric=tokens&{month}&project=project-3",
        f"metric=unused&{month}",
    )
    client = Client(SERVER_NAME="127.0.0.1", headers={"authorization": f"Bearer {key}"})
    seconds: list[list[float]] = [[] for _ in questions]
    for _ in range(count):
        for number, query in enumerate(questions):
            began = time.perf_counter()
            response = client.get(f"/api/v1/usage/?{query}")
            seconds[number].append(time.perf_counter() - began)
            assert response.status_code == 200, response.content
    return [statistics.median(times) for times in seconds]


BY_HOUR = """
    SELECT date_trunc('hour', e.occurred_at, 'UTC'), count(*), sum(e.quantity)
      FROM metering_usageevent e
     WHERE e.event_name = 'tokens'
       AND e.kind = 'usage'
     GROUP BY 1
     ORDER BY 1
"""
STEPS_BY_HOUR = """
    SELECT date_trunc('hour', occurred_at, 'UTC'), count(*), sum(GREATEST(quantity - before, 0))
      FROM (
            SELECT e.occurred_at, e.quantity, lag(e.quantity) OVER stream AS before
              FROM metering_usageevent e
             WHERE e.event_name = 'tokens'
               AND e.kind = 'usage'
            WINDOW stream AS (
                   PARTITION BY e.project_id, e.billing_scope_id, e.subject_type, e.subject_id
                       ORDER BY e.occurred_at, e.id
                   )
           ) steps
     GROUP BY 1
     ORDER BY 1
"""
YEAR = "from=2026-03-01T00:00:00Z&to=2027-03-01T00:00:00Z&window=hour"


def read_a_year(count: int) -> None:
    """Print the median of each question, of the bare statement beside it, and of their ratios."""
    with a_database():
        furnish_ten_projects()
        from django.db import connection
        from django.test import Client

        from metering.answering.fences import raise_fence
        from metering.defining.definitions import define_metric
        from metering.keys import create_api_key
        from metering.models import MetricDefinition, Project
        from metering.rolling_up.rebuilding import rebuild_rollups

        define_metric(key="steps", event_name="tokens", aggregation="SUM", is_incremental=False)
        _, key = create_api_key(
            project=Project.objects.get(key="tenant"), name="benchmark", permissions=["read"]
        )
        fill_ledger(0, 10 * 8760 * 6, streams=10, per_bucket=6, in_bursts=True)
        for metric in MetricDefinition.objects.all():
            rebuild_rollups(metric)
        position = raise_fence().position
        cursor = connection.cursor()
        cursor.execute("VACUUM (ANALYZE)")
        client = Client(SERVER_NAME="127.0.0.1", headers={"authorization": f"Bearer {key}"})
        questions = {
            "from rollups": (f"metric=tokens&{YEAR}", BY_HOUR),
            "from rollups, in Kolkata": (f"metric=tokens&{YEAR}&timezone=Asia/Kolkata", BY_HOUR),
            "at a position": (f"metric=tokens&{YEAR}&as_of={position}", BY_HOUR),
            "steps, from rollups": (f"metric=steps&{YEAR}", STEPS_BY_HOUR),
            "steps, at a position": (f"metric=steps&{YEAR}&as_of={position}", STEPS_BY_HOUR),
        }
        for name, (query, statement) in questions.items():
            asked: list[float] = []
            bare: list[float] = []
            for _ in range(count):
                began = time.perf_counter()
                response = client.get(f"/api/v1/usage/?{query}")
                asked.append(time.perf_counter() - began)
                assert response.status_code == 200, response.content
                began = time.perf_counter()
                cursor.execute(statement)
                assert len(cursor.fetchall()) == 8760
                bare.append(time.perf_counter() - began)
            ratio = statistics.median(a / b for a, b in zip(asked, bare, strict=True))
            print(
                f"{name:26}{statistics.median(asked) * 1000:8.0f} ms"
                f"{statistics.median(bare) * 1000:8.0f} ms bare{ratio:8.2f} times",
                flush=True,
            )


if __name__ == "__main__":
    main()
