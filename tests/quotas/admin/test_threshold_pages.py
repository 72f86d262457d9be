"""Thresholds and alerts in the admin: set, changed, tested, removed and acknowledged by their verbs."""

from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from metering.clock import database_now
from metering.models import MetricDefinition, OutgoingMail, Project
from metering.rolling_up.rollups import roll_up
from quotas.alerting import post_alerts
from quotas.models import Alert, UsageThreshold
from tests.factories import a_metric, a_project, an_event, recorded
from tests.quotas.factories import a_quota, a_threshold, announced

LIST, ADD = "admin:quotas_usagethreshold_changelist", "admin:quotas_usagethreshold_add"
INBOX = "admin:quotas_alert_changelist"


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def onlooker(db: None) -> Client:
    user = User.objects.create_user("onlooker", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def acme(db: None) -> Project:
    return a_project("acme")


@pytest.fixture
def tokens(acme: Project) -> MetricDefinition:
    return a_metric("tokens", display_name="Tokens", unit="token", reset_period="monthly")


def a_form(project: Project, metric: MetricDefinition, **overrides: str) -> dict[str, str]:
    return {
        "project": str(project.pk),
        "metric": str(metric.pk),
        "period": "",
        "subject_id": "",
        "subject_type": "",
        "amount": "",
        "percent_of_quota": "",
        "approach_percent": "80",
        "action": "alert",
        "notify_emails": "",
        "is_enabled": "on",
        **overrides,
    }


def used(quantity: int, subject: str = "kim") -> None:
    recorded(an_event("acme", quantity=quantity, subject_id=subject, occurred_at=database_now().isoformat()))
    roll_up()


def change_url(threshold: UsageThreshold) -> str:
    return reverse("admin:quotas_usagethreshold_change", args=[threshold.pk])


# Thresholds


def test_threshold_is_set_by_the_form(staff, acme, tokens):
    form = a_form(
        acme,
        tokens,
        amount="1000.5",
        approach_percent="75 %",
        action="block",
        notify_emails="ops@example.com, finance@example.com\n",
    )

    response = staff.post(reverse(ADD), form)

    threshold = UsageThreshold.objects.get()
    assert response.status_code == 302
    assert (threshold.amount, threshold.approach_fraction) == (Decimal("1000.5"), Decimal("0.75"))
    assert (threshold.action, threshold.period) == ("block", "month")
    assert threshold.notify_emails == ["ops@example.com", "finance@example.com"]


@pytest.mark.parametrize(("asked", "early"), [("", None), ("80", None), ("90", Decimal("0.9"))])
def test_steps_become_a_threshold_each_and_warn_early_only_when_asked(staff, acme, tokens, asked, early):
    a_quota(acme, tokens, limit="1000", mode="monitor")
    form = a_form(acme, tokens, percent_of_quota="50, 80,100 %", approach_percent=asked, subject_id="*")

    response = staff.post(reverse(ADD), form, follow=True)

    levels = UsageThreshold.objects.order_by("level").values_list("level", "approach_fraction")
    assert list(levels) == [(Decimal(500), early), (Decimal(800), early), (Decimal(1000), early)]
    assert "3 thresholds were added, one for each step." in response.content.decode()


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "100"}, "amount"),
        ({"amount": "1", "percent_of_quota": "50"}, "percent_of_quota"),
        ({"percent_of_quota": "50"}, "percent_of_quota"),
        ({"percent_of_quota": "half"}, "percent_of_quota"),
        ({"amount": "1", "approach_percent": "150"}, "approach_percent"),
        ({"amount": "1", "notify_emails": "nobody"}, "notify_emails"),
        ({"amount": "1", "period": "never", "metric": "mean"}, "period"),
        ({"amount": "1", "action": "block", "metric": "mean"}, "action"),
    ],
)
def test_refused_threshold_names_the_field(staff, acme, tokens, overrides, field):
    mean = a_metric("mean", aggregation="TIME_WEIGHTED_AVG", meter_type="gauge")
    a_threshold(acme, tokens)
    overrides = dict(overrides)
    metric = mean if overrides.pop("metric", "") else tokens
    period = {"period": "month"}

    response = staff.post(reverse(ADD), a_form(acme, metric, **period | overrides))

    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == [field]
    assert UsageThreshold.objects.count() == 1


