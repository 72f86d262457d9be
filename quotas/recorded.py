"""What the ledger holds of what quotas count, read for many quotas at once: one statement per metric."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from metering.answering.scope_totals import ScopeInterval, ScopeTotal, adds_up_by_scope, scope_totals
from metering.answering.step_neighbours import StreamPlace, step_neighbours
from metering.answering.usage import Scope, Slice, usage_in
from metering.measuring.aggregations import Aggregate
from metering.measuring.meaning import Meaning

from .periods import Period
from .tallies import (
    FIRST_RECORDED,
    LAST_RECORDED,
    Asked,
    DistinctTally,
    FoldedTally,
    Known,
    SteppedTally,
    Tally,
)


@dataclass(frozen=True, slots=True)
class Place:
    """What one quota counts in one period: what its project used or paid for of a metric, each event once."""

    quota_id: int
    period: Period
    project_id: int = field(compare=False)
    meaning: Meaning = field(compare=False)
    _hash: int = field(init=False, compare=False, repr=False)  # asked for a dozen times in each decision

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.quota_id, self.period.start)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def is_foldable(self) -> bool:
        """Whether an aggregate alone says what a reading would make of it."""
        return not self.meaning.is_stepped and not self.meaning.keeps_values


@dataclass(slots=True)
class Question:
    """What is asked about one place: readings, and for steps where in their streams they would come."""

    asked: list[Asked] = field(default_factory=list)
    stream_places: dict[Asked, StreamPlace] = field(default_factory=dict)


def tallies_of(questions: dict[Place, Question]) -> dict[Place, Tally]:
    """The tally of each place as the ledger stands now, each event once."""
    by_meaning: dict[Meaning, list[Place]] = defaultdict(list)
    for place in questions:
        by_meaning[place.meaning].append(place)
    tallies: dict[Place, Tally] = {}
    for meaning, places in by_meaning.items():
        if meaning.is_stepped:
            known = _known(meaning, [questions[place] for place in places])
        keys = {asked.value_key for place in places for asked in questions[place].asked if asked.value_key}
        for place, total in _totals(meaning, places, keys=keys).items():
            if meaning.steps is not None:
                recorded = meaning.aggregation.value(total.aggregate) or Decimal(0)
                tallies[place] = SteppedTally(meaning.steps, place.period, recorded, known=known)
            elif meaning.keeps_values:
                tallies[place] = DistinctTally(total.aggregate.distinct_count, total.seen)
            else:
                tallies[place] = FoldedTally(meaning.aggregation, total.aggregate)
    return tallies


def _totals(meaning: Meaning, places: Sequence[Place], *, keys: Iterable = ()) -> dict[Place, ScopeTotal]:
    """By place; of the values named `keys`, which occur."""
    if adds_up_by_scope(meaning):
        asked = [ScopeInterval(p.project_id, p.period.start, p.period.end) for p in places]
        return dict(zip(places, scope_totals(meaning, asked, value_keys=list(keys)), strict=True))
    by_project: dict[int, list[Place]] = defaultdict(list)
    for place in places:
        by_project[place.project_id].append(place)
    totals = {place: ScopeTotal(Aggregate()) for place in places}
    for project_id, of_project in by_project.items():
        scope = Scope(project_ids=[project_id], payer_id=project_id, either=True)
        intervals = [(place.period.start, place.period.end) for place in of_project]
        for usage in usage_in(meaning, intervals, slice=Slice(scope=scope)):
            totals[of_project[usage.window]] = ScopeTotal(usage.aggregate)
    return totals


def _known(meaning: Meaning, questions: Sequence[Question]) -> dict[Hashable, set[Known]]:
    """By stream, the recorded readings between which those that are asked about would come."""
    stream_places = list(
        dict.fromkeys(place for question in questions for place in question.stream_places.values())
    )
    known: dict[Hashable, set[Known]] = defaultdict(set)
    for place, (before, after) in zip(stream_places, step_neighbours(meaning, stream_places), strict=True):
        if before is not None:
            known[place.stream].add((before[0], LAST_RECORDED, before[1]))
        if after is not None:
            known[place.stream].add((after[0], FIRST_RECORDED, after[1]))
    return known
