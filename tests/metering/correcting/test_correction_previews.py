"""What a correction would change, told before it is made."""

from typing import Any

import pytest

from metering.correcting import correction_previews
from metering.correcting.correction_previews import Preview, preview_of_amendment, preview_of_voids
from metering.errors import Conflict, Invalid, NotFound
from metering.models import Correction, Project
from metering.rolling_up.rollups import roll_up
from quotas.enforcement import set_quota
from quotas.errors import QuotaExceeded
from tests.concurrency.rivals import Held
from tests.factories import a_metric, a_project, a_void_of, an_event, recorded, total_of
from tests.metering.api.callers import row_counts

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def acme() -> Project:
    return a_project("acme")


def an_id(**overrides: Any) -> int:
    [outcome] = recorded(an_event(**overrides))
    assert outcome.id is not None
    return outcome.id


def told(preview: Preview) -> list[tuple[Any, ...]]:
    """(metric, project, from, to, before, after, difference)"""
    return [
        (
            effect.meaning.key,
            effect.project_key,
            f"{effect.start:%Y-%m}",
            None if effect.end is None else f"{effect.end:%Y-%m}",
            None if effect.before is None else float(effect.before),
            None if effect.after is None else float(effect.after),
            float(effect.difference),
        )
        for effect in preview.effects
    ]


def test_void_is_told_by_metric_project_and_month_and_changes_nothing() -> None:
    a_metric("tokens")
    a_metric("peak", event_name="tokens", aggregation="MAX")
    a_metric("other")
    first, second = an_id(quantity=100), an_id(quantity=30)
    june = an_id(quantity=7, occurred_at="2024-06-01T00:00:00Z")
    roll_up()
    before = row_counts()

    preview = preview_of_voids([first, june])

    assert told(preview) == [
        ("peak", "acme", "2024-05", "2024-06", 100, 30, -70),
        ("peak", "acme", "2024-06", "2024-07", 7, None, -7),
        ("tokens", "acme", "2024-05", "2024-06", 130, 30, -100),
        ("tokens", "acme", "2024-06", "2024-07", 7, None, -7),
    ]
    assert [one.outcome for one in preview.voided] == ["created", "created"]
    assert (row_counts(), Correction.objects.count(), total_of("tokens")) == (before, 0, 137)
    assert told(preview_of_voids([second]))[0] == ("peak", "acme", "2024-05", "2024-06", 100, 100, 0)


def test_amendment_is_told_on_both_sides() -> None:
    a_metric("tokens")
    a_project("other")
    event_id = an_id(quantity=100)
    an_id(quantity=5)

    preview = preview_of_amendment(event_id, {"project": "other", "quantity": 90})

    assert told(preview) == [
        ("tokens", "acme", "2024-05", "2024-06", 105, 5, -100),
        ("tokens", "other", "2024-05", "2024-06", None, 90, 90),
    ]
    assert preview.event is not None
    assert preview.event.outcome == "created"
    assert (Correction.objects.count(), total_of("tokens")) == (0, 105)


def test_amendment_that_leaves_a_metric_as_it_is_does_not_name_it() -> None:
    a_metric("tokens")
    a_metric("calls", event_name="tokens", aggregation="COUNT")
    event_id = an_id(quantity=100)

    assert told(preview_of_amendment(event_id, {"quantity": 90})) == [
        ("tokens", "acme", "2024-05", "2024-06", 100, 90, -10)
    ]


def test_readings_that_follow_from_each_other_change_later_months() -> None:
    a_metric("tokens", is_incremental=False)
    a_metric("level", event_name="tokens", aggregation="TIME_WEIGHTED_AVG")
    an_id(quantity=10, occurred_at="2024-03-01T00:00:00Z")
    wrong = an_id(quantity=40, occurred_at="2024-04-01T00:00:00Z")
    an_id(quantity=50, occurred_at="2024-08-01T00:00:00Z")
    roll_up()

    preview = preview_of_voids([wrong])

    assert told(preview) == [
        ("level", "acme", "2024-04", "2024-05", 40, 10, -30),
        ("tokens", "acme", "2024-04", "2024-05", 30, None, -30),
        ("tokens", "acme", "2024-05", None, 10, 40, 30),
    ]
    assert preview.has_levels


def test_event_that_is_voided_already_has_no_effects() -> None:
    a_metric("tokens")
    event_id = an_id(quantity=100)
    a_void_of(event_id)

    preview = preview_of_voids([event_id])

    assert ([one.outcome for one in preview.voided], told(preview)) == (["exists"], [])


def test_what_the_verbs_refuse_is_refused(acme: Project) -> None:
    set_quota(acme, metric=a_metric("tokens"), limit=100)
    event_id = an_id(quantity=100)
    void_id = a_void_of(an_id(quantity=0))

    with pytest.raises(QuotaExceeded):
        preview_of_amendment(event_id, {"quantity": 101})
    with pytest.raises(Invalid):
        preview_of_amendment(event_id, {"quantity": -1})
    with pytest.raises(Conflict):
        preview_of_voids([void_id])
    with pytest.raises(NotFound):
        preview_of_voids([void_id + 1000])
    assert total_of("tokens") == 100
    assert told(preview_of_amendment(event_id, {"quantity": 101}, enforce=False))[0][-1] == 1


@pytest.mark.django_db(transaction=True)
def test_what_others_record_meanwhile_is_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    a_metric("tokens")
    event_id = an_id(quantity=100)
    look = correction_previews._usage_of

    def look_and_let_others_record(windows: Any) -> Any:
        with Held(lambda: an_id(quantity=7)) as writer:
            writer.commit()
        return look(windows)

    monkeypatch.setattr(correction_previews, "_usage_of", look_and_let_others_record)

    assert told(preview_of_voids([event_id])) == [("tokens", "acme", "2024-05", "2024-06", 100, None, -100)]
    assert (total_of("tokens"), Correction.objects.count()) == (114, 0)


@pytest.mark.django_db(transaction=True)
def test_event_that_is_corrected_meanwhile_asks_to_look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    a_metric("tokens")
    event_id = an_id(quantity=100)
    verb = correction_previews.void_events

    def void_after_somebody_else(*args: Any, **options: Any) -> Any:
        total_of("tokens")  # the snapshot is taken
        with Held(lambda: a_void_of(event_id)) as rival:
            rival.commit()
        return verb(*args, **options)

    monkeypatch.setattr(correction_previews, "void_events", void_after_somebody_else)

    with pytest.raises(Conflict, match="look again"):
        preview_of_voids([event_id])

    assert Correction.objects.count() == 1
