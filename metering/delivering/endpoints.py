"""Endpoints: added, changed, removed, tested, their secrets rotated.

Order of locks in each verb: the version row, the endpoint, its deliveries in the order of their ids.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from metering.announcing.kinds import ENDPOINT_TESTED, SUBSCRIBABLE
from metering.announcing.outbox import announce_to
from metering.catalogue import move_version
from metering.clock import database_now
from metering.errors import Conflict, Invalid, NotFound
from metering.models import DomainEvent, Project, WebhookDelivery, WebhookEndpoint, WebhookSecret

from .addresses import BadUrl
from .posting import ensure_postable
from .signing import new_salt, secret_text

DESCRIPTION_MAX_LENGTH = 200
OVERLAP_HOURS = 24  # for which a replaced secret signs along, unless told otherwise
LONGEST_OVERLAP_HOURS = 24 * 7
MAX_SECRETS = 5  # that sign at once: each is a signature in a header
MAX_ENDPOINTS = 100  # of one project: each event is a row for each

Status = WebhookDelivery.Status


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change of an endpoint; None leaves it as it is."""

    url: str | None = None
    description: str | None = None
    kinds: Sequence[str] | None = None
    is_enabled: bool | None = None


def add_endpoint(
    *,
    project: Project,
    url: str,
    description: str = "",
    kinds: Iterable[str] = (),
    is_enabled: bool = True,
) -> tuple[WebhookEndpoint, str]:
    """Tell an address what happens in `project` and below it, from now on.

    Returns the endpoint and its signing secret, which isn't shown again. Raises `Invalid` for a URL that
    nothing may be sent to and for unknown kinds, `Conflict` when the project has too many endpoints, and
    `NotFound` when the project was removed meanwhile.
    """
    sound = _sound(Changes(url, description, list(kinds)))
    with transaction.atomic():
        move_version()
        # Held, so that two at once can't both be the hundredth.
        if not Project.objects.select_for_update(no_key=True).filter(pk=project.pk).exists():
            raise NotFound("The project '{key}' was removed.", key=project.key)
        if WebhookEndpoint.objects.filter(project=project).count() >= MAX_ENDPOINTS:
            raise Conflict("A project has at most {most} webhook endpoints.", most=MAX_ENDPOINTS)
        endpoint = WebhookEndpoint(
            project=project, url=sound.url or "", description=sound.description or "", kinds=sound.kinds or []
        )
        if not is_enabled:
            endpoint.is_enabled = False
            endpoint.disabled_reason = WebhookEndpoint.Disabled.STAFF
            endpoint.disabled_at = database_now()
        endpoint.save()
        secret = _new_secret(endpoint)
    endpoint.refresh_from_db()
    return endpoint, secret_text(secret)


def change_endpoint(endpoint: WebhookEndpoint, changes: Changes) -> WebhookEndpoint:
    """Change address, description, kinds, or switch it on or off.

    Switched off, it misses what happens meanwhile; what waits for it waits on. Switched on, or given another
    address, it starts without a record of failures. Raises `Invalid` and `NotFound`.
    """
    changes = _sound(changes)
    with transaction.atomic():
        move_version()
        stored = _held(endpoint)
        is_moved = changes.url is not None and changes.url != stored.url
        for name in ("url", "description", "kinds"):
            value = getattr(changes, name)
            if value is not None:
                setattr(stored, name, value)
        is_switched_on = changes.is_enabled is True and not stored.is_enabled
        if is_moved or is_switched_on:
            stored.failing_since, stored.failure_count, stored.rests_until = None, 0, None
        if is_switched_on:
            stored.is_enabled, stored.disabled_reason, stored.disabled_at = True, "", None
        elif changes.is_enabled is False and stored.is_enabled:
            stored.is_enabled, stored.disabled_at = False, database_now()
            stored.disabled_reason = WebhookEndpoint.Disabled.STAFF
        stored.save()
    return stored


def remove_endpoint(endpoint: WebhookEndpoint) -> None:
    """Remove an endpoint with its secrets, its deliveries and what is known of them. Raises `NotFound`."""
    with transaction.atomic():
        move_version()
        # Whoever announces passes over it from here on; senders have let go of its deliveries.
        stored = WebhookEndpoint.objects.select_for_update(of=("self",)).filter(pk=endpoint.pk).first()
        if stored is None:
            raise NotFound("There is no webhook endpoint {pk}.", pk=endpoint.pk)
        list(
            WebhookDelivery.objects.select_for_update(of=("self",))
            .filter(endpoint=stored)
            .order_by("id")
            .values_list("id")
            .iterator(chunk_size=10_000)
        )
        stored.delete()


def rotate_secret(
    endpoint: WebhookEndpoint, *, overlap_hours: int = OVERLAP_HOURS
) -> tuple[WebhookSecret, str]:
    """Give an endpoint a new signing secret; the old one signs along for `overlap_hours` more.

    With 0 it ends at once, and so do those replaced before: for one that has become known. Returns the new
    one, which isn't shown again. Raises `Invalid`, and `Conflict` when too many would sign at once.
    """
    if not 0 <= overlap_hours <= LONGEST_OVERLAP_HOURS:
        raise Invalid(
            "Must be a whole number from 0 to {most}.", most=LONGEST_OVERLAP_HOURS, field="overlap_hours"
        )
    with transaction.atomic():
        stored = _held(endpoint)
        now = database_now()
        stored.secrets.filter(expires_at__lte=now).delete()
        if overlap_hours == 0:
            stored.secrets.all().delete()
        elif stored.secrets.count() >= MAX_SECRETS:
            raise Conflict(
                "{most} secrets sign at once already; wait for one to end, or end them all with"
                " overlap_hours 0.",
                most=MAX_SECRETS,
            )
        stored.secrets.filter(expires_at=None).update(expires_at=now + dt.timedelta(hours=overlap_hours))
        secret = _new_secret(stored)
    return secret, secret_text(secret)


