"""Tiers: contiguous, ascending, the last one open. Bounds are continuous, (previous, up_to]. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from metering.errors import Invalid

from .members import Members
from .parts import ZERO

MAX_TIERS = 100  # price lists have a dozen; every rating walks them all


@dataclass(frozen=True, slots=True)
class Tier:
    """What a unit up to and including `up_to` costs, and what reaching the tier does; None is unbounded."""

    up_to: Fraction | None
    unit_amount: Fraction
    flat_amount: Fraction


@dataclass(frozen=True, slots=True)
class PercentTier:
    """The same over an amount of money."""

    up_to: Fraction | None
    rate_percent: Fraction
    flat_amount: Fraction

    @property
    def unit_amount(self) -> Fraction:
        return self.rate_percent / 100


AnyTier = Tier | PercentTier


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of a quantity that falls into one tier. Tiers are numbered from 1."""

    number: int
    tier: AnyTier
    quantity: Fraction


def tiers_from(members: Members) -> tuple[Tier, ...]:
    """The member `tiers` with unit amounts. Raises `Invalid` that names the tier and its member."""
    return tuple(
        Tier(up_to, entry.number_or_zero("unit_amount"), entry.number_or_zero("flat_amount"))
        for up_to, entry in _entries(members, "unit_amount")
    )


def percent_tiers_from(members: Members) -> tuple[PercentTier, ...]:
    """The member `tiers` with percentages. Raises `Invalid` that names the tier and its member."""
    return tuple(
        PercentTier(up_to, entry.number_or_zero("rate_percent"), entry.number_or_zero("flat_amount"))
        for up_to, entry in _entries(members, "rate_percent")
    )


def _entries(members: Members, rate: str) -> Iterator[tuple[Fraction | None, Members]]:
    listed, at = members.needed("tiers"), members.path("tiers")
    if not isinstance(listed, list) or not listed:
        raise Invalid("Must be an array of at least one tier.", field=at)
    if len(listed) > MAX_TIERS:
        raise Invalid("At most {most} tiers.", most=MAX_TIERS, field=at)
    lower = ZERO
    for index, value in enumerate(listed):
        entry = Members(value, at=f"{at}[{index}]", known=("up_to", rate, "flat_amount"))
        is_last = index == len(listed) - 1
        up_to = entry.number_or_none("up_to")
        if is_last and up_to is not None:
            raise Invalid("The last tier must be open: up_to is null.", field=entry.path("up_to"))
        if not is_last and up_to is None:
            raise Invalid("Only the last tier is open.", field=entry.path("up_to"))
        if up_to is not None:
            if up_to <= lower:
                raise Invalid("Tiers must ascend from 0.", field=entry.path("up_to"))
            lower = up_to
        if not entry.has(rate) and not entry.has("flat_amount"):
            raise Invalid(
                "A tier needs {rate} or flat_amount.", rate=rate, field=entry.path(rate), code="missing_field"
            )
        yield up_to, entry


def stretches(tiers: Sequence[AnyTier], quantity: Fraction) -> Iterator[Stretch]:
    """The tiers whose lower bound `quantity` strictly exceeds, each with what falls into it.

    Law: the quantities add up to `quantity`.
    """
    lower = ZERO
    for number, tier in enumerate(tiers, start=1):
        if quantity <= lower:
            return
        upper = quantity if tier.up_to is None else min(quantity, tier.up_to)
        yield Stretch(number, tier, upper - lower)
        lower = upper


def tier_holding(tiers: Sequence[AnyTier], quantity: Fraction) -> Stretch:
    """The tier that holds the whole of a `quantity` above 0; at 0 the first."""
    number = next(
        number for number, tier in enumerate(tiers, 1) if tier.up_to is None or quantity <= tier.up_to
    )
    return Stretch(number, tiers[number - 1], quantity)
