"""Reading a month by day from a small and from a large ledger.

    python tests/benchmarks/reading.py [--small 100000] [--large 5000000] [--requests 60]

One ledger grows from the small size to the large one, by more events of the same streams, days and projects.
Each request is timed beside one that asks for a metric without usage, so that a change of the machine's mood
between the two sizes shows. Requests go through the whole of the API, in one process, without a network.
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
    parser.add_argument("--requests", type=int, default=60)
    options = parser.parse_args()
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
        for size in (options.small, options.large):
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
            medians[size] = measure(key, options.requests)
        for number, name in enumerate(("month by day", "the same by project", "one project", "no usage")):
            small, large = medians[options.small][number], medians[options.large][number]
            mood = medians[options.large][-1] / medians[options.small][-1]
            print(
                f"{name:22}{small * 1000:8.1f} ms at {options.small:,}{large * 1000:8.1f} ms at"
                f" {options.large:,}{large / small:8.2f} times,"
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


if __name__ == "__main__":
    main()
