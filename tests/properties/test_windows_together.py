"""Many windows asked at once, however they lie, are answered as each of them alone."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.answering import contributions
from metering.answering.usage import Interval, Slice, Usage, usage_in
from metering.measuring.windows import windows_between
from tests.properties.test_every_aggregation import DEFINITIONS, LEVELS, ZONES, House, actions, moments

ends = st.none() | moments
# Overlapping, empty, backwards, open-ended, ragged, far apart, in any order.
scattered = st.lists(st.tuples(ends, ends), max_size=7)


def tiled(start: dt.datetime, hour_count: int, unit: str, zone: str, step: int) -> list[Interval]:
    """Each window, or each second or third, of some time around `start`."""
    until = start + dt.timedelta(hours=hour_count)
    windows = windows_between(start - dt.timedelta(hours=hour_count), until, unit, ZoneInfo(zone))
    return [(window.start, window.end) for window in windows][::step]


intervals = st.one_of(
    scattered,
    st.builds(
        tiled,
        moments,
        st.integers(1, 30),
        st.sampled_from(["hour", "day", "week"]),
        st.sampled_from(ZONES),
        st.integers(1, 3),
    ),
    st.builds(lambda some, more: [*more, *some], scattered, scattered),
)
groupings = st.sampled_from([(), ("project",), ("subject_id", "labels.region"), ("labels.size",)])


def answers(usages: list[Usage]) -> list[tuple[Any, ...]]:
    return [(usage.window, usage.group, usage.value, usage.aggregate) for usage in usages]


@pytest.mark.parametrize("few_spans", [0, contributions.FEW_SPANS], ids=["one by one", "joined"])
@pytest.mark.django_db
def test_windows_together_are_each_alone(monkeypatch: pytest.MonkeyPatch, few_spans: int) -> None:
    monkeypatch.setattr(contributions, "FEW_SPANS", few_spans)
    house = House()

    @settings(max_examples=30)
    @given(
        actions,
        intervals,
        groupings,
        st.lists(st.sampled_from([*DEFINITIONS]), min_size=3, max_size=3, unique=True),
        st.integers(1, 5),
    )
    def check(
        happened: list[Any],
        asked: list[Interval],
        group_by: tuple[str, ...],
        metrics: list[str],
        limit: int,
    ) -> None:
        with transaction.atomic():
            house.start()
            for action in happened:
                house.act(action)
            slice = Slice(group_by=group_by)
            for metric in metrics:
                if metric in LEVELS and "labels.size" in group_by:
                    continue  # a level is its stream's
                for as_of in (None, house.end()):
                    meaning = house.meanings[metric]
                    together = answers(usage_in(meaning, asked, slice=slice, as_of=as_of))
                    alone = [
                        (number, *answer[1:])
                        for number, interval in enumerate(asked)
                        for answer in answers(usage_in(meaning, [interval], slice=slice, as_of=as_of))
                    ]
                    assert together == alone, (metric, as_of)
                    first = usage_in(meaning, asked, slice=slice, limit=limit, as_of=as_of)
                    assert answers(first) == alone[:limit], (metric, as_of)
            transaction.set_rollback(True)

    check()
