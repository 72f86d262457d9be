"""The page that tells all histories as one: who changed what, when, from what to what, and why."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.urls import reverse

from billing.models import Plan
from billing.selling.accounts import change_account
from metering.accountability import changed_by
from metering.attributing.scope_tree import attribute, change_project
from metering.histories import Place, Wanted, histories, page_of_changes
from metering.keys import create_api_key
from metering.models import Project
from tests.billing.factories import a_draft, a_plan, a_subscription, an_account
from tests.factories import a_metric, a_project, at
from tests.metering.api.callers import Caller, a_member_of_staff
from tests.quotas.factories import a_quota

pytestmark = pytest.mark.django_db

URL = "/admin/history/"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def page_of(client: Client, **asked: Any) -> str:
    answer = client.get(URL, asked)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def as_sent(text: str) -> str:
    """As a server hands over the UTF-8 of a header."""
    return text.encode().decode("latin-1")


def shown_on(client: Client, **asked: Any) -> list[tuple[str, str, str]]:
    changes = client.get(URL, asked).context["changes"]
    return [(change.kind, str(change.name), change.what) for change in changes]


def test_change_in_the_admin_reads_as_who_what_before_after_and_why(staff: Client) -> None:
    acme = a_project("acme")
    form = {"name": "Acme Inc", "kind": "project", "timezone": "UTC", "change_reason": "they were renamed"}

    staff.post(reverse("admin:metering_project_change", args=[acme.pk]), form)

    [change, made] = staff.get(URL, {"q": "acme"}).context["changes"]
    assert (change.actor, change.through, change.reason) == ("ada", "admin", "they were renamed")
    assert (change.name, change.what, change.url) == (
        "acme",
        "changed",
        reverse("admin:metering_project_change", args=[acme.pk]),
    )
    [value] = change.values
    assert (value.name, value.before, value.after) == ("Name", "Acme", "Acme Inc")
    assert made.what == "new"
    assert "they were renamed" in page_of(staff)


def test_values_are_told_by_labels_names_and_keys(staff: Client) -> None:
    parent = a_project("parent")
    child = a_project("child", parent=parent)
    rule = attribute(child, payer=parent, effective_from=at("2024-01-01T00:00:00Z"))
    metric = a_metric(unit="token")
    quota = a_quota(child, metric, limit="1000")
    type(quota).objects.filter(pk=quota.pk).update(mode="soft", limit=2500)

    changes = staff.get(URL, {"q": "child"}).context["changes"]

    of_quota, _, of_rule, _ = changes
    assert [(value.name, str(value.before), str(value.after)) for value in of_quota.values] == [
        ("Limit", "1,000", "2,500"),
        ("Mode", "Hard (refuses what goes beyond)", "Soft (records it with a warning)"),
    ]
    assert of_quota.name == "child · tokens"
    told = {value.name: str(value.after) for value in of_rule.values}
    assert (told["Project"], told["Paid by"]) == ("child", "parent")
    assert f"/{rule.pk}/" in of_rule.url


def test_long_structure_is_shown_by_the_lines_that_differ(staff: Client) -> None:
    price = a_draft(key="pro").prices.get()
    long = {"model": "graduated", "tiers": [{"up_to": str(n), "unit_amount": "0.10"} for n in range(1, 9)]}
    type(price).objects.filter(pk=price.pk).update(price=long)

    [value] = staff.get(URL, {"what": "billing.price"}).context["changes"][0].values

    assert ("-", '  "model": "flat"') in [(sign, text.rstrip(",")) for sign, text in value.lines]
    assert ("+", '  "model": "graduated"') in [(sign, text.rstrip(",")) for sign, text in value.lines]


def test_change_past_everything_shows_the_role_of_the_database(staff: Client) -> None:
    a_project("acme")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE metering_project SET name = 'Acme Inc'")
        cursor.execute("SELECT SESSION_USER")
        (role,) = cursor.fetchone()

    change = staff.get(URL, {"q": "acme"}).context["changes"][0]

    assert (change.actor_words, change.through) == ("directly in the database", f"as role {role}")


def test_key_and_its_reason_are_told_by_the_api(staff: Client) -> None:
    acme = a_project("acme")
    call = Caller(acme)

    answer = call(
        "PATCH", "/projects/acme/", {"name": "Acme Inc"}, headers={"Change-Reason": as_sent("neu für März")}
    )
    too_long = call("PATCH", "/projects/acme/", {"name": "No"}, headers={"Change-Reason": "x" * 1001})

    change = staff.get(URL, {"q": "acme"}).context["changes"][0]
    assert answer.status_code == 200
    assert (change.actor, change.through) == (f"test (mbk_{call.row.key_id}…)", "API")
    assert change.reason == "neu für März"
    assert too_long.status_code == 422
    assert Project.objects.get().name == "Acme Inc"


def test_rights_are_told_by_who_gave_them_to_whom(staff: Client) -> None:
    bob, clerks = User.objects.create_user("bob"), Group.objects.create(name="clerks")
    with changed_by("ada", through="admin"):
        bob.groups.add(clerks)
        bob.groups.remove(clerks)

    found = shown_on(staff, of="auth.user", id=bob.pk)

    assert sorted(found) == [
        ("Membership", "bob · clerks", "new"),
        ("Membership", "bob · clerks", "removed"),
        ("User", "bob", "new"),
    ]


def test_what_is_gone_keeps_its_name(staff: Client) -> None:
    bob, clerks = User.objects.create_user("bob"), Group.objects.create(name="clerks")
    bob.groups.add(clerks)
    clerks.delete()

    assert shown_on(staff, what="auth.user_groups")[0] == ("Membership", "bob · clerks", "removed")
    assert shown_on(staff, what="auth.group")[0] == ("Group", "clerks", "removed")


def test_pages_have_a_history_button_that_leads_here(staff: Client) -> None:
    plan = a_plan(key="pro")
    other = a_plan(key="other")

    answer = staff.get(reverse("admin:billing_plan_history", args=[plan.pk]), follow=True)

    assert answer.request["PATH_INFO"] == URL
    assert "Only Plan pro v1" in " ".join(answer.content.decode().split())
    assert sorted((change.kind, str(change.name)) for change in answer.context["changes"]) == [
        ("Plan", "pro · 1"),
        ("Plan", "pro · 1"),
        ("Price", "pro v1 · Base fee"),
    ]
    assert other.key not in [str(change.name) for change in answer.context["changes"]]


def test_filters_narrow_it_down(staff: Client) -> None:
    acme, globex = a_project("acme"), a_project("globex")
    with changed_by("eve", through="admin"):
        change_project(acme, name="Acme Inc")
    with changed_by("mallory", through="admin"):
        change_project(globex, name="Globex Inc")

    assert shown_on(staff, who="eve") == [("Project", "acme", "changed")]
    assert shown_on(staff, q="globex", what="metering.project")[0] == ("Project", "globex", "changed")
    assert shown_on(staff, what="metering.apikey") == []
    today = dt.datetime.now(dt.UTC).date()
    assert len(shown_on(staff, **{"from": today.isoformat(), "until": today.isoformat(), "who": "eve"})) == 1
    assert shown_on(staff, until="2020-01-01") == []
    assert "No such change" in page_of(staff, until="2020-01-01")
    assert "is no day" in page_of(staff, **{"from": "yesterday"})
    assert page_of(staff, id="x", of="metering.project", place="nonsense", what="nobody's")


@pytest.mark.parametrize("backwards", [False, True])
def test_pages_tile_at_any_place(backwards: bool) -> None:
    with connection.cursor() as cursor:  # many at one instant, in several histories
        for number in range(7):
            a_project(f"p-{number}")
            Group.objects.create(name=f"g-{number}")
        cursor.execute("SELECT 1")
    everything = [
        (row.history.number, row.change_id) for row in page_of_changes(histories(), Wanted(), size=1000).rows
    ]
    page = page_of_changes(histories(), Wanted(), size=3)
    seen = [page]
    while page.older is not None:
        page = page_of_changes(histories(), Wanted(), place=Place.from_text(str(page.older)), size=3)
        seen.append(page)
    if backwards:
        back = [page]
        while page.newer is not None:
            page = page_of_changes(histories(), Wanted(), place=Place.from_text(str(page.newer)), size=3)
            if page.rows:
                back.insert(0, page)
        seen = back

    assert len(everything) > 14
    assert [(row.history.number, row.change_id) for one in seen for row in one.rows] == everything


def test_one_sees_the_histories_of_what_one_may_see(client: Client) -> None:
    a_project("acme")
    Group.objects.create(name="clerks")
    client.force_login(a_member_of_staff("view_project"))

    assert {kind for kind, *_ in shown_on(client)} == {"Project"}
    assert "Group" not in dict(client.get(URL).context["kinds"]).values()
    assert client.get(URL).context["people"] == []


def test_who_may_see_nothing_of_it_is_refused(client: Client) -> None:
    client.force_login(a_member_of_staff("view_usageevent"))
    refused = client.get(URL)
    client.logout()

    assert refused.status_code == 403
    assert client.get(URL).status_code == 302


def test_auditor_with_all_view_rights_sees_every_history(client: Client) -> None:
    auditor = User.objects.create_user("aud", is_staff=True)
    auditor.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(auditor)

    assert len(client.get(URL).context["kinds"]) == len(histories())


def test_page_of_everything_asks_at_most_twenty_times(client: Client, django_assert_max_num_queries) -> None:
    seen = ("project", "attributionrule", "metricdefinition", "apikey", "projectquota", "user", "group")
    sold = ("plan", "billingaccount", "subscription")
    clerk = a_member_of_staff(*(f"view_{model}" for model in (*seen, *sold)))
    parent = a_project("parent")
    child = a_project("child", parent=parent)
    attribute(child, payer=parent, effective_from=at("2024-01-01T00:00:00Z"))
    metric = a_metric(project=parent)
    create_api_key(project=child, name="Backend", permissions=["read"])
    a_quota(child, metric, limit="1")
    clerks = Group.objects.create(name="clerks")
    clerk.groups.add(clerks)
    clerks.permissions.add(Permission.objects.first())
    account = an_account(child)
    change_account(account, {"payment_terms_days": 14}, now=at("2026-03-01T00:00:00Z"))
    a_subscription(account, a_plan(key="pro"))
    client.force_login(clerk)

    with django_assert_max_num_queries(20):
        kinds = {kind for kind, *_ in shown_on(client)}

    assert len(kinds) >= 10
    assert Plan.objects.count() == 1
