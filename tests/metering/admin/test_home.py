"""Home says what needs one today and how the month goes, to each what they may see."""

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from metering.admin.home_usage import change_in_words
from metering.clock import database_now
from metering.guards import trigger_states
from metering.health import hanging_work
from metering.models import (
    DomainEvent,
    Heartbeat,
    OutgoingMail,
    OwedObservation,
    PendingContribution,
    VerificationRun,
    WebhookDelivery,
    WebhookEndpoint,
)
from metering.rolling_up.rollups import roll_up
from tests.factories import a_metric, a_project, an_event, at, recorded

from .conftest import World

HOME = reverse("admin:index")
NOW = at("2025-11-23T05:16:00Z")
OBSERVER = "tests.metering.rolling_up.test_tick_observers.Witness"


@pytest.fixture
def _in_november(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.admin.home.database_now", lambda: NOW)


@pytest.fixture
def person(db: None) -> Callable[..., Client]:
    """Signs somebody in who holds exactly these rights."""

    def signed_in(*codenames: str) -> Client:
        user = User.objects.create_user("kim", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(user)
        return client

    return signed_in


def words(client: Client, query: str = "") -> str:
    """The text of the page, without markup and with single blanks."""
    page = client.get(HOME + query)
    assert page.status_code == 200
    content = page.content.decode().partition('id="content"')[2]
    return re.sub(r"\s+", " ", re.sub(r"<script.*?</script>|<[^>]+>", " ", content, flags=re.S))


def matters(client: Client) -> list[tuple[str, str, bool]]:
    """(title, number, whether urgent) of each."""
    found = client.get(HOME).context["matters"]
    return [(str(each["matter"].title), each["count"], each["matter"].is_urgent) for each in found]


def rows_behind(client: Client, title: str) -> int:
    """How many rows the list has that the matter leads to."""
    [url] = [
        each["matter"].url
        for each in client.get(HOME).context["matters"]
        if str(each["matter"].title) == title
    ]
    return int(client.get(url).context["cl"].result_count)


def a_set_aside_row(failure: str = "no such column") -> None:
    metric, project = a_metric("broken"), a_project("elsewhere")
    recorded(an_event(project, event_name="broken"))
    PendingContribution.objects.filter(metric=metric).update(failure=failure)


def failed_deliveries(count: int) -> None:
    endpoint = WebhookEndpoint.objects.create(project=a_project("hooked"), url="https://example.com/hook")
    for number in range(count):
        event = DomainEvent.objects.create(
            public_id=f"evt_{number}", kind="metric.defined", occurred_at=NOW, data={}
        )
        WebhookDelivery.objects.create(endpoint=endpoint, event=event, status="failed")


def failed_mails(count: int) -> None:
    for number in range(count):
        OutgoingMail.objects.create(
            key=f"mail-{number}", recipients=["a@example.com"], subject="Hello", status="failed"
        )


# -- what needs one today ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("_in_november")
def test_calm_page_says_when_it_was_looked(staff: Client, world: World) -> None:
    Heartbeat.objects.update(finished_at=NOW)

    text = words(staff)

    assert "Nothing waits for you." in text
    assert "Looked at 2025-11-23 05:16:00 UTC" in text


def test_late_tick_leads_to_its_heartbeat(staff: Client, world: World) -> None:
    Heartbeat.objects.update(finished_at=database_now() - dt.timedelta(minutes=10))

    assert matters(staff) == [("The tick is late", "", True)]
    assert rows_behind(staff, "The tick is late") == 1
    assert "10 minutes ago" in words(staff)


def test_each_number_is_that_of_the_rows_behind_it(staff: Client, settings: Settings) -> None:
    settings.METERING_TICK_OBSERVERS = [OBSERVER]
    a_set_aside_row()
    failed_deliveries(2)
    failed_mails(3)
    for observer in (OBSERVER, "of.old.days"):
        OwedObservation.objects.create(
            observer=observer,
            metric_id=1,
            project_id=1,
            billing_scope_id=1,
            first_hour=NOW,
            last_hour=NOW,
            failure="no",
        )
    Heartbeat.objects.create(job="roll_up", finished_at=database_now())

    found = {title: count for title, count, _is_urgent in matters(staff)}

    assert found == {
        "Usage set aside": "1",
        "Usage not evaluated yet": "1",
        "Webhook deliveries failed": "2",
        "Mails failed": "3",
    }
    assert {title: rows_behind(staff, title) for title in found} == {
        "Usage set aside": 1,
        "Usage not evaluated yet": 1,
        "Webhook deliveries failed": 2,
        "Mails failed": 3,
    }


def test_pending_rows_that_go_on_by_themselves_are_no_matter(staff: Client, world: World) -> None:
    recorded(an_event(world.shop))

    assert matters(staff) == []


def test_more_failures_than_are_counted_are_told_as_more(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("metering.health", "metering.admin.ledger_matters"):
        monkeypatch.setattr(f"{module}.MOST_COUNTED", 2)
    failed_mails(3)

    assert matters(staff) == [("Mails failed", "2+", True)]


def test_failed_verification_leads_to_the_run(staff: Client, world: World) -> None:
    run = VerificationRun.objects.create(state="failed", breach_count=10, finished_at=database_now())

    assert matters(staff) == [("The last verification failed", "", True)]
    assert "10 breaches were found" in words(staff)
    [each] = staff.get(HOME).context["matters"]
    assert each["matter"].url == reverse("admin:metering_verificationrun_change", args=[run.pk])

    VerificationRun.objects.create(state="passed", finished_at=database_now())
    assert matters(staff) == []


def test_guard_that_is_off_is_told_at_once(staff: Client) -> None:
    assert hanging_work(now=database_now()).guards.count == 0
    assert ("metering_usageevent", "usage_event_refuses_change", "A") in trigger_states()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE metering_usageevent DISABLE TRIGGER usage_event_refuses_change")

    assert matters(staff) == [("Guards are off", "", True)]


def test_people_see_the_matters_of_what_they_may_see(person: Callable[..., Client], world: World) -> None:
    a_set_aside_row()
    failed_deliveries(1)
    failed_mails(1)
    Heartbeat.objects.update(finished_at=database_now() - dt.timedelta(minutes=10))

    client = person("view_outgoingmail")

    assert matters(client) == [("Mails failed", "1", True)]
    assert rows_behind(client, "Mails failed") == 1
    assert client.get(HOME).context["usage"] is None


def test_who_may_see_nothing_is_told_where_to_go(person: Callable[..., Client], world: World) -> None:
    Heartbeat.objects.update(finished_at=database_now() - dt.timedelta(minutes=10))

    text = words(person())

    assert "Nothing waits for you." in text
    assert "ask for the right to view rollups" in text
    assert "late" not in text


# -- first steps -------------------------------------------------------------------------------------------


def test_fresh_installation_is_led_to_its_first_usage(staff: Client) -> None:
    before = staff.get(HOME).context["first_steps"][0]
    a_project("acme")
    after = staff.get(HOME).context["first_steps"][0]

    assert [(step.title, step.is_done) for step in before.steps] == [
        ("Add a project", False),
        ("Define a metric", False),
        ("Make an API key", False),
    ]
    assert (after.done_count, after.upcoming.title) == (1, "Define a metric")
    assert "Three steps lead to the first chart" in words(staff)


def test_steps_are_for_those_who_may_walk_them(person: Callable[..., Client]) -> None:
    assert person("view_usagemeterrollup").get(HOME).context["first_steps"] == []


@pytest.mark.usefixtures("_in_november")
def test_steps_are_gone_once_there_is_usage(staff: Client) -> None:
    acme = a_project("acme")
    a_metric("tokens")
    recorded(an_event(acme, occurred_at="2025-11-02T00:00:00Z"))
    roll_up()

    assert staff.get(HOME).context["first_steps"] == []


# -- the month so far --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_in_november")
def test_month_is_beside_the_same_span_and_the_whole_of_the_last(staff: Client) -> None:
    acme, shop = a_project("acme", name="Acme"), a_project("shop", name="Shop")
    tokens = a_metric("tokens", display_name="Tokens", unit="token")
    for project, quantity, instant in [
        (acme, 1000, "2025-10-02T00:00:00Z"),
        (acme, 500, "2025-10-30T00:00:00Z"),
        (acme, 1120, "2025-11-02T00:00:00Z"),
        (shop, 30, "2025-11-22T00:00:00Z"),
    ]:
        recorded(an_event(project, quantity=quantity, occurred_at=instant))
    roll_up()

    usage = staff.get(HOME).context["usage"]
    text = words(staff)

    assert [
        (line.name, line.now.text, line.same.text, line.change, line.before.text) for line in usage.metrics
    ] == [("Tokens", "1,150", "1,000", "▲ 15 % more", "1,500")]
    assert [
        (line.name, line.now.text, line.same.text, line.change, line.before.text) for line in usage.payers
    ] == [
        ("Acme", "1,120", "1,000", "▲ 12 % more", "1,500"),
        ("Shop", "30", "0", "new", "0"),
    ]
    assert usage.chosen == tokens
    assert usage.chart.headers == ["Day", "2025-11, token", "2025-10, token"]
    assert usage.chart.rows[1] == ("2", "1,120", "1,000")
    assert usage.chart.rows[21:23] == [("22", "1,150", "1,000"), ("23", "1,150", "1,000")]
    assert usage.chart.rows[29:] == [("30", "–", "1,500"), ("31", "–", "1,500")]
    assert "2025-10-01 to 2025-10-23 06:00 UTC" in text


@pytest.mark.usefixtures("_in_november")
def test_each_number_leads_to_the_rollups_that_add_up_to_it(staff: Client) -> None:
    acme, shop = a_project("acme"), a_project("shop")
    a_metric("tokens")
    for project, quantity, instant in [
        (acme, 10, "2025-10-02T00:00:00Z"),
        (shop, 20, "2025-10-23T05:30:00Z"),
        (shop, 40, "2025-10-23T06:30:00Z"),
        (acme, 80, "2025-11-02T00:00:00Z"),
        (shop, 160, "2025-11-03T00:00:00Z"),
    ]:
        recorded(an_event(project, quantity=quantity, occurred_at=instant))
    roll_up()
    usage = staff.get(HOME).context["usage"]
    lines = [*usage.metrics, *usage.payers]

    def added_up(url: str) -> str:
        rows = staff.get(url).context["cl"].result_list
        return f"{sum(row.value_sum for row in rows):,.0f}"

    numbers = [number for line in lines for number in (line.now, line.same, line.before) if number.url]

    assert [number.text for number in numbers] == ["240", "30", "70", "160", "20", "60", "80", "10", "10"]
    assert [added_up(number.url) for number in numbers] == [number.text for number in numbers]


@pytest.mark.usefixtures("_in_november")
def test_others_are_one_line_and_all_lines_add_up(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.admin.home_usage.SHOWN_PAYERS", 1)
    a_metric("tokens")
    for number in range(1, 4):
        project = a_project(f"project-{number}", name=f"Project {number}")
        recorded(an_event(project, quantity=number, occurred_at="2025-11-02T00:00:00Z"))
    roll_up()

    payers = staff.get(HOME).context["usage"].payers

    assert [(line.name, line.now.text, line.now.url != "") for line in payers] == [
        ("Project 3", "3", True),
        ("2 others", "3", False),
    ]


@pytest.mark.usefixtures("_in_november")
def test_chosen_metric_is_that_of_chart_and_customers(staff: Client) -> None:
    acme = a_project("acme")
    a_metric("tokens")
    calls = a_metric("calls", event_name="calls", aggregation="COUNT")
    a_metric("peak", event_name="calls", aggregation="MAX", meter_type="gauge")
    for name in ("tokens", "tokens", "calls"):
        recorded(an_event(acme, event_name=name, quantity=5, occurred_at="2025-11-02T00:00:00Z"))
    roll_up()

    usage = staff.get(HOME, {"metric": calls.pk}).context["usage"]

    assert usage.chosen == calls
    assert [line.now.text for line in usage.payers] == ["1"]
    assert [name for _pk, name in usage.choices] == ["tokens", "calls"]
    assert {line.name: line.now.text for line in usage.metrics} == {"tokens": "10", "calls": "1", "peak": "5"}
    for wanted in ("0", "x", "99999999999999999999"):
        assert staff.get(HOME, {"metric": wanted}).context["usage"].chosen.key == "tokens"


def test_empty_month_says_so(staff: Client, world: World) -> None:
    assert "Nothing was used this month or last." in words(staff)


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        ("112", "100", "▲ 12 % more"),
        ("97", "100", "▼ 3 % less"),
        ("100.4", "100", "▲ <1 % more"),
        ("100", "100", "= same"),
        ("1", "0", "new"),
        ("0", "4", "▼ 100 % less"),
        ("0", "0", ""),
        ("2500", "1", "▲ 249,900 % more"),
        ("-5", "-10", "▲ 50 % more"),
    ],
)
def test_change_is_told_in_words_and_arrows(now: str, before: str, expected: str) -> None:
    assert change_in_words(Decimal(now), Decimal(before)) == expected


@pytest.mark.usefixtures("_in_november")
def test_home_asks_the_database_no_more_often_the_more_there_is(
    person: Callable[..., Client], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = person(
        *Permission.objects.filter(codename__startswith="view_").values_list("codename", flat=True)
    )
    for number in range(12):
        project = a_project(f"project-{number}")
        a_metric(f"metric-{number}", event_name=f"name-{number}")
        recorded(an_event(project, event_name=f"name-{number}", occurred_at="2025-11-02T00:00:00Z"))
    roll_up()
    failed_mails(3)
    failed_deliveries(3)

    with django_assert_max_num_queries(20):
        client.get(HOME)
