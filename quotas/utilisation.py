"""How quotas stand in the periods that run now: read for a page of quotas with few statements."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

from metering.answering.answers import answer
from metering.answering.owner_usage import Asked as Question
from metering.answering.owner_usage import usage_of_owners
from metering.clock import database_now
from metering.measuring.meaning import Meaning
from metering.measuring.windows import zone_named
from metering.texts.numbers import EXACT

from .held import settled
from .models import ProjectQuota, QuotaOverride
from .periods import Period, period_holding
from .projection import projected_end
from .recorded import Place

NEAR_FRACTION = Decimal("0.8")
FRACTION_QUANTUM = Decimal("0.000001")
_ZERO = Decimal(0)
_DIVIDING = Context(prec=200)
# Values that grow by being used; a gauge's sum goes up and down.
_GROWING = frozenset({"COUNT", "SUM"})


@dataclass(frozen=True, slots=True)
class Utilisation:
    """How a quota stands in one period. `limit` is the one in force; `held` is what open holds reserve of it.

    `used` is None where the metric has no value: nothing was measured yet.
    """

    period: Period
    used: Decimal | None
    limit: Decimal
    held: Decimal = _ZERO
    projected: Decimal | None = None

    @property
    def taken(self) -> Decimal:
        """What counts against the limit: used and held."""
        with localcontext(EXACT):
            return (self.used or _ZERO) + self.held

    @property
    def remaining(self) -> Decimal:
        """What may still be used; never negative."""
        with localcontext(EXACT):
            return max(self.limit - self.taken, _ZERO)

    @property
    def fraction(self) -> Decimal | None:
        """The taken share of the limit, 1 at the limit, at six decimals; None where the limit is 0."""
        return share_of(self.taken, self.limit)

    @property
    def projected_fraction(self) -> Decimal | None:
        return None if self.projected is None else share_of(self.projected, self.limit)

    @property
    def is_over(self) -> bool:
        return self.taken > self.limit

    @property
    def is_near(self) -> bool:
        return self.fraction is not None and self.fraction >= NEAR_FRACTION


def share_of(part: Decimal, whole: Decimal) -> Decimal | None:
    """part / whole at six decimals; None where there is nothing to divide by."""
    if not whole:
        return None
    return _DIVIDING.divide(part, whole).quantize(FRACTION_QUANTUM, rounding=ROUND_HALF_UP, context=_DIVIDING)


@dataclass(frozen=True, slots=True)
class Asked:
    """A quota in one of its periods."""

    quota: ProjectQuota
    period: Period


def utilisations_of(
    quotas: Iterable[ProjectQuota], *, now: dt.datetime | None = None
) -> dict[int, Utilisation]:
    """By quota id, for the periods that hold `now` (default: the database's time).

    The quotas must have been fetched with their projects.
    """
    now = database_now() if now is None else now
    asked = [Asked(quota, period_of(quota, at=now)) for quota in quotas]
    return dict(zip([one.quota.pk for one in asked], utilisations_in(asked, now=now), strict=True))


def period_of(quota: ProjectQuota, *, at: dt.datetime) -> Period:
    """The period of a quota that an instant falls in."""
    zone = zone_named(quota.project.timezone)
    return period_holding(at, kind=quota.period, zone=zone, anchor=quota.anchor)


def utilisations_in(asked: Sequence[Asked], *, now: dt.datetime) -> list[Utilisation]:
    """How each quota stands in the period given, in the order asked, with the limits in force at `now`.

    Raises what `answer` raises.
    """
    return answer(lambda catalogue: _standings(asked, catalogue.meanings, now=now))


def _standings(
    asked: Sequence[Asked], meanings: Mapping[int, Meaning], *, now: dt.datetime
) -> list[Utilisation]:
    places = _places(asked, meanings)
    values, held = settled(list(places.values()), lambda: _values(asked, meanings))
    limits = limits_in_force({one.quota.pk: one.quota.limit for one in asked}, at=now)
    return [
        Utilisation(
            one.period,
            used,
            limits[one.quota.pk],
            held.get(places[number], _ZERO) if number in places else _ZERO,
            projected=_projected(meanings.get(one.quota.metric_id), used, one.period, now),
        )
        for number, (one, used) in enumerate(zip(asked, values, strict=True))
    ]


def _places(asked: Sequence[Asked], meanings: Mapping[int, Meaning]) -> dict[int, Place]:
    """Of each question, by its number, what it is about; without those on metrics not known yet."""
    return {
        number: Place(one.quota.pk, one.period, one.quota.project_id, meanings[one.quota.metric_id])
        for number, one in enumerate(asked)
        if one.quota.metric_id in meanings
    }


def limits_in_force(limits: Mapping[int, Decimal], *, at: dt.datetime) -> dict[int, Decimal]:
    """By quota id, its limit or that of the override which holds at an instant."""
    overrides = QuotaOverride.objects.filter(
        quota__in=list(limits), effective_from__lte=at, effective_until__gt=at
    )
    return {**limits, **dict(overrides.values_list("quota_id", "limit"))}


def _projected(
    meaning: Meaning | None, used: Decimal | None, period: Period, now: dt.datetime
) -> Decimal | None:
    if meaning is None or meaning.aggregation.name not in _GROWING:
        return None
    if meaning.aggregation.name == "SUM" and not meaning.is_counter:
        return None
    return projected_end(used or _ZERO, start=period.start, end=period.end, now=now)


def _values(asked: Sequence[Asked], meanings: Mapping[int, Meaning]) -> list[Decimal | None]:
    """The metric's value over each period: own usage and what is paid for, each event once. A statement per
    metric."""
    numbers: dict[int, list[int]] = defaultdict(list)
    for number, one in enumerate(asked):
        numbers[one.quota.metric_id].append(number)
    values: list[Decimal | None] = [None] * len(asked)
    for metric_id, of_metric in numbers.items():
        meaning = meanings.get(metric_id)
        if meaning is None:  # made since the catalogue was read
            continue
        questions = {number: _question(asked[number]) for number in of_metric}
        told = {
            one.asked: one.value for one in usage_of_owners(meaning, list(dict.fromkeys(questions.values())))
        }
        _, nothing = meaning.empty_answer()
        for number, question in questions.items():
            values[number] = told.get(question, nothing)
    return values


def _question(one: Asked) -> Question:
    return Question(one.quota.project_id, one.period.start, one.period.end)
