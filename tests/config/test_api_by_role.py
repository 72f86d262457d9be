"""Staff at the API, in a browser's session: what a role may not do on a page it can't do there either."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from billing.models import BillingAccount, Plan
from config.roles.areas import rights_of
from metering.models import Project
from metering.roles import Role
from tests.billing.factories import an_account
from tests.factories import a_metric, a_project

pytestmark = pytest.mark.django_db

A_PLAN = {"key": "pro", "name": "Pro", "currency": "EUR", "prices": []}


def views(patterns: Any = None, before: str = "") -> Iterator[tuple[str, Any]]:
    """(route, view class) of everything below /api/v1/; that itself only says where to read."""
    for pattern in patterns if patterns is not None else get_resolver().url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from views(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern) and route.startswith("api/v1/") and route != "api/v1/":
            yield route, pattern.callback.cls


def needed(view: Any, method: str) -> str | None:
    return getattr(view, "staff_rights", {}).get(method)


def signed_in(role: Role) -> Client:
    user = User.objects.create_user(role.value, is_staff=True)
    user.groups.add(Group.objects.get(name=role.value))
    client = Client()
    client.force_login(user)
    return client


def signed_in_with(*rights: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    codenames = [right.partition(".")[2] for right in rights]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def sent(client: Client, method: str, path: str, body: Any) -> int:
    return client.generic(
        method, f"/api/v1{path}", json.dumps(body), content_type="application/json"
    ).status_code


def test_every_route_that_manages_names_the_right_that_staff_need() -> None:
    """Without one, whoever may change a metric could change all that a key with `manage` can."""
    unnamed = [
        f"{method} {route}"
        for route, view in views()
        for method, permission in view.permissions.items()
        if permission == "manage" and needed(view, method) is None
    ]

    assert unnamed == []


def test_every_route_that_is_read_names_the_right_that_staff_need() -> None:
    """Without one, whoever may see events could read all that a key with `read` can, past the pages."""
    unnamed = [route for route, view in views() if "GET" in view.permissions and needed(view, "GET") is None]

    assert unnamed == []


def test_staff_read_here_what_their_pages_show() -> None:
    a_project("acme")
    a_metric()
    client = signed_in_with("metering.view_usageevent")
    paths = [
        "/projects/",
        "/projects/acme/",
        "/projects/acme/payer/",
        "/projects/acme/attribution/",
        "/surfaces/",
        "/metrics/",
        "/metrics/tokens/",
        "/corrections/",
        "/ledger-seals/",
        "/usage-summaries/?metric=tokens",
        "/usage/export/",
    ]

    assert {path: client.get(f"/api/v1{path}").status_code for path in paths} == dict.fromkeys(paths, 403)
    assert sent(client, "POST", "/quotas/check/", {"project": "acme", "metric": "tokens"}) == 403
    assert client.get("/api/v1/usage-events/").status_code == 200
    assert client.get("/api/v1/usage/?metric=tokens").status_code == 200


def test_staff_stream_what_they_may_see_and_export() -> None:
    a_metric()
    client = signed_in_with("metering.view_usageevent", "metering.export_data")

    assert client.get("/api/v1/usage/export/").status_code == 200
    assert client.get("/api/v1/usage/export/?type=rollups&metric=tokens").status_code == 403


def test_rights_that_routes_name_exist() -> None:
    rows = Permission.objects.values_list("content_type__app_label", "codename")
    known = {f"{app}.{codename}" for app, codename in rows}

    named = {needed(view, method) for _route, view in views() for method in view.permissions} - {None}
    assert named - known == set()


def test_auditor_holds_no_right_that_a_writing_route_asks_for() -> None:
    asked = {
        needed(view, method)
        for _route, view in views()
        for method, permission in view.permissions.items()
        if method != "GET" and permission != "read"
    }

    assert asked & rights_of(Role.AUDITOR) == set()


@pytest.mark.parametrize(
    ("role", "plan", "account", "project"),
    [
        (Role.OPERATOR, 403, 403, 200),
        (Role.FINANCE, 422, 200, 403),
        (Role.APPROVER, 403, 403, 403),
        (Role.AUDITOR, 403, 403, 403),
    ],
)
def test_roles_change_only_what_is_theirs(role: Role, plan: int, account: int, project: int) -> None:
    customer = an_account(a_project("acme"))
    client = signed_in(role)

    answers = [
        sent(client, "POST", "/plans/", {**A_PLAN, "currency": "nothing"}),
        sent(client, "PATCH", f"/billing-accounts/{customer.pk}/", {"legal_name": "Changed"}),
        sent(client, "PATCH", "/projects/acme/", {"name": "Changed"}),
    ]

    assert answers == [plan, account, project]
    assert (BillingAccount.objects.get().legal_name == "Changed") is (account == 200)
    assert (Project.objects.get().name == "Changed") is (project == 200)
    assert not Plan.objects.exists()


@pytest.mark.parametrize("role", Role)
def test_all_roles_read_usage_and_plans(role: Role) -> None:
    client = signed_in(role)

    assert [client.get(f"/api/v1/{path}/").status_code for path in ("usage-events", "plans", "metrics")] == [
        200
    ] * 3
