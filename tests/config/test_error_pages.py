"""What staff read where they may not go, where nothing is, and where something failed."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client, RequestFactory

from config import error_pages
from tests.billing.admin.reading import text_of

pytestmark = pytest.mark.django_db


def somebody(*groups: str, name: str = "kim") -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.set(Group.objects.filter(name__in=groups))
    client = Client()
    client.force_login(user)
    return client


def test_refusal_names_the_right_the_role_and_whom_to_ask() -> None:
    User.objects.create_superuser("ada", first_name="Ada", last_name="Lovelace")

    answer = somebody("Operator").get("/admin/billing/billingrun/now/")

    page = text_of(answer)
    assert answer.status_code == 403
    assert "Start billing runs The role Finance has it." in page
    assert "Your roles: Operator. Rights are given by Ada Lovelace." in page
    assert "Nothing was changed" not in page


def test_refusal_stays_in_the_frame_of_the_admin() -> None:
    client = somebody("Operator")

    page = client.get("/admin/auth/user/", headers={"referer": "http://testserver/admin/metering/project/"})

    content = page.content.decode()
    assert 'href="/admin/metering/metricdefinition/"' in content
    assert 'class="mb-button" href="http://testserver/admin/metering/project/"' in content
    assert "See users The role Auditor has it." in text_of(page)


def test_refusal_never_leads_back_to_itself_or_elsewhere() -> None:
    client, url = somebody(), "/admin/auth/user/"

    for referer in (f"http://testserver{url}", "https://elsewhere.example/"):
        page = client.get(url, headers={"referer": referer}).content.decode()
        assert 'class="mb-button" href="/admin/"' in page


def test_who_has_no_role_is_told_so_and_that_nothing_was_changed() -> None:
    page = text_of(somebody().post("/admin/billing/plan/add/"))

    assert "Add plans The role Finance has it." in page
    assert "You have no role yet. Rights are given by whoever manages the accounts of staff." in page
    assert "Nothing was changed." in page


def test_either_of_two_roles_is_named() -> None:
    page = text_of(somebody("Auditor").get("/admin/metering/attributionrule/add/"))

    assert "Add attribution rules The role Operator or Finance has it." in page


def test_what_nobody_does_by_hand_is_said_to_be_that() -> None:
    page = text_of(somebody("Operator").get("/admin/metering/usageevent/add/"))

    assert "Nobody does this by hand on this page" in page


def test_own_group_is_named_beside_roles() -> None:
    Group.objects.create(name="Dunning")

    page = text_of(somebody("Dunning", "Finance").get("/admin/auth/user/"))

    assert "Your roles: Dunning, Finance." in page


def test_missing_page_stays_in_the_frame() -> None:
    answer = somebody("Finance").get("/admin/no/such/page/")

    assert answer.status_code == 404
    assert "There is no such page" in text_of(answer)
    assert 'href="/admin/billing/plan/"' in answer.content.decode()


def test_stranger_sees_no_frame() -> None:
    request = RequestFactory().get("/admin/")

    answers = [error_pages.refused(request, Exception()), error_pages.not_found(request, Exception())]

    assert [answer.status_code for answer in answers] == [403, 404]
    assert all(b"nav-sidebar" not in answer.content for answer in answers)


def test_failure_is_a_page_and_a_worse_one_still_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    client = somebody("Finance")
    client.raise_request_exception = False

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("billing.admin.review.review_queue", fail)
    page = client.get("/admin/billing/billingrun/review/")
    monkeypatch.setattr(error_pages, "_framed", fail)
    bare = client.get("/admin/billing/billingrun/review/")

    assert (page.status_code, bare.status_code) == (500, 500)
    assert "Something failed on our side" in text_of(page)
    assert "Server Error" in text_of(bare)


def test_form_that_was_open_too_long_leads_back_to_itself() -> None:
    user = User.objects.create_user("kim", is_staff=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)

    answer = client.post("/admin/metering/project/add/", {"key": "acme"})

    assert answer.status_code == 403
    assert "This page was open for too long" in text_of(answer)
    assert 'href="/admin/metering/project/add/"' in answer.content.decode()


def test_api_answers_with_documents() -> None:
    answer = somebody().get("/api/v1/plans/")

    assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    assert answer.json()["detail"] == "This needs the right 'billing.view_plan'."


def test_right_that_only_superusers_have_is_said_so() -> None:
    client = somebody()
    User.objects.get().user_permissions.add(Permission.objects.get(codename="view_user"))

    page = text_of(client.post("/admin/auth/user/add/"))

    assert "No role has it; superusers do." in page
