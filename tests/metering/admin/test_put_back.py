"""Changes of configuration are put back as they were: by the verbs, for a reason, by whoever may."""

from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from billing.invoicing.sellers import change_seller
from billing.models import Plan, Seller
from billing.selling.accounts import change_account
from billing.selling.plans import change_draft, publish_plan
from metering.attributing.scope_tree import attribute, change_project
from metering.defining.definitions import change_metric
from metering.delivering.endpoints import Changes, add_endpoint, change_endpoint
from metering.histories import histories
from metering.models import Project, WebhookEndpoint
from quotas.enforcement import change_quota, remove_quota
from quotas.models import ProjectQuota, QuotaChange, UsageThreshold
from quotas.thresholds import change_threshold, remove_threshold
from tests.billing.factories import a_draft, an_account
from tests.factories import a_metric, a_project, an_event, at, recorded
from tests.quotas.factories import a_quota, a_threshold

pytestmark = pytest.mark.django_db

URL = "/admin/history/"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def offered(client: Client, kind: str) -> list[str]:
    """Where the changes of a kind can be put back, newest first; empty for those that can't be."""
    return [change.put_back_url for change in client.get(URL, {"what": kind}).context["changes"]]


def test_project_gets_its_old_name_back_by_its_verb(staff: Client) -> None:
    acme = a_project("acme")
    change_project(acme, name="Acme Inc")
    [put_back_url, made_url] = offered(staff, "metering.project")

    page = staff.get(put_back_url)
    staff.post(put_back_url, {"reason": "a slip"})

    acme.refresh_from_db()
    [undone, *_] = staff.get(URL, {"what": "metering.project"}).context["changes"]
    assert [tuple(map(str, row)) for row in page.context["rows"]] == [("Name", "Acme Inc", "Acme")]
    assert made_url == ""
    assert acme.name == "Acme"
    assert (undone.actor, undone.reason, undone.takes_back_url) == ("ada", "a slip", put_back_url)


def test_looking_writes_nothing_and_a_reason_is_needed(staff: Client) -> None:
    acme = a_project("acme")
    change_project(acme, name="Acme Inc")
    [put_back_url, _] = offered(staff, "metering.project")

    staff.get(put_back_url)
    answer = staff.post(put_back_url, {"reason": " "})

    acme.refresh_from_db()
    assert "reason" in answer.context["form"].errors
    assert acme.name == "Acme Inc"


def test_putting_back_twice_is_refused_and_can_itself_be_put_back(staff: Client) -> None:
    acme = a_project("acme")
    change_project(acme, name="Acme Inc")
    [first_url, _] = offered(staff, "metering.project")
    staff.post(first_url, {"reason": "a slip"})

    again = staff.post(first_url, {"reason": "a slip"})

    assert "It was changed again since" in again.content.decode()
    [second_url, gone, _] = offered(staff, "metering.project")
    assert gone == ""
    staff.post(second_url, {"reason": "it was none"})
    assert Project.objects.get(pk=acme.pk).name == "Acme Inc"


def test_change_that_somebody_changed_again_is_not_offered(staff: Client) -> None:
    quota = a_quota(a_project("acme"), a_metric(), limit="500")
    change_quota(quota, limit="400")
    [open_url, _] = offered(staff, "quotas.projectquota")
    change_quota(quota, limit="300")

    answer = staff.post(open_url, {"reason": "a slip"})

    quota.refresh_from_db()
    assert "It was changed again since" in answer.content.decode()
    assert quota.limit == 300
    [last_url, earlier, _] = offered(staff, "quotas.projectquota")
    assert (bool(last_url), earlier) == (True, "")


def test_change_of_another_field_stands_in_nobodys_way(staff: Client) -> None:
    quota = a_quota(a_project("acme"), a_metric(), limit="500")
    change_quota(quota, limit="400")
    change_quota(quota, mode="soft")
    [_, of_limit, _] = offered(staff, "quotas.projectquota")

    staff.post(of_limit, {"reason": "a slip"})

    quota.refresh_from_db()
    assert (quota.limit, quota.mode) == (500, "soft")


def test_limit_that_goes_back_below_usage_says_what_is_refused(staff: Client) -> None:
    acme, tokens = a_project("acme"), a_metric("tokens", unit="token")
    quota = a_quota(acme, tokens, limit="800")
    change_quota(quota, limit="1000")
    recorded(an_event(acme, quantity=812, occurred_at=timezone.now().isoformat()))
    [put_back_url, _] = offered(staff, "quotas.projectquota")

    page = staff.get(put_back_url)

    standing, refused = page.context["sentences"]
    assert standing == "Used in the period that runs now: 812 of 800 token."
    assert refused.startswith("812 of 800 token are used already: all further usage is refused at once")


