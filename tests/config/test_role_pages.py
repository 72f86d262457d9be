"""Groups and people in the admin: rights in plain words, the table of roles, who may give what."""

import pytest
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from metering.accountability import changed_by
from tests.billing.admin.reading import text_of
from tests.factories import a_project

pytestmark = pytest.mark.django_db

GROUPS, USERS = "/admin/auth/group/", "/admin/auth/user/"


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def right(codename: str) -> Permission:
    return Permission.objects.get(codename=codename)


def somebody(name: str, *codenames: str, groups: tuple[str, ...] = ()) -> tuple[User, Client]:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.set(Group.objects.filter(name__in=groups))
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return user, client


def test_list_says_what_each_role_is_for_and_who_has_it(root: Client) -> None:
    somebody("kim", groups=("Finance",))

    page = text_of(root.get(GROUPS))

    assert (
        "Finance Sells and bills: accounts, plans, subscriptions, invoices, payments and credit. kim" in page
    )
    assert "Table of roles" in page


def test_table_of_roles_says_how_far_each_reaches(root: Client) -> None:
    page = text_of(root.get(f"{GROUPS}roles/"))

    assert "Invoices and payments Sees Sees and changes Sees and decides Sees" in page
    assert "API keys Sees and changes – – Sees" in page
    assert "Exports Makes files Makes files Makes files Makes files" in page
    assert "Issue invoices and credit notes – yes – –" in page


def test_table_of_roles_asks_the_database_no_more_than_its_frame(root: Client) -> None:
    root.get(f"{GROUPS}roles/")

    with CaptureQueriesContext(
        connection,
    ) as asked:
        root.get(f"{GROUPS}roles/")

    assert len(asked) <= 6


def test_role_can_be_read_and_not_changed(root: Client) -> None:
    finance = Group.objects.get(name="Finance")
    kim, _client = somebody("kim", groups=("Finance",))

    page = root.get(f"{GROUPS}{finance.pk}/change/")
    sent = root.post(f"{GROUPS}{finance.pk}/change/", {"name": "Mine", "permissions": []})
    removed = root.post(f"{GROUPS}{finance.pk}/delete/", {"post": "yes"})

    assert "Issue invoices and credit notes" in text_of(page)
    assert f'href="{USERS}{kim.pk}/change/"' in page.content.decode()
    assert "billing |" not in text_of(page)
    assert (sent.status_code, removed.status_code) == (403, 403)
    assert Group.objects.filter(name="Finance").exists()


def test_own_group_is_made_of_boxes_in_plain_words(root: Client) -> None:
    page = root.get(f"{GROUPS}add/")
    answer = root.post(
        f"{GROUPS}add/",
        {"name": "Dunning", "permissions": [right("view_invoice").pk, right("add_payment").pk]},
    )

    assert "<legend>Invoices and payments</legend>" in page.content.decode()
    assert "Record payments and take them back" in text_of(page)
    assert "Add fences" not in text_of(page)
    assert answer.status_code == 302
    codenames = Group.objects.get(name="Dunning").permissions.values_list("codename", flat=True)
    assert sorted(codenames) == ["add_payment", "view_invoice"]


def test_right_that_no_box_offers_stays_given(root: Client) -> None:
    group = Group.objects.create(name="Dunning")
    group.permissions.set([right("view_invoice"), right("view_contenttype")])

    root.post(f"{GROUPS}{group.pk}/change/", {"name": "Dunning", "permissions": [right("view_plan").pk]})

    codenames = group.permissions.values_list("codename", flat=True)
    assert sorted(codenames) == ["view_contenttype", "view_plan"]


def test_page_of_a_person_says_what_they_may_do_in_the_end(root: Client) -> None:
    kim, _client = somebody("kim", "add_apikey", groups=("Approver",))

    page = text_of(root.get(f"{USERS}{kim.pk}/change/"))

    told = page[page.index("What they may do in the end") :]
    assert "Approve what somebody else edited" in told
    assert "Add API keys" in told
    assert "Issue invoices" not in told


def test_person_keeps_what_the_form_sends(root: Client) -> None:
    kim, _client = somebody("kim", "add_apikey")
    finance = Group.objects.get(name="Finance")
    form = {"username": "kim", "is_active": "on", "is_staff": "on", "groups": [finance.pk]}
    dates = {"date_joined_0": "2026-01-01", "date_joined_1": "12:00:00"}

    answer = root.post(
        f"{USERS}{kim.pk}/change/", {**form, **dates, "user_permissions": [right("view_apikey").pk]}
    )

    assert answer.status_code == 302
    assert list(kim.groups.all()) == [finance]
    assert [one.codename for one in kim.user_permissions.all()] == ["view_apikey"]


