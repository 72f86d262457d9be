"""The very events that an invoice line is made of, and what the ledger has learned about them since.

Pages by id, and one CSV stream. An event is `billed` when the line counts it, `voided` when a void beyond the
line's position cancels it, `later` when it was recorded beyond that position and would count by now. The
first of these never changes.

Reads the ledger; writes and locks nothing. Index: usage_event_by_payer.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db import connection

from billing.invoicing.measured_usage import UsageAsk, events_sql, meaning_of
from billing.models import InvoiceLine
from metering.answering.answers import catalogue_now, one_snapshot
from metering.answering.exports import copied, instant_sql
from metering.catalogue import Catalogue
from metering.measuring.label_filter import Params, text_sql
from metering.measuring.meaning import Meaning
from metering.texts.csv_cells import neutral_sql
from metering.texts.cursors import LARGEST_ID, cursor_text, place_at, row_id

MAX_PAGE = 1000
CSV_COLUMNS = (
    "id",
    "occurred_at",
    "recorded_at",
    "project",
    "source",
    "event_id",
    "subject_type",
    "subject_id",
    "value",
    "labels",
    "voided_by",
)


class Which(StrEnum):
    """Which events of a line: those it is made of, those of them that were cancelled since, those that were
    recorded since for the same period."""

    BILLED = "billed"
    VOIDED = "voided"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class LineEvent:
    """One event as the line's metric reads it. `value` is the text that is told apart where the metric counts
    different texts. `voided_by` is the void that cancelled it since, if one did. Labels are JSON as sent."""

    id: int
    project: str
    source: str
    event_id: str
    subject_type: str
    subject_id: str
    value: Decimal | str | None
    labels: str
    occurred_at: dt.datetime
    recorded_at: dt.datetime
    voided_by: int | None


@dataclass(frozen=True, slots=True)
class EventPlace:
    """Between two events by id, and the direction in which to go on."""

    id: int
    backwards: bool = False

    @property
    def text(self) -> str:
        return cursor_text([self.id, int(self.backwards)])

    @classmethod
    def from_text(cls, text: str) -> "EventPlace":
        """Raises `Invalid` for what was not made by `text`."""

        def read(facts: list[Any]) -> "EventPlace":
            event_id, backwards = facts
            return cls(row_id(event_id), bool(backwards))

        return place_at(text, read)


@dataclass(frozen=True, slots=True)
class EventsPage:
    """In the order of ids. The places are None where nothing lies there."""

    events: list[LineEvent]
    following: EventPlace | None = None
    preceding: EventPlace | None = None


@dataclass(frozen=True, slots=True)
class LearnedSince:
    """What the ledger holds by now of the line's period, beyond the line's position."""

    voided_count: int
    later_count: int

    def __bool__(self) -> bool:
        return bool(self.voided_count or self.later_count)


def line_events(
    line: InvoiceLine,
    *,
    which: Which = Which.BILLED,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
    place: EventPlace | None = None,
    limit: int = 100,
) -> EventsPage:
    """One page of a line's events, of those that occurred in [start, end). Needs evidence on the line."""
    params = Params()
    catalogue = catalogue_now()
    backwards = place is not None and place.backwards
    beyond = "TRUE" if place is None else f"e.id {'<' if backwards else '>'} {params.add(place.id)}"
    order = "DESC" if backwards else "ASC"
    meaning, found = _found_sql(line, which, params, catalogue, start=start, end=end)
    # Found first, sorted then: else the planner may walk the whole ledger by id.
    statement = f"""
        WITH found AS MATERIALIZED ({found} AND {beyond}),
             page AS (SELECT id FROM found ORDER BY id {order} LIMIT {params.add(limit + 1)})
        SELECT e.id, p.key, e.source, e.event_id, e.subject_type, e.subject_id,
               {_value_sql(meaning, params)}, e.labels::text, e.occurred_at, e.recorded_at, v.id
          FROM page
          JOIN metering_usageevent e ON e.id = page.id
          JOIN metering_project p ON p.id = e.project_id
          LEFT JOIN metering_usageevent v ON v.project_id = e.project_id AND v.voids = e.id
         ORDER BY e.id {order}
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        events = [LineEvent(*row) for row in cursor.fetchall()]
    has_more = len(events) > limit
    events = events[:limit]
    if not events:
        return EventsPage([])
    if backwards:
        events.reverse()
    following = EventPlace(events[-1].id) if has_more or backwards else None
    preceding = None
    if (place is not None and not backwards) or (backwards and has_more):
        preceding = EventPlace(events[0].id, backwards=True)
    return EventsPage(events, following, preceding)


def line_events_csv(
    line: InvoiceLine,
    *,
    which: Which = Which.BILLED,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
) -> Iterator[bytes]:
    """All events of a line as CSV with a header, by id, in one snapshot. Columns: `CSV_COLUMNS`.

    A line that isn't made of events has the header alone.
    """
    if line.evidence is None:
        yield (",".join(CSV_COLUMNS) + "\n").encode()
        return
    with one_snapshot() as catalogue:
        params = Params()
        meaning, found = _found_sql(line, which, params, catalogue, start=start, end=end)
        value = _value_sql(meaning, params)
        texts = ", ".join(
            f"{neutral_sql(f'e.{name}')} AS {name}"
            for name in ("source", "event_id", "subject_type", "subject_id")
        )
        statement = f"""
            WITH found AS MATERIALIZED ({found})
            SELECT e.id, {instant_sql("e.occurred_at")} AS occurred_at,
                   {instant_sql("e.recorded_at")} AS recorded_at, p.key AS project, {texts},
                   {neutral_sql(value) if meaning.is_text else f"trim_scale({value})"} AS value,
                   e.labels::text AS labels, v.id AS voided_by
              FROM found
              JOIN metering_usageevent e ON e.id = found.id
              JOIN metering_project p ON p.id = e.project_id
              LEFT JOIN metering_usageevent v ON v.project_id = e.project_id AND v.voids = e.id
             ORDER BY e.id
        """  # noqa: S608 (values are bound; the text is ours)
        yield from copied(statement, params)


def learned_since(line: InvoiceLine) -> LearnedSince:
    """How many of the line's events were cancelled since, and how many more its period has by now."""
    catalogue = catalogue_now()
    counts = []
    for which in (Which.VOIDED, Which.LATER):
        params = Params()
        _meaning, found = _found_sql(line, which, params, catalogue)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM ({found}) AS found", params)  # noqa: S608 (ours)
            (count,) = cursor.fetchone()
        counts.append(int(count))
    return LearnedSince(*counts)


