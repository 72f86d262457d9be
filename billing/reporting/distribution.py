"""How the differences of a comparison are spread: how many accounts lie between which parts. Pure."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

BOUNDS = tuple(Fraction(percent, 100) for percent in (-50, -25, -10, 0, 10, 25, 50))
ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Accounts whose amount would have moved by more than `above` and less than `below`, bounds towards 0
    included; None is unbounded. Both 0: not at all. `is_new`: that would have paid, and now pay nothing."""

    above: Fraction | None
    below: Fraction | None
    count: int
    is_new: bool = False


def distribution(fractions: Iterable[Fraction | None]) -> list[Bucket]:
    """All buckets in order, those that would have saved most first. None is a part of nothing."""
    found = list(fractions)
    parts = [one for one in found if one is not None]
    edges = [None, *BOUNDS, None]
    buckets: list[Bucket] = []
    for above, below in itertools.pairwise(edges):
        count = sum(part != ZERO and _holds(above, below, part) for part in parts)
        buckets.append(Bucket(above, below, count))
        if below == ZERO:
            buckets.append(Bucket(ZERO, ZERO, sum(part == ZERO for part in parts)))
    return [*buckets, Bucket(None, None, len(found) - len(parts), is_new=True)]


def _holds(above: Fraction | None, below: Fraction | None, part: Fraction) -> bool:
    """A bound belongs to the bucket that is nearer to 0."""
    if part < ZERO:
        return (above is None or part >= above) and below is not None and part < below
    return above is not None and part > above and (below is None or part <= below)
