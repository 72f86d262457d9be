"""What a definition would make of the events that are recorded already. Nothing is saved.

Read from the ledger alone, in bounded time: at most `MAX_EVENTS` of the latest events of the definition's
event name, under a statement timeout.
"""

import copy
import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from django.db import connection

from metering.answering.answers import statements_within
from metering.answering.usage import Scope, Slice, usage_in
from metering.clock import database_now
from metering.errors import Invalid, PreviewTooSlow
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning, Unreadable, unvoided_sql
from metering.models import MetricDefinition, Project

DEFAULT_DAYS = 7
MAX_DAYS = 90
MAX_EVENTS = 100_000
MAX_EXAMPLES = 10
MAX_GROUPS = 10
TIMEOUT = "5s"
_DAY = dt.timedelta(days=1)
_INSTANT = dt.timedelta(microseconds=1)
_read_labels = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True, slots=True)
class Misfit:
    """An event that matches and that the definition can't read; it would be refused if it came now."""

    id: int
    project: str
    event_id: str
    code: str
    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class Part:
    """The value of one day or group. `group` is empty for days, `day` None for groups."""

    value: Decimal | None
    record_count: int
    day: dt.date | None = None
    group: dict[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one definition makes of the events. `matching_count` includes those it would refuse."""

    matching_count: int
    refused_count: int
    misfits: Sequence[Misfit]
    value: Decimal | None
    record_count: int
    days: Sequence[Part]
    groups: Sequence[Part]
    group_count: int


@dataclass(frozen=True, slots=True)
class Preview:
    """Half-open [start, end) in UTC, cut at a ledger position. `is_capped`: `start` came later than asked."""

    start: dt.datetime
    end: dt.datetime
    position: int
    is_capped: bool
    proposed: Evaluation
    stored: Evaluation | None


def preview_of(
    draft: MetricDefinition,
    *,
    stored: MetricDefinition | None = None,
    project_ids: Sequence[int] | None = None,
    days: int = DEFAULT_DAYS,
) -> Preview:
    """What `draft` would make of the last `days` UTC days with events of its name, and `stored` of the same.

    The days end today or, where nothing came for longer, with the last event; only usage of the draft's owner
    and below counts, and of `project_ids` where they are given. Both definitions read all of these events,
    whatever positions they count from and until. Raises `Invalid` for too many days, `PreviewTooSlow`.
    """
    if not 1 <= days <= MAX_DAYS:
        raise Invalid("Must be a whole number from 1 to {most}.", most=MAX_DAYS, field="days")
    ids = _project_ids(draft, project_ids)
    with _bounded() as position:
        start, end, is_capped = _interval(draft.event_name, ids, days=days, position=position)
        look = _Look(ids, start, end, position)
        return Preview(
            start=start,
            end=end,
            position=position,
            is_capped=is_capped,
            proposed=look.at(draft),
            stored=None if stored is None else look.at(stored),
        )


def _project_ids(draft: MetricDefinition, project_ids: Sequence[int] | None) -> list[int]:
    """Named one by one, because the ledger's index begins with the project."""
    projects = Project.objects.all()
    if draft.project is not None:
        projects = projects.filter(path__startswith=draft.project.path)
    if project_ids is not None:
        projects = projects.filter(pk__in=project_ids)
    return list(projects.values_list("pk", flat=True))


@contextmanager
def _bounded() -> Iterator[int]:
    """A transaction whose statements end in time; yields the last id drawn. Raises `PreviewTooSlow`."""
    with statements_within(TIMEOUT, PreviewTooSlow), connection.cursor() as cursor:
        cursor.execute(
            "SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM metering_usageevent_id_seq"
        )
        (position,) = cursor.fetchone()
        yield int(position)


def _interval(
    event_name: str, ids: list[int], *, days: int, position: int
) -> tuple[dt.datetime, dt.datetime, bool]:
    """[start, end) and whether it was cut to the latest events. Index: usage_event_by_project."""
    facts: dict[str, Any] = {"ids": ids, "name": event_name, "position": position, "cap": MAX_EVENTS}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT max(latest.occurred_at)
              FROM unnest(%(ids)s::bigint[]) AS wanted (project_id)
             CROSS JOIN LATERAL (
                   SELECT e.occurred_at
                     FROM metering_usageevent e
                    WHERE e.project_id = wanted.project_id
                      AND e.event_name = %(name)s
                      AND e.id <= %(position)s
                    ORDER BY e.occurred_at DESC, e.id DESC
                    LIMIT 1
                   ) latest
            """,
            facts,
        )
        (latest,) = cursor.fetchone()
        today = database_now() if latest is None else latest.astimezone(dt.UTC)
        end = today.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
        facts |= {"start": end - days * _DAY, "end": end}
        cursor.execute(
            """
            SELECT e.occurred_at
              FROM metering_usageevent e
             WHERE e.project_id = ANY (%(ids)s::bigint[])
               AND e.event_name = %(name)s
               AND e.id <= %(position)s
               AND e.occurred_at >= %(start)s
               AND e.occurred_at < %(end)s
             ORDER BY e.occurred_at DESC
            OFFSET %(cap)s
             LIMIT 1
            """,
            facts,
        )
        row = cursor.fetchone()
    if row is None:
        return facts["start"], end, False
    return row[0].astimezone(dt.UTC) + _INSTANT, end, True


class _Look:
    """The events that are looked at, for one definition after the other."""

    def __init__(self, ids: list[int], start: dt.datetime, end: dt.datetime, position: int) -> None:
        self._ids, self._start, self._end, self._position = ids, start, end, position
        first = start.replace(hour=0, minute=0, second=0, microsecond=0)
        count = -(-(end - first) // _DAY)
        self._days = [(max(start, first + n * _DAY), first + (n + 1) * _DAY) for n in range(count)]

    def at(self, metric: MetricDefinition) -> Evaluation:
        reaching_back = copy.copy(metric)
        reaching_back.counts_from, reaching_back.archived_from = 0, None
        meaning = Meaning(reaching_back, owner_path=metric.project.path if metric.project else "")
        # The whole and its days in one statement: one snapshot.
        found = {usage.window: usage for usage in self._usages(meaning, [self._whole, *self._days])}
        whole = found.get(0)
        record_count = whole.aggregate.record_count if whole else 0
        matching_count = self._matching_count(meaning)
        refused_count = max(0, matching_count - record_count)
        groups = self._groups(meaning) if meaning.primary_labels else []
        return Evaluation(
            matching_count=matching_count,
            refused_count=refused_count,
            misfits=self._misfits(meaning) if refused_count else [],
            value=whole.value if whole else meaning.empty_answer()[1],
            record_count=record_count,
            days=[
                Part(
                    found[number].value if number in found else None,
                    found[number].aggregate.record_count if number in found else 0,
                    day=day_start.date(),
                )
                for number, (day_start, _end) in enumerate(self._days, start=1)
            ],
            groups=groups[:MAX_GROUPS],
            group_count=len(groups),
        )

    @property
    def _whole(self) -> tuple[dt.datetime, dt.datetime]:
        return (self._start, self._end)

    def _usages(
        self, meaning: Meaning, intervals: Sequence[tuple[dt.datetime, dt.datetime]], group_by: Any = ()
    ) -> Any:
        wanted = Slice(scope=Scope(project_ids=self._ids), group_by=group_by)
        return usage_in(meaning, intervals, slice=wanted, as_of=self._position)

    def _groups(self, meaning: Meaning) -> list[Part]:
        """By primary labels, the largest first; groups without a value last."""
        group_by = tuple(f"labels.{name}" for name in meaning.primary_labels)
        parts = [
            Part(usage.value, usage.aggregate.record_count, group=usage.group)
            for usage in self._usages(meaning, [self._whole], group_by)
        ]
        return sorted(parts, key=lambda part: (part.value is None, -(part.value or 0)))

    def _events_sql(self, meaning: Meaning, params: Params) -> str:
        """Condition of the events that the definition's name and filter match."""
        return f"""
                e.project_id = ANY ({params.add(self._ids)}::bigint[])
            AND e.event_name = {params.add(meaning.event_name)}
            AND e.occurred_at >= {params.add(self._start)}
            AND e.occurred_at < {params.add(self._end)}
            AND e.id <= {params.add(self._position)}
            AND e.kind = 'usage'
            AND {unvoided_sql(params, as_of=self._position)}
            AND {meaning.filter.sql("e.labels", params)}
        """

    def _matching_count(self, meaning: Meaning) -> int:
        params = Params()
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) FROM metering_usageevent e WHERE {self._events_sql(meaning, params)}",  # noqa: S608
                params,
            )
            (count,) = cursor.fetchone()
        return int(count)

    def _misfits(self, meaning: Meaning) -> list[Misfit]:
        """The latest events that match and don't count, with what recording would say of them."""
        params = Params()
        statement = f"""
            SELECT e.id, p.key, e.event_id, e.quantity, e.labels::text
              FROM metering_usageevent e
              JOIN metering_project p
                ON p.id = e.project_id
             WHERE {self._events_sql(meaning, params)}
               AND ({meaning.where_sql(params)}) IS NOT TRUE
             ORDER BY e.occurred_at DESC, e.id DESC
             LIMIT {MAX_EXAMPLES}
        """  # noqa: S608 (values are bound; the text is ours)
        with connection.cursor() as cursor:
            cursor.execute(statement, params)
            rows = cursor.fetchall()
        misfits = []
        for row_id, project, event_id, quantity, text in rows:
            labels = _read_labels(text)
            try:
                meaning.reading(quantity, labels)
                meaning.group(labels)
            except Unreadable as error:
                misfits.append(Misfit(row_id, project, event_id, error.code, error.field, error.detail))
        return misfits
