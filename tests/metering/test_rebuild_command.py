"""`rebuild_rollups`: what it prints, what it leaves behind, with which status it ends."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from metering.errors import RebuildUnderWay
from metering.management.commands import rebuild_rollups as command
from metering.models import Project, RollupRebuild, UsageMeterRollup
from metering.rolling_up.rollups import roll_up
from tests.factories import a_metric, a_project, an_event, recorded

pytestmark = pytest.mark.django_db(transaction=True)


def said_by(*arguments: str) -> str:
    out = io.StringIO()
    call_command("rebuild_rollups", *arguments, stdout=out, stderr=io.StringIO(), no_color=True)
    return out.getvalue()


@pytest.fixture
def acme() -> Project:
    acme = a_project("acme")
    a_project("below", parent=acme)
    a_project("other")
    a_metric()
    a_metric("peak", event_name="tokens", aggregation="MAX", project=acme)
    recorded(*(an_event(key, quantity="5") for key in ("acme", "below", "other")))
    roll_up()
    return acme


def damage() -> None:
    UsageMeterRollup.objects.filter(granularity="day", metric__key="tokens").delete()
    UsageMeterRollup.objects.filter(granularity="hour", metric__key="tokens").update(value_sum=1)


def test_all_metrics_are_rebuilt_and_what_differed_is_said(acme: Project) -> None:
    damage()

    said = said_by("--all")

    assert said.splitlines()[0].startswith("peak: 12 rollups, nothing wrong (")
    assert said.splitlines()[1].startswith("tokens: 18 rollups; repaired: 6 missing, 6 different (")
    assert RollupRebuild.objects.count() == 2
    assert "tokens: 18 rollups, nothing wrong" in said_by("--metric", "tokens")


def test_dry_run_says_it_in_its_status_and_repairs_nothing(acme: Project) -> None:
    damage()
    before = list(UsageMeterRollup.objects.order_by("id").values_list())

    with pytest.raises(SystemExit) as ended:
        said_by("--metric", "tokens", "--dry-run")

    assert ended.value.code == 2
    assert list(UsageMeterRollup.objects.order_by("id").values_list()) == before
    assert not RollupRebuild.objects.exists()
    assert "nothing wrong" in said_by("--metric", "peak", "--dry-run")


def test_json_is_one_document_of_findings(acme: Project) -> None:
    damage()

    document = json.loads(said_by("--metric", "tokens", "--json"))

    [found] = document["metrics"]
    assert (document["is_dry_run"], document["wrong_count"], document["failures"]) == (False, 12, [])
    assert {name: found[name] for name in found if name not in {"seconds", "position"}} == {
        "metric": "tokens",
        "row_count": 18,
        "missing_count": 6,
        "extra_count": 0,
        "different_count": 6,
        "pending_count": 0,
    }


def test_project_means_it_and_those_below(acme: Project) -> None:
    damage()

    said = said_by("--all", "--project", "acme")

    assert "tokens: 12 rollups; repaired: 4 missing, 4 different" in said
    assert RollupRebuild.objects.filter(project_count=2).count() == 2
    assert "repaired: 2 missing, 2 different" in said_by("--metric", "tokens", "--project", "other")


def test_metric_that_is_being_rebuilt_does_not_hold_up_the_others(
    acme: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuild = command.rebuild_rollups

    def refusing(metric: Any, **options: Any) -> Any:
        if metric.key == "peak":
            raise RebuildUnderWay("peak")
        return rebuild(metric, **options)

    monkeypatch.setattr(command, "rebuild_rollups", refusing)

    with pytest.raises(CommandError, match=r"Not rebuilt: peak\.") as ended:
        said_by("--all")

    assert ended.value.returncode == 1
    assert [rebuild.metric.key for rebuild in RollupRebuild.objects.all()] == ["tokens"]


def test_interrupted_it_says_how_things_stand(acme: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "rebuild_rollups", interrupted)

    with pytest.raises(CommandError, match="the others are as they were") as ended:
        said_by("--all")

    assert ended.value.returncode == 130


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Name metrics by --metric, or say --all."),
        (("--all", "--metric", "tokens"), "Name metrics by --metric, or say --all."),
        (("--metric", "toekns"), "There is no metric 'toekns'."),
        (("--metric", "peak", "--project", "other"), "There is no metric 'peak' there."),
        (("--all", "--project", "nowhere"), "There is no project 'nowhere'."),
    ],
)
def test_what_it_cannot_make_sense_of_is_named(acme: Project, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(CommandError) as refused:
        said_by(*arguments)

    assert str(refused.value) == words


def test_without_metrics_there_is_nothing_to_do() -> None:
    assert said_by("--all") == "There are no metrics yet; nothing to rebuild.\n"
