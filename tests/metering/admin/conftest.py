"""Signed-in staff, and a small world of usage to look at."""

from dataclasses import dataclass

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from metering.attributing.scope_tree import attribute, install_surface
from metering.clock import ledger_end
from metering.defining.definitions import archive_metric
from metering.keys import create_api_key
from metering.models import ApiKey, Fence, MetricDefinition, Project, UsageEvent
from metering.rolling_up.rollups import roll_up
from tests.factories import a_metric, a_project, an_event, recorded


@dataclass(frozen=True, slots=True)
class World:
    """A tenant with one project that it pays for, three metrics, and five events."""

    tenant: Project
    shop: Project
    tokens: MetricDefinition
    key: ApiKey

    @property
    def event(self) -> UsageEvent:
        return UsageEvent.objects.order_by("id")[0]


@pytest.fixture
def world(db: None) -> World:
    tenant = a_project("tenant", kind="tenant", name="The tenant")
    shop = a_project("shop", parent=tenant, name="The shop")
    install_surface(project=shop, key="search", name="Search")
    attribute(shop, payer=tenant)
    tokens = a_metric("tokens", display_name="Tokens", primary_labels=["model"])
    a_metric("peak", event_name="tokens", aggregation="MAX", meter_type="gauge")
    archive_metric(a_metric("old"))
    key, _secret = create_api_key(project=tenant, name="Backend", permissions=["ingest", "read"])
    recorded(
        *(
            an_event(
                shop,
                id=f"req-{number}",
                quantity=1000 * number,
                subject_type="customer",
                subject_id="kim",
                labels={"model": "large", "note": "<script>"},
                occurred_at=f"2024-05-{10 + number}T12:00:00Z",
            )
            for number in range(1, 6)
        )
    )
    roll_up()
    # Not by its verb, which would wait for this test's own transaction.
    Fence.objects.create(position=ledger_end(), fenced_at=timezone.now())
    return World(tenant, shop, tokens, key)


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    """May do everything."""
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def onlooker(db: None) -> Client:
    """Staff who may view every table and change none."""
    user = User.objects.create_user("onlooker", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    return client
