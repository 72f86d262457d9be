"""Usage as the steps between consecutive readings of a stream. Pure, with the same law in SQL.

Readings are in the order (occurred_at, id). A step belongs to its later reading, so that the steps of a
bucket add up like amounts do, and neighbouring buckets need each other only where one of them changes.
"""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

_UNIT = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Steps:
    """What one reading adds, given the one before it in its stream.

    `restarts`: a drop is a restart from zero, so that the new reading counts whole. `first_counts`: the first
    reading counts from zero; else it is a baseline that counts nothing. `reset_period`: readings state a
    running total that begins anew in each UTC period, so the first reading of each counts from zero.
    """

    restarts: bool = False
    first_counts: bool = False
    reset_period: str = "never"

    def step(
        self, value: Decimal, at: dt.datetime, before: Decimal | None, before_at: dt.datetime | None
    ) -> Decimal:
        """What the reading `value` adds; `before` and `before_at` are None for the first of the stream."""
        if before is None or before_at is None:
            return value if self.first_counts else _ZERO
        if self._period(at) != self._period(before_at):
            return value
        return value if self.restarts and value < before else value - before

    def sql(self, value: str, at: str, before: str, before_at: str) -> str:
        """The same, from column expressions; `before` is NULL for the first reading."""
        reset = ""
        unit = _UNIT.get(self.reset_period)
        if unit is not None:
            reset = (
                f" WHEN date_trunc('{unit}', {at}, 'UTC') <> date_trunc('{unit}', {before_at}, 'UTC')"
                f" THEN {value}"
            )
        restart = f" WHEN {value} < {before} THEN {value}" if self.restarts else ""
        first = value if self.first_counts else "0::numeric"
        return f"CASE WHEN {before} IS NULL THEN {first}{reset}{restart} ELSE {value} - {before} END"

    def _period(self, instant: dt.datetime) -> object:
        instant = instant.astimezone(dt.UTC)
        if self.reset_period == "weekly":
            return instant.isocalendar()[:2]
        width = {"yearly": 1, "monthly": 2, "daily": 3, "hourly": 4}.get(self.reset_period, 0)
        return instant.timetuple()[:width]