def test_removed_quota_is_set_again_unless_there_is_another(staff: Client) -> None:
    acme, tokens = a_project("acme"), a_metric("tokens")
    quota = a_quota(acme, tokens, limit="70.5", mode="soft", period="week")
    remove_quota(quota)
    [removed_url, _] = offered(staff, "quotas.projectquota")

    page = staff.get(removed_url)
    staff.post(removed_url, {"reason": "it was needed"})

    again = ProjectQuota.objects.get()
    assert page.context["is_removal"]
    assert (again.project, again.metric, again.limit, again.mode, again.period) == (
        acme,
        tokens,
        Decimal("70.5"),
        "soft",
        "week",
    )
    assert (
        QuotaChange.objects.get(pgh_obj=again.pk).pgh_context["takes_back"].startswith("quotas.projectquota:")
    )
    assert offered(staff, "quotas.projectquota") == ["", "", ""]


def test_threshold_gets_its_level_back_and_a_removed_one_is_set_again(staff: Client) -> None:
    threshold = a_threshold(a_project("acme"), a_metric(), amount="50", notify_emails=["a@acme.example"])
    change_threshold(threshold, amount="60", notify_emails=[])
    staff.post(offered(staff, "quotas.usagethreshold")[0], {"reason": "a slip"})
    threshold.refresh_from_db()
    before = (threshold.amount, threshold.notify_emails)
    remove_threshold(threshold)

    staff.post(offered(staff, "quotas.usagethreshold")[0], {"reason": "it was needed"})

    assert before == (50, ["a@acme.example"])
    again = UsageThreshold.objects.kept().get()
    assert (again.amount, again.notify_emails) == (50, ["a@acme.example"])
    assert again.pk != threshold.pk
    assert not any(offered(staff, "quotas.usagethreshold")[:2])


def test_amount_goes_back_to_a_share_of_the_quota(staff: Client) -> None:
    acme, tokens = a_project("acme"), a_metric()
    a_quota(acme, tokens, limit="100")
    threshold = a_threshold(acme, tokens, quota_fraction="0.8")
    change_threshold(threshold, amount="60", quota_fraction=None)

    staff.post(offered(staff, "quotas.usagethreshold")[0], {"reason": "a slip"})

    threshold.refresh_from_db()
    assert (threshold.amount, threshold.quota_fraction, threshold.level) == (None, Decimal("0.8"), 80)


def test_words_of_a_metric_go_back_and_its_meaning_does_not(staff: Client) -> None:
    metric = a_metric("tokens", display_name="Tokens")
    change_metric(metric, {"event_name": "other"})
    change_metric(metric, {"display_name": "Words", "unit": "word"})
    [words_url, meaning_url, _] = offered(staff, "metering.metricdefinition")

    staff.post(words_url, {"reason": "a slip"})

    metric.refresh_from_db()
    assert meaning_url == ""
    assert (metric.display_name, metric.unit, metric.event_name) == ("Tokens", "", "other")


def test_webhook_endpoint_is_switched_on_again(staff: Client) -> None:
    endpoint, _ = add_endpoint(project=a_project("acme"), url="https://198.51.99.7/hook")
    change_endpoint(endpoint, Changes(is_enabled=False, kinds=["usage.recorded"]))

    staff.post(offered(staff, "metering.webhookendpoint")[0], {"reason": "a slip"})

    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.is_enabled, endpoint.kinds, endpoint.disabled_reason) == (True, [], "")


def test_terms_of_an_account_and_the_seller_go_back(staff: Client) -> None:
    account = an_account(a_project("acme"), tax_rates=[{"name": "VAT", "percent": "19"}])
    change_account(account, {"tax_rates": [], "payment_terms_days": 90}, now=at("2026-01-01T00:00:00Z"))
    change_seller({"legal_name": "Meter Ltd", "footer": "old"})
    change_seller({"legal_name": "Meter Ltd", "footer": "new"})

    page = staff.get(offered(staff, "billing.billingaccount")[0]).content.decode()
    staff.post(offered(staff, "billing.billingaccount")[0], {"reason": "a slip"})
    staff.post(offered(staff, "billing.seller")[0], {"reason": "a slip"})

    account.refresh_from_db()
    assert "are taxed by VAT 19% instead of none" in page
    assert account.tax_rates == [{"name": "VAT", "percent": "19"}]
    assert account.payment_terms_days != 90
    assert Seller.objects.get().footer == "old"


