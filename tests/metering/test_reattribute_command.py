"""`manage.py reattribute`: a preview by default, the deed on demand."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from metering.attributing.scope_tree import attribute
from metering.defining.definitions import archive_metric
from metering.models import Correction, MetricDefinition, UsageEvent
from tests.factories import a_metric, a_project, an_event, recorded

pytestmark = pytest.mark.django_db

MAY = ("--from", "2024-05-01", "--to", "2024-06-01T00:00:00Z")


@pytest.fixture(autouse=True)
def child() -> None:
    a_metric()
    child = a_project("child", parent=a_project("tenant"))
    recorded(an_event(child, quantity="1.5"), an_event(child, quantity=2))
    attribute(child, payer=child.parent)


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("reattribute", "child", *MAY, *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--reason", "late")])
def test_without_apply_it_shows_what_would_move(arguments: tuple[str, ...]) -> None:
    assert said(*arguments) == (
        "from   to      event name  events  quantity\n"
        "child  tenant  tokens           2       3.5\n"
        "Nothing was changed; run it with --apply and a --reason to move them.\n"
    )
    assert UsageEvent.objects.count() == 2


def test_with_apply_it_moves_and_the_next_run_finds_nothing() -> None:
    assert said("--apply", "--reason", "late").endswith("2 events moved.\n")
    assert Correction.objects.filter(reason="late", actor__startswith="manage.py reattribute").count() == 2
    assert said() == "Every event has the payer of today's rules.\n"


def test_json_holds_preview_and_result() -> None:
    facts = json.loads(said("--json", "--apply", "--reason", "late"))

    assert facts.pop("position") > 0
    assert facts == {
        "project": "child",
        "from": "2024-05-01T00:00:00Z",
        "to": "2024-06-01T00:00:00Z",
        "count": 2,
        "held_count": 0,
        "moves": [
            {
                "from": "child",
                "to": "tenant",
                "event_name": "tokens",
                "held_by": None,
                "count": 2,
                "quantity": "3.5",
            }
        ],
        "applied": {"moved": 2, "left": {}},
    }
    assert json.loads(said("--json"))["applied"] is None


def test_events_that_stay_are_said_and_the_exit_status_tells() -> None:
    archive_metric(MetricDefinition.objects.get())

    assert "held back by metric tokens" in said("--apply", "--reason", "late")
    with pytest.raises(SystemExit) as caught:
        said("--apply", "--reason", "late", "--even-if-counts-change")
    assert caught.value.code == 3
    assert UsageEvent.objects.count() == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobody", *MAY), "There is no project 'nobody'."),
        (("child", "--from", "soon", "--to", "2024-06-01"), "--from: "),
        (("child", "--from", "2024-06-01", "--to", "2024-06-01"), "The interval is empty"),
        (("child", *MAY, "--apply"), "--apply needs a --reason."),
        (("child", *MAY, "--apply", "--dry-run"), "not allowed with"),
    ],
)
def test_wrong_arguments_are_named_and_nothing_moves(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("reattribute", *arguments, stdout=io.StringIO())
    assert UsageEvent.objects.count() == 2
