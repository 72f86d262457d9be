"""Finding what the ledger learned about periods that were billed: late events, voids.

Marks; the next draft of the account rates what is marked anew. A period is claimed under a share of the
watch's lock, and the watch moves under that lock alone, so that none is claimed beside it unseen.
"""

from django.db import connection, transaction

from billing.models import BilledPeriod, LateUsageWatch

_SHARE = "SELECT position FROM billing_lateusagewatch WHERE id = 1 FOR SHARE"
_HOLD = "SELECT position FROM billing_lateusagewatch WHERE id = 1 FOR UPDATE"
_SEED = "INSERT INTO billing_lateusagewatch (id, position) VALUES (1, 0) ON CONFLICT DO NOTHING"
# Marks billed periods of which events between two positions speak. Readings that are compared with the one
# before, and levels that last, also change the periods after them.
# Reads: the ledger by its primary key; writes: billing_billedperiod; locks: those rows.
_MARK = """
    UPDATE billing_billedperiod marked
       SET learned_at_position = %(position)s
      FROM (
            SELECT DISTINCT b.id
              FROM metering_usageevent e
              JOIN billing_billingaccount a ON a.project_id = e.billing_scope_id
              JOIN billing_billedperiod b ON b.account_id = a.id
              JOIN billing_price p ON p.id = b.price_id
              JOIN metering_metricdefinition m ON m.id = p.metric_id AND m.event_name = e.event_name
             WHERE e.id > %(since)s
               AND e.id <= %(position)s
               AND e.occurred_at < %(until)s
               AND e.occurred_at < b.period_end
               AND (e.occurred_at >= b.period_start
                    OR NOT m.is_incremental
                    OR m.reporting_method = 'total'
                    OR m.aggregation = 'TIME_WEIGHTED_AVG')
           ) found
     WHERE marked.id = found.id
"""


def share_watch() -> int:
    """The position up to which billed periods were looked through; it doesn't move until the transaction
    ends."""
    return _locked(_SHARE)


def watch_late_usage(position: int) -> int:
    """Mark the billed periods of which the ledger says more since the last time, up to a final position.

    Returns how many. Reads what was recorded since; a position behind the last one changes nothing.
    """
    with transaction.atomic():
        # Held from the first: two that hold a share each and want all of it would wait for one another.
        since = _locked(_HOLD)
        if position <= since:
            return 0
        with connection.cursor() as cursor:
            last = BilledPeriod.objects.order_by("-period_end").values_list("period_end", flat=True).first()
            marked = 0
            if last is not None:
                cursor.execute(_MARK, {"since": since, "position": position, "until": last})
                marked = cursor.rowcount
        LateUsageWatch.objects.filter(pk=1).update(position=position)
    return marked


def _locked(statement: str) -> int:
    """The watch's position, locked as the statement says. Its row is made where a flush has taken it."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
        if row is None:
            cursor.execute(_SEED)
            cursor.execute(statement)
            row = cursor.fetchone()
    return int(row[0])
