"""Announcing: a domain event and its deliveries, in the transaction in which it happened.

Writes: DomainEvent, WebhookDelivery. Locks: the rows of subscribing endpoints, against being removed, by
SKIP LOCKED. Whoever announces waits for nobody, and no subscriber can make it fail.
"""

import datetime as dt
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import connection, transaction

from metering.models import Project, WebhookDelivery, WebhookEndpoint

_SUBSCRIBERS = """
    SELECT e.id, p.path
      FROM metering_webhookendpoint e
      JOIN metering_project p ON p.id = e.project_id
     WHERE e.is_enabled
       AND (e.kinds = '{}' OR %(kind)s = ANY (e.kinds))
       AND (%(path)s::text IS NULL OR starts_with(%(path)s, p.path))
     ORDER BY e.id
       FOR KEY SHARE OF e SKIP LOCKED
"""
_INSERT_EVENT = """
    INSERT INTO metering_domainevent (public_id, kind, project_id, project_key, data, occurred_at)
    VALUES (%s, %s, %s, %s, %s, coalesce(%s, clock_timestamp()))
    RETURNING id
"""
_INSERT_DELIVERIES = """
    INSERT INTO metering_webhookdelivery (event_id, endpoint_id, data)
    SELECT %s, endpoint_id, part
      FROM unnest(%s::bigint[], %s::jsonb[]) AS told (endpoint_id, part)
    RETURNING id
"""
_INSERT_EVENTS = """
    INSERT INTO metering_domainevent (public_id, kind, project_id, project_key, data, occurred_at)
    SELECT public_id, %s, %s, %s, data, clock_timestamp()
      FROM unnest(%s::text[], %s::jsonb[]) WITH ORDINALITY AS told (public_id, data, place)
     ORDER BY place
    RETURNING id, public_id
"""
_INSERT_DELIVERIES_OF_MANY = """
    INSERT INTO metering_webhookdelivery (event_id, endpoint_id)
    SELECT event_id, endpoint_id
      FROM unnest(%s::bigint[]) AS e (event_id)
     CROSS JOIN unnest(%s::bigint[]) AS p (endpoint_id)
     ORDER BY event_id, endpoint_id
"""

# From the path of an endpoint's project to what it may see of an event; None: nothing.
PartFor = Callable[[str], Mapping[str, Any] | None]


def announce(
    kind: str,
    *,
    project_id: int | None,
    data: Mapping[str, Any],
    occurred_at: dt.datetime | None = None,
    part_for: PartFor | None = None,
) -> int:
    """Say that something happened, to whoever subscribes; returns the id of the `DomainEvent`.

    Committed with the surrounding transaction. Subscribers are the enabled endpoints that take the kind and
    whose project is `project_id` or above it; without a project it concerns everybody, and every endpoint
    that takes the kind gets it. Where an event tells of several tenants, `part_for` is asked, with the path
    of each endpoint's project, for the data that it may see.
    `data` must be what JSON can hold: decimals as texts, instants as RFC 3339.
    """
    with transaction.atomic():
        return announce_on_page(
            kind, project_id=project_id, data=data, occurred_at=occurred_at, part_for=part_for
        )


def announce_on_page(
    kind: str,
    *,
    project_id: int | None,
    data: Mapping[str, Any],
    occurred_at: dt.datetime | None = None,
    part_for: PartFor | None = None,
) -> int:
    """`announce` for whoever has begun a transaction that Django doesn't know of, as recorders do."""
    key, path = ("", None) if project_id is None else _key_and_path(project_id)
    with connection.cursor() as cursor:
        cursor.execute(_SUBSCRIBERS, {"kind": kind, "path": path})
        subscribers = cursor.fetchall()
        event_id = _write_event(kind, project_id, key, data, occurred_at)
        endpoint_ids, parts = [], []
        for endpoint_id, endpoint_path in subscribers:
            part = part_for(endpoint_path) if part_for else None
            if part_for is None or part is not None:
                endpoint_ids.append(endpoint_id)
                parts.append(None if part is None else json.dumps(part))
        if endpoint_ids:
            cursor.execute(_INSERT_DELIVERIES, [event_id, endpoint_ids, parts])
    return event_id


def announce_many(kind: str, *, project_id: int, data: Sequence[Mapping[str, Any]]) -> list[int]:
    """Say that one kind of thing happened many times, in three statements; returns the events' ids in order.

    Otherwise as `announce`.
    """
    if not data:
        return []
    key, path = _key_and_path(project_id)
    public_ids = [f"evt_{uuid.uuid4().hex}" for _ in data]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_SUBSCRIBERS, {"kind": kind, "path": path})
        endpoint_ids = [endpoint_id for endpoint_id, _ in cursor.fetchall()]
        cursor.execute(_INSERT_EVENTS, [kind, project_id, key, public_ids, [json.dumps(one) for one in data]])
        ids = {public_id: event_id for event_id, public_id in cursor.fetchall()}
        event_ids = [ids[public_id] for public_id in public_ids]
        if endpoint_ids:
            cursor.execute(_INSERT_DELIVERIES_OF_MANY, [event_ids, endpoint_ids])
    return event_ids


def announce_to(endpoint: WebhookEndpoint, kind: str, *, data: Mapping[str, Any]) -> WebhookDelivery:
    """Say something to one endpoint alone, whatever it subscribes to. Returns the delivery that waits."""
    key, _path = _key_and_path(endpoint.project_id)
    with transaction.atomic(), connection.cursor() as cursor:
        event_id = _write_event(kind, endpoint.project_id, key, data, None)
        cursor.execute(_INSERT_DELIVERIES, [event_id, [endpoint.pk], [None]])
        (delivery_id,) = cursor.fetchone()
    return WebhookDelivery.objects.select_related("event", "endpoint__project").get(pk=delivery_id)


def _write_event(
    kind: str,
    project_id: int | None,
    project_key: str,
    data: Mapping[str, Any],
    occurred_at: dt.datetime | None,
) -> int:
    public_id = f"evt_{uuid.uuid4().hex}"
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT_EVENT, [public_id, kind, project_id, project_key, json.dumps(data), occurred_at]
        )
        (event_id,) = cursor.fetchone()
    return int(event_id)


def _key_and_path(project_id: int) -> tuple[str, str]:
    return Project.objects.values_list("key", "path").get(pk=project_id)
