"""Made-up traffic with a daily and weekly rhythm. Pure.

Law: the events of a slot follow from (seed, project, slot) alone, so any two runs agree on every slot that
both cover, ids included.
"""

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

API_REQUEST = "api.request"
SEATS_READING = "seats.reading"
STORAGE_READING = "storage.reading"

SLOT = dt.timedelta(minutes=10)
SEATS_READ_EVERY = dt.timedelta(minutes=30)
STORAGE_READ_EVERY = dt.timedelta(hours=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_STATUSES, _STATUS_WEIGHTS = (200, 304, 404, 500), (90, 6, 3, 1)

Event = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route of a simulated application: its share of calls, and typical sizes and times of answers."""

    path: str
    weight: int
    typical_bytes: int
    typical_ms: int


@dataclass(frozen=True, slots=True)
class Profile:
    """One simulated project. Rhythms are factors, by UTC hour from 0 and by weekday from Monday."""

    project: str
    name: str
    endpoints: tuple[Endpoint, ...]
    subject_type: str
    subjects: tuple[str, ...]
    calls_per_slot: float  # where both factors are 1
    hourly_rhythm: tuple[float, ...]
    weekly_rhythm: tuple[float, ...]
    seat_count: int
    stored_gb: int

    def intensity(self, instant: dt.datetime) -> float:
        """How busy the project is, 1 being its usual peak."""
        return self.hourly_rhythm[instant.hour] * self.weekly_rhythm[instant.weekday()]


PROFILES = (
    Profile(
        project="simulated-shop",
        name="Simulated: web shop",
        endpoints=(
            Endpoint("/products", 50, 24_000, 60),
            Endpoint("/search", 30, 9_000, 110),
            Endpoint("/cart", 15, 2_000, 45),
            Endpoint("/orders", 5, 1_500, 240),
        ),
        subject_type="client",
        subjects=("web", "ios", "android", "partner"),
        calls_per_slot=5.5,
        hourly_rhythm=(
            *(0.25, 0.15, 0.10, 0.08, 0.08, 0.12, 0.20, 0.35, 0.45, 0.50, 0.55, 0.60),
            *(0.65, 0.60, 0.55, 0.55, 0.60, 0.70, 0.85, 1.00, 1.00, 0.90, 0.65, 0.40),
        ),
        weekly_rhythm=(0.80, 0.75, 0.80, 0.85, 1.00, 1.30, 1.25),
        seat_count=180,
        stored_gb=420,
    ),
    Profile(
        project="simulated-chat",
        name="Simulated: team chat",
        endpoints=(
            Endpoint("/messages", 70, 1_200, 25),
            Endpoint("/channels", 20, 6_000, 40),
            Endpoint("/files", 10, 180_000, 320),
        ),
        subject_type="team",
        subjects=("design", "engineering", "finance", "support", "sales"),
        calls_per_slot=8.0,
        hourly_rhythm=(
            *(0.05, 0.04, 0.03, 0.03, 0.04, 0.08, 0.25, 0.60, 0.90, 1.00, 1.00, 0.85),
            *(0.60, 0.85, 1.00, 0.95, 0.80, 0.50, 0.30, 0.20, 0.15, 0.12, 0.10, 0.07),
        ),
        weekly_rhythm=(1.00, 1.05, 1.05, 1.00, 0.85, 0.15, 0.10),
        seat_count=64,
        stored_gb=95,
    ),
)


def source_of(seed: int) -> str:
    """The source under which the traffic of a seed is recorded."""
    return f"simulated-{seed}"


def slot_floor(instant: dt.datetime) -> dt.datetime:
    """The start of the slot that holds `instant`, in UTC."""
    return instant - (instant - _EPOCH) % SLOT


def traffic_between(start: dt.datetime, end: dt.datetime, *, seed: int) -> Iterator[Event]:
    """The events of all projects in the slots that begin in [start, end), slot by slot.

    `start` and `end` are starts of slots.
    """
    slot = start
    while slot < end:
        for profile in PROFILES:
            yield from slot_events(profile, slot, seed=seed)
        slot += SLOT


def slot_events(profile: Profile, slot: dt.datetime, *, seed: int) -> Iterator[Event]:
    """The events of one project in the slot that starts at `slot`: calls, then readings due at its start."""
    # A text as seed is hashed by a fixed algorithm, in every process and version alike.
    rng = Random(f"{seed}/{profile.project}/{slot.isoformat()}")  # noqa: S311 (no secret depends on it)
    prefix = f"{profile.project}-{seed}-{slot:%Y%m%dT%H%M}"
    source = source_of(seed)
    expected = profile.calls_per_slot * profile.intensity(slot)
    instants = sorted(slot + SLOT * rng.random() for _ in range(_poisson(rng, expected)))
    for number, instant in enumerate(instants):
        yield call(profile, rng, event_id=f"{prefix}-{number:03}", source=source, occurred_at=instant)
    for name, every, quantity in (
        (SEATS_READING, SEATS_READ_EVERY, _seats(profile, slot, rng)),
        (STORAGE_READING, STORAGE_READ_EVERY, _stored_gb(profile, slot)),
    ):
        if (slot - _EPOCH) % every == dt.timedelta(0):
            yield {
                "id": f"{prefix}-{name}",
                "source": source,
                "project": profile.project,
                "event_name": name,
                "quantity": quantity,
                "occurred_at": _text(slot),
            }


def call(profile: Profile, rng: Random, *, event_id: str, source: str, occurred_at: dt.datetime) -> Event:
    """One call of a simulated application, everything but its id, source and time drawn from `rng`."""
    (endpoint,) = rng.choices(profile.endpoints, [each.weight for each in profile.endpoints])
    (status,) = rng.choices(_STATUSES, _STATUS_WEIGHTS)
    # The earlier a subject stands in the list, the more it uses.
    subject = profile.subjects[int(len(profile.subjects) * rng.random() ** 2)]
    size = _around(rng, endpoint.typical_bytes) if status == 200 else 300
    return {
        "id": event_id,
        "source": source,
        "project": profile.project,
        "event_name": API_REQUEST,
        "subject_type": profile.subject_type,
        "subject_id": subject,
        "occurred_at": _text(occurred_at),
        "labels": {
            "endpoint": endpoint.path,
            "status": status,
            "bytes": size,
            "response_ms": _around(rng, endpoint.typical_ms),
        },
    }


def _text(instant: dt.datetime) -> str:
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _around(rng: Random, typical: int) -> int:
    """A whole number whose logarithm varies about that of `typical`: mostly near it, sometimes far above."""
    return max(1, round(typical * math.exp(rng.gauss(0, 0.5))))


def _poisson(rng: Random, expected: float) -> int:
    """How many happen when `expected` are on average (Knuth, The Art of Computer Programming 2, 3.4.1)."""
    limit, product, count = math.exp(-expected), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def _seats(profile: Profile, slot: dt.datetime, rng: Random) -> int:
    return round(profile.seat_count * min(1.0, profile.intensity(slot)) * rng.uniform(0.85, 1.0))


def _stored_gb(profile: Profile, slot: dt.datetime) -> str:
    """Grows by the day for a quarter, then old data is cleared."""
    days = (slot - _EPOCH) / dt.timedelta(days=1) % 90
    return f"{profile.stored_gb * (1 + days / 300):.3f}"
