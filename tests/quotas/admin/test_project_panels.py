"""Limits, thresholds and alerts on the pages of projects and metrics."""

import datetime as dt
import re
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db import connection
from django.http import HttpRequest
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from metering.models import MetricDefinition, Project
from metering.rolling_up.rollups import roll_up
from quotas.admin import metric_panels, project_panels
from quotas.alerting import acknowledge
from quotas.holds import reserve
from quotas.models import Alert
from tests.factories import a_metric, a_project, an_event, recorded
from tests.quotas.factories import a_quota, a_threshold

RIGHTS = ("view_projectquota", "view_usagethreshold", "view_alert")


def request_of(*codenames: str) -> HttpRequest:
    user = User.objects.create_user(f"staff-{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    request = RequestFactory().get("/")
    request.user = User.objects.get(pk=user.pk)
    return request


def text_of(panel: Any) -> str:
    """What a card says, without its markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", str(panel.body)).split())


@pytest.fixture
def acme(db: None) -> Project:
    return a_project("acme")


@pytest.fixture
def tokens(db: None) -> MetricDefinition:
    return a_metric("tokens", display_name="Tokens", unit="token")


def used_now(project: Project, quantity: int, **overrides: Any) -> None:
    now = timezone.now().isoformat()
    recorded(an_event(project, quantity=quantity, occurred_at=now, **overrides))


def test_limit_shows_what_is_used_held_and_left(acme: Project, tokens: MetricDefinition) -> None:
    a_quota(acme, tokens, limit="100", period="day", counting="ledger")
    used_now(acme, 30)
    reserve(acme, metric_key="tokens", quantity="20", expires_in=600, members={})

    panel = project_panels.limits_panel(request_of("view_projectquota"), acme)

    assert panel is not None
    text = text_of(panel)
    assert "50.0%" in text
    assert "Used 30 token Held 20 token Limit 100 token Left 50 token Starts anew" in text
    assert f"{timezone.now() + dt.timedelta(days=1):%Y-%m-%d} 00:00:00 UTC" in text


def test_strictest_limits_come_first_and_few_are_shown(acme: Project, tokens: MetricDefinition) -> None:
    for period, mode in (("day", "monitor"), ("week", "soft"), ("month", "hard"), ("year", "monitor")):
        a_quota(acme, tokens, period=period, mode=mode)

    four = project_panels.limits_panel(request_of("view_projectquota"), acme)
    a_quota(acme, tokens, period="hour", mode="monitor")
    five = project_panels.limits_panel(request_of("view_projectquota", "view_alert"), acme)

    assert four is not None
    assert five is not None
    assert (four.link_text, five.link_text) == ("With charts", "All its limits")
    assert text_of(four).index("Hard") < text_of(four).index("Soft") < text_of(four).index("Monitor")
    assert str(five.body).count("mb-meter") == 4


def test_project_without_limits_is_told_what_that_means(acme: Project) -> None:
    looking = project_panels.limits_panel(request_of("view_projectquota"), acme)
    adding = project_panels.limits_panel(request_of("view_projectquota", "add_projectquota"), acme)

    assert "what it uses is unlimited" in text_of(looking)
    assert "Add a quota" not in text_of(looking)
    assert "Add a quota" in text_of(adding)


def test_threshold_shows_its_last_crossing(acme: Project, tokens: MetricDefinition) -> None:
    a_threshold(acme, tokens, amount="100", subject_id="*", period="day")
    a_threshold(acme, tokens, amount="1000", period="day")
    used_now(acme, 150)
    roll_up()

    panel = project_panels.thresholds_panel(request_of("view_usagethreshold"), acme)

    text = text_of(panel)
    assert "Day, all usage together" in text
    assert "Reached" in text
    assert "Day, each subject on its own Alert not yet 1,000 token" in text


def test_open_alerts_are_shown_until_they_are_acknowledged(acme: Project, tokens: MetricDefinition) -> None:
    a_threshold(acme, tokens, amount="100", subject_id="*", period="day")
    request = request_of("view_alert")
    before = project_panels.alerts_panel(request, acme)
    used_now(acme, 150)
    roll_up()

    panel = project_panels.alerts_panel(request, acme)
    elsewhere = project_panels.alerts_panel(request, a_project("other"))
    acknowledge(list(Alert.objects.all()), actor="kim")
    after = project_panels.alerts_panel(request, acme)

    assert "150 of 100 token" in text_of(panel)
    assert (before, elsewhere, after) == (None, None, None)


def test_each_card_has_a_right_of_its_own(acme: Project, tokens: MetricDefinition) -> None:
    a_threshold(acme, tokens, amount="100", subject_id="*", period="day")
    used_now(acme, 150)
    roll_up()
    sources = (
        project_panels.limits_panel,
        project_panels.thresholds_panel,
        project_panels.alerts_panel,
    )

    shown = [[source(request_of(right), acme) is not None for source in sources] for right in RIGHTS]

    assert shown == [[True, False, False], [False, True, False], [False, False, True]]
    nobody = RequestFactory().get("/")
    nobody.user = AnonymousUser()
    assert [source(nobody, acme) for source in sources] == [None, None, None]


def test_cards_ask_as_often_for_many_as_for_few(acme: Project) -> None:
    metrics = [a_metric(f"metric-{number}") for number in range(9)]
    for metric in metrics[:4]:
        a_quota(acme, metric)
        a_threshold(acme, metric)
    request = request_of(*RIGHTS)

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            project_panels.limits_panel(request, acme)
            project_panels.thresholds_panel(request, acme)
            project_panels.alerts_panel(request, acme)
        return sum(not one["sql"].startswith(("SAVEPOINT", "RELEASE")) for one in queries)

    request.user.has_perm("quotas.view_alert")
    asked()
    few = asked()
    for metric in metrics[4:]:
        a_quota(acme, metric)
        a_threshold(acme, metric)
    asked()

    assert few == asked() == 13


def test_metric_says_whom_it_limits_and_where_it_is_watched(acme: Project, tokens: MetricDefinition) -> None:
    a_quota(acme, tokens, limit="5000", period="month", mode="soft")
    a_threshold(acme, tokens, amount="100", action="block", period="day")
    request = request_of("view_projectquota", "view_usagethreshold")

    limits = metric_panels.limits_panel(request, tokens)
    thresholds = metric_panels.thresholds_panel(request, tokens)

    assert text_of(limits) == "Project Mode Each Limit acme Soft Month 5,000 token"
    assert text_of(thresholds) == "Project Does Each Level acme Block Day 100 token"
    assert limits is not None
    assert limits.url.endswith(f"metric__id__exact={tokens.pk}")


def test_metric_that_nobody_limits_says_so(tokens: MetricDefinition) -> None:
    request = request_of("view_projectquota", "view_usagethreshold")

    assert text_of(metric_panels.limits_panel(request, tokens)) == "Nobody's use of it is limited."
    assert metric_panels.thresholds_panel(request, tokens) is None
    assert metric_panels.limits_panel(request_of("view_alert"), tokens) is None
    assert metric_panels.thresholds_panel(request_of("view_plan"), tokens) is None
