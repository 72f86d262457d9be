"""Every page answers, with rows and without, for those who may see it."""

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from metering.models import MetricDefinition, UsageEvent, UsageMeterRollup
from quotas.enforcement import set_quota

from .conftest import World

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


def url_of(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_empty_list_answers(staff: Client, model: type[Model]) -> None:
    response = staff.get(url_of(model, "changelist"))

    assert response.status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_list_and_first_row_answer(staff: Client, world: World, model: type[Model]) -> None:
    set_quota(world.tenant, metric=world.tokens, limit=20_000)

    listed = staff.get(url_of(model, "changelist"))
    first = model._default_manager.first()
    shown = staff.get(url_of(model, "change", first.pk)) if first is not None else None

    assert listed.status_code == 200
    assert shown is None or shown.status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_add_page_answers_or_is_refused(staff: Client, world: World, model: type[Model]) -> None:
    is_open = admin.site._registry[model].has_add_permission(staff_request(staff))

    response = staff.get(url_of(model, "add"))

    assert response.status_code == (200 if is_open else 403)


def staff_request(client: Client) -> object:
    return client.get(reverse("admin:index")).wsgi_request


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_onlooker_sees_rows_and_no_forms(onlooker: Client, world: World, model: type[Model]) -> None:
    first = model._default_manager.first()

    listed = onlooker.get(url_of(model, "changelist"))
    added = onlooker.post(url_of(model, "add"), {})
    changed = onlooker.post(url_of(model, "change", first.pk), {}) if first is not None else None

    assert listed.status_code == 200
    assert added.status_code == 403
    assert changed is None or changed.status_code == 403


def test_no_page_fetches_from_elsewhere(staff: Client, world: World) -> None:
    page = staff.get(reverse("admin:index")).content.decode()

    assert "https://" not in page
    assert "//cdn" not in page


def test_sidebar_leads_only_where_one_may_go(db: None) -> None:
    user = User.objects.create_user("nobody", is_staff=True)
    client = Client()
    client.force_login(user)

    page = client.get(reverse("admin:index")).content.decode()

    assert url_of(UsageEvent, "changelist") not in page
    assert "ask for the right to view rollups" in page


def test_labels_are_shown_as_text(staff: Client, world: World) -> None:
    listed = staff.get(url_of(UsageEvent, "changelist")).content.decode()
    shown = staff.get(url_of(UsageEvent, "change", world.event.pk)).content.decode()

    assert "&lt;script&gt;" in listed
    assert "&lt;script&gt;" in shown
    assert "<script>&quot;" not in shown


def test_event_page_says_what_it_counts_for(staff: Client, world: World) -> None:
    page = staff.get(url_of(UsageEvent, "change", world.event.pk)).content.decode()

    assert url_of(MetricDefinition, "change", world.tokens.pk) in page
    assert "1,000" in page
    assert bytes(world.event.digest).hex() in page


def test_rollups_show_the_value_of_their_aggregation(staff: Client, world: World) -> None:
    url = url_of(UsageMeterRollup, "changelist")
    page = staff.get(
        url, {"granularity__exact": "month", "detail": "totals", "metric__id__exact": world.tokens.pk}
    ).content.decode()

    assert "15,000" in page
    assert "1 rollups" not in page
    assert page.count("2024-05<") == 1


def test_signing_in_leads_home(db: None, client: Client) -> None:
    get_user_model().objects.create_superuser("ada", password="correct horse battery")

    answer = client.post(reverse("admin:login"), {"username": "ada", "password": "correct horse battery"})

    assert (answer.status_code, answer["Location"]) == (302, reverse("admin:index"))
