"""Delivering events to webhook endpoints. The database is the queue, and any number of senders may run.

A delivery is leased (its next attempt is put off, and the attempt noted), posted outside of any transaction,
and marked. Who is killed in between leaves a lease that runs out, and the delivery comes again: each arrives
at least once, always under the same id, and is marked as delivered once.

Order of locks when marking: the recording lock, the endpoint, the delivery.
"""

import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from metering.announcing.kinds import ENDPOINT_TESTED
from metering.clock import database_now
from metering.defining.ready_made import record_event_delivery
from metering.locks import hold_recording
from metering.models import (
    DomainEvent,
    Heartbeat,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookSecret,
)
from metering.texts.timestamps import iso

from .endpoints import switch_off
from .patience import MAX_ATTEMPTS, rest_after, wait_after
from .posting import Answer, post
from .signing import signed_headers

HEARTBEAT = "deliver_webhooks"
LEASE_SECONDS = 120  # well above what one post may take
THREADS = 8
TURN_DELIVERIES = 25  # to one endpoint, before others have theirs
TURN_SECONDS = 10.0
MIN_FAILURES_TO_SWITCH_OFF = 10

Status = WebhookDelivery.Status

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Leased:
    """One delivery that is ours until its lease ends, with all that its sender needs."""

    delivery_id: int
    endpoint_id: int
    number: int  # of this attempt
    url: str
    event: DomainEvent
    body: bytes
    secrets: tuple[WebhookSecret, ...]


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What a run did."""

    delivered_count: int
    failed_count: int  # attempts that failed
    seconds: float


def deliver_due(
    *, patience_seconds: float = 50.0, on_progress: Callable[[int], None] | None = None
) -> Deliveries:
    """Deliver what is due, for a while; several endpoints at once, each by one thread of ours at a time.

    One that hangs costs its own thread alone, and then rests. Endpoints take turns, whatever waits for each.
    """
    started = time.monotonic()
    turns: Counter[int] = Counter()
    results: Counter[bool] = Counter()
    at_work: dict[Future[Counter[bool]], int] = {}
    with ThreadPoolExecutor(THREADS, thread_name_prefix="webhook") as pool:
        while True:
            if time.monotonic() - started < patience_seconds:
                waiting = endpoints_with_due(besides=at_work.values())
                waiting.sort(key=lambda endpoint_id: turns[endpoint_id])
                for endpoint_id in waiting[: THREADS - len(at_work)]:
                    turns[endpoint_id] += 1
                    at_work[pool.submit(_turn_of_a_thread, endpoint_id)] = endpoint_id
            if not at_work:
                break
            for future in wait(at_work, timeout=1.0, return_when=FIRST_COMPLETED).done:
                del at_work[future]
                results += future.result()
                if on_progress:
                    on_progress(results.total())
    done = Deliveries(results[True], results[False], time.monotonic() - started)
    Heartbeat.objects.update_or_create(
        job=HEARTBEAT,
        defaults={
            "finished_at": database_now(),
            "facts": {"delivered": done.delivered_count, "failed": done.failed_count},
        },
    )
    return done


def endpoints_with_due(*, besides: Iterable[int] = ()) -> list[int]:
    """Endpoints that something is due for, the longest waiting first. Index: webhook_delivery_due."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT e.id
              FROM metering_webhookendpoint e
             CROSS JOIN LATERAL (
                   SELECT d.next_attempt_at
                     FROM metering_webhookdelivery d
                    WHERE d.endpoint_id = e.id
                      AND d.status = 'pending'
                      AND d.next_attempt_at <= clock_timestamp()
                    ORDER BY d.next_attempt_at
                    LIMIT 1
                   ) first
             WHERE e.is_enabled
               AND (e.rests_until IS NULL OR e.rests_until <= clock_timestamp())
               AND e.id <> ALL (%s)
             ORDER BY first.next_attempt_at, e.id
            """,
            [list(besides)],
        )
        return [endpoint_id for (endpoint_id,) in cursor.fetchall()]


def _turn_of_a_thread(endpoint_id: int) -> Counter[bool]:
    try:
        return take_turn(endpoint_id)
    finally:
        connection.close()  # it belongs to this thread, which may have nothing more to do


def take_turn(endpoint_id: int) -> Counter[bool]:
    """Deliver to one endpoint until nothing is due, it doesn't answer, or others should have their turn.

    How many attempts succeeded (True) and failed (False). A failing database ends the turn: leases run out.
    """
    results: Counter[bool] = Counter()
    started = time.monotonic()
    while results.total() < TURN_DELIVERIES and time.monotonic() - started < TURN_SECONDS:
        try:
            leased = lease_next(endpoint_id)
            if leased is None:
                break
            answer = attempt(leased)
            mark(leased, answer)
        except DatabaseError:
            logger.exception("A delivery to webhook endpoint %d can't be leased or marked", endpoint_id)
            break
        results[answer.is_success] += 1
    return results


def lease_next(endpoint_id: int) -> Leased | None:
    """Take the endpoint's next due delivery for `LEASE_SECONDS` and note the attempt; None: nothing is due.

    Those that so many senders died of are given up.
    """
    while (due := _next_due(endpoint_id)) is not None:
        if not isinstance(due, int):
            return due
    return None


def _next_due(endpoint_id: int) -> Leased | int | None:
    """The next delivery, leased; the id of one that was given up; None where nothing is due."""
    with transaction.atomic():
        due = (
            WebhookDelivery.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("event", "endpoint__project")
            .filter(endpoint_id=endpoint_id, status=Status.PENDING, next_attempt_at__lte=Now())
            .filter(endpoint__is_enabled=True)
            .filter(Q(endpoint__rests_until=None) | Q(endpoint__rests_until__lte=Now()))
            .order_by("next_attempt_at", "id")
            .first()
        )
        if due is None:
            return None
        number = due.attempt_count + 1
        if number - due.earlier_attempt_count > MAX_ATTEMPTS:
            error = "Given up: its last sender was interrupted."
            WebhookDelivery.objects.filter(pk=due.pk).update(status=Status.FAILED, error=error)
            return due.pk
        WebhookDelivery.objects.filter(pk=due.pk).update(
            attempt_count=number, next_attempt_at=Now() + timedelta(seconds=LEASE_SECONDS)
        )
        WebhookAttempt.objects.create(delivery=due, number=number, url=due.endpoint.url)
        in_force = Q(expires_at=None) | Q(expires_at__gt=Now())
        secrets = tuple(due.endpoint.secrets.filter(in_force).order_by("-id"))
    return Leased(
        due.pk, endpoint_id, number, due.endpoint.url, due.event, body_of(due.event, due.data), secrets
    )


def body_of(event: DomainEvent, part: object = None) -> bytes:
    """What is posted, the same whenever it is sent."""
    return json.dumps(document_of(event, part), ensure_ascii=False, separators=(",", ":")).encode()


def document_of(event: DomainEvent, part: object = None) -> dict[str, Any]:
    """An event as its receivers read it. `part` is what an endpoint sees of the data, None: all."""
    return {
        "type": event.kind,
        "id": event.public_id,
        "timestamp": iso(event.occurred_at),
        "project": event.project_key or None,
        "data": event.data if part is None else part,
    }


def attempt(leased: Leased) -> Answer:
    """Post it, signed as of now. Whatever goes wrong is the answer."""
    try:
        headers = signed_headers(
            leased.body,
            message_id=leased.event.public_id,
            sent_at=database_now(),
            signing_secrets=leased.secrets,
        )
    except KeyError as missing:
        return Answer(None, error=f"Not sent. WEBHOOK_KEYS has lost key {missing}; rotate the secret.")
    headers = {"Content-Type": "application/json", "User-Agent": "Meterbook-Webhooks/1", **headers}
    return post(leased.url, leased.body, headers)


def mark(leased: Leased, answer: Answer) -> None:
    """Write down what became of an attempt. One that ended after its lease changes no later one's result."""
    with transaction.atomic():
        WebhookAttempt.objects.filter(delivery_id=leased.delivery_id, number=leased.number).update(
            milliseconds=answer.milliseconds,
            response_status=answer.status,
            response_text=answer.text,
            error=answer.error,
        )
    if answer.is_success:
        _mark_delivered(leased)
    elif answer.status == 410:
        reason = WebhookEndpoint.Disabled.GONE
        switch_off(leased.endpoint_id, reason=reason, error="The endpoint answered 410 Gone.")
    else:
        _mark_failed(leased, answer)


