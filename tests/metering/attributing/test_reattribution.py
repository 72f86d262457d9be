"""The past gets the payers of today's rules by voids and repetitions."""

import pytest

from metering.answering.usage import Scope, Slice
from metering.attributing import reattribution
from metering.attributing.misattribution import reattribution_preview
from metering.attributing.reattribution import SOURCE, reattribute
from metering.attributing.scope_tree import attribute, install_surface
from metering.defining.definitions import archive_metric
from metering.errors import EventsRejected, Invalid
from metering.models import MetricDefinition, Project, UsageEvent
from metering.rolling_up.rollups import roll_up
from quotas.enforcement import set_quota
from tests.factories import a_metric, a_project, an_event, at, ledger_rows, recorded, total_of

pytestmark = pytest.mark.django_db

MAY, JULY = at("2024-05-01T00:00:00Z"), at("2024-07-01T00:00:00Z")
CONTENT = (
    "event_name",
    "subject_type",
    "subject_id",
    "quantity",
    "labels",
    "occurred_at",
    "surface__key",
    "project__key",
)


@pytest.fixture
def child() -> Project:
    a_metric()
    return a_project("child", parent=a_project("tenant", kind="tenant"))


def moved(project: Project, **options: object) -> reattribution.Reattribution:
    given = {"start": MAY, "end": JULY, "reason": "agreed late", "actor": "ada", **options}
    return reattribute(project, **given)


def billed_to(project: Project) -> object:
    return total_of("tokens", slice=Slice(scope=Scope(payer_id=project.pk)))


def test_moved_event_keeps_everything_but_its_payer(child: Project) -> None:
    install_surface(project=child, key="bot", name="Bot")
    labels = {"n": 0.1, "big": 10**40, "deep": {"list": [1, "x", None, True]}, "text": "é\n\\"}
    recorded(
        an_event(child, quantity="0.000000000001", subject_type="user", subject_id="kim", labels=labels),
        an_event(child, quantity=2, surface="bot", occurred_at="2024-05-31T23:59:59.999999Z"),
    )
    before = UsageEvent.objects.order_by("id").values_list("id", *CONTENT)
    wanted = list(before)
    attribute(child, payer=child.parent)

    result = moved(child)

    again = UsageEvent.objects.filter(source=SOURCE).order_by("id")
    assert [(int(row[0]), *row[1:]) for row in again.values_list("event_id", *CONTENT)] == wanted
    assert set(again.values_list("billing_scope__key", flat=True)) == {"tenant"}
    assert (result.moved_count, result.left) == (2, {})
    assert ledger_rows("kind") == [("usage",)] * 4 + [("void",)] * 2
    assert UsageEvent.objects.filter(kind="void").exclude(billing_scope=child).count() == 0


def test_moved_usage_is_billed_to_the_new_payer_and_counts_once(child: Project) -> None:
    recorded(an_event(child, quantity=3), an_event(child, quantity=4, occurred_at="2024-04-30T00:00:00Z"))
    roll_up()
    attribute(child, payer=child.parent)

    moved(child)

    for _ in range(2):
        assert (billed_to(child.parent), billed_to(child), total_of("tokens")) == (3, 4, 7)
        roll_up()


def test_second_time_finds_nothing_to_move(child: Project) -> None:
    recorded(an_event(child, quantity=1))
    attribute(child, payer=child.parent)
    moved(child)
    rows = ledger_rows("id")

    assert moved(child).moved_count == 0
    assert ledger_rows("id") == rows
    assert list(reattribution_preview(child, start=MAY, end=JULY).moves) == []


def test_moving_back_moves_the_repetition(child: Project) -> None:
    recorded(an_event(child, id="first", quantity=1))
    attribute(child, payer=child.parent, effective_until=JULY)
    moved(child)
    repetition = UsageEvent.objects.get(source=SOURCE)
    child.attribution_rules.all().delete()
    attribute(child, payer=child)

    moved(child)

    last = UsageEvent.objects.filter(source=SOURCE).latest("id")
    assert (last.event_id, last.billing_scope) == (str(repetition.pk), child)
    assert (billed_to(child), total_of("tokens")) == (1, 1)
    assert recorded(an_event(child, id="first", quantity=1))[0].outcome == "exists"


def test_killed_after_a_chunk_it_goes_on_where_it_was(
    child: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reattribution, "CHUNK_EVENTS", 2)
    recorded(*(an_event(child, quantity=1) for _ in range(5)))
    attribute(child, payer=child.parent)
    seen = []

    def die_after_the_second(count: int) -> None:
        seen.append(count)
        if count == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        moved(child, on_progress=die_after_the_second)
    assert (billed_to(child.parent), billed_to(child)) == (4, 1)

    assert moved(child).moved_count == 1
    assert seen == [2, 4]
    assert (billed_to(child.parent), total_of("tokens")) == (5, 5)
    assert UsageEvent.objects.filter(source=SOURCE).count() == 5


def test_chunk_that_fails_leaves_neither_void_nor_repetition(
    child: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(ids: object, **options: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(reattribution, "void_events", fail)
    recorded(an_event(child, quantity=1))
    attribute(child, payer=child.parent)

    with pytest.raises(RuntimeError):
        moved(child)
    assert ledger_rows("kind", "billing_scope__key") == [("usage", "child")]


def test_no_limit_is_asked(child: Project) -> None:
    recorded(an_event(child, quantity=9))
    set_quota(child.parent, metric=MetricDefinition.objects.get(key="tokens"), limit=0)
    attribute(child, payer=child.parent)

    assert moved(child).moved_count == 1
    assert billed_to(child.parent) == 9


def test_event_that_no_metric_listens_to_any_more_is_left_whole(child: Project) -> None:
    calls = a_metric("calls", aggregation="COUNT")
    recorded(an_event(child, quantity=1), an_event(child, event_name="calls"))
    archive_metric(calls)
    attribute(child, payer=child.parent)

    first = moved(child)
    forced = moved(child, even_if_counts_change=True)

    assert (first.moved_count, first.left) == (1, {})
    assert (forced.moved_count, forced.left) == (0, {"every metric of 'calls' is archived": 1})
    assert UsageEvent.objects.filter(event_name="calls").count() == 1


def test_reason_and_interval_are_asked_for(child: Project) -> None:
    recorded(an_event(child, quantity=1))
    attribute(child, payer=child.parent)

    for wrong in ({"reason": "  "}, {"end": MAY}):
        with pytest.raises(Invalid):
            moved(child, **wrong)
    assert UsageEvent.objects.count() == 1


def test_nobody_else_records_under_the_reserved_source(child: Project) -> None:
    with pytest.raises(EventsRejected):
        recorded(an_event(child, source=SOURCE, quantity=1))
    assert not UsageEvent.objects.exists()
