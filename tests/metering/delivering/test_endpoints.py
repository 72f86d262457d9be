"""Endpoints: who may be told, with which secrets, and how they come and go."""

import datetime as dt
from typing import Any

import pytest

from metering.announcing.outbox import announce
from metering.attributing.scope_tree import remove_project
from metering.catalogue import current
from metering.delivering.delivering import body_of, lease_next
from metering.delivering.endpoints import (
    Changes,
    add_endpoint,
    change_endpoint,
    remove_endpoint,
    resend,
    resend_failed,
    rotate_secret,
    switch_off,
    test_endpoint,
)
from metering.delivering.signing import secret_text
from metering.errors import Conflict, Invalid, NotFound
from metering.models import (
    DomainEvent,
    Project,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookSecret,
)
from tests.factories import a_project, at

pytestmark = pytest.mark.django_db

URL = "https://198.51.99.7/hook"  # an address, so that no name is looked up


def an_endpoint(project: Project, **overrides: Any) -> WebhookEndpoint:
    return add_endpoint(**{"project": project, "url": URL, **overrides})[0]


def an_announced(project: Project, *, days_ago: int = 0) -> WebhookDelivery:
    """The delivery of one more event to the only endpoint there is."""
    occurred_at = dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago)
    event_id = announce("quota.exceeded", project_id=project.pk, data={}, occurred_at=occurred_at)
    return WebhookDelivery.objects.get(event_id=event_id)


def test_endpoint_is_added_with_a_secret_that_the_database_does_not_hold(acme: Project) -> None:
    endpoint, secret = add_endpoint(
        project=acme, url=f" {URL} ", description=" Ours ", kinds=["quota.exceeded", "quota.exceeded"]
    )

    assert (endpoint.url, endpoint.description, endpoint.kinds) == (URL, "Ours", ["quota.exceeded"])
    assert endpoint.is_enabled
    assert secret.startswith("whsec_")
    stored = WebhookSecret.objects.get()
    assert secret_text(stored) == secret
    assert secret.encode() not in bytes(stored.salt)


