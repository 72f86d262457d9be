"""Pages whose usage takes too long to read."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from .conftest import World


def slow(*_args: Any, **_options: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(20)")


@pytest.fixture(autouse=True)
def _impatient(settings: Any) -> None:
    settings.USAGE_READ_TIMEOUT = 0.05


@pytest.mark.parametrize(
    ("question", "url"),
    [
        ("metering.admin.usage_page.courses_of", lambda world: reverse("admin:metering_usage")),
        (
            "metering.admin.payer_tree.usage_in",
            lambda world: reverse("admin:metering_attributionrule_tree") + f"?tree={world.tenant.pk}",
        ),
    ],
    ids=["usage", "payer tree"],
)
def test_a_page_that_takes_too_long_says_so_and_keeps_its_navigation(
    staff: Client,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    question: str,
    url: Callable[[World], str],
) -> None:
    monkeypatch.setattr(question, slow)

    page = staff.get(url(world))

    assert page.status_code == 503
    assert "ask for a shorter interval" in page.content.decode()
    assert reverse("admin:metering_usageevent_changelist") in page.content.decode()


def test_a_metric_whose_chart_takes_too_long_can_still_be_changed(
    staff: Client,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("metering.admin.metric_page.course_of", slow)

    page = staff.get(reverse("admin:metering_metricdefinition_change", args=[world.tokens.pk]))

    assert page.status_code == 200
    assert "ask for a shorter interval" in page.content.decode()
    assert 'name="display_name"' in page.content.decode()


def test_a_project_whose_chart_takes_too_long_still_says_who_pays(
    staff: Client,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("metering.admin.project_usage.course_of", slow)

    page = staff.get(reverse("admin:metering_project_change", args=[world.shop.pk]))

    assert page.status_code == 200
    assert "ask for a shorter interval" in page.content.decode()
    assert "Who pays for its usage" in page.content.decode()
    assert 'name="name"' in page.content.decode()
