"""How one quota stands in one period while requests are judged one after the other. Pure."""

from decimal import Decimal

from metering.texts.numbers import plain
from metering.texts.timestamps import iso

from .book import HARD, Quota
from .periods import Period
from .tallies import Asked, Tally

CACHE, LEDGER = "cache", "ledger"

_ZERO = Decimal(0)


def exceeds(limit: Decimal, *, used: Decimal, then: Decimal) -> bool:
    """Whether going from `used` to `then` breaks the limit.

    Exactly the limit is allowed, and so is what doesn't raise a value that is above it already. A limit of 0
    refuses all but what lowers a value above it.
    """
    if not limit:
        return used <= 0 or then >= used
    return then > limit and then > used


class Standing:
    """What the ledger holds against one quota in one period, what open holds reserve of it, and what was
    admitted since."""

    __slots__ = ("admitted", "held", "limit", "metric_key", "period", "quota", "read_from", "tally")

    def __init__(
        self,
        quota: Quota,
        period: Period,
        *,
        limit: Decimal,
        metric_key: str,
        tally: Tally,
        held: Decimal = _ZERO,
        read_from: str = LEDGER,
    ) -> None:
        self.quota = quota
        self.period = period
        self.limit = limit
        self.metric_key = metric_key
        self.tally = tally
        self.held = held
        self.read_from = read_from
        self.admitted: list[Asked] = []

    @property
    def is_hard(self) -> bool:
        return self.quota.mode == HARD

    def is_exceeded_by(self, asked: Asked) -> bool:
        """Whether one more reading would break the limit. Open holds count as used."""
        return exceeds(
            self.limit, used=self.tally.value + self.held, then=self.tally.value_with(asked) + self.held
        )

    def admit(self, asked: Asked) -> None:
        """Let a reading count for those judged after it."""
        self.tally.admit(asked)
        self.admitted.append(asked)

    def facts(self, asked: Asked) -> dict[str, object]:
        """The members of a refusal or warning about `asked`, numbers and instants as the API writes them.

        `used` is what the ledger held before the request, so that it is true also when nothing of the request
        is recorded; `requested` is what the request asks for up to and including this reading.
        """
        used = self.tally.recorded
        return {
            "metric": self.metric_key,
            "project": self.quota.project_key,
            "limit": plain(self.limit),
            "used": plain(used),
            "held": plain(self.held),
            "requested": plain(self.tally.requested(asked)),
            "remaining": plain(max(self.limit - used - self.held, _ZERO)),
            "mode": self.quota.mode,
            "period_start": None if self.period.start is None else iso(self.period.start),
            "resets_at": None if self.period.end is None else iso(self.period.end),
        }
