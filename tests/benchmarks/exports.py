"""A large file in the background: how long it takes, and that memory stays flat.

    python tests/benchmarks/exports.py [--rows 1000000]

The events of a ledger, copied by the server; the same as the admin's list of events, newest first, through a
cursor of the server; and a journal of credit entries, posted row by row in Python.
"""

import argparse
import resource
import time
from typing import Any

from house import a_database
from ledgers import fill_ledger, furnish_ten_projects

FILL_CREDIT = """
    INSERT INTO billing_creditentry (grant_id, account_id, kind, amount, reason, entered_by, entered_at)
    SELECT %(grant)s, %(account)s, 'expired', -0.01, 'row ' || n, 'benchmark', now() + n * interval '1 second'
      FROM generate_series(1, %(rows)s) AS n
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with a_database():
        furnish_ten_projects()
        fill_ledger(0, options.rows, streams=50, per_bucket=20, in_bursts=True)
        fill_credit(options.rows // 2)  # two postings each
        for kind in ("usage_events", "journal"):
            measure(ask_for(kind), options.rows)
        measure(ask_for_list(), options.rows)


def fill_credit(rows: int) -> None:
    from decimal import Decimal

    from django.db import connection

    from billing.selling.accounts import open_account
    from billing.settling.credits import grant_credit
    from metering.clock import database_now
    from metering.models import Project

    account = open_account(
        Project.objects.get(key="project-1"), {"legal_name": "Acme", "currency": "EUR", "timezone": "UTC"}
    )
    grant = grant_credit(account, amount=Decimal(10**6), kind="paid", now=database_now()).grant
    with connection.cursor() as cursor:
        cursor.execute(FILL_CREDIT, {"grant": grant.pk, "account": account.pk, "rows": rows})
        cursor.execute("VACUUM (ANALYZE)")


def ask_for(kind: str) -> Any:
    from metering.exporting.export_kinds import kind_named
    from metering.exporting.exports import request_export
    from metering.principal import EVERYBODY_INSIDE

    return request_export(kind_named(kind), {}, principal=EVERYBODY_INSIDE, project_path=None)


def ask_for_list() -> Any:
    from django.contrib import admin
    from django.contrib.auth.models import User

    from metering.admin.list_exports import request_list
    from metering.models import UsageEvent

    person = User.objects.create_superuser("root")
    return request_list(admin.site._registry[UsageEvent], "", person)


def measure(export: Any, rows: int) -> None:
    from metering.exporting.exports import run_due_exports
    from metering.models import Export

    halfway: list[int] = []

    def watch(at: Export) -> None:
        if not halfway and at.row_count > rows // 10:
            halfway.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    began = time.perf_counter()
    run_due_exports(on_progress=watch)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    export.refresh_from_db()
    assert export.state == "finished", export.failure
    print(
        f"{export.kind:26}{export.row_count:12,} rows{export.byte_count / 1e6:8.1f} MB{seconds:8.1f} s"
        f"{export.row_count / seconds:12,.0f} rows/s; peak {peak / 1024:.0f} MB,"
        f" {(peak - halfway[0]) / 1024:.1f} MB more than after a tenth",
        flush=True,
    )


if __name__ == "__main__":
    main()
