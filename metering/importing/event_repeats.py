"""Which rows of the ledger say exactly what an imported row of our own export says.

An export shows a time where the producer sent none, and no difference between no labels and {}; so its rows
have other digests than what was sent, and are compared by their columns.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec
from django.db.models import F, TextField
from django.db.models.functions import Cast

from metering.models import UsageEvent
from metering.recording.intake import EventInput, labels_text
from metering.recording.resolving import Misfit, canonical_labels
from metering.texts.numbers import NotANumber, decimal_from
from metering.texts.timestamps import NotAnInstant, instant_from

from .carried import origin_of, stamp

_COLUMNS = (
    "event_name",
    "subject_type",
    "subject_id",
    "quantity",
    "labels_text",
    "surface_key",
    "occurred_at",
)
_decode_labels = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


def rows_carried(sought: Iterable[tuple[int, EventInput]]) -> dict[int, int]:
    """Of (place, an event carried under another id), the ledger ids of those that this ledger itself holds
    under the id they had. Index: usage_event_recorded_once."""
    places: dict[tuple[str, str, str], list[tuple[int, str]]] = defaultdict(list)
    for place, event in sought:
        origin = origin_of(event.id or "")
        places[event.project or "", origin.source, origin.event_id].append((place, origin.recorded_at))
    if not places:
        return {}
    rows = UsageEvent.objects.filter(
        project__key__in={project for project, _, _ in places},
        source__in={source for _, source, _ in places},
        event_id__in={event_id for _, _, event_id in places},
    ).values_list("project__key", "source", "event_id", "id", "recorded_at")
    return {
        place: row_id
        for project, source, event_id, row_id, recorded_at in rows
        for place, said_at in places.get((project, source, event_id), ())
        if said_at == stamp(recorded_at)
    }


def repeats(met: Iterable[tuple[int, int, EventInput]]) -> set[int]:
    """Of (place, ledger id, the event that met that row), the places where the row has that very content."""
    sought = list(met)
    if not sought:
        return set()
    rows = (
        UsageEvent.objects.filter(pk__in=[row_id for _, row_id, _ in sought])
        .annotate(labels_text=Cast("labels", TextField()), surface_key=F("surface__key"))
        .values_list("id", *_COLUMNS)
    )
    held = {row_id: dict(zip(_COLUMNS, columns, strict=True)) for row_id, *columns in rows}
    return {place for place, row_id, event in sought if row_id in held and _says(event, held[row_id])}


def _says(event: EventInput, row: dict[str, Any]) -> bool:
    """Whether the row of the ledger has the event's content."""
    names = (event.event_name, event.subject_type or "", event.subject_id or "", event.surface)
    if names != (row["event_name"], row["subject_type"], row["subject_id"], row["surface_key"]):
        return False
    try:
        return (
            _quantity(event) == row["quantity"]
            and instant_from(event.occurred_at or "") == row["occurred_at"]
            and labels_text(canonical_labels(event.labels or {}))
            == labels_text(canonical_labels(_decode_labels(row["labels_text"])))
        )
    except (Misfit, NotANumber, NotAnInstant):
        return False


def _quantity(event: EventInput) -> Decimal | None:
    text = bytes(event.quantity).decode().strip('"')
    return None if text == "null" else decimal_from(text)
