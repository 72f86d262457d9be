"""What a correction would change: carried out, looked at and rolled back.

So it is right for every aggregation, and refuses what the verb would refuse. Before and after are read by one
snapshot, in which nobody else records.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import OperationalError, connection, transaction

from metering.answering.several_usages import Question, usages_in
from metering.answering.usage import Interval, Scope, Slice, Usage
from metering.catalogue import Catalogue, current
from metering.errors import Conflict
from metering.ledger import Outcome
from metering.measuring.aggregations import TimeWeightedAverage
from metering.measuring.buckets import MONTH, bucket_end, bucket_floor
from metering.measuring.meaning import Meaning
from metering.models import UsageEvent
from metering.principal import EVERYBODY_INSIDE, Principal

from .corrections import Voided, amend_event, void_events

_PREVIEWED = "a preview"  # the reason and the actor of what is rolled back
_SERIALIZATION_FAILURE = "40001"


@dataclass(frozen=True, slots=True)
class Effect:
    """One metric's usage of one project in one period (UTC, half-open; no end: all time after), that changes.

    A value is None where there is no usage; record counts may change where the value stays.
    """

    meaning: Meaning
    project_key: str
    start: dt.datetime
    end: dt.datetime | None
    before: Decimal | None
    after: Decimal | None

    @property
    def difference(self) -> Decimal:
        return (self.after or Decimal(0)) - (self.before or Decimal(0))

    @property
    def is_month(self) -> bool:
        return self.end == bucket_end(self.start, MONTH)


@dataclass(frozen=True, slots=True)
class Preview:
    """The effects by metric, project and time; `voided` and `event` are what the verb would answer."""

    voided: Sequence[Voided]
    event: Outcome | None = None
    effects: Sequence[Effect] = field(default_factory=list)

    @property
    def has_levels(self) -> bool:
        """Whether a level lasts on: then its average changes in later months, too, up to the next reading."""
        return any(isinstance(effect.meaning.aggregation, TimeWeightedAverage) for effect in self.effects)


_Place = tuple[int, str, dt.datetime]  # project, event name, when


def preview_of_voids(event_ids: Sequence[int], *, principal: Principal = EVERYBODY_INSIDE) -> Preview:
    """What voiding these events would change. Raises what `void_events` raises. Changes nothing."""
    with _one_snapshot() as savepoint:
        voided = void_events(event_ids, reason=_PREVIEWED, actor=_PREVIEWED, principal=principal)
        new = [one.voids for one in voided if one.outcome == "created"]
        return Preview(voided, effects=_effects(_places_of(new), savepoint))


def preview_of_amendment(
    event_id: int,
    changes: Mapping[str, Any],
    *,
    principal: Principal = EVERYBODY_INSIDE,
    enforce: bool = True,
) -> Preview:
    """What amending the event would change. Raises what `amend_event` raises. Changes nothing."""
    with _one_snapshot() as savepoint:
        amended = amend_event(
            event_id, changes, reason=_PREVIEWED, actor=_PREVIEWED, principal=principal, enforce=enforce
        )
        places = _places_of([event_id, *([amended.event.id] if amended.event.id else [])])
        return Preview([amended.void], amended.event, _effects(places, savepoint))


@contextmanager
def _one_snapshot() -> Iterator[str]:
    """A transaction whose statements see the same commits of others, unless it joins one that doesn't.

    Yields a savepoint from before anything was changed.
    """
    is_outermost = not connection.in_atomic_block
    try:
        with transaction.atomic():
            if is_outermost:
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield transaction.savepoint()
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _SERIALIZATION_FAILURE:
            raise
        raise Conflict("Somebody else is correcting the same event; look again.") from None


def _places_of(event_ids: Sequence[int]) -> list[_Place]:
    events = UsageEvent.objects.filter(pk__in=event_ids)
    return list(events.values_list("project_id", "event_name", "occurred_at"))


def _effects(places: Sequence[_Place], savepoint: str) -> list[Effect]:
    """What differs there from before the savepoint, to which this rolls back."""
    catalogue = current()
    windows = _windows_of(places, catalogue)
    after = _usage_of(windows)
    transaction.savepoint_rollback(savepoint)
    before = _usage_of(windows)
    return list(_differences(windows, before, after, catalogue))


_Windows = Mapping[tuple[Meaning, int], Sequence[Interval]]
_Usages = Mapping[tuple[Meaning, int, int], Usage]  # metric, project, number of the window


def _windows_of(places: Sequence[_Place], catalogue: Catalogue) -> _Windows:
    """The months to look at, for each metric that listens and each project, in a fixed order."""
    months: dict[tuple[Meaning, int], set[dt.datetime]] = defaultdict(set)
    for project_id, event_name, occurred_at in places:
        for meaning in catalogue.listening(catalogue.project_by_id(project_id), event_name):
            months[meaning, project_id].add(bucket_floor(occurred_at.astimezone(dt.UTC), MONTH))
    return {
        key: list(_intervals(key[0], sorted(months[key])))
        for key in sorted(months, key=lambda key: (key[0].key, key[0].metric_id, key[1]))
    }


def _intervals(meaning: Meaning, months: Sequence[dt.datetime]) -> Iterator[Interval]:
    """The months; and where readings follow from each other, the time between and after them."""
    for index, start in enumerate(months):
        end = bucket_end(start, MONTH)
        yield start, end
        following = months[index + 1] if index + 1 < len(months) else None
        if not meaning.is_stepped or end == following:
            continue
        if following is not None or not isinstance(meaning.aggregation, TimeWeightedAverage):
            yield end, following


def _usage_of(windows: _Windows) -> _Usages:
    asked = [
        Question(meaning, intervals, Slice(scope=Scope([project_id])))
        for (meaning, project_id), intervals in windows.items()
    ]
    return {
        (meaning, project_id, usage.window): usage
        for (meaning, project_id), found in zip(windows, usages_in(asked), strict=True)
        for usage in found
    }


def _differences(
    windows: _Windows, before: _Usages, after: _Usages, catalogue: Catalogue
) -> Iterator[Effect]:
    for (meaning, project_id), intervals in windows.items():
        for number, (start, end) in enumerate(intervals):
            old, new = before.get((meaning, project_id, number)), after.get((meaning, project_id, number))
            if _facts(old) != _facts(new) and start is not None:
                project = catalogue.project_by_id(project_id)
                yield Effect(
                    meaning, project.key, start, end, old.value if old else None, new.value if new else None
                )


def _facts(usage: Usage | None) -> tuple[Decimal | None, int]:
    return (None, 0) if usage is None else (usage.value, usage.aggregate.record_count)