def test_change_goes_through_the_verb_and_the_form_shows_what_is(staff, acme, tokens):
    a_quota(acme, tokens, limit="1000", mode="monitor")
    threshold = a_threshold(
        acme, tokens, quota_fraction="0.5", approach_fraction=None, notify_emails=["a@b.ch", "c@d.ch"]
    )

    page = staff.get(change_url(threshold))
    shown = page.context["adminform"].form.initial
    assert (shown["percent_of_quota"], shown["approach_percent"]) == ("50", "")
    assert shown["notify_emails"] == "a@b.ch\nc@d.ch"
    response = staff.post(
        change_url(threshold),
        {
            "amount": "70",
            "percent_of_quota": "",
            "approach_percent": "90",
            "action": "none",
            "notify_emails": "",
            "reason": "too loud",
        },
    )

    threshold.refresh_from_db()
    assert response.status_code == 302
    assert (threshold.amount, threshold.quota_fraction, threshold.version) == (Decimal(70), None, 2)
    assert (threshold.action, threshold.notify_emails, threshold.is_enabled) == ("none", [], False)


def test_list_says_where_each_stands_now(staff, acme, tokens):
    a_threshold(acme, tokens, amount="100")
    a_threshold(acme, tokens, amount="400", subject_id="*")
    a_threshold(acme, tokens, amount="1000", subject_id="kim")
    a_threshold(acme, tokens, amount="5", is_enabled=False)
    used(85, "ada")
    used(125, "kim")

    page = staff.get(reverse(LIST)).content.decode()

    for words in (
        "1 reached",
        "1 near",
        "52%",
        "12%",
        "Off",
        "all usage together",
        "each subject on its own",
    ):
        assert words in page


def test_list_asks_the_same_for_one_and_for_twenty(staff, acme, tokens):
    a_threshold(acme, tokens, amount="1", subject_id="*")
    with CaptureQueriesContext(connection) as few:
        staff.get(reverse(LIST))
    for amount in range(2, 21):
        a_threshold(acme, tokens, amount=amount, subject_id="*")

    with CaptureQueriesContext(connection) as many:
        page = staff.get(reverse(LIST)).content.decode()

    assert page.count(">all usage together<") == 20
    assert len(many) == len(few)


def test_empty_list_says_what_to_do(staff):
    assert "Add a threshold at an amount" in staff.get(reverse(LIST)).content.decode()


def test_test_button_sends_a_test(staff, acme, tokens):
    threshold = a_threshold(acme, tokens, notify_emails=["ops@example.com"])
    url = f"/admin/quotas/usagethreshold/{threshold.pk}/test/"

    assert "ops@example.com" in staff.get(url).content.decode()
    assert not OutgoingMail.objects.exists()
    response = staff.post(url, follow=True)

    assert "On their way: 1 mail and 0 webhook deliveries, marked as a test." in response.content.decode()
    assert OutgoingMail.objects.get().subject.startswith("[Test]")
    assert [event.data["requested_by"] for event in announced()] == ["root"]


def test_test_that_reaches_nobody_says_so(staff, acme, tokens):
    threshold = a_threshold(acme, tokens)

    response = staff.post(f"/admin/quotas/usagethreshold/{threshold.pk}/test/", follow=True)

    assert "There is nobody to tell" in response.content.decode()


def test_removed_threshold_is_gone_from_the_pages(staff, acme, tokens):
    threshold = a_threshold(acme, tokens)
    url = f"/admin/quotas/usagethreshold/{threshold.pk}/remove/"
    assert staff.get(url).status_code == 200
    assert UsageThreshold.objects.kept().exists()

    assert staff.post(url, {"reason": "nobody reads it"}).status_code == 302

    assert not UsageThreshold.objects.kept().exists()
    assert staff.get(change_url(threshold)).status_code == 302
    assert staff.get(url).status_code == 404


