"""A billing run against one bare GROUP BY of the usage that it bills.

    python tests/benchmarks/billing_runs.py [--accounts 2000] [--events 500000] [--rounds 3] [--profile]

Every account is on a plan with a fee and three prices of usage. Each round drafts everything anew, beside the
GROUP BY of the same events by payer and metric. Prints accounts a second, statements for each account, the
share of time that the database took, and the peak of the process's memory.
"""

import argparse
import cProfile
import pstats
import resource
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass

from house import a_database

METRICS = ("tokens", "calls", "bytes")
FILL = """
    INSERT INTO metering_usageevent
           (project_id, billing_scope_id, source, event_id, event_name, subject_type, subject_id, quantity,
            labels, occurred_at, kind, digest)
    SELECT payers.ids[1 + n %% cardinality(payers.ids)], payers.ids[1 + n %% cardinality(payers.ids)],
           'bench', n::text, (%(metrics)s::text[])[1 + n %% 3], 'user', 'user-' || n %% 50, n %% 1000, '{}',
           %(month)s::timestamptz + n * (interval '31 days' / %(events)s), 'usage', '\\x00'
      FROM generate_series(0, %(events)s::int - 1) AS n,
           (SELECT array_agg(id ORDER BY id) AS ids FROM metering_project WHERE kind = 'project') payers
"""
GROUP_BY = """
    SELECT billing_scope_id, event_name, count(*), sum(quantity)
      FROM metering_usageevent
     WHERE occurred_at >= %(month)s AND occurred_at < %(month)s::timestamptz + interval '1 month'
     GROUP BY 1, 2
"""
# Guards refuse TRUNCATE; drafts may be deleted, for they were never issued.
FORGET = ("billing_invoiceline", "billing_billedperiod", "billing_invoice", "billing_billingrun")


@dataclass
class Statements:
    count: int = 0
    seconds: float = 0.0

    def __call__(self, execute, sql, params, many, context):
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.count += 1
            self.seconds += time.perf_counter() - began


def furnish(account_count: int, event_count: int) -> None:
    """Accounts with projects of their own on one plan, as the verbs leave them, and a month of usage."""
    import datetime as dt

    from django.db import connection

    from billing.models import BillingAccount, BillingCycle, Subscription, SubscriptionItem
    from billing.rating import price_from
    from billing.selling.plans import define_plan, publish_plan
    from billing.selling.price_lists import PriceDraft
    from metering import catalogue
    from metering.attributing.scope_tree import create_project
    from metering.defining.definitions import define_metric
    from metering.models import Project

    metrics = [define_metric(key=key, aggregation="SUM") for key in METRICS]
    graduated = {
        "model": "graduated",
        "tiers": [{"up_to": "100", "unit_amount": "0.01"}, {"up_to": None, "unit_amount": "0.005"}],
    }
    per_unit = {"model": "per_unit", "unit_amount": "0.003"}
    prices = [
        PriceDraft(price=price_from({"model": "flat", "amount": "30"}), kind="fixed", name="Fee"),
        *(
            PriceDraft(price=price_from(price), metric=metric)
            for metric, price in zip(metrics, (graduated, per_unit, per_unit), strict=True)
        ),
    ]
    plan = publish_plan(define_plan(key="plan", name="Plan", currency="EUR", prices=prices))
    tenant = create_project(key="tenant", name="Tenant", kind="tenant")
    month = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    projects = Project.objects.bulk_create(
        Project(key=f"project-{number}", name=f"P {number}", parent=tenant) for number in range(account_count)
    )
    accounts = BillingAccount.objects.bulk_create(
        BillingAccount(
            project=project,
            legal_name=project.name,
            currency="EUR",
            tax_rates=[{"name": "VAT", "percent": "19"}],
        )
        for project in projects
    )
    subscriptions = Subscription.objects.bulk_create(
        Subscription(account=account, plan=plan, currency="EUR", effective_from=month) for account in accounts
    )
    BillingCycle.objects.bulk_create(
        BillingCycle(subscription=one, anchor="calendar", anchor_on=dt.date(1970, 1, 1), timezone="UTC")
        for one in subscriptions
    )
    SubscriptionItem.objects.bulk_create(
        SubscriptionItem(subscription=one, account=one.account, metric=metric, during=(month, None))
        for one in subscriptions
        for metric in metrics
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE metering_project SET path = %s || id || '/' WHERE parent_id = %s",
            [tenant.path, tenant.pk],
        )
    catalogue.forget()
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"metrics": list(METRICS), "events": event_count, "month": month})
        cursor.execute("VACUUM (ANALYZE)")


@contextmanager
def counted():
    from django.db import connection

    statements = Statements()
    with connection.execute_wrapper(statements):
        yield statements


def seconds_of_group_by() -> float:
    from django.db import connection

    began = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(GROUP_BY, {"month": "2026-03-01T00:00:00Z"})
        cursor.fetchall()
    return time.perf_counter() - began


def measure(rounds: int, *, profiles: bool) -> None:
    import datetime as dt

    from django.db import connection

    from billing.invoicing.runs import run_billing

    april = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
    ratios, rates = [], []
    for number in range(rounds):
        with connection.cursor() as cursor:
            for table in FORGET:
                cursor.execute(f"DELETE FROM {table}")
            # A run passes over accounts of which it knows that nothing is due.
            cursor.execute("UPDATE billing_billingaccount SET next_due_at = NULL")
            cursor.execute("VACUUM (ANALYZE)")
        before = seconds_of_group_by()
        profile = cProfile.Profile() if profiles and number == rounds - 1 else None
        with counted() as statements:
            began, busy = time.perf_counter(), time.process_time()
            if profile is not None:
                profile.enable()
            run = run_billing(as_of=april, now=april)
            if profile is not None:
                profile.disable()
            took, busy = time.perf_counter() - began, time.process_time() - busy
        bare = (before + seconds_of_group_by()) / 2
        assert run.drafted_count == run.account_count, run.parked_count
        rates.append(run.account_count / took)
        ratios.append(took / bare)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{run.account_count:,} accounts in {took:7.1f} s: {rates[-1]:6.0f} a second,"
            f" {statements.count / run.account_count:5.1f} statements each,"
            f" {busy / run.account_count * 1000:5.1f} ms of this process each,"
            f" {statements.seconds / took:5.0%} of the time in the database, GROUP BY {bare:5.2f} s,"
            f" {ratios[-1]:6.1f} times; peak {peak:5.0f} MB",
            flush=True,
        )
        if profile is not None:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(70)
    print(
        f"median {statistics.median(rates):.0f} accounts a second, {statistics.median(ratios):.1f} GROUP BYs"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=2_000)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="profile the last round")
    options = parser.parse_args()
    with a_database():
        furnish(options.accounts, options.events)
        measure(options.rounds, profiles=options.profile)


if __name__ == "__main__":
    main()
