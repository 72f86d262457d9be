"""Verbs that were overtaken between what they read and what they write."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from metering.accountability import changed_by
from metering.admin.undoing import ChangedAgain, take_back
from metering.attributing import reattribution
from metering.attributing.reattribution import reattribute
from metering.attributing.scope_tree import attribute, change_project
from metering.correcting.corrections import amend_event, void_events
from metering.defining.cloning import clone_metric
from metering.defining.definitions import archive_metric, change_metric, define_metric
from metering.defining.previews import preview_of
from metering.errors import DefinitionsBusy
from metering.histories import ChangeRow, changes_by_id, histories
from metering.models import MetricDefinition, Project
from metering.rolling_up import draining, rollups
from metering.rolling_up.history import enqueue_history
from metering.rolling_up.rebuilding import rebuild_rollups
from metering.rolling_up.rollups import roll_up
from tests.concurrency.rivals import Held, Rival
from tests.factories import a_metric, a_project, an_event, at, recorded, total_of

pytestmark = pytest.mark.django_db(transaction=True)


def overtaking(verb: Callable[..., Any], *rivals: Callable[[], Any]) -> Callable[..., Any]:
    """The verb, before whose first call rivals run in threads of their own, one after the other."""
    waiting = list(rivals)

    def overtaken(*args: Any, **options: Any) -> Any:
        while waiting:
            _ = Rival(waiting.pop(0)).result
        return verb(*args, **options)

    return overtaken


def stored(key: str) -> MetricDefinition:
    return MetricDefinition.objects.get(key=key)


def reaching_back(monkeypatch: pytest.MonkeyPatch, **definition: Any) -> MetricDefinition:
    """A metric whose definer was killed before it counted history."""
    with monkeypatch.context() as patch:
        patch.setattr("metering.defining.definitions.count_history", lambda metric: None)
        return define_metric(
            key="all", event_name="tokens", counts_from=0, **{"aggregation": "SUM", **definition}
        )


def test_a_change_of_words_does_not_count_history_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    a_project("acme")
    a_metric()
    recorded(an_event(quantity=3), an_event(quantity=4))
    read_before = reaching_back(monkeypatch)
    roll_up()

    change_metric(read_before, {"description": "what was used"})
    roll_up()

    assert total_of("all") == 7
    assert (stored("all").counts_from, stored("all").description) == (0, "what was used")


def test_a_change_of_words_does_not_revive_an_archived_metric() -> None:
    read_before = a_metric()
    archive_metric(stored("tokens"))

    change_metric(read_before, {"description": "what was used"})

    assert stored("tokens").is_archived


def test_meaning_can_not_change_while_history_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    a_project("acme")
    a_metric()
    recorded(an_event(quantity=3))
    metric = reaching_back(monkeypatch)

    with pytest.raises(DefinitionsBusy):
        change_metric(metric, {"aggregation": "COUNT"})

    assert stored("all").aggregation == "SUM"


def test_who_changes_a_metric_whose_history_is_being_counted_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_project("acme")
    a_metric()
    metric = reaching_back(monkeypatch)

    with Held(lambda: list(MetricDefinition.objects.select_for_update().filter(pk=metric.pk))):
        with pytest.raises(DefinitionsBusy):
            archive_metric(metric)
        assert [outcome.outcome for outcome in recorded(an_event(quantity=3))] == ["created"]


def test_a_tick_that_a_clone_overtakes_counts_by_the_definition_it_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_project("acme")
    a_metric("tokens", is_incremental=False)
    recorded(an_event(quantity=10))
    recorded(an_event(quantity=15))
    monkeypatch.setattr(
        draining,
        "try_to_hold_buckets",
        overtaking(
            draining.try_to_hold_buckets,
            lambda: clone_metric(stored("tokens"), key="tokens-2", archives=True),
            lambda: recorded(an_event(quantity=100)),
        ),
    )

    roll_up()

    assert total_of("tokens") == 5
    assert rebuild_rollups(stored("tokens"), is_dry_run=True).wrong_count == 0


def test_a_tick_that_history_overtakes_loses_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    a_project("acme")
    a_metric()
    recorded(an_event(quantity=10, occurred_at="2024-05-15T10:00:00Z"), an_event(quantity=40))
    metric = reaching_back(monkeypatch, is_incremental=False)
    recorded(an_event(quantity=50))
    with monkeypatch.context() as patch:
        patch.setattr(rollups, "enqueue_history", lambda metric: None)
        patch.setattr(
            draining,
            "try_to_hold_buckets",
            overtaking(draining.try_to_hold_buckets, lambda: enqueue_history(metric)),
        )
        roll_up()

    roll_up()

    assert total_of("all") == 40
    assert rebuild_rollups(stored("all"), is_dry_run=True).wrong_count == 0


@pytest.mark.parametrize(
    ("correct", "left"),
    [
        (lambda event: void_events([event], reason="never happened", actor="bob"), 0),
        (lambda event: amend_event(event, {"quantity": 1}, reason="less", actor="bob"), 1),
    ],
    ids=["void", "amendment"],
)
def test_an_event_that_is_corrected_while_it_is_given_to_another_payer_stays_corrected(
    monkeypatch: pytest.MonkeyPatch, correct: Callable[[int], Any], left: int
) -> None:
    a_metric()
    child = a_project("child", parent=a_project("tenant", kind="tenant"))
    [event] = recorded(an_event(child, quantity=7))
    attribute(child, payer=child.parent)
    monkeypatch.setattr(
        reattribution, "record_items", overtaking(reattribution.record_items, lambda: correct(event.id))
    )

    reattribute(
        child,
        start=at("2024-05-01T00:00:00Z"),
        end=at("2024-07-01T00:00:00Z"),
        reason="agreed",
        actor="ada",
    )

    assert (total_of("tokens") or 0) == left


def test_a_preview_does_not_call_a_voided_event_refused() -> None:
    a_project("acme")
    metric = a_metric()
    [event] = recorded(an_event(quantity=3))
    recorded(an_event(quantity=4))
    void_events([event.id], reason="wrong", actor="ada")

    preview = preview_of(metric).proposed

    assert (preview.matching_count, preview.refused_count, preview.record_count) == (1, 0, 1)


# -- putting back --------------------------------------------------------------------------------------------


def renamed(*names: str) -> None:
    for name in names:
        with changed_by("ada", through="admin"):
            change_project(Project.objects.get(key="acme"), name=name)


def last_change() -> ChangeRow:
    history = next(one for one in histories() if one.key == "metering.project")
    [last] = history.model.objects.order_by("-pgh_id").values_list("pgh_id", flat=True)[:1]
    return changes_by_id(history, [last])[0]


def put_back(change: ChangeRow) -> Any:
    with changed_by("ben", through="admin"):
        try:
            take_back(change, user=User.objects.get(username="ben"), reason="a slip")
        except ChangedAgain as refusal:
            return refusal
    return None


@pytest.mark.parametrize(("meanwhile", "ends_as"), [("Urgent", "Urgent"), (None, "First")])
def test_what_was_changed_while_it_waited_is_not_put_back(meanwhile: str | None, ends_as: str) -> None:
    a_project("acme")
    User.objects.create_superuser("ben")
    renamed("First", "Second")
    change = last_change()

    with Held(lambda: renamed(*([meanwhile] if meanwhile else [])) or True) as held:
        waiting = Rival(lambda: put_back(change))
        assert waiting.is_still_waiting_after(0.5) == bool(meanwhile)
        held.commit()
        refusal = waiting.result

    assert Project.objects.get(key="acme").name == ends_as
    assert (refusal is not None) == bool(meanwhile)
