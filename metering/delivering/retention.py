"""Removing domain events that nobody needs any more, with their deliveries."""

from django.conf import settings
from django.db import connection, transaction

CHUNK_EVENTS = 5_000

# Oldest first, by the index on created_at. What is still to be told, or failed and may be told again, is kept
# whatever its age.
_OLD_EVENTS = """
    SELECT e.id
      FROM metering_domainevent e
     WHERE e.created_at < clock_timestamp() - make_interval(days => %s)
       AND NOT EXISTS (
           SELECT FROM metering_webhookdelivery d
            WHERE d.event_id = e.id
              AND d.status <> 'delivered'
           )
     ORDER BY e.created_at
     LIMIT %s
       FOR UPDATE SKIP LOCKED
"""
_LOCK_DELIVERIES = """
    SELECT id, event_id, status
      FROM metering_webhookdelivery
     WHERE event_id = ANY (%s)
     ORDER BY id
       FOR UPDATE
"""
_REMOVE = (
    "DELETE FROM metering_webhookattempt WHERE delivery_id = ANY (%s)",
    "DELETE FROM metering_webhookdelivery WHERE id = ANY (%s)",
)


def remove_old_events() -> int:
    """Remove domain events older than `DOMAIN_EVENT_DAYS` that have reached everybody; how many.

    In chunks, each a transaction of its own: killed anywhere, it goes on from there.
    """
    removed_count = 0
    while chunk_count := _remove_chunk():
        removed_count += chunk_count
    return removed_count


def _remove_chunk() -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_OLD_EVENTS, [settings.DOMAIN_EVENT_DAYS, CHUNK_EVENTS])
        event_ids = {event_id for (event_id,) in cursor.fetchall()}
        cursor.execute(_LOCK_DELIVERIES, [list(event_ids)])
        deliveries = cursor.fetchall()
        # Somebody may have sent one again a moment ago.
        event_ids -= {event_id for _id, event_id, status in deliveries if status != "delivered"}
        delivery_ids = [delivery_id for delivery_id, event_id, _status in deliveries if event_id in event_ids]
        for statement in _REMOVE:
            cursor.execute(statement, [delivery_ids])
        cursor.execute("DELETE FROM metering_domainevent WHERE id = ANY (%s)", [list(event_ids)])
    return len(event_ids)
