"""Why was this refused? The pages that answer, and those that show where limits stand."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from metering.attributing.scope_tree import attribute
from metering.models import Project
from quotas.holds import commit, release, reserve
from quotas.models import QuotaDecision
from quotas.notebook import NOTEBOOK
from tests.factories import a_metric, a_project, an_event, recorded
from tests.quotas.factories import a_quota

LIST = "admin:quotas_quotadecision_changelist"


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def refused(db: None) -> QuotaDecision:
    """Three times 20 asked of a child, where 10 of its payer's 100 are left."""
    acme = a_project("acme", name="Acme")
    attribute(a_project("chat", parent=acme), payer=acme)
    a_quota(acme, a_metric(unit="token"), limit="100")
    recorded(an_event("acme", quantity=90))
    results = recorded(
        *(an_event("chat", id=f"req-{n}", quantity=20, subject_id="kim") for n in range(3)), on_error="skip"
    )
    NOTEBOOK.flush()
    assert {result.outcome for result in results} == {"rejected"}
    return QuotaDecision.objects.get()


def test_decision_is_told_in_words_with_its_numbers(staff, refused):
    page = staff.get(reverse("admin:quotas_quotadecision_change", args=[refused.pk])).content.decode()

    assert "asked to record 20 token of “tokens” for the project chat." in page
    assert "The quota of acme allows 100 token a month. 90 were used before; 10 were left." in page
    assert "It would have gone beyond the limit by 10 token, so nothing of it was recorded." in page
    assert "The same was answered 3 times within that minute." in page
    assert reverse("admin:quotas_projectquota_change", args=[refused.quota_id]) in page
    assert reverse("admin:quotas_projectquota_standing", args=[refused.project_id]) in page


@pytest.mark.parametrize("term", ["REFERENCE", "req-2", "kim", "acme", "chat", "tokens"])
def test_decision_is_found_by_what_a_caller_knows(staff, refused, term):
    term = refused.reference.upper() if term == "REFERENCE" else term

    assert [row.pk for row in staff.get(reverse(LIST), {"q": term}).context["cl"].result_list] == [refused.pk]
    assert list(staff.get(reverse(LIST), {"q": "nothing"}).context["cl"].result_list) == []


def test_search_everywhere_leads_from_the_reference_to_the_decision(staff, refused):
    response = staff.get("/admin/search/", {"q": refused.reference.upper(), "go": "1"})

    assert response.status_code == 302
    assert response.url == reverse("admin:quotas_quotadecision_change", args=[refused.pk])


def test_list_is_filtered(staff, refused):
    def found(**query):
        return len(staff.get(reverse(LIST), query).context["cl"].result_list)

    assert found(project__id__exact=refused.project_id) == 1
    assert (found(outcome__exact="denied"), found(outcome__exact="soft_breach")) == (1, 0)
    assert (found(metric_key="tokens"), found(metric_key="other")) == (1, 0)
    assert (found(last_at_from="2020-01-01"), found(last_at_until="2020-01-01")) == (1, 0)


def test_empty_list_says_what_it_would_hold(staff):
    assert "Nothing was refused" in staff.get(reverse(LIST)).content.decode()


def test_decision_of_a_removed_quota_still_reads(staff, refused):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM quotas_projectquota")

    page = staff.get(reverse("admin:quotas_quotadecision_change", args=[refused.pk])).content.decode()

    assert "Removed since, or not known." in page


@pytest.mark.parametrize("outcome", QuotaDecision.Outcome.values)
def test_every_outcome_can_be_told(staff, refused, outcome):
    copy = QuotaDecision.objects.get()
    copy.pk, copy.reference, copy.outcome = None, "another", outcome
    copy.save(force_insert=True)

    response = staff.get(reverse("admin:quotas_quotadecision_change", args=[copy.pk]))

    assert response.status_code == 200


def test_nobody_changes_a_decision(staff, refused):
    url = reverse("admin:quotas_quotadecision_change", args=[refused.pk])

    assert staff.post(url, {"used": "0"}).status_code == 403


# Where limits stand


def test_page_of_a_project_shows_its_limits_with_charts(staff, refused):
    acme = Project.objects.get(key="acme")
    a_project("alone", parent=acme)
    now = timezone.now().isoformat()
    recorded(an_event("acme", quantity=95, occurred_at=now))

    page = staff.get(reverse("admin:quotas_projectquota_standing", args=[acme.pk]))
    content = page.content.decode()

    [card] = page.context["cards"]
    assert card.used == "95 / 100 token"
    assert "Limits of Acme" in content
    assert "Not counted, because they pay for themselves or others do: alone" in content
    assert "What was refused or warned about lately" in content
    assert card.course.rows[0][1:] == ("95", "100", "95.0%")
    assert card.periods.rows[0][1:] == ("95", "100", "95.0%")


def test_page_of_a_project_without_limits_says_so_and_names_its_payer(staff, refused):
    chat = Project.objects.get(key="chat")

    content = staff.get(reverse("admin:quotas_projectquota_standing", args=[chat.pk])).content.decode()

    assert "No limits" in content
    assert "Its usage is paid for by acme" in content
    assert "1 limit<" in content


@pytest.mark.parametrize("period", ["hour", "day", "week", "month", "year", "never"])
def test_every_period_is_drawn(staff, db, period):
    acme = a_project("acme", timezone="Australia/Lord_Howe")
    a_quota(acme, a_metric(aggregation="MAX", meter_type="gauge"), limit="0", period=period)

    page = staff.get(reverse("admin:quotas_projectquota_standing", args=[acme.pk]))

    assert page.status_code == 200
    assert (page.context["cards"][0].periods is None) == (period == "never")


def test_more_limits_on_a_metric_cost_no_more_statements(staff, db):
    acme, metric = a_project("acme"), a_metric()

    def statements():
        url = reverse("admin:quotas_projectquota_standing", args=[acme.pk])
        staff.get(url)
        with CaptureQueriesContext(connection) as found:
            staff.get(url)
        return len(found)

    a_quota(acme, metric, limit="1", period="month")
    one = statements()
    for period in ("hour", "day", "week", "year", "never"):
        a_quota(acme, metric, limit="1", period=period)

    assert statements() == one


def test_list_of_limits_costs_no_more_statements(staff, db):
    metric = a_metric()

    def statements(count):
        for _ in range(count):
            a_quota(a_project(), metric, limit="1")
        staff.get(reverse("admin:quotas_projectquota_changelist"))
        with CaptureQueriesContext(connection) as found:
            staff.get(reverse("admin:quotas_projectquota_changelist"))
        return len(found)

    assert statements(1) == statements(9)


def test_holds_are_listed_with_their_states(staff, db):
    acme = a_project("acme")
    a_metric(unit="token")
    holds = [
        reserve(acme, metric_key="tokens", quantity=amount, expires_in=600).hold for amount in (10, 20, 30)
    ]
    commit(holds[0], quantity=7)
    release(holds[1])

    page = staff.get(reverse("admin:quotas_quotahold_changelist")).content.decode().partition("<tbody")[2]
    one = staff.get(reverse("admin:quotas_quotahold_change", args=[holds[0].pk])).content.decode()

    assert page.index("Open") < page.index("Given back") < page.index("Used")
    assert "10 <span" in one
    assert f"hold:{holds[0].public_id}" not in page


def test_standing_page_needs_the_right(client, db):
    acme = a_project("acme")
    client.force_login(User.objects.create_user("clerk", is_staff=True))

    assert client.get(reverse("admin:quotas_projectquota_standing", args=[acme.pk])).status_code == 403