def test_auditor_sees_people_and_no_hash_of_a_password() -> None:
    kim, _client = somebody("kim", groups=("Finance",))
    kim.set_password("correct horse battery staple")
    kim.save()
    _auditor, client = somebody("ann", groups=("Auditor",))

    listed = text_of(client.get(USERS))
    page = text_of(client.get(f"{USERS}{kim.pk}/change/"))

    assert "kim" in listed
    assert "pbkdf2" not in page
    assert "Issue invoices and credit notes" in page


def test_who_manages_people_can_not_make_superusers_of_them() -> None:
    boss = User.objects.create_superuser("root")
    kim, client = somebody("kim", "view_user", "change_user", "add_user")
    form = {"username": "kim", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    dates = {"date_joined_0": "2026-01-01", "date_joined_1": "12:00:00"}

    own = client.post(f"{USERS}{kim.pk}/change/", {**form, **dates})
    other = client.post(f"{USERS}{boss.pk}/change/", {**form, **dates, "username": "root2"})
    password = client.post(f"{USERS}{boss.pk}/password/", {"password1": "x" * 20, "password2": "x" * 20})

    assert (own.status_code, other.status_code, password.status_code) == (302, 403, 403)
    assert not User.objects.get(username="kim").is_superuser
    assert User.objects.get(username="root").is_superuser


def test_who_did_something_is_deactivated_and_not_deleted(root: Client) -> None:
    kim, _client = somebody("kim", groups=("Finance",))
    LogEntry.objects.log_actions(kim.pk, [Group.objects.get(name="Finance")], action_flag=2)

    asked = root.get(f"{USERS}{kim.pk}/delete/", follow=True)
    root.post(f"{USERS}{kim.pk}/delete/", {"post": "yes"})
    root.post(USERS, {"action": "delete_selected", "_selected_action": [kim.pk], "post": "yes"})

    assert asked.redirect_chain == [(f"{USERS}{kim.pk}/deactivate/", 302)]
    assert "“kim” can't be deleted" in text_of(asked)
    assert LogEntry.objects.filter(user=kim).count() == 1
    answer = root.post(f"{USERS}{kim.pk}/deactivate/")
    kim.refresh_from_db()
    assert (answer.status_code, kim.is_active) == (302, False)
    assert "Deactivate" not in text_of(root.get(f"{USERS}{kim.pk}/change/"))


def test_who_is_named_by_a_history_is_not_deleted(root: Client) -> None:
    kim, _client = somebody("kim")
    with changed_by("kim", through="admin"):
        a_project("acme")

    root.post(f"{USERS}{kim.pk}/delete/", {"post": "yes"})

    assert User.objects.filter(pk=kim.pk).exists()


def test_who_did_nothing_is_deleted(root: Client) -> None:
    kim, _client = somebody("kim")

    answer = root.post(f"{USERS}{kim.pk}/delete/", {"post": "yes"})

    assert answer.status_code == 302
    assert not User.objects.filter(pk=kim.pk).exists()


def test_nobody_but_a_superuser_deactivates_one() -> None:
    boss = User.objects.create_superuser("root")
    _kim, client = somebody("kim", "view_user", "change_user")

    assert client.post(f"{USERS}{boss.pk}/deactivate/").status_code == 403
    boss.refresh_from_db()
    assert boss.is_active


def test_people_are_listed_without_a_query_for_each(root: Client) -> None:
    for number in range(5):
        somebody(f"kim{number}", groups=("Finance",))

    with CaptureQueriesContext(connection) as few:
        root.get(USERS)
    for number in range(5, 15):
        somebody(f"kim{number}", groups=("Finance", "Operator"))
    with CaptureQueriesContext(connection) as many:
        root.get(USERS)

    assert len(few) == len(many)


def test_who_is_added_may_sign_in_unless_told_otherwise(root: Client) -> None:
    url = reverse("admin:auth_user_add")
    form = root.get(url).context["adminform"].form
    given = {
        "username": "kim",
        "usable_password": "true",
        "password1": "correct horse",
        "password2": "correct horse",
    }

    assert form.initial["is_staff"] is True
    root.post(url, given | {"is_staff": "on"})
    without = root.post(url, given | {"username": "lou"}, follow=True)

    kim, lou = (User.objects.get(username=name) for name in ("kim", "lou"))
    assert (kim.is_staff, lou.is_staff) == (True, False)
    assert "lou can't sign in: “Staff status” is off." in [
        str(message) for message in without.context["messages"]
    ]
    listed = root.get(reverse("admin:auth_user_changelist"))
    assert "May sign in" in text_of(listed)
    admin = site.get_model_admin(User)
    assert [admin.may_sign_in(user) for user in (kim, lou)] == [True, False]