def test_draft_of_a_plan_goes_back_until_it_is_published(staff: Client) -> None:
    plan = a_draft(key="pro", name="Pro")
    change_draft(plan, {"name": "Profi"})
    [draft_url, _] = offered(staff, "billing.plan")
    publish_plan(plan)

    answer = staff.post(draft_url, {"reason": "a slip"})

    assert bool(draft_url)
    assert "It was changed again since" in answer.content.decode()
    assert Plan.objects.get().name == "Profi"


def test_refusal_of_the_verb_is_said_and_nothing_changes(staff: Client) -> None:
    acme, tokens = a_project("acme"), a_metric("tokens")
    threshold = a_threshold(acme, tokens, amount="50")
    change_threshold(threshold, amount="60")
    [put_back_url, _] = offered(staff, "quotas.usagethreshold")
    a_threshold(acme, tokens, amount="50")

    answer = staff.post(put_back_url, {"reason": "a slip"})

    threshold.refresh_from_db()
    assert "watches this level of the same usage already" in answer.content.decode()
    assert threshold.amount == 60


def test_only_who_may_change_such_rows_puts_them_back(client: Client) -> None:
    acme = a_project("acme")
    change_project(acme, name="Acme Inc")
    clerk = User.objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    change = next(one for one in histories() if one.key == "metering.project").model.objects.latest("pgh_id")
    url = reverse("put_back", args=["metering.project", change.pk])

    unseen = client.get(url).status_code
    clerk.user_permissions.set(Permission.objects.filter(codename="view_project"))
    seen = client.get(url)
    refused = client.post(url, {"reason": "a slip"}).status_code

    assert (unseen, seen.status_code, refused) == (403, 200, 403)
    assert seen.context["form"] is None
    assert offered(client, "metering.project") == ["", ""]
    assert Project.objects.get().name == "Acme Inc"


@pytest.mark.parametrize(
    ("what", "number"),
    [("metering.project", 4_000_000), ("metering.project", 2**40), ("no.such", 1), ("auth.user", 1)],
)
def test_what_there_is_not_is_not_found(staff: Client, what: str, number: int) -> None:
    assert staff.get(reverse("put_back", args=[what, number])).status_code == 404


def test_change_of_a_kind_that_is_never_put_back_says_so(staff: Client) -> None:
    parent = a_project("parent")
    rule = attribute(a_project("child", parent=parent), payer=parent)
    change = next(one for one in histories() if one.key == "metering.attributionrule").model.objects.get(
        pgh_obj=rule.pk
    )

    page = staff.get(reverse("put_back", args=["metering.attributionrule", change.pk]))

    assert page.context["form"] is None
    assert "aren’t put back from here" in page.content.decode().replace("&#x27;", "’")


def test_message_after_a_change_leads_to_its_undo(staff: Client) -> None:
    acme = a_project("acme")
    form = {"name": "Acme Inc", "kind": "project", "timezone": "UTC", "change_reason": "renamed"}

    page = staff.post(reverse("admin:metering_project_change", args=[acme.pk]), form, follow=True)

    [put_back_url, _] = offered(staff, "metering.project")
    assert f'href="{put_back_url}">Undo</a>' in page.content.decode()


def test_history_of_limits_offers_it_too(staff: Client) -> None:
    quota = a_quota(a_project("acme"), a_metric(), limit="500")
    change_quota(quota, limit="400")

    page = staff.get(reverse("admin:quotas_quotachange_changelist")).content.decode()

    assert page.count("Put back as it was") == 1
    assert offered(staff, "quotas.projectquota")[0] in page


def test_many_changes_ask_no_more_than_one(staff: Client) -> None:
    metric = a_metric()
    for number in range(2):
        change_quota(a_quota(a_project(f"a{number}"), metric), limit="7")
    staff.get(URL)
    with CaptureQueriesContext(connection) as few:
        staff.get(URL)
    for number in range(8):
        change_quota(a_quota(a_project(f"b{number}"), metric), limit="7")
    with CaptureQueriesContext(connection) as many:
        staff.get(URL)

    assert len(many) == len(few)
