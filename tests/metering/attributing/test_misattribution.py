"""Which recorded events name another payer than today's rules would."""

from decimal import Decimal

import pytest

from metering.attributing.misattribution import MovedUsage, misattributed_ids, reattribution_preview
from metering.attributing.scope_tree import attribute, end_attribution, install_surface
from metering.defining.definitions import archive_metric
from metering.errors import Invalid
from metering.models import Project, UsageEvent
from tests.factories import a_metric, a_project, an_event, at, recorded

pytestmark = pytest.mark.django_db

MAY, JUNE, JULY = at("2024-05-01T00:00:00Z"), at("2024-06-01T00:00:00Z"), at("2024-07-01T00:00:00Z")


@pytest.fixture
def child() -> Project:
    a_metric()
    return a_project("child", parent=a_project("tenant", kind="tenant"))


def moves(project: Project, **options: object) -> list[MovedUsage]:
    return list(reattribution_preview(project, **{"start": MAY, "end": JULY, **options}).moves)


def test_nothing_moves_where_every_event_has_the_payer_of_todays_rules(child: Project) -> None:
    attribute(child, payer=child.parent)
    recorded(an_event(child, quantity=1))

    preview = reattribution_preview(child, start=MAY, end=JULY)

    assert (list(preview.moves), preview.count, preview.held_count) == ([], 0, 0)


def test_events_are_grouped_by_payers_and_name(child: Project) -> None:
    a_metric("calls", aggregation="COUNT")
    recorded(
        an_event(child, quantity="1.5"),
        an_event(child, quantity="2"),
        an_event(child, event_name="calls"),
        an_event(child, quantity=4, occurred_at="2024-06-01T00:00:00Z"),
    )
    attribute(child, payer=child.parent, effective_until=JUNE)

    assert moves(child) == [
        MovedUsage("child", "tenant", "tokens", None, 2, Decimal("3.5")),
        MovedUsage("child", "tenant", "calls", None, 1, None),
    ]


def test_interval_is_half_open_and_not_empty(child: Project) -> None:
    recorded(*(an_event(child, quantity=1, occurred_at=instant.isoformat()) for instant in (MAY, JUNE, JULY)))
    attribute(child, payer=child.parent)

    assert [move.count for move in moves(child)] == [2]
    assert [move.count for move in moves(child, start=JUNE)] == [1]
    with pytest.raises(Invalid):
        moves(child, start=JULY)


def test_each_surface_has_its_own_rules(child: Project) -> None:
    sponsor = a_project("sponsor", parent=child.parent)
    bot = install_surface(project=child, key="bot", name="Bot")
    install_surface(project=child, key="cli", name="CLI")
    recorded(*(an_event(child, surface=surface, quantity=1) for surface in ("bot", "cli", None)))
    attribute(child, payer=child.parent)
    attribute(child, payer=sponsor, surface=bot)

    assert moves(child) == [
        MovedUsage("child", "tenant", "tokens", None, 2, Decimal(2)),
        MovedUsage("child", "sponsor", "tokens", None, 1, Decimal(1)),
    ]


def test_rules_of_a_payer_move_what_it_pays_for(child: Project) -> None:
    other = a_project("other", parent=child.parent)
    rule = attribute(child, payer=other)
    recorded(an_event(child, quantity=1))
    attribute(other, payer=child.parent)

    assert moves(child) == [MovedUsage("other", "tenant", "tokens", None, 1, Decimal(1))]
    end_attribution(rule, effective_until=MAY)
    assert moves(child) == [MovedUsage("other", "child", "tokens", None, 1, Decimal(1))]


def test_usage_of_other_projects_and_later_positions_stays(child: Project) -> None:
    grandchild = a_project("grandchild", parent=child)
    recorded(an_event(child, quantity=1), an_event(grandchild, quantity=1))
    position = UsageEvent.objects.latest("id").pk
    recorded(an_event(child, quantity=1))
    attribute(child, payer=child.parent)

    assert [move.count for move in moves(child)] == [2]
    assert [move.count for move in moves(child, position=position)] == [1]


def test_event_that_a_metric_would_count_once_only_is_held_by_it(child: Project) -> None:
    old = a_metric("old", event_name="tokens", event_label_filter={"model": "large"})
    recorded(
        an_event(child, id="large", quantity=1, labels={"model": "large"}),
        an_event(child, id="small", quantity=1, labels={"model": "small"}),
    )
    archive_metric(old)
    attribute(child, payer=child.parent)

    preview = reattribution_preview(child, start=MAY, end=JULY)

    assert [(move.held_by, move.count) for move in preview.moves] == [("old", 1), (None, 1)]
    assert (preview.count, preview.held_count) == (1, 1)
    found = misattributed_ids(child, start=MAY, end=JULY, position=preview.position, with_held=False)
    assert [event.event_id for event in UsageEvent.objects.filter(pk__in=found)] == ["small"]


def test_event_older_than_a_metric_is_held_unless_that_reaches_back(child: Project) -> None:
    recorded(an_event(child, quantity=1))
    attribute(child, payer=child.parent)

    a_metric("reaching", event_name="tokens", counts_from=0)
    assert [move.held_by for move in moves(child)] == [None]
    a_metric("since", event_name="tokens")
    assert [move.held_by for move in moves(child)] == ["since"]


def test_metrics_of_other_tenants_hold_nothing(child: Project) -> None:
    recorded(an_event(child, quantity=1))
    attribute(child, payer=child.parent)
    a_metric("foreign", event_name="tokens", project=a_project("foreign"))

    assert [move.held_by for move in moves(child)] == [None]