def test_onlookers_change_nothing(onlooker, acme, tokens):
    threshold = a_threshold(acme, tokens, notify_emails=["ops@example.com"])
    used(100)
    alert = Alert.objects.get()

    assert onlooker.get(change_url(threshold)).status_code == 200
    assert onlooker.get(reverse("admin:quotas_alert_change", args=[alert.pk])).status_code == 200
    for url in (
        reverse(ADD),
        change_url(threshold),
        f"/admin/quotas/usagethreshold/{threshold.pk}/test/",
        f"/admin/quotas/usagethreshold/{threshold.pk}/remove/",
        f"/admin/quotas/alert/{alert.pk}/acknowledge/",
        reverse("admin:quotas_alert_change", args=[alert.pk]),
        reverse("admin:quotas_alert_delete", args=[alert.pk]),
    ):
        assert onlooker.post(url, {"amount": "1"}).status_code == 403, url
    onlooker.post(reverse(INBOX), {"action": "acknowledge_selected", "_selected_action": [alert.pk]})
    alert.refresh_from_db()
    assert alert.is_open


# Alerts


def test_inbox_shows_open_alerts_and_the_sidebar_counts_them(staff, acme, tokens):
    assert "No open alerts" in staff.get(reverse(INBOX)).content.decode()
    a_threshold(acme, tokens, amount="100")
    used(120, "<script>kim")

    page = staff.get(reverse(INBOX)).content.decode()

    assert "&lt;script&gt;kim" in page
    assert "<script>kim" not in page
    assert "120%" in page
    assert "of 100 token" in page
    badge = page.partition("Alerts</span>")[2][:1500]
    assert "bg-red-100" in badge


def test_alert_is_acknowledged_with_a_note(staff, acme, tokens):
    a_threshold(acme, tokens, notify_emails=["ops@example.com"], action="block")
    used(120)
    post_alerts(at_once=True)
    alert = Alert.objects.get()
    page = staff.get(reverse("admin:quotas_alert_change", args=[alert.pk])).content.decode()
    assert "ops@example.com" in page
    assert "Is refused until the period ends" in page
    assert "no endpoint subscribes" in page
    url = f"/admin/quotas/alert/{alert.pk}/acknowledge/"

    assert "lifts no block" in staff.get(url).content.decode()
    assert staff.post(url, {"note": "They upgrade."}).status_code == 302

    alert.refresh_from_db()
    assert (alert.acknowledged_by, alert.note) == ("root", "They upgrade.")
    assert "No open alerts" in staff.get(reverse(INBOX)).content.decode()
    shown = staff.get(reverse(INBOX), {"state": "acknowledged"}).content.decode()
    assert "by root" in shown
    assert (
        "They upgrade." in staff.get(reverse("admin:quotas_alert_change", args=[alert.pk])).content.decode()
    )


def test_many_alerts_are_acknowledged_together(staff, acme, tokens):
    a_threshold(acme, tokens)
    for subject in ("ada", "kim", "liv"):
        used(100, subject)
    first, second, third = Alert.objects.order_by("id").values_list("id", flat=True)

    response = staff.post(
        reverse(INBOX), {"action": "acknowledge_selected", "_selected_action": [first, second]}, follow=True
    )

    assert "2 alerts are acknowledged." in response.content.decode()
    assert list(Alert.objects.filter(acknowledged_at=None).values_list("id", flat=True)) == [third]


def test_inbox_is_searched_filtered_and_paged(staff, acme, tokens):
    threshold = a_threshold(acme, tokens)
    a_threshold(acme, tokens, amount="1000000", subject_id="*", approach_fraction="0.0001")
    recorded(
        *(
            an_event(acme, quantity=100, subject_id=f"kim-{n:02}", occurred_at=database_now().isoformat())
            for n in range(60)
        )
    )
    roll_up()

    def found(**query: object) -> int:
        return len(staff.get(reverse(INBOX), query).context["cl"].result_list)

    assert (found(), found(p=2)) == (50, 11)
    assert found(q="kim-07") == 1
    assert found(crossing__kind__exact="approaching") == 1
    assert found(crossing__threshold__id__exact=threshold.pk, p=2) == 10
    assert found(crossing__threshold__action__exact="block") == 0
