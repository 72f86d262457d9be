"""Who pays at an instant and why, and who pays over time. Nothing here asks the database."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from metering.catalogue import Catalogue, Rule
from metering.models import MAX_TREE_DEPTH

from .chains import earlier, is_interval, later


@dataclass(frozen=True, slots=True)
class Step:
    """One link of a chain: what was asked for, the rule that decided (None: no rule), and who it leads to."""

    project_id: int
    surface_id: int | None
    rule: Rule | None
    payer_id: int


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch of time in which one project pays; None is unbounded."""

    start: dt.datetime | None
    end: dt.datetime | None
    payer_id: int

    def covers(self, instant: dt.datetime) -> bool:
        return (self.start is None or self.start <= instant) and (self.end is None or instant < self.end)


def chain_at(
    catalogue: Catalogue, project_id: int, instant: dt.datetime, *, surface_id: int | None = None
) -> list[Step]:
    """The steps from a project (or one of its surfaces) to whoever pays at `instant`, in order.

    The first step of a surface asks the surface's rules, and where none holds leads to its project. The last
    step leads to the project that it starts from: that one pays for itself, by a rule or for want of one.
    """
    steps = []
    if surface_id is not None:
        rule = _rule_at(catalogue, project_id, instant, surface_id=surface_id)
        steps.append(Step(project_id, surface_id, rule, project_id if rule is None else rule.payer_id))
        project_id = steps[-1].payer_id
    for _ in range(MAX_TREE_DEPTH + 1):
        rule = _rule_at(catalogue, project_id, instant)
        steps.append(Step(project_id, None, rule, project_id if rule is None else rule.payer_id))
        if steps[-1].payer_id == project_id:
            break
        project_id = steps[-1].payer_id
    return steps


def spans_of(
    catalogue: Catalogue,
    project_id: int,
    *,
    surface_id: int | None = None,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
) -> list[Span]:
    """Who pays for a project (or one of its surfaces) throughout [start, end), in order.

    The spans tile the interval, and neighbours have different payers. Empty for an empty interval.
    """
    spans: list[Span] = []
    for span in _pieces(catalogue, project_id, surface_id, start, end, MAX_TREE_DEPTH + 1):
        if spans and spans[-1].payer_id == span.payer_id:
            spans[-1] = Span(spans[-1].start, span.end, span.payer_id)
        else:
            spans.append(span)
    return spans


def _rule_at(
    catalogue: Catalogue, project_id: int, instant: dt.datetime, *, surface_id: int | None = None
) -> Rule | None:
    rules = catalogue.rules_of(project_id, surface_id=surface_id)
    return next((rule for rule in rules if rule.covers(instant)), None)


def _pieces(
    catalogue: Catalogue,
    project_id: int,
    surface_id: int | None,
    start: dt.datetime | None,
    end: dt.datetime | None,
    links_left: int,
) -> Iterator[Span]:
    """`spans_of` in pieces: the rules of one node cut the interval, and each payer's rules cut further."""
    ahead = sorted(
        catalogue.rules_of(project_id, surface_id=surface_id),
        key=lambda rule: (rule.effective_from is not None, rule.effective_from),
    )
    place, is_over = start, not is_interval(start, end)
    for rule in ahead:
        since, until = later(start, rule.effective_from), earlier(end, rule.effective_until)
        if is_over or not is_interval(since, until):
            continue
        if since is not None and (place is None or place < since):
            yield from _unruled(catalogue, project_id, surface_id, place, since, links_left)
        if (rule.payer_id == project_id and surface_id is None) or not links_left:
            yield Span(since, until, rule.payer_id)
        else:
            yield from _pieces(catalogue, rule.payer_id, None, since, until, links_left - 1)
        place, is_over = until, until is None or not is_interval(until, end)
    if not is_over:
        yield from _unruled(catalogue, project_id, surface_id, place, end, links_left)


def _unruled(
    catalogue: Catalogue,
    project_id: int,
    surface_id: int | None,
    start: dt.datetime | None,
    end: dt.datetime | None,
    links_left: int,
) -> Iterator[Span]:
    """Where no rule holds a surface is its project's, and a project pays for itself."""
    if surface_id is None:
        yield Span(start, end, project_id)
    else:
        yield from _pieces(catalogue, project_id, None, start, end, links_left)
