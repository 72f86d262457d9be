"""How one quota stands in one period while requests are judged one after the other. Pure."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from metering.measuring.aggregations import Accumulator, Aggregate, Aggregation
from metering.texts.numbers import plain
from metering.texts.timestamps import iso

from .periods import Period

HARD, SOFT = "hard", "soft"

_ADDITIVE = frozenset({"COUNT", "SUM"})
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Quota:
    """One enforced quota, as it is held in memory."""

    id: int
    project_id: int
    project_key: str
    zone: ZoneInfo
    metric_id: int
    limit: Decimal
    mode: str
    period: str


def exceeds(limit: Decimal, *, used: Decimal, then: Decimal) -> bool:
    """Whether going from `used` to `then` breaks the limit.

    Exactly the limit is allowed, and so is what doesn't raise a value that is above it already. A limit of 0
    refuses all but what lowers a value above it.
    """
    if not limit:
        return used <= 0 or then >= used
    return then > limit and then > used


class Standing:
    """What the ledger holds against one quota in one period, and what was admitted since."""

    __slots__ = ("_admitted", "_aggregation", "_metric_key", "_now", "_recorded", "period", "quota")

    def __init__(
        self,
        quota: Quota,
        period: Period,
        *,
        metric_key: str,
        aggregation: Aggregation,
        recorded: Aggregate,
    ) -> None:
        self.quota = quota
        self.period = period
        self._metric_key = metric_key
        self._aggregation = aggregation
        self._recorded = self._now = recorded
        self._admitted = _resumed(recorded)

    def is_exceeded_by(self, reading: Decimal) -> bool:
        """Whether one more reading would break the limit."""
        used = self._aggregation.value(self._now) or _ZERO
        return exceeds(self.quota.limit, used=used, then=self._with(reading))

    def admit(self, reading: Decimal, *, at: dt.datetime, order: int) -> None:
        """Let a reading count for those judged after it; `order` breaks ties of `at`."""
        total = self._admitted
        self._aggregation.fold(total, reading, at=at, event_id=order)
        self._now = Aggregate(
            total.record_count, total.value_sum, total.value_min, total.value_max, total.last_value
        )

    def facts(self, reading: Decimal) -> dict[str, object]:
        """The members of a refusal or warning about `reading`, numbers and instants as the API writes them.

        `used` is what the ledger held before the request, so that it is true also when nothing of the request
        is recorded; `requested` is what the request asks for up to and including this reading.
        """
        used = self._aggregation.value(self._recorded) or _ZERO
        requested = self._with(reading) - used if self._aggregation.name in _ADDITIVE else reading
        return {
            "metric": self._metric_key,
            "project": self.quota.project_key,
            "limit": plain(self.quota.limit),
            "used": plain(used),
            "held": "0",
            "requested": plain(requested),
            "remaining": plain(max(self.quota.limit - used, _ZERO)),
            "mode": self.quota.mode,
            "period_start": None if self.period.start is None else iso(self.period.start),
            "resets_at": None if self.period.end is None else iso(self.period.end),
        }

    def _with(self, reading: Decimal) -> Decimal:
        return self._aggregation.with_request(self._now, reading) or _ZERO


def _resumed(recorded: Aggregate) -> Accumulator:
    """An accumulator that goes on from `recorded`; the first LATEST reading folded into it is the latest."""
    total = Accumulator()
    total.record_count = recorded.record_count
    total.value_sum = recorded.value_sum
    total.value_min, total.value_max = recorded.value_min, recorded.value_max
    total.last_value = recorded.last_value
    return total
