"""Keys: the secret is shown once and kept nowhere."""

import re
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from metering.keys import principal_of
from metering.models import ApiKey
from metering.roles import Role

from .conftest import World


def make_key(client: Client, world: World, **overrides: object) -> tuple[object, str]:
    response = client.post(
        reverse("admin:metering_apikey_add"),
        {
            "name": "Shop",
            "project": world.shop.pk,
            "permissions": ["ingest"],
            "expires_at_0": "",
            "expires_at_1": "",
            **overrides,
        },
    )
    found = re.search(r"mbk_[a-z0-9]{12}\.[\w-]+", response.content.decode())
    return response, found.group() if found else ""


def test_new_key_is_shown_once_and_works(staff: Client, world: World) -> None:
    response, secret = make_key(staff, world)

    principal = principal_of(secret)
    assert response.status_code == 200  # type: ignore[attr-defined]
    assert "no-store" in response.headers["Cache-Control"]  # type: ignore[attr-defined]
    assert principal is not None
    assert principal.permissions == {"ingest"}


def test_secret_is_on_no_other_page_and_in_no_store(staff: Client, world: World) -> None:
    _response, secret = make_key(staff, world)
    key = ApiKey.objects.get(name="Shop")

    pages = [
        staff.get(reverse("admin:metering_apikey_change", args=[key.pk])),
        staff.get(reverse("admin:metering_apikey_changelist")),
        staff.get(reverse("admin:metering_apikey_history", args=[key.pk])),
        staff.get(reverse("admin:index")),
    ]

    hidden = secret.partition(".")[2]
    assert all(hidden not in page.content.decode() for page in pages)
    assert all(hidden not in str(session.get_decoded()) for session in Session.objects.all())
    assert all(hidden not in f"{entry.object_repr}{entry.change_message}" for entry in LogEntry.objects.all())
    assert all(hidden not in morsel.value for morsel in staff.cookies.values())


def test_key_of_an_unsound_form_is_not_made(staff: Client, world: World) -> None:
    before = ApiKey.objects.count()

    past, _ = make_key(staff, world, expires_at_0="2020-01-01", expires_at_1="00:00:00")
    none, _ = make_key(staff, world, permissions=[])
    odd, _ = make_key(staff, world, permissions=["everything"])

    assert list(past.context["adminform"].form.errors) == ["expires_at"]  # type: ignore[attr-defined]
    assert list(none.context["adminform"].form.errors) == ["permissions"]  # type: ignore[attr-defined]
    assert list(odd.context["adminform"].form.errors) == ["permissions"]  # type: ignore[attr-defined]
    assert ApiKey.objects.count() == before


def test_only_the_name_can_be_changed(staff: Client, world: World) -> None:
    staff.post(
        reverse("admin:metering_apikey_change", args=[world.key.pk]),
        {
            "name": "Renamed",
            "permissions": ["manage"],
            "project": world.shop.pk,
            "expires_at_0": "2020-01-01",
        },
    )

    world.key.refresh_from_db()
    assert world.key.name == "Renamed"
    assert world.key.permissions == ["ingest", "read"]
    assert world.key.project_id == world.tenant.pk
    assert world.key.expires_at is None


def test_revoking_asks_first_and_ends_the_key(staff: Client, world: World) -> None:
    _response, secret = make_key(staff, world)
    key = ApiKey.objects.get(name="Shop")
    url = reverse("admin:metering_apikey_revoke", args=[key.pk])

    asked = staff.get(url)
    works_meanwhile = principal_of(secret)
    staff.post(url)

    assert "Revoke the key" in asked.content.decode()
    assert works_meanwhile is not None
    assert principal_of(secret) is None


def test_pasted_secret_finds_its_key_by_the_prefix(staff: Client, world: World) -> None:
    _response, secret = make_key(staff, world)

    rows = staff.get(reverse("admin:metering_apikey_changelist"), {"q": secret}).context["cl"].result_list

    assert [row.name for row in rows] == ["Shop"]


def test_keys_are_not_deleted(staff: Client, world: World) -> None:
    response = staff.post(reverse("admin:metering_apikey_delete", args=[world.key.pk]), {"post": "yes"})

    assert response.status_code == 403


def an_operator() -> Client:
    person = User.objects.create_user("olga", is_staff=True)
    person.groups.add(Group.objects.get(name=Role.OPERATOR.value))
    client = Client()
    client.force_login(person)
    return client


def asked_with(key: str, path: str, body: object = None) -> Any:
    return Client(headers={"authorization": f"Bearer {key}"}).post(
        path, {} if body is None else body, content_type="application/json"
    )


def test_whoever_may_not_bill_makes_no_key_that_does(world: World) -> None:
    client = an_operator()

    page = client.get(reverse("admin:metering_apikey_add"))
    _response, key = make_key(client, world, permissions=["manage", "read"], may_bill="on")
    refused = asked_with(key, "/api/v1/credit-grants/", {"project": "shop", "amount": "5000", "kind": "paid"})
    changed = asked_with(key, "/api/v1/quotas/", {"project": "shop"})

    row = ApiKey.objects.get(name="Shop")
    assert "may_bill" not in page.content.decode()
    assert (row.may_bill, row.created_by) == (False, "olga")
    assert (refused.status_code, refused.json()["detail"]) == (403, "This needs the permission 'bill'.")
    assert changed.status_code == 422  # it may, and says too little


def test_an_administrator_lets_a_key_bill(staff: Client, world: World) -> None:
    _response, silent = make_key(staff, world, permissions=["manage"], name="Silent")
    _response, billing = make_key(staff, world, permissions=["manage"], may_bill="on", name="ERP")
    _response, reading = make_key(staff, world, permissions=["read"], may_bill="on", name="Reader")

    found = {key: principal_of(key) for key in (silent, billing, reading)}
    assert [bool(holder and holder.may("bill")) for holder in found.values()] == [False, True, False]
    assert asked_with(billing, "/api/v1/plans/", {}).status_code == 422
    assert asked_with(silent, "/api/v1/plans/", {}).status_code == 403
