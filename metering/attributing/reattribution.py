"""Correcting who paid for the past: void what names a wrong payer, record it again by today's rules."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from django.db import transaction

from metering.catalogue import catalogue_at
from metering.correcting.corrections import void_events
from metering.errors import Invalid
from metering.ledger import record_items
from metering.models import Correction, Project
from metering.principal import EVERYBODY_INSIDE
from metering.recording.intake import EventInput
from metering.recording.writing import recording
from metering.texts.timestamps import iso

from .misattribution import misattributed_ids, misattributed_rows, reattribution_preview

SOURCE = "meterbook:reattribution"
CHUNK_EVENTS = 1_000  # one transaction: short enough for changes of rules, which wait for it


@dataclass(frozen=True, slots=True)
class Reattribution:
    """What was done. `left` counts, by reason, events that can't be recorded again and so weren't voided."""

    position: int
    moved_count: int
    left: Mapping[str, int]


def reattribute(
    project: Project,
    *,
    start: dt.datetime,
    end: dt.datetime,
    reason: str,
    actor: str,
    even_if_counts_change: bool = False,
    on_progress: Callable[[int], None] = lambda count: None,
) -> Reattribution:
    """Give the project's usage in [start, end) the payers of today's rules.

    Each event that names another is voided and recorded again, with the source `meterbook:reattribution` and
    the voided id as its event id; everything else stays as it was, and no limit is asked. At most 1,000
    events a transaction, so it can be killed at any moment: what is done is whole, and starting again goes
    on. Events that a metric would count anew or no longer (see `MovedUsage`) are left alone unless
    `even_if_counts_change`. Raises `Invalid` for an empty interval or reason.
    """
    if not reason.strip():
        raise Invalid("Say why; the reason is kept with the voids.", field="reason")
    position = reattribution_preview(project, start=start, end=end).position
    ids = misattributed_ids(project, start=start, end=end, position=position, with_held=even_if_counts_change)
    moved_count, left = 0, Counter[str]()
    for first in range(0, len(ids), CHUNK_EVENTS):
        chunk = ids[first : first + CHUNK_EVENTS]
        while True:
            left_here = Counter[str]()
            try:
                # The shared lock comes first: the rules that choose the events also give them their payers.
                with transaction.atomic(), recording(draws=0) as page:
                    rows = misattributed_rows(
                        catalogue_at(page.version),
                        project,
                        chunk,
                        start=start,
                        end=end,
                        with_held=even_if_counts_change,
                    )
                    moved_here = _move(project, rows, left_here, reason=reason, actor=actor)
            except _Overtaken:
                continue  # what was voided meanwhile is not chosen again
            break
        moved_count += moved_here
        left += left_here
        on_progress(first + len(chunk))
    return Reattribution(position, moved_count, dict(left))


def _move(
    project: Project, rows: list[tuple[Any, ...]], left: Counter[str], *, reason: str, actor: str
) -> int:
    """Record first: an event that can't be recorded again keeps its row, and its payer."""
    if not rows:
        return 0
    outcomes = record_items(
        [_input(project, row) for row in rows],
        principal=EVERYBODY_INSIDE,
        on_error="skip",
        enforce=False,
        may_reserve=True,
    )
    moved = []
    for row, outcome in zip(rows, outcomes, strict=True):
        if outcome.outcome in {"created", "exists"}:
            moved.append(row[0])
        else:
            left[outcome.detail or outcome.outcome] += 1
    if moved:
        voids = void_events(moved, reason=reason, actor=actor, kind=Correction.Kind.REATTRIBUTION)
        made = {row[0]: outcome.outcome for row, outcome in zip(rows, outcomes, strict=True)}
        if any(void.outcome == "exists" and made[void.voids] == "created" for void in voids):
            raise _Overtaken
    return len(moved)


class _Overtaken(Exception):
    """Somebody voided an event between our choosing it and our voiding it: its copy must not stay."""


def _input(project: Project, row: tuple[Any, ...]) -> EventInput:
    """The event as it would be sent again; numbers in labels keep every digit."""
    event_id, event_name, subject_type, subject_id, quantity, labels, occurred_at, surface = row
    return EventInput(
        id=str(event_id),
        source=SOURCE,
        project=project.key,
        event_name=event_name,
        subject_type=subject_type or None,
        subject_id=subject_id or None,
        quantity=msgspec.Raw(b"null" if quantity is None else quantity.encode()),
        occurred_at=iso(occurred_at),
        labels=json.loads(labels, parse_float=Decimal, parse_int=Decimal) or None,
        surface=surface,
    )
