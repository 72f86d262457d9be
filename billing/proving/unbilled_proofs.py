"""Usage that will be on no invoice, as warnings: it breaks no promise, and somebody has to know."""

import datetime as dt
from typing import Any

from billing.models import BillingAccount
from billing.selling.unbilled import Unbilled, unbilled_usage_of
from metering.clock import database_now
from metering.verifying.verification_findings import Breach, Outcome, counted
from metering.verifying.verification_rollups import one_snapshot

from .proof_findings import outcome, rows_of

MONTHS = 2  # that are looked at, the last ones that are over

# Payers without an account, of metrics that something published charges for. By month, UTC.
# Reads: rollup totals and what waits to be merged into them.
_WITHOUT_ACCOUNT = """
    SELECT used.billing_scope_id, p.key AS project, m.key AS metric, sum(used.record_count) AS record_count
      FROM (
            SELECT billing_scope_id, metric_id, record_count
              FROM metering_usagemeterrollup
             WHERE granularity = 'month'
               AND stream = '00000000-0000-0000-0000-000000000000'
               AND bucket_start >= %(since)s
               AND bucket_start < %(until)s
            UNION ALL
            SELECT billing_scope_id, metric_id, record_count
              FROM metering_pendingcontribution
             WHERE hour_start >= %(since)s
               AND hour_start < %(until)s
               AND NOT is_mark
           ) used
      JOIN metering_project p ON p.id = used.billing_scope_id
      JOIN metering_metricdefinition m ON m.id = used.metric_id
     WHERE NOT EXISTS (SELECT FROM billing_billingaccount a WHERE a.project_id = used.billing_scope_id)
       AND EXISTS (
               SELECT
                 FROM billing_price r
                 JOIN billing_plan l ON l.id = r.plan_id AND l.state <> 'draft'
                WHERE r.metric_id = used.metric_id
           )
     GROUP BY used.billing_scope_id, p.key, m.key
    HAVING sum(used.record_count) > 0
     ORDER BY p.key, m.key
     LIMIT %(limit)s
"""


def unbilled_outcome(first: int, last: int, *, limit: int) -> Outcome:
    """Of the accounts whose ids are from `first` to `last`; payers without one come with the first range."""
    now = database_now()
    since, until = closed_months(now)
    warnings: list[Breach] = []
    with one_snapshot():
        accounts = list(
            BillingAccount.objects.filter(pk__range=(first, last)).select_related("project").order_by("id")
        )
        if first == 1:
            rows = rows_of(_WITHOUT_ACCOUNT, since=since, until=until, limit=limit)
            warnings += [_without_account(row) for row in rows]
        for account in accounts:
            if len(warnings) >= limit:
                break
            found = unbilled_usage_of(account, since=since, until=until)
            warnings += [_unbilled(account, one) for one in found]
    checked = f"{counted(len(accounts), 'account')} from {since:%Y-%m-%d} to {until:%Y-%m-%d}"
    return outcome(checked, [], limit=limit, warnings=warnings)


def closed_months(now: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """The last months that are over, UTC."""
    until = now.astimezone(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    count = until.year * 12 + until.month - 1 - MONTHS
    return until.replace(year=count // 12, month=count % 12 + 1), until


def _without_account(row: dict[str, Any]) -> Breach:
    events = counted(int(row["record_count"]), "event")
    return Breach(
        "payer_without_account",
        f"Project {row['project']} pays for {events} of {row['metric']} and has no billing account.",
    )


def _unbilled(account: BillingAccount, one: Unbilled) -> Breach:
    why = "no subscription takes" if one.plan_key is None else f"no price of plan {one.plan_key} matches"
    value = "" if one.value is None else f", {one.value:f} {one.unit}".rstrip()
    return Breach(
        "usage_unbilled",
        f"Account {account.legal_name} ({account.project.key}): {why}"
        f" {counted(one.record_count, 'event')} of {one.metric_key}{value},"
        f" from {one.start:%Y-%m-%d %H:%M} to {one.end:%Y-%m-%d %H:%M} UTC.",
    )
