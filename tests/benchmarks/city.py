"""A large Meterbook for measuring pages: the demo, and around it a city of projects, events and documents.

Rows are copied by the database from those that verbs made for the demo, so that a copy is as real as its
original. Guards of the copied tables are lifted for it, and put back.
"""

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from django.core.management import call_command
from django.db import connection, transaction


@dataclass(frozen=True)
class Size:
    """How many rows of each kind."""

    projects: int = 5_000
    events: int = 5_000_000
    accounts: int = 4_000
    invoices: int = 20_000
    drafts: int = 300
    quotas: int = 3_000
    alerts: int = 2_000
    deliveries: int = 20_000

    def scaled(self, fraction: float) -> "Size":
        """The same, of everything a part; at least ten of each."""
        return Size(*(max(10, int(getattr(self, name) * fraction)) for name in self.__dataclass_fields__))


def build(size: Size) -> None:
    """Everything, in a migrated and empty database. Takes some minutes at full size."""
    call_command("load_demo", verbosity=0)
    call_command("simulate_usage", verbosity=0)
    call_command("load_demo_limits", verbosity=0)
    call_command("load_demo_bills", verbosity=0)
    with transaction.atomic(), _without_guards():
        _projects(size)
        _accounts(size)
        _documents(size)
    _limits(size)
    _announcements(size)
    _usage(size)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


@contextlib.contextmanager
def _without_guards() -> Iterator[None]:
    tables = ("billing_invoice", "billing_invoiceline", "billing_numberseries")
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT tgrelid::regclass::text, tgname, tgenabled = 'A' FROM pg_trigger
             WHERE tgrelid = ANY(%s::regclass[]) AND NOT tgisinternal
            """,
            [list(tables)],
        )
        guards = cursor.fetchall()
        for table, guard, _is_always in guards:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {guard}")
        yield
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table, guard, is_always in guards:
            cursor.execute(f"ALTER TABLE {table} ENABLE {'ALWAYS' if is_always else ''} TRIGGER {guard}")


def _copy(table: str, count: str, where: str, **columns: str) -> None:
    """For each row `n` of `count` (a FROM item) a copy of the row `where`, with columns as SQL of `n`."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT attname FROM pg_attribute
             WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'id'
               AND attgenerated = ''
            """,
            [table],
        )
        names = [f'"{name}"' for (name,) in cursor.fetchall()]
        values = [columns.get(name.strip('"'), f"original.{name}") for name in names]
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} "
            f"FROM {table} original, {count} WHERE {where}"
        )


def _projects(size: Size) -> None:
    """A tenant, a hundredth of the rest as organisations, projects below them; a fifth paid by others."""
    organisations = max(2, size.projects // 50)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO metering_project (key, name, kind, timezone, path, created_at)
            VALUES ('city', 'City', 'tenant', 'UTC', '', now()) RETURNING id
            """
        )
        (tenant,) = cursor.fetchone()
        cursor.execute("UPDATE metering_project SET path = '/' || id || '/' WHERE id = %s", [tenant])
        cursor.execute(
            """
            WITH drawn AS (
                SELECT nextval(pg_get_serial_sequence('metering_project', 'id')) AS id, n
                  FROM generate_series(1, %(organisations)s) n
            ), made AS (
                INSERT INTO metering_project (id, key, name, kind, parent_id, timezone, path, created_at)
                SELECT id, 'city-' || n, 'District ' || n, 'organisation', %(tenant)s, 'Europe/Berlin',
                       '/' || %(tenant)s || '/' || id || '/', now()
                  FROM drawn RETURNING id, path
            ), numbered AS (
                SELECT id, path, row_number() OVER (ORDER BY id) AS number FROM made
            ), below AS (
                SELECT nextval(pg_get_serial_sequence('metering_project', 'id')) AS id, n
                  FROM generate_series(1, %(projects)s) n
            )
            INSERT INTO metering_project (id, key, name, kind, parent_id, timezone, path, created_at)
            SELECT below.id, 'city-p' || n, 'House ' || n, 'project', numbered.id, 'Europe/Berlin',
                   numbered.path || below.id || '/', now()
              FROM below JOIN numbered ON number = 1 + n %% %(organisations)s
            """,
            {"organisations": organisations, "tenant": tenant, "projects": size.projects - organisations - 1},
        )
        cursor.execute(
            """
            INSERT INTO metering_attributionrule (project_id, billing_attribution_project_id)
            SELECT id, parent_id FROM metering_project WHERE key LIKE 'city-p%' AND id % 5 = 0
            """
        )


