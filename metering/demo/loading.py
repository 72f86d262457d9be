"""Recording the demo's events in batches, by the one verb that writes the ledger."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Literal

from django.db.models import Count, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, TruncHour

from metering.ledger import record_events
from metering.models import Project, UsageEvent
from metering.models.fields import NumericField
from metering.principal import Principal

from . import azure_input, traffic

BATCH_SIZE = 1_000
LOADER = Principal(name="demo", permissions=frozenset({"ingest", "backfill"}))

Outcomes = Counter[str]
OnProgress = Callable[[int], None]


def load_azure_input(*, on_progress: OnProgress | None = None) -> Outcomes:
    """Record the Azure input file, batch by batch; how many were `created` and how many `exists`.

    Stops before recording when the ledger holds all of it already. Raises `EventsConflict` when the ledger
    holds one of its ids with other content.
    """
    if _holds_azure_input():
        return Counter(exists=azure_input.ROW_COUNT)
    return record_in_batches(map(azure_input.event_of, azure_input.rows()), on_progress=on_progress)


def simulate(
    *, start: dt.datetime, end: dt.datetime, seed: int, on_progress: OnProgress | None = None
) -> Outcomes:
    """Record the simulated traffic of the slots in [start, end) that the ledger lacks.

    Counts `created` and `exists`; and `conflict` for ids that an earlier version of the simulation used for
    something else, which stays as it is.
    """
    held = _held_by_hour(seed=seed, start=start, end=end)
    events = list(traffic.traffic_between(start, end, seed=seed))
    expected = Counter(_hour_of(event) for event in events)
    missing = [event for event in events if held[_hour_of(event)] < expected[_hour_of(event)]]
    outcomes = record_in_batches(missing, on_error="skip", on_progress=on_progress)
    outcomes["exists"] += len(events) - len(missing)
    return outcomes


def record_in_batches(
    events: Iterable[Mapping[str, object]],
    *,
    on_error: Literal["reject", "skip"] = "reject",
    on_progress: OnProgress | None = None,
) -> Outcomes:
    """Record events that have happened, whatever limits say, committing each batch; counts outcomes."""
    outcomes: Outcomes = Counter()
    remaining = iter(events)
    while batch := list(islice(remaining, BATCH_SIZE)):
        results = record_events(batch, principal=LOADER, on_error=on_error, enforce=False)
        outcomes.update(result.outcome for result in results)
        if on_progress is not None:
            on_progress(outcomes.total())
    return outcomes


def _holds_azure_input() -> bool:
    """Whether the ledger holds as many rows with the same sums. Index: usage_event_recorded_once."""
    projects = list(Project.objects.filter(key__in=azure_input.PROJECTS))
    held = UsageEvent.objects.filter(
        project__in=projects, source=azure_input.SOURCE, event_name=azure_input.EVENT_NAME
    ).aggregate(
        row_count=Count("id"),
        prompt_tokens=Sum(Cast(KT("labels__prompt_tokens"), NumericField())),
        generated_tokens=Sum(Cast(KT("labels__generated_tokens"), NumericField())),
    )
    return held == {
        "row_count": azure_input.ROW_COUNT,
        "prompt_tokens": azure_input.PROMPT_TOKENS,
        "generated_tokens": azure_input.GENERATED_TOKENS,
    }


def _held_by_hour(*, seed: int, start: dt.datetime, end: dt.datetime) -> Counter[tuple[str, str]]:
    """How many events of the simulation the ledger holds, by project and hour of the interval."""
    keys = {profile.project for profile in traffic.PROFILES}
    projects = dict(Project.objects.filter(key__in=keys).values_list("id", "key"))
    rows = (
        UsageEvent.objects.filter(
            project__in=projects,
            source=traffic.source_of(seed),
            occurred_at__gte=start,
            occurred_at__lt=end,
        )
        .annotate(hour=TruncHour("occurred_at", tzinfo=dt.UTC))
        .values_list("project_id", "hour")
        .annotate(event_count=Count("id"))
    )
    return Counter({(projects[project_id], f"{hour:%Y-%m-%dT%H}"): count for project_id, hour, count in rows})


def _hour_of(event: Mapping[str, object]) -> tuple[str, str]:
    return str(event["project"]), str(event["occurred_at"])[:13]
