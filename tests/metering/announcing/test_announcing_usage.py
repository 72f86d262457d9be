"""What recording, ticks and definitions announce, and that it costs nothing where nobody listens."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metering.announcing.aggregated import MAX_LISTED, TickAnnouncer
from metering.defining.ready_made import add_ready_made, record_event_delivery
from metering.delivering.endpoints import Changes, add_endpoint, change_endpoint
from metering.models import DomainEvent, Project, UsageEvent, WebhookDelivery
from metering.rolling_up.rollups import roll_up
from metering.rolling_up.tick_observers import Touched
from tests.concurrency.rivals import race
from tests.factories import NOON, a_metric, a_project, an_event, at, outcomes, recorded

# A recorder opens its transaction with its first statement, behind Django's back: as in production.
pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://198.51.99.7/hook"


def listen(project: Project, *kinds: str) -> Any:
    return add_endpoint(project=project, url=URL, kinds=kinds)[0]


def announced() -> list[tuple[str, str, Any]]:
    return list(DomainEvent.objects.order_by("id").values_list("kind", "project_key", "data"))


def parts() -> list[tuple[str, Any]]:
    """(project of the endpoint, what it gets) of each delivery."""
    found = WebhookDelivery.objects.select_related("event", "endpoint__project").order_by("id")
    return [(one.endpoint.project.key, one.event.data if one.data is None else one.data) for one in found]


@pytest.fixture
def tree() -> dict[str, Project]:
    tenant = a_project("tenant")
    projects = {"tenant": tenant, "other": a_project("other")}
    for key in ("acme", "beta"):
        projects[key] = a_project(key, parent=tenant)
    a_metric("tokens")
    DomainEvent.objects.all().delete()
    return projects


def test_request_is_announced_once_with_its_new_events(tree: dict[str, Project]) -> None:
    listen(tree["tenant"], "usage.recorded")

    recorded(an_event("acme", id="a"), an_event("acme", id="b"), an_event("acme", id="b"))
    recorded(an_event("acme", id="a"))  # exists

    last_id = UsageEvent.objects.latest("id").pk
    data = {
        "count": 2,
        "last_id": last_id,
        "events": [{"project": "acme", "event_name": "tokens", "count": 2}],
    }
    assert announced() == [("usage.recorded", "acme", data)]
    assert parts() == [("tenant", data)]


@pytest.mark.parametrize("count", [1, 40])
def test_announcement_is_committed_with_the_usage(tree: dict[str, Project], count: int) -> None:
    # Few rows commit with their INSERT, many go by COPY.
    listen(tree["acme"])

    recorded(*(an_event("acme") for _ in range(count)))

    [(kind, _key, data)] = announced()
    assert (kind, data["count"], UsageEvent.objects.count()) == ("usage.recorded", count, count)


def test_refused_usage_is_not_announced(tree: dict[str, Project]) -> None:
    listen(tree["acme"])
    recorded(an_event("acme", id="a", quantity=1))
    DomainEvent.objects.all().delete()

    with pytest.raises(Exception, match="other content"):
        recorded(an_event("acme", id="b"), an_event("acme", id="a", quantity=2))
    assert announced() == []

    results = recorded(an_event("acme", id="b"), an_event("acme", id="a", quantity=2), on_error="skip")
    assert outcomes(results) == ["created", "conflict"]
    assert [data["count"] for _kind, _key, data in announced()] == [1]


def test_each_endpoint_is_told_of_its_projects_alone(tree: dict[str, Project]) -> None:
    for key in ("tenant", "acme", "other"):
        listen(tree[key], "usage.recorded")

    recorded(an_event("acme"), an_event("beta"), an_event("beta"))

    [(_kind, project_key, data)] = announced()
    assert (project_key, data["count"]) == ("", 3)
    assert [(key, part["count"], part["events"]) for key, part in parts()] == [
        (
            "tenant",
            3,
            [
                {"project": "acme", "event_name": "tokens", "count": 1},
                {"project": "beta", "event_name": "tokens", "count": 2},
            ],
        ),
        ("acme", 1, [{"project": "acme", "event_name": "tokens", "count": 1}]),
    ]


def test_recording_asks_nothing_more_where_nobody_listens(tree: dict[str, Project]) -> None:
    def query_count() -> int:
        recorded(an_event("acme"))  # so that the catalogue is loaded
        with CaptureQueriesContext(connection) as queries:
            recorded(an_event("acme"))
        return len(queries)

    before = query_count()
    other = listen(tree["other"])
    quiet = listen(tree["acme"], "quota.exceeded")
    assert query_count() == before
    assert announced() == []

    change_endpoint(quiet, Changes(kinds=[]))
    assert query_count() > before
    change_endpoint(quiet, Changes(is_enabled=False))
    change_endpoint(other, Changes(is_enabled=False))
    assert query_count() == before


def test_process_that_cached_the_catalogue_obeys_a_new_subscription(tree: dict[str, Project]) -> None:
    recorded(an_event("acme"))

    race(lambda: listen(tree["acme"], "usage.recorded"))  # on a connection of its own
    recorded(an_event("acme"))

    assert len(announced()) == 1


def test_tick_is_announced_with_what_it_touched(tree: dict[str, Project]) -> None:
    for key in ("tenant", "acme", "other"):
        listen(tree[key], "usage.aggregated")
    recorded(an_event("acme"), an_event("acme"), an_event("beta", occurred_at="2024-05-15T13:10:00Z"))

    roll_up()
    roll_up()  # nothing was left

    row = {"metric": "tokens", "project": "acme", "billing_scope": "acme"}
    hour, later = "2024-05-15T12:00:00Z", "2024-05-15T13:00:00Z"
    acme = {**row, "first_hour": hour, "last_hour": hour}
    beta = {**row, "project": "beta", "billing_scope": "beta", "first_hour": later, "last_hour": later}
    everything = {"touched_count": 2, "touched": [acme, beta]}
    assert announced() == [("usage.aggregated", "", everything)]
    assert parts() == [("tenant", everything), ("acme", {"touched_count": 1, "touched": [acme]})]


def test_tick_is_silent_where_nobody_listens(tree: dict[str, Project]) -> None:
    listen(tree["acme"], "quota.exceeded")
    recorded(an_event("acme"))

    roll_up()

    assert announced() == []


def test_deliveries_as_usage_set_nothing_going(tree: dict[str, Project]) -> None:
    add_ready_made(["event-deliveries"])
    DomainEvent.objects.all().delete()
    listen(tree["acme"])

    record_event_delivery(
        project=tree["acme"], delivery_id="1", event_type="quota.exceeded", delivered_at=at(NOON)
    )
    roll_up()

    assert (UsageEvent.objects.count(), announced()) == (1, [])


def test_list_of_what_was_touched_is_bounded(tree: dict[str, Project]) -> None:
    listen(tree["acme"], "usage.aggregated")
    acme, metric = tree["acme"], a_metric("other")
    hour = at("2024-05-15T12:00:00Z")

    TickAnnouncer().observe([Touched(metric.pk, acme.pk, acme.pk, hour, hour)] * (MAX_LISTED + 5))

    [(_kind, _key, data)] = [one for one in announced() if one[0] == "usage.aggregated"]
    assert (data["touched_count"], len(data["touched"])) == (MAX_LISTED + 5, MAX_LISTED)


def test_definition_is_announced_to_its_project_and_those_above(tree: dict[str, Project]) -> None:
    for key in ("tenant", "acme", "beta"):
        listen(tree[key], "metric.defined")

    metric = a_metric("images", project=tree["acme"], unit="image", display_name="Images")
    a_metric("everywhere")

    assert announced()[0] == (
        "metric.defined",
        "acme",
        {
            "metric": "images",
            "display_name": "Images",
            "unit": "image",
            "aggregation": "SUM",
            "event_name": "images",
            "project": "acme",
            "counts_from": metric.counts_from,
        },
    )
    assert [(key, part["metric"]) for key, part in parts()] == [
        ("tenant", "images"),
        ("acme", "images"),
        ("tenant", "everywhere"),
        ("acme", "everywhere"),
        ("beta", "everywhere"),
    ]