def _accounts(size: Size) -> None:
    """Accounts of those who pay for themselves, each on the plan of the demo's third customer."""
    payers = (
        "(SELECT id AS n, row_number() OVER (ORDER BY id) AS number FROM metering_project "
        f"WHERE key LIKE 'city-%' AND id % 5 <> 0 ORDER BY id LIMIT {size.accounts}) payers"
    )
    _copy(
        "billing_billingaccount",
        payers,
        "original.id = 3",
        project_id="n",
        legal_name="'House ' || n || ' GmbH'",
    )
    mine = "(SELECT id AS n FROM billing_billingaccount WHERE legal_name LIKE 'House %') accounts"
    _copy("billing_subscription", mine, "original.account_id = 3", account_id="n", replaces_id="NULL")
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO billing_subscriptionitem (during, account_id, metric_id, subscription_id)
            SELECT item.during, mine.account_id, item.metric_id, mine.id
              FROM billing_subscription mine
              JOIN billing_billingaccount account ON account.id = mine.account_id
              JOIN billing_subscription original
                ON original.account_id = 3 AND original.effective_from = mine.effective_from
              JOIN billing_subscriptionitem item ON item.subscription_id = original.id
             WHERE account.legal_name LIKE 'House %'
            """
        )
        cursor.execute(
            """
            INSERT INTO billing_billingcycle (subscription_id, after, anchor, anchor_on, timezone)
            SELECT mine.id, cycle.after, cycle.anchor, cycle.anchor_on, cycle.timezone
              FROM billing_subscription mine
              JOIN billing_billingaccount account ON account.id = mine.account_id
              JOIN billing_subscription original
                ON original.account_id = 3 AND original.effective_from = mine.effective_from
              JOIN billing_billingcycle cycle ON cycle.subscription_id = original.id
             WHERE account.legal_name LIKE 'House %'
            """
        )


def _documents(size: Size) -> None:
    """Issued invoices of the last two years, most of them paid; drafts; what waits besides."""
    accounts = """
        (SELECT array_agg(id ORDER BY id) AS ids FROM billing_billingaccount WHERE legal_name LIKE 'House %')
    """
    days_ago = f"(({size.invoices} - n) * 730.0 / {size.invoices})"
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM billing_invoice")
        (before,) = cursor.fetchone()
        _copy(
            "billing_invoice",
            f"generate_series(1, {size.invoices}) n, {accounts} accounts",
            "original.id = 1",
            account_id="accounts.ids[1 + n % cardinality(accounts.ids)]",
            sequence="original.sequence + 1 + n",
            number="'INV-' || lpad((original.sequence + 1 + n)::text, 6, '0')",
            issued_at=f"now() - {days_ago} * interval '1 day'",
            issued_on=f"(now() - {days_ago} * interval '1 day')::date",
            due_on=f"(now() - ({days_ago} - 14) * interval '1 day')::date",
        )
        cursor.execute(
            "UPDATE billing_numberseries SET last_number = (SELECT max(sequence) FROM billing_invoice)"
        )
        _copy(
            "billing_invoice",
            f"{accounts} accounts, generate_series(1, least({size.drafts}, cardinality(accounts.ids))) n",
            "original.id = 4",
            account_id="accounts.ids[n]",
        )
        cursor.execute(
            """
            SELECT string_agg('"' || attname || '"', ', ') FROM pg_attribute
             WHERE attrelid = 'billing_invoiceline'::regclass AND attnum > 0 AND NOT attisdropped
               AND attname NOT IN ('id', 'invoice_id')
            """
        )
        (columns,) = cursor.fetchone()
        cursor.execute(
            f"""
            INSERT INTO billing_invoiceline (invoice_id, {columns})
            SELECT copy.id, {", ".join(f"line.{each.strip()}" for each in columns.split(","))}
              FROM billing_invoice copy
              JOIN billing_invoiceline line
                ON line.invoice_id = CASE WHEN copy.issued_at IS NULL THEN 4 ELSE 1 END
             WHERE copy.id > %s
            """,
            [before],
        )
        cursor.execute(
            """
            INSERT INTO billing_payment (method, amount, received_on, reference, key, reason, recorded_by,
                                         recorded_at, invoice_id)
            SELECT 'bank_transfer', amount_due, issued_on + 10, 'Transfer ' || number, '', '', 'bank', now(),
                   id
              FROM billing_invoice
             WHERE id > %(before)s AND issued_at IS NOT NULL AND id %% 10 <> 0
            """,
            {"before": before},
        )
        cursor.execute(
            """
            INSERT INTO billing_invoicedispatch (invoice_id, state, attempt_count, last_error, posted_at)
            SELECT id, 'posted', 1, '', issued_at FROM billing_invoice WHERE id > %s AND issued_at IS NOT NULL
            """,
            [before],
        )


def _limits(size: Size) -> None:
    """Quotas and thresholds of the city's projects; crossings with alerts, a fiftieth of them open."""
    from metering.clock import database_now
    from metering.models import MetricDefinition, Project
    from quotas.models import Alert, ProjectQuota, QuotaDecision, ThresholdCrossing, UsageThreshold

    now = database_now()
    metric = MetricDefinition.objects.order_by("id")[0]
    projects = list(Project.objects.filter(key__startswith="city-p").order_by("id")[: size.quotas])
    ProjectQuota.objects.bulk_create(
        [ProjectQuota(project=each, metric=metric, limit=Decimal(1_000_000)) for each in projects]
    )
    thresholds = UsageThreshold.objects.bulk_create(
        [
            UsageThreshold(
                project=each,
                metric=metric,
                subject_id="*",
                amount=Decimal(500_000),
                level=Decimal(500_000),
                action="alert",
                period="month",
                notify_emails=[],
            )
            for each in projects
        ]
    )
    crossings = ThresholdCrossing.objects.bulk_create(
        [
            ThresholdCrossing(
                threshold=threshold,
                version=threshold.version,
                kind="exceeded",
                period_start=now.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
                value=Decimal(600_000),
                level=Decimal(500_000),
                subject_id="*",
            )
            for threshold in thresholds[: size.alerts]
        ]
    )
    Alert.objects.bulk_create(
        [
            Alert(
                crossing=crossing,
                posted_at=now,
                acknowledged_at=None if number % 50 == 0 else now,
                acknowledged_by="" if number % 50 == 0 else "operator",
            )
            for number, crossing in enumerate(crossings)
        ]
    )
    quotas = list(ProjectQuota.objects.order_by("id")[: size.quotas])
    QuotaDecision.objects.bulk_create(
        [
            QuotaDecision(
                reference=f"city-{number}",
                outcome="denied",
                quota=quota,
                project_id=quota.project_id,
                project_key="city",
                user_project_id=quota.project_id,
                user_project_key="city",
                metric=metric,
                metric_key=metric.key,
                mode="hard",
                period="month",
                requested=Decimal(1),
                first_at=now,
                last_at=now - dt.timedelta(minutes=number),
            )
            for number, quota in enumerate(quotas)
        ]
    )