def _mark_delivered(leased: Leased) -> None:
    with transaction.atomic():
        hold_recording()
        WebhookEndpoint.objects.filter(pk=leased.endpoint_id).update(
            delivered_at=Now(), failing_since=None, failure_count=0, rests_until=None
        )
        marked = WebhookDelivery.objects.filter(pk=leased.delivery_id, status=Status.PENDING).update(
            status=Status.DELIVERED, delivered_at=Now(), error=""
        )
        if marked and leased.event.kind != ENDPOINT_TESTED:
            _record_usage(leased)


def _record_usage(leased: Leased) -> None:
    """A delivery is usage of the endpoint's project, where a metric listens for it."""
    endpoint = WebhookEndpoint.objects.select_related("project").get(pk=leased.endpoint_id)
    try:
        with transaction.atomic():
            record_event_delivery(
                project=endpoint.project,
                delivery_id=str(leased.delivery_id),
                event_type=leased.event.kind,
                delivered_at=database_now(),
            )
    except DatabaseError:
        raise
    except Exception:
        # It has arrived; sending it again wouldn't help anybody.
        logger.exception("Delivery %d can't be recorded as usage", leased.delivery_id)


def _mark_failed(leased: Leased, answer: Answer) -> None:
    with transaction.atomic():
        WebhookEndpoint.objects.filter(pk=leased.endpoint_id).update(
            failing_since=Coalesce("failing_since", Now()), failure_count=F("failure_count") + 1
        )
        endpoint = WebhookEndpoint.objects.filter(pk=leased.endpoint_id).first()
        if endpoint is None:
            return  # removed meanwhile
        if _concerns_the_endpoint(answer):
            seconds = rest_after(endpoint.failure_count, retry_after=answer.retry_after)
            WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
                rests_until=Now() + timedelta(seconds=seconds)
            )
        # Another attempt since then: what becomes of the delivery is that one's to say.
        ours = WebhookDelivery.objects.filter(
            pk=leased.delivery_id, status=Status.PENDING, attempt_count=leased.number
        )
        delivery = ours.select_for_update(of=("self",)).first()
        if delivery is not None:
            tried_count = leased.number - delivery.earlier_attempt_count
            if tried_count >= MAX_ATTEMPTS:
                ours.update(status=Status.FAILED, error=answer.error)
            else:
                seconds = wait_after(tried_count, chance=random.random(), retry_after=answer.retry_after)  # noqa: S311
                ours.update(next_attempt_at=Now() + timedelta(seconds=seconds), error=answer.error)
        has_failed_long = (
            endpoint.failing_since is not None
            and endpoint.failure_count >= MIN_FAILURES_TO_SWITCH_OFF
            and database_now() - endpoint.failing_since > timedelta(days=settings.WEBHOOK_DISABLE_AFTER_DAYS)
        )
    if has_failed_long:
        days = settings.WEBHOOK_DISABLE_AFTER_DAYS
        error = (
            f"Nothing was delivered for {days} days, and the endpoint was switched off. Last: {answer.error}"
        )
        switch_off(leased.endpoint_id, reason=WebhookEndpoint.Disabled.FAILING, error=error)


def _concerns_the_endpoint(answer: Answer) -> bool:
    """Whether the next delivery would fare no better: no answer, overload, failure. A 4xx is of its event."""
    return answer.status is None or answer.status == 429 or answer.status >= 500
