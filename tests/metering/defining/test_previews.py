"""What a definition would make of recorded usage, without saving it."""

import datetime as dt
from decimal import Decimal

import pytest
from django.db import connection

from metering.answering.usage import Slice, usage_in
from metering.clock import ledger_end
from metering.defining import previews
from metering.defining.cloning import clone_of
from metering.defining.definitions import draft_of
from metering.defining.previews import preview_of
from metering.errors import Invalid, PreviewTooSlow
from metering.models import MetricDefinition, PendingContribution, Project
from metering.rolling_up.rollups import roll_up
from tests.factories import a_metric, a_project, an_event, at, meaning_of, recorded

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def acme() -> Project:
    """Six events within ten days, one of which says its size badly."""
    acme = a_project("acme")
    a_metric("tokens")
    recorded(
        *(
            an_event(
                id=f"e{number}",
                quantity=number,
                labels={"size": size, "region": region},
                occurred_at=f"2024-05-{day}T12:00:00Z",
            )
            for number, (day, size, region) in enumerate(
                [
                    ("05", 100, "eu"),
                    ("13", 10, "eu"),
                    ("13", "20.5", "us"),
                    ("14", "many", "eu"),
                    ("15", 30, "eu"),
                    ("15", -1, "us"),
                ],
                start=1,
            )
        )
    )
    return acme


def sizes(**fields):
    return draft_of(key="sizes", event_name="tokens", value_property="size", **fields)


def test_draft_is_evaluated_on_the_last_days_that_have_events():
    preview = preview_of(sizes(primary_labels=["region"]), days=3)

    found = preview.proposed
    assert (preview.start, preview.end) == (at("2024-05-13T00:00:00Z"), at("2024-05-16T00:00:00Z"))
    assert (preview.is_capped, preview.stored, preview.position) == (False, None, ledger_end())
    assert (found.matching_count, found.record_count, found.refused_count) == (5, 3, 2)
    assert found.value == Decimal("60.5")
    assert [(part.day, part.value, part.record_count) for part in found.days] == [
        (dt.date(2024, 5, 13), Decimal("30.5"), 2),
        (dt.date(2024, 5, 14), None, 0),
        (dt.date(2024, 5, 15), Decimal(30), 1),
    ]
    assert [(part.group, part.value) for part in found.groups] == [
        ({"region": "eu"}, Decimal(40)),
        ({"region": "us"}, Decimal("20.5")),
    ]


def test_events_that_it_cant_read_are_shown_with_what_recording_would_say():
    found = preview_of(sizes(), days=3).proposed

    assert [(m.project, m.event_id, m.code, m.field) for m in found.misfits] == [
        ("acme", "e6", "invalid_value", "labels.size"),
        ("acme", "e4", "invalid_value", "labels.size"),
    ]


def test_missing_label_is_a_misfit_of_every_event():
    found = preview_of(sizes(expected_labels=["plan"]), days=30).proposed

    assert (found.matching_count, found.refused_count, found.value) == (6, 6, Decimal(0))
    assert {(m.code, m.field) for m in found.misfits} == {("missing_label", "labels.plan")}


def test_filter_matches_before_anything_is_read():
    found = preview_of(sizes(event_label_filter={"region": "us"}), days=30).proposed

    assert (found.matching_count, found.record_count, found.value) == (2, 1, Decimal("20.5"))


def test_changes_stand_beside_the_definition_in_force():
    stored = MetricDefinition.objects.get(key="tokens")

    preview = preview_of(clone_of(stored, key="tokens", aggregation="MAX"), stored=stored, days=30)

    assert preview.proposed.value == Decimal(6)
    assert preview.stored is not None
    assert (preview.stored.value, preview.stored.record_count) == (Decimal(21), 6)


def test_both_read_the_same_events_whatever_they_count_from():
    late = a_metric("late", event_name="tokens")

    preview = preview_of(clone_of(late, key="late"), stored=late, days=30)

    assert preview.stored is not None
    assert (preview.proposed.value, preview.stored.value) == (Decimal(21), Decimal(21))


def test_previewed_value_is_that_of_the_metric_once_it_is_defined():
    draft = sizes(primary_labels=["region"])
    previewed = preview_of(draft, days=90).proposed

    a_metric("sizes", event_name="tokens", value_property="size", primary_labels=["region"], counts_from=0)
    roll_up()

    found = usage_in(meaning_of("sizes"), [(None, None)], slice=Slice(group_by=("labels.region",)))
    assert {u.group["region"]: u.value for u in found} == {
        part.group["region"]: part.value for part in previewed.groups if part.group
    }
    assert len(found) == 2


def test_nothing_is_saved():
    before = (MetricDefinition.objects.count(), PendingContribution.objects.count(), ledger_end())

    preview_of(sizes())

    assert (MetricDefinition.objects.count(), PendingContribution.objects.count(), ledger_end()) == before


def test_owner_and_visible_projects_narrow_what_is_read(acme):
    other = a_project("other")
    recorded(an_event(other, quantity=50, occurred_at="2024-05-15T12:00:00Z"))

    def value(project=None, ids=None):
        draft = draft_of(key="draft", event_name="tokens", project=project)
        return preview_of(draft, project_ids=ids, days=30).proposed.value

    assert (value(), value(project=acme), value(ids=[other.pk]), value(project=acme, ids=[other.pk])) == (
        Decimal(71),
        Decimal(21),
        Decimal(50),
        Decimal(0),
    )


def test_name_without_events_ends_today():
    preview = preview_of(draft_of(key="unheard"))

    assert preview.end - preview.start == dt.timedelta(days=7)
    assert preview.end > dt.datetime.now(dt.UTC) > preview.start
    assert (preview.proposed.matching_count, preview.proposed.value) == (0, Decimal(0))


def test_cap_keeps_the_latest_events_and_says_so(monkeypatch):
    monkeypatch.setattr(previews, "MAX_EVENTS", 3)

    preview = preview_of(draft_of(key="draft", event_name="tokens"), days=30)

    assert (preview.is_capped, preview.start) == (True, at("2024-05-13T12:00:00.000001Z"))
    assert (preview.proposed.matching_count, preview.proposed.value) == (3, Decimal(15))
    assert [part.day for part in preview.proposed.days] == [dt.date(2024, 5, day) for day in (13, 14, 15)]


def test_slow_preview_is_given_up_and_leaves_the_connection_usable(monkeypatch):
    monkeypatch.setattr(previews, "TIMEOUT", "1ms")
    monkeypatch.setattr(previews, "_interval", lambda *_args, **_options: connection.cursor().execute(_SLEEP))

    with pytest.raises(PreviewTooSlow):
        preview_of(sizes())

    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


_SLEEP = "SELECT pg_sleep(5)"


def test_timeout_ends_with_the_preview():
    preview_of(sizes())

    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.parametrize("days", [0, 91, -1])
def test_days_have_limits(days):
    with pytest.raises(Invalid) as caught:
        preview_of(sizes(), days=days)

    assert caught.value.field == "days"


# -- usage as of a position ----------------------------------------------------------------------------------


def test_usage_as_of_a_position_leaves_out_what_came_later():
    position = ledger_end()
    roll_up()
    recorded(an_event(quantity=100, occurred_at="2024-05-15T12:00:00Z"))
    meaning = meaning_of("tokens")

    then = usage_in(meaning, [(None, None)], as_of=position)
    now = usage_in(meaning, [(None, None)])

    assert ([u.value for u in then], [u.value for u in now]) == ([Decimal(21)], [Decimal(121)])
    assert usage_in(meaning, [(None, None)], as_of=0) == []