def _announcements(size: Size) -> None:
    """Domain events with deliveries and mails, a hundredth of them failed."""
    from metering.clock import database_now
    from metering.models import DomainEvent, OutgoingMail, Project, WebhookDelivery, WebhookEndpoint

    now = database_now()
    projects = list(Project.objects.filter(key__startswith="city-").order_by("id")[:100])
    endpoints = WebhookEndpoint.objects.bulk_create(
        [
            WebhookEndpoint(project=each, url="https://example.com/hook", kinds=["quota.exceeded"])
            for each in projects
        ]
    )
    events = DomainEvent.objects.bulk_create(
        [
            DomainEvent(
                public_id=f"evt_city_{number}",
                kind="quota.exceeded",
                project=projects[number % len(projects)],
                project_key=projects[number % len(projects)].key,
                data={},
                occurred_at=now,
            )
            for number in range(size.deliveries)
        ]
    )
    WebhookDelivery.objects.bulk_create(
        [
            WebhookDelivery(
                event=event,
                endpoint=endpoints[number % len(endpoints)],
                data={},
                status="failed" if number % 100 == 0 else "delivered",
                attempt_count=1,
                delivered_at=None if number % 100 == 0 else now,
            )
            for number, event in enumerate(events)
        ]
    )
    OutgoingMail.objects.bulk_create(
        [
            OutgoingMail(
                key=f"city-{number}",
                recipients=["finance@example.com"],
                subject="Invoice",
                text="An invoice.",
                message_id=f"<{number}@example.com>",
                status="failed" if number % 100 == 0 else "sent",
                sent_at=now,
            )
            for number in range(size.deliveries // 2)
        ]
    )


def _usage(size: Size) -> None:
    """A thousand events of each project, in twelve hours of three days of this month and the last."""
    from metering.clock import database_now
    from metering.defining.definitions import define_metric
    from metering.rolling_up.rebuilding import rebuild_rollups

    metric = define_metric(
        key="city_tokens", display_name="City tokens", event_name="city.request", aggregation="SUM"
    )
    now = database_now().replace(minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO metering_usageevent
                   (project_id, billing_scope_id, source, event_id, event_name, subject_type, subject_id,
                    quantity, labels, occurred_at, kind, digest)
            SELECT project, payer, 'city', n::text, 'city.request', 'user', 'user-1', n %% 1000, '{}',
                   %(now)s
                   - (CASE n / %(count)s %% 3 WHEN 0 THEN 33 WHEN 1 THEN 9 ELSE 2 END) * interval '1 day'
                   - (n / %(count)s / 3 %% 4) * interval '1 hour' - (n %% 3600) * interval '1 second',
                   'usage', '\\x00'
              FROM (
                    SELECT n, ids[1 + n %% cardinality(ids)] AS project,
                           payers[1 + n %% cardinality(ids)] AS payer
                      FROM generate_series(0, %(events)s - 1) n,
                           (SELECT array_agg(project.id ORDER BY project.id) AS ids,
                                   array_agg(coalesce(rule.billing_attribution_project_id, project.id)
                                             ORDER BY project.id) AS payers
                              FROM metering_project project
                              LEFT JOIN metering_attributionrule rule ON rule.project_id = project.id
                             WHERE project.key LIKE 'city-p%%') projects
                   ) numbered
             ORDER BY n
            """,
            {"now": now, "count": size.projects, "events": size.events},
        )
    rebuild_rollups(metric, requested_by="city")
