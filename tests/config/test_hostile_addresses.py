"""Addresses that nobody is offered: every list and every row's page of the admin answers them in words."""

from itertools import cycle

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from billing.models import Seller
from config import error_pages
from metering.admin.base import HouseAdmin
from metering.keys import create_api_key
from metering.models import ApiKey
from tests.factories import a_project

pytestmark = pytest.mark.django_db

REGISTERED = sorted(admin.site._registry, key=lambda model: str(model._meta.label_lower))
LISTS = [model for model in REGISTERED if model is not Seller]  # of whom there is one, and no list
ROWS_THAT_ARE_NONE = ["%C2%B2", "%00", "_00"]
UNREADABLE = ["a%00b", "%C2%B2"]


@pytest.fixture(autouse=True)
def _plain_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are hundreds of pages here, and what stands around them has tests of its own."""
    monkeypatch.setattr(admin.site, "get_sidebar_list", lambda request: [])
    monkeypatch.setattr(error_pages, "_framed", lambda request, status, *_: HttpResponse(status=status))


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def url_of(model: type[Model], page: str, *args: str) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def lookups_on_columns_of(model: type[Model]) -> list[str]:
    """Each column of the table under a lookup of its own, and a column of each row that it points to."""
    lookups = cycle(["gt=a", "regex=(((", "year=99999999999", "startswith=a", "unaccent=x", "contains=a"])
    found = [f"{field.name}__{next(lookups)}" for field in model._meta.concrete_fields]
    for field in model._meta.concrete_fields:
        if isinstance(field.related_model, type):
            found.append(
                f"{field.name}__{field.related_model._meta.concrete_fields[-1].name}__{next(lookups)}"
            )
    return found


def parameters_of(model: type[Model], client: Client) -> set[str]:
    """What a list listens to: its filters, and what links name."""
    changelist = client.get(url_of(model, "changelist")).context["cl"]
    offered = {str(name) for spec in changelist.filter_specs for name in spec.expected_parameters() if name}
    return offered | set(changelist.model_admin.linked_lookups)


def test_every_list_is_one_of_the_house() -> None:
    assert [one for one in admin.site._registry.values() if not isinstance(one, HouseAdmin)] == []


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model._meta.label_lower)
def test_list_takes_no_lookup_that_no_filter_offers(root: Client, model: type[Model]) -> None:
    root.get(url_of(model, "changelist"))
    unfiltered = url_of(model, "changelist") + "?e=1"
    lookups = lookups_on_columns_of(model)

    pages = {lookup: root.get(url_of(model, "changelist") + f"?{lookup}") for lookup in lookups}
    file = root.get(url_of(model, "as_csv") + f"?{lookups[1]}")

    assert {
        lookup: page.headers.get("Location")
        for lookup, page in pages.items()
        if (page.status_code, page.headers.get("Location")) != (302, unfiltered)
    } == {}
    assert file.status_code == 400


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model._meta.label_lower)
def test_filters_take_no_value_that_can_not_be_read(root: Client, model: type[Model]) -> None:
    for name in sorted({*parameters_of(model, root), "o", "p", "q", "all", "place", "id", "pk__in"}):
        for value in UNREADABLE:
            assert root.get(url_of(model, "changelist") + f"?{name}={value}").status_code in {200, 302}
        assert root.get(url_of(model, "as_csv") + f"?{name}=%00").status_code in {200, 302, 400}


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label_lower)
def test_pages_of_a_row_that_can_not_be_are_not_found(root: Client, model: type[Model]) -> None:
    for page in ("change", "history", "delete"):
        for text in ROWS_THAT_ARE_NONE:
            address = url_of(model, page, "KEY").replace("KEY", text)

            assert root.get(address).status_code in {302, 403, 404}, address


CHOOSING = [model for model in REGISTERED if admin.site._registry[model].autocomplete_fields]


@pytest.mark.parametrize("model", CHOOSING, ids=lambda model: model._meta.label_lower)
@pytest.mark.parametrize("text", ["abc", "9" * 40])
def test_form_takes_no_row_that_can_not_be(root: Client, model: type[Model], text: str) -> None:
    names = admin.site._registry[model].autocomplete_fields
    address = url_of(model, "add")

    filled_in = root.get(f"{address}?" + "&".join(f"{name}={text}" for name in names))
    sent = root.post(address, dict.fromkeys(names, text))

    assert (filled_in.status_code, sent.status_code) == (200, 200)
    assert set(names) & set(sent.context["adminform"].form.errors) != set()


def test_project_is_moved_below_no_row_that_can_not_be(root: Client) -> None:
    move_url = reverse("admin:metering_project_move", args=[a_project("acme").pk])

    sent = root.post(move_url, {"parent": "abc"})

    assert sent.status_code == 200
    assert "That choice is not one of the available choices." in sent.content.decode()


def test_list_that_is_not_narrowed_says_so(root: Client) -> None:
    page = root.get(url_of(ApiKey, "changelist") + "?digest=a", follow=True)

    assert "This is the whole list: it can&#x27;t be filtered like that." in page.content.decode()


def test_auditor_learns_nothing_of_the_digest_of_a_key() -> None:
    key, _secret = create_api_key(project=a_project("acme"), name="Backend", permissions=["read"])
    ann = User.objects.create_user("ann", is_staff=True)
    ann.groups.add(Group.objects.get(name="Auditor"))
    auditor = Client()
    auditor.force_login(ann)
    lists = [url_of(ApiKey, "changelist"), url_of(ApiKey, "as_csv")]

    for address in lists:
        right = auditor.get(f"{address}?id={key.pk}&digest__startswith={key.digest[:2]}")
        wrong = auditor.get(f"{address}?id={key.pk}&digest__startswith=zz")

        assert (right.status_code, right.headers.get("Location")) == (
            wrong.status_code,
            wrong.headers.get("Location"),
        )
        assert right.status_code in {302, 400}