def test_secret_needs_the_key_of_the_settings(acme: Project, settings: Any) -> None:
    _endpoint, secret = add_endpoint(project=acme, url=URL)
    stored = WebhookSecret.objects.get()

    settings.WEBHOOK_KEYS = {1: settings.WEBHOOK_KEYS[1], 2: "another"}
    assert secret_text(stored) == secret
    settings.WEBHOOK_KEYS = {1: "another"}
    assert secret_text(stored) != secret
    settings.WEBHOOK_KEYS = {2: "another"}
    with pytest.raises(KeyError):
        secret_text(stored)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"kinds": ["usage.stolen"]}, "kinds"),
        ({"kinds": ["endpoint.tested"]}, "kinds"),
        ({"description": "x" * 201}, "description"),
        ({"description": "\x00"}, "description"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_changes(acme: Project, wrong: Any, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        an_endpoint(acme, **wrong)
    assert refused.value.field == field
    assert not WebhookEndpoint.objects.exists()

    endpoint = an_endpoint(acme)
    with pytest.raises(Invalid) as refused:
        change_endpoint(endpoint, Changes(**wrong))
    assert refused.value.field == field
    endpoint.refresh_from_db()
    assert (endpoint.url, endpoint.kinds, endpoint.description) == (URL, [], "")


def test_project_has_so_many_endpoints_and_no_more(acme: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.delivering.endpoints.MAX_ENDPOINTS", 2)
    an_endpoint(acme)
    an_endpoint(acme)

    with pytest.raises(Conflict, match="at most 2"):
        an_endpoint(acme)
    an_endpoint(a_project("other"))


def test_catalogue_knows_at_once_who_listens(acme: Project) -> None:
    def awaits(kind: str) -> tuple[bool, bool]:
        return current().may_await(kind), current().awaits(kind, path=acme.path)

    assert awaits("usage.recorded") == (False, False)
    endpoint = an_endpoint(acme, kinds=["usage.recorded"])
    assert awaits("usage.recorded") == (True, True)
    assert awaits("quota.exceeded") == (False, False)
    assert not current().awaits("usage.recorded", path=a_project("other").path)
    change_endpoint(endpoint, Changes(kinds=[]))
    assert awaits("quota.exceeded") == (True, True)
    change_endpoint(endpoint, Changes(is_enabled=False))
    assert awaits("usage.recorded") == (False, False)
    change_endpoint(endpoint, Changes(is_enabled=True))
    assert awaits("usage.recorded") == (True, True)
    remove_endpoint(endpoint)
    assert awaits("usage.recorded") == (False, False)


def test_switched_on_again_it_starts_afresh(acme: Project) -> None:
    endpoint = an_endpoint(acme)
    long_ago = at("2024-05-01T00:00:00Z")
    WebhookEndpoint.objects.update(failing_since=long_ago, failure_count=40, rests_until=long_ago)
    switch_off(endpoint.pk, reason=WebhookEndpoint.Disabled.FAILING, error="")
    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (False, "failing")
    assert endpoint.disabled_at is not None

    changed = change_endpoint(endpoint, Changes(is_enabled=True))

    assert (changed.is_enabled, changed.disabled_reason, changed.disabled_at) == (True, "", None)
    assert (changed.failing_since, changed.failure_count, changed.rests_until) == (None, 0, None)


def test_what_waits_for_an_endpoint_that_staff_switched_off_waits_on(acme: Project) -> None:
    endpoint = an_endpoint(acme)
    delivery = an_announced(acme)

    change_endpoint(endpoint, Changes(is_enabled=False))
    assert lease_next(endpoint.pk) is None

    change_endpoint(endpoint, Changes(is_enabled=True))
    leased = lease_next(endpoint.pk)
    assert leased is not None
    assert leased.delivery_id == delivery.pk


def test_what_waits_for_an_endpoint_that_is_gone_is_given_up_in_view(acme: Project) -> None:
    endpoint = an_endpoint(acme)
    delivery = an_announced(acme)

    switch_off(endpoint.pk, reason=WebhookEndpoint.Disabled.GONE, error="It is gone.")
    switch_off(endpoint.pk, reason=WebhookEndpoint.Disabled.FAILING, error="Later.")

    delivery.refresh_from_db()
    endpoint.refresh_from_db()
    assert (delivery.status, delivery.error, endpoint.disabled_reason) == ("failed", "It is gone.", "gone")
    with pytest.raises(Conflict):
        resend(delivery)
    with pytest.raises(Conflict):
        resend_failed(endpoint)
    with pytest.raises(Conflict):
        test_endpoint(endpoint, requested_by="ada")


def test_removed_endpoint_takes_its_deliveries_along_and_leaves_the_events(acme: Project) -> None:
    endpoint = an_endpoint(acme)
    an_announced(acme)
    lease_next(endpoint.pk)

    remove_endpoint(endpoint)

    counts = [
        model.objects.count()
        for model in (WebhookEndpoint, WebhookSecret, WebhookDelivery, WebhookAttempt, DomainEvent)
    ]
    assert counts == [0, 0, 0, 0, 1]
    for verb in (
        lambda: remove_endpoint(endpoint),
        lambda: change_endpoint(endpoint, Changes(description="x")),
        lambda: rotate_secret(endpoint),
        lambda: test_endpoint(endpoint, requested_by="ada"),
    ):
        with pytest.raises(NotFound):
            verb()


@pytest.mark.django_db(transaction=True)
def test_project_with_an_endpoint_stays_and_one_with_announcements_alone_goes() -> None:
    acme = a_project("acme")
    endpoint = an_endpoint(acme)
    announce("quota.exceeded", project_id=acme.pk, data={})

    with pytest.raises(Conflict, match="webhook endpoints"):
        remove_project(acme)
    remove_endpoint(endpoint)
    remove_project(acme)

    event = DomainEvent.objects.get()
    assert (event.project_key, Project.objects.count()) == ("acme", 0)


def test_old_secret_signs_along_for_a_day(acme: Project) -> None:
    endpoint, first = add_endpoint(project=acme, url=URL)
    an_announced(acme)

    _row, second = rotate_secret(endpoint)

    leased = lease_next(endpoint.pk)
    assert leased is not None
    assert [secret_text(secret) for secret in leased.secrets] == [second, first]
    replaced = WebhookSecret.objects.exclude(expires_at=None).get()
    assert replaced.expires_at is not None
    assert dt.timedelta(hours=23) < replaced.expires_at - dt.datetime.now(dt.UTC) < dt.timedelta(hours=25)


def test_secret_whose_time_is_over_signs_no_more(acme: Project) -> None:
    endpoint, _first = add_endpoint(project=acme, url=URL)
    _row, second = rotate_secret(endpoint)
    WebhookSecret.objects.exclude(expires_at=None).update(expires_at=at("2024-05-01T00:00:00Z"))
    an_announced(acme)

    leased = lease_next(endpoint.pk)

    assert leased is not None
    assert [secret_text(secret) for secret in leased.secrets] == [second]


def test_secret_that_became_known_ends_at_once(acme: Project) -> None:
    endpoint, _first = add_endpoint(project=acme, url=URL)
    rotate_secret(endpoint)

    _row, newest = rotate_secret(endpoint, overlap_hours=0)

    assert [secret_text(secret) for secret in WebhookSecret.objects.all()] == [newest]


def test_secrets_that_sign_at_once_are_bounded(acme: Project) -> None:
    endpoint, _first = add_endpoint(project=acme, url=URL)
    for _ in range(4):
        rotate_secret(endpoint)

    with pytest.raises(Conflict, match="5 secrets"):
        rotate_secret(endpoint)
    for hours in (-1, 169):
        with pytest.raises(Invalid):
            rotate_secret(endpoint, overlap_hours=hours)
    WebhookSecret.objects.exclude(expires_at=None).update(expires_at=at("2024-05-01T00:00:00Z"))
    rotate_secret(endpoint)
    assert WebhookSecret.objects.count() == 2


def test_test_event_goes_to_one_endpoint_and_wakes_it(acme: Project) -> None:
    endpoint = an_endpoint(acme, kinds=["quota.exceeded"])
    an_endpoint(acme)
    WebhookEndpoint.objects.update(rests_until=at("2100-01-01T00:00:00Z"))

    delivery = test_endpoint(endpoint, requested_by="ada")

    assert WebhookDelivery.objects.count() == 1
    leased = lease_next(endpoint.pk)
    assert leased is not None
    assert leased.delivery_id == delivery.pk
    assert b'"type":"endpoint.tested"' in leased.body
    assert b'"requested_by":"ada"' in leased.body


def test_failed_deliveries_are_sent_again_since_a_time(acme: Project) -> None:
    endpoint = an_endpoint(acme)
    deliveries = [an_announced(acme, days_ago=days) for days in (5, 3, 1)]
    WebhookDelivery.objects.update(status="failed", attempt_count=11, error="Answered 500.")
    WebhookDelivery.objects.filter(pk=deliveries[2].pk).update(status="delivered")

    since = dt.datetime.now(dt.UTC) - dt.timedelta(days=4)
    assert resend_failed(endpoint, since=since) == 1

    rows = WebhookDelivery.objects.order_by("id").values_list("status", "earlier_attempt_count", "error")
    assert list(rows) == [
        ("failed", 0, "Answered 500."),
        ("pending", 11, ""),
        ("delivered", 0, "Answered 500."),
    ]
    assert resend_failed(endpoint) == 1
    assert resend_failed(endpoint) == 0


def test_delivered_message_is_sent_again_under_its_id(acme: Project) -> None:
    endpoint = an_endpoint(acme)
    delivery = an_announced(acme)
    WebhookDelivery.objects.update(status="delivered", attempt_count=1)

    again = resend(delivery)

    leased = lease_next(endpoint.pk)
    assert leased is not None
    assert (again.status, leased.number, leased.event.public_id) == ("pending", 2, delivery.event.public_id)
    assert leased.body == body_of(delivery.event)