def _found_sql(
    line: InvoiceLine,
    which: Which,
    params: Params,
    catalogue: Catalogue,
    *,
    start: dt.datetime | None = None,
    end: dt.datetime | None = None,
) -> tuple[Meaning, str]:
    """What the metric takes of the line's events, and a SELECT of their ids."""
    assert line.evidence is not None
    ask, position = UsageAsk.from_predicate(line.evidence), int(line.evidence["position"])
    meaning = meaning_of(ask, catalogue)
    as_of = LARGEST_ID if which == Which.LATER else position
    clauses = [events_sql(ask, meaning, params, catalogue, position=as_of)]
    if which == Which.LATER:
        clauses.append(f"e.id > {params.add(position)}")
    if which == Which.VOIDED:
        clauses.append(
            "EXISTS (SELECT FROM metering_usageevent v"
            " WHERE v.project_id = e.project_id AND v.voids = e.id"
            f" AND v.id > {params.add(position)})"
        )
    if start is not None:
        clauses.append(f"e.occurred_at >= {params.add(start)}")
    if end is not None:
        clauses.append(f"e.occurred_at < {params.add(end)}")
    return meaning, f"SELECT e.id FROM metering_usageevent e WHERE {' AND '.join(clauses)}"  # noqa: S608


def _value_sql(meaning: Meaning, params: Params) -> str:
    """The reading; of metrics of texts the text itself."""
    if meaning.is_text and meaning.value_property:
        return f"({text_sql('e.labels', meaning.value_property, params)})"
    return f"({meaning.value_sql(params)})" + ("::text" if meaning.is_text else "")
