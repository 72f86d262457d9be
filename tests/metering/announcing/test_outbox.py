"""Domain events, and who is told of them."""

import pytest
from django.db import transaction

from metering.announcing.kinds import KINDS, METRIC_DEFINED, SUBSCRIBABLE, THRESHOLD_EXCEEDED
from metering.announcing.outbox import announce, announce_to
from metering.models import DomainEvent, Project, WebhookDelivery, WebhookEndpoint
from tests.concurrency.rivals import Held
from tests.factories import a_project

pytestmark = pytest.mark.django_db


def an_endpoint(project: Project, *kinds: str, **overrides: object) -> WebhookEndpoint:
    """The bare row: what is announced doesn't depend on secrets."""
    url = f"https://{project.key}.example/hook"
    return WebhookEndpoint.objects.create(
        **{"project": project, "url": url, "kinds": list(kinds), **overrides}
    )


def told() -> list[tuple[str, str, object]]:
    """(project of the endpoint, kind, the part it gets) of each delivery."""
    found = WebhookDelivery.objects.order_by("id")
    return list(found.values_list("endpoint__project__key", "event__kind", "data"))


def test_endpoints_of_the_project_and_above_it_are_told() -> None:
    tenant = a_project("tenant")
    acme, other = a_project("acme", parent=tenant), a_project("other", parent=tenant)
    chat = a_project("chat", parent=acme)
    for project in (tenant, acme, chat, other):
        an_endpoint(project)

    event_id = announce(THRESHOLD_EXCEEDED, project_id=acme.pk, data={"value": "12"})

    event = DomainEvent.objects.get(pk=event_id)
    assert (event.kind, event.project, event.project_key, event.data) == (
        THRESHOLD_EXCEEDED,
        acme,
        "acme",
        {"value": "12"},
    )
    assert event.public_id.startswith("evt_")
    assert told() == [("tenant", THRESHOLD_EXCEEDED, None), ("acme", THRESHOLD_EXCEEDED, None)]
    assert set(WebhookDelivery.objects.values_list("status", "attempt_count")) == {("pending", 0)}


def test_project_whose_path_begins_alike_is_another() -> None:
    first = a_project("first")
    alike = a_project("alike")
    Project.objects.filter(pk=alike.pk).update(path=f"{first.path[:-1]}0/")
    an_endpoint(first)

    announce(THRESHOLD_EXCEEDED, project_id=alike.pk, data={})

    assert told() == []


def test_endpoint_chooses_its_kinds_and_whether_it_listens() -> None:
    acme = a_project("acme")
    an_endpoint(acme, METRIC_DEFINED)
    an_endpoint(acme, METRIC_DEFINED, THRESHOLD_EXCEEDED)
    an_endpoint(acme, is_enabled=False)

    announce(THRESHOLD_EXCEEDED, project_id=acme.pk, data={})

    [delivery] = WebhookDelivery.objects.all()
    assert delivery.endpoint.kinds == [METRIC_DEFINED, THRESHOLD_EXCEEDED]


def test_what_concerns_everybody_goes_to_every_tree() -> None:
    an_endpoint(a_project("acme"))
    an_endpoint(a_project("other"))

    announce(METRIC_DEFINED, project_id=None, data={})

    assert [key for key, _kind, _part in told()] == ["acme", "other"]


def test_each_endpoint_gets_the_part_that_it_may_see() -> None:
    acme, other, idle = a_project("acme"), a_project("other"), a_project("idle")
    for project in (acme, other, idle):
        an_endpoint(project)
    parts = {acme.path: {"of": "acme"}, other.path: {"of": "other"}}

    announce("usage.aggregated", project_id=None, data={"of": "all"}, part_for=parts.get)

    assert told() == [
        ("acme", "usage.aggregated", {"of": "acme"}),
        ("other", "usage.aggregated", {"of": "other"}),
    ]


def test_nothing_is_announced_by_what_is_rolled_back() -> None:
    acme = a_project("acme")
    an_endpoint(acme)

    with transaction.atomic():
        announce(THRESHOLD_EXCEEDED, project_id=acme.pk, data={})
        transaction.set_rollback(True)

    assert not DomainEvent.objects.exists()
    assert told() == []


def test_one_endpoint_alone_is_told() -> None:
    acme = a_project("acme")
    an_endpoint(acme)
    quiet = an_endpoint(acme, METRIC_DEFINED, is_enabled=False)

    delivery = announce_to(quiet, "endpoint.tested", data={"message": "It works."})

    assert (delivery.endpoint, delivery.event.project_key, delivery.status) == (quiet, "acme", "pending")
    assert WebhookDelivery.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_announcing_neither_waits_for_nor_fails_by_an_endpoint_that_is_being_removed() -> None:
    acme = a_project("acme")
    going, staying = an_endpoint(acme), an_endpoint(acme)

    with Held(lambda: WebhookEndpoint.objects.filter(pk=going.pk).delete()) as removal:
        announce(THRESHOLD_EXCEEDED, project_id=acme.pk, data={})
        removal.commit()

    assert [delivery.endpoint for delivery in WebhookDelivery.objects.all()] == [staying]


def test_kinds_describe_themselves() -> None:
    assert set(SUBSCRIBABLE) < set(KINDS)
    for name, kind in KINDS.items():
        assert (kind.name, kind.description.endswith(".")) == (name, True)
        assert kind.example