def test_endpoint(endpoint: WebhookEndpoint, *, requested_by: str) -> WebhookDelivery:
    """Send an event that says nothing but that it arrived, whatever the endpoint subscribes to.

    Returns the delivery, which is due now, even where the endpoint was resting. Raises `Conflict` where it is
    switched off, and `NotFound`.
    """
    with transaction.atomic():
        stored = _held(endpoint)
        _ensure_enabled(stored)
        _wake(stored)
        return announce_to(
            stored, ENDPOINT_TESTED, data={"message": "It works.", "requested_by": requested_by}
        )


test_endpoint.__test__ = False  # type: ignore[attr-defined]  # pytest: a verb, not a test


def resend(delivery: WebhookDelivery) -> WebhookDelivery:
    """Send an event to its endpoint again, now and with new patience, whatever became of it before.

    The message keeps its id, so that a receiver which has it can tell. Raises `Conflict` where the endpoint
    is switched off, and `NotFound`.
    """
    with transaction.atomic():
        stored = _held(delivery.endpoint)
        _ensure_enabled(stored)
        _wake(stored)
        if not _due_again(stored, WebhookDelivery.objects.filter(pk=delivery.pk)):
            raise NotFound("The delivery was removed.")
    delivery.refresh_from_db()
    return delivery


def resend_failed(endpoint: WebhookEndpoint, *, since: dt.datetime | None = None) -> int:
    """Send again whatever failed for good since then (by when it happened; None: ever); how many that are.

    Raises `Conflict` where the endpoint is switched off, and `NotFound`.
    """
    with transaction.atomic():
        stored = _held(endpoint)
        _ensure_enabled(stored)
        _wake(stored)
        failed = WebhookDelivery.objects.filter(status=Status.FAILED)
        if since is not None:
            # By id, not by a join: an update of what is joined to is not allowed to lock in order.
            events = DomainEvent.objects.filter(occurred_at__gte=since).values("id")
            failed = failed.filter(event_id__in=events)
        return _due_again(stored, failed)


def switch_off(endpoint_id: int, *, reason: WebhookEndpoint.Disabled, error: str) -> None:
    """Stop sending to an endpoint that asked for it or has failed for too long.

    What waits for it is given up, in view and to be sent again by hand: much later it might do harm.
    Switching off again changes nothing.
    """
    with transaction.atomic():
        move_version()
        switched_off = WebhookEndpoint.objects.filter(pk=endpoint_id, is_enabled=True).update(
            is_enabled=False, disabled_reason=reason, disabled_at=Now(), rests_until=None
        )
        if switched_off:
            WebhookDelivery.objects.filter(endpoint_id=endpoint_id, status=Status.PENDING).update(
                status=Status.FAILED, error=error
            )


def _due_again(endpoint: WebhookEndpoint, deliveries: QuerySet[WebhookDelivery]) -> int:
    return deliveries.filter(endpoint=endpoint).update(
        status=Status.PENDING,
        next_attempt_at=Now(),
        earlier_attempt_count=F("attempt_count"),
        error="",
    )


def _held(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """The endpoint as stored, its row ours until the transaction ends. Raises `NotFound` once removed."""
    stored = (
        WebhookEndpoint.objects.select_for_update(of=("self",), no_key=True)
        .select_related("project")
        .filter(pk=endpoint.pk)
        .first()
    )
    if stored is None:
        raise NotFound("There is no webhook endpoint {pk}.", pk=endpoint.pk)
    return stored


def _ensure_enabled(endpoint: WebhookEndpoint) -> None:
    if not endpoint.is_enabled:
        raise Conflict("The endpoint is switched off; switch it on first.", field="is_enabled")


def _wake(endpoint: WebhookEndpoint) -> None:
    """Somebody wants to see now whether it works."""
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(rests_until=None)


def _new_secret(endpoint: WebhookEndpoint) -> WebhookSecret:
    salt, key_number = new_salt()
    secret = WebhookSecret.objects.create(endpoint=endpoint, salt=salt, key_number=key_number)
    secret.refresh_from_db()
    return secret


def _sound(changes: Changes) -> Changes:
    """Each rule on its own. Raises `Invalid`."""
    url, description = changes.url, changes.description
    if url is not None:
        url = url.strip()
        try:
            ensure_postable(url)
        except BadUrl as error:
            raise Invalid(str(error), field="url") from None
    if description is not None:
        description = description.strip()
        if len(description) > DESCRIPTION_MAX_LENGTH:
            raise Invalid("At most {most} characters.", most=DESCRIPTION_MAX_LENGTH, field="description")
        if "\x00" in description:
            raise Invalid("Holds a NUL character.", field="description")
    kinds = changes.kinds
    if kinds is not None:
        kinds = list(dict.fromkeys(kinds))
        unknown = [kind for kind in kinds if kind not in SUBSCRIBABLE]
        if unknown:
            raise Invalid(
                "There is no event '{unknown}'; choose from {known}.",
                unknown=unknown[0][:100],
                known=", ".join(SUBSCRIBABLE),
                field="kinds",
            )
    return Changes(url, description, kinds, changes.is_enabled)
