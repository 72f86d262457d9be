"""Asking for a rebuild in the admin, and seeing what it found."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from metering.models import RollupRebuild, UsageMeterRollup
from metering.rolling_up.rebuilding import rebuild_rollups
from metering.tasks import rebuild_rollups as rebuild_task

from .conftest import World


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sent: list[str] = []
    monkeypatch.setattr(rebuild_task, "delay", lambda: sent.append("rebuild"))
    return sent


def rebuild_url(world: World) -> str:
    return reverse("admin:metering_metricdefinition_rebuild", args=[world.tokens.pk])


def change_url(world: World) -> str:
    return reverse("admin:metering_metricdefinition_change", args=[world.tokens.pk])


def test_rebuild_is_asked_for_on_the_page_of_a_metric(staff: Client, world: World, sent: list[str]) -> None:
    page = staff.get(change_url(world))
    asked = staff.get(rebuild_url(world))
    answered = staff.post(rebuild_url(world), follow=True)

    assert rebuild_url(world) in page.content.decode()
    assert "They were never rebuilt." in asked.content.decode()
    assert "will be rebuilt in the background" in answered.content.decode()
    assert "waiting for a worker, or under way" in answered.content.decode()
    [waiting] = RollupRebuild.objects.all()
    assert (waiting.metric, waiting.requested_by, waiting.state) == (world.tokens, "root", "waiting")
    assert sent == ["rebuild"]


def test_what_it_found_is_shown(staff: Client, world: World) -> None:
    UsageMeterRollup.objects.filter(metric=world.tokens, granularity="day").delete()
    found = rebuild_rollups(world.tokens, position=0, requested_by="kim")
    rebuild = RollupRebuild.objects.get()

    listed = staff.get(reverse("admin:metering_rolluprebuild_changelist")).content.decode()
    shown = staff.get(reverse("admin:metering_rolluprebuild_change", args=[rebuild.pk])).content.decode()
    metric = staff.get(change_url(world)).content.decode()

    assert found.missing_count == 10
    for page in (listed, shown):
        assert "Repaired" in page
        assert "kim" in page
    assert "10 were wrong and are repaired." in metric


@pytest.mark.parametrize(
    ("facts", "words"),
    [({}, "nothing was wrong"), ({"failure": "too long"}, "failed"), ({"extra_count": 3}, "3 were wrong")],
)
def test_last_rebuild_is_told_in_words(staff: Client, world: World, facts: dict, words: str) -> None:
    rebuild_rollups(world.tokens, position=0)
    RollupRebuild.objects.update(**facts)

    assert words in staff.get(change_url(world)).content.decode()


def test_onlooker_is_neither_offered_nor_allowed_it(onlooker: Client, world: World) -> None:
    page = onlooker.get(change_url(world))
    posted = onlooker.post(rebuild_url(world))

    assert rebuild_url(world) not in page.content.decode()
    assert posted.status_code == 403
    assert not RollupRebuild.objects.exists()


def test_right_to_rebuild_is_enough_for_those_who_see_metrics(client: Client, world: World) -> None:
    user = User.objects.create_user("operator", is_staff=True)
    rights = ["view_metricdefinition", "rebuild_rollups"]
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(user)

    assert client.post(rebuild_url(world)).status_code == 302
    assert RollupRebuild.objects.get().requested_by == "operator"
