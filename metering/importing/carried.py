"""Under which id an event goes into another ledger that the ledger it comes from recorded itself.

Its source there is reserved, and its id is made of numbers of that ledger: `17` of `meterbook:amend` replaces
event 17. Another ledger has an event 17 of its own, so the id is carried together with source and time.
"""

import datetime as dt
from dataclasses import dataclass

from metering.recording.resolving import RESERVED

IMPORT_SOURCE = f"{RESERVED}import"  # what is carried already is carried on as it is


@dataclass(frozen=True, slots=True)
class Origin:
    """What the row is called in the ledger that recorded it, and when that was."""

    source: str
    event_id: str
    recorded_at: str


def carried_id(source: str, event_id: str, *, recorded_at: str) -> str:
    """`amend:17@2026-03-01T12:00:00.000000Z`."""
    return f"{source.removeprefix(RESERVED)}:{event_id}@{recorded_at}"


def stamp(recorded_at: dt.datetime) -> str:
    """The time as exports show it."""
    return recorded_at.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def origin_of(carried: str) -> Origin:
    """What `carried_id` was made of; empty members for an id that it didn't make."""
    rest, _, recorded_at = carried.rpartition("@")
    kind, _, event_id = rest.partition(":")
    return Origin(f"{RESERVED}{kind}", event_id, recorded_at)
