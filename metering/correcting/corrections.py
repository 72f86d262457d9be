"""Correcting the ledger by adding to it: a void cancels an event, an amendment also records another.

A void counts for exactly the metrics that counted its event: what it takes back is written as pending
contributions in its own transaction, so every answer is right at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal, cast

import msgspec
from django.db import connection, transaction

from metering.answering.contributions import contribution_sql
from metering.catalogue import Catalogue, catalogue_at, current
from metering.errors import Conflict, EventsRejected, Invalid, NotFound
from metering.ledger import Outcome, record_items
from metering.measuring.event_sql import event_stream_sql, group_json_sql
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.models import Correction
from metering.principal import EVERYBODY_INSIDE, Principal
from metering.recording.intake import MAX_EVENTS, MAX_LABEL_INTEGER, events_from
from metering.recording.resolving import RESERVED
from metering.recording.writing import recording
from metering.texts.cursors import LARGEST_ID
from metering.texts.numbers import EXACT
from metering.texts.timestamps import iso

VOID_SOURCE = "meterbook:void"
AMEND_SOURCE = "meterbook:amend"
MAX_REASON_LENGTH = 1000
AMENDABLE = (
    "id",
    "source",
    "project",
    "event_name",
    "metric_key",
    "subject_type",
    "subject_id",
    "quantity",
    "occurred_at",
    "labels",
    "surface",
)

_decode_labels = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode

_FIND = """
    SELECT e.id, e.kind, p.path, v.id
      FROM metering_usageevent e
      JOIN metering_project p ON p.id = e.project_id
      LEFT JOIN metering_usageevent v
        ON v.project_id = e.project_id
       AND v.voids = e.id
       AND v.voids IS NOT NULL
     WHERE e.id = ANY (%s)
"""
# Rows in the order of their unique key. Waits for a rival that voids the same event, and leaves it to that.
_VOID = """
    INSERT INTO metering_usageevent
           (id, project_id, billing_scope_id, surface_id, source, event_id, event_name, subject_type,
            subject_id, labels, occurred_at, kind, voids, digest)
    SELECT drawn.id, e.project_id, e.billing_scope_id, e.surface_id, %(source)s, e.id::text, e.event_name,
           e.subject_type, e.subject_id, e.labels, e.occurred_at, 'void', e.id,
           sha256(convert_to('void ' || e.id::text, 'UTF8'))
      FROM unnest(%(events)s::bigint[], %(ids)s::bigint[]) AS drawn (event, id)
      JOIN metering_usageevent e ON e.id = drawn.event
     ORDER BY e.project_id, e.id::text
    ON CONFLICT DO NOTHING
    RETURNING voids, id
"""
_AUDIT = """
    INSERT INTO metering_correction (project_id, kind, event, void, replacement, reason, actor)
    SELECT e.project_id, %(kind)s, e.id, corrected.void, %(replacement)s, %(reason)s, %(actor)s
      FROM unnest(%(events)s::bigint[], %(voids)s::bigint[]) AS corrected (event, void)
      JOIN metering_usageevent e ON e.id = corrected.event
     ORDER BY e.id
"""
_ORIGINAL = """
    SELECT p.key, p.path, f.key, e.source, e.event_name, e.subject_type, e.subject_id, e.quantity,
           e.labels::text, e.occurred_at, e.kind
      FROM metering_usageevent e
      JOIN metering_project p ON p.id = e.project_id
      LEFT JOIN metering_surfaceinstallation f ON f.id = e.surface_id
     WHERE e.id = %s
"""


@dataclass(frozen=True, slots=True)
class Voided:
    """What became of one void: `id` is its own, `voids` the cancelled event's, in the ledger."""

    id: int
    voids: int
    outcome: Literal["created", "exists"]


@dataclass(frozen=True, slots=True)
class Amended:
    """The void of the old event, and the outcome of recording the new one."""

    void: Voided
    event: Outcome


def void_events(
    event_ids: Sequence[int],
    *,
    reason: str,
    actor: str,
    principal: Principal = EVERYBODY_INSIDE,
    kind: Correction.Kind = Correction.Kind.VOID,
) -> list[Voided]:
    """Cancel events, of any age, once each; a repeated void answers `exists`. All or nothing.

    Returns what became of each in the order given. Leaves an audit row with each void made. Joins the
    caller's transaction. Raises `Invalid` for an empty reason or over 10,000 events, `NotFound` for an event
    that doesn't exist or that the principal doesn't see, `Conflict` for a void: record the event again.
    """
    reason = _stated(reason)
    if len(event_ids) > MAX_EVENTS:
        raise Invalid(
            "At most {most} events at a time.", most=MAX_EVENTS, field="ids", code="batch_too_large"
        )
    with transaction.atomic():
        made, existing = _void(list(dict.fromkeys(event_ids)), principal)
        _audit(made, kind=kind, reason=reason, actor=actor)
    voids, answers = {**existing, **made}, []
    for event_id in event_ids:
        answers.append(Voided(voids[event_id], event_id, "created" if event_id in made else "exists"))
        made.pop(event_id, None)  # named again, it exists
    return answers


def amend_event(
    event_id: int,
    changes: Mapping[str, Any],
    *,
    reason: str,
    actor: str,
    principal: Principal = EVERYBODY_INSIDE,
    enforce: bool = True,
) -> Amended:
    """Void an event and record it anew with `changes`, in one transaction.

    `changes` holds members as recording takes them; a member that is None becomes absent, the others stay as
    they were. Limits apply to the new event, as if the old one weren't there. Without an `id` the new event
    gets the source `meterbook:amend` and the old one's ledger id, so that a repeat answers `exists`.
    Raises what `void_events` and recording raise, `Invalid` where nothing changes, and `Conflict` where the
    event was voided otherwise or what would take its place is voided itself; then nothing happened.
    """
    reason = _stated(reason)
    members = _amended(event_id, changes, principal)
    try:
        items = events_from([{name: value for name, value in members.items() if value is not None}])
    except ValueError as error:
        raise Invalid(str(error)) from None
    with transaction.atomic():
        made, existing = _void([event_id], principal)
        try:
            (event,) = record_items(
                items,
                # A correction is never too late, whatever period it falls into.
                principal=replace(principal, permissions=principal.permissions | {"backfill"}),
                enforce=enforce,
                may_reserve=True,
            )
        except EventsRejected as error:
            first = error.errors[0]
            raise Invalid(
                "The amended event can't be recorded: {why}.",
                why=first.detail,
                field=first.field,
                code=first.code,
            ) from None
        if existing and event.outcome == "created":
            raise Conflict("Event {event_id} is voided already; record a new one instead.", event_id=event_id)
        if made and event.id in _existing_voids([cast(int, event.id)], principal):
            raise Conflict(
                "Event {id} has this id and is voided; give the new one another id.", id=event.id, field="id"
            )
        _audit(made, kind=Correction.Kind.AMENDMENT, reason=reason, actor=actor, replacement=event.id)
    if made:
        return Amended(Voided(made[event_id], event_id, "created"), event)
    return Amended(Voided(existing[event_id], event_id, "exists"), event)


def _stated(reason: str) -> str:
    reason = reason.strip() if isinstance(reason, str) else ""
    if not reason:
        raise Invalid("A correction needs a reason.", field="reason", code="missing_field")
    if len(reason) > MAX_REASON_LENGTH:
        raise Invalid("A reason has at most {most} characters.", most=MAX_REASON_LENGTH, field="reason")
    if any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in reason):
        raise Invalid("A reason is text; this holds characters that can't be kept.", field="reason")
    return reason


def _amended(event_id: int, changes: Mapping[str, Any], principal: Principal) -> dict[str, Any]:
    """The members of the event to be recorded in place of another."""
    unknown = sorted(set(changes) - set(AMENDABLE))
    if unknown:
        raise Invalid("'{unknown}' can't be amended.", unknown=unknown[0][:100], field=unknown[0][:100])
    if not changes:
        raise Invalid("Nothing would change: name a member of the event.", code="missing_field")
    members = {**_members_of(event_id, principal), **changes}
    if changes.get("metric_key") is not None and "event_name" not in changes:
        members["event_name"] = None  # the metric stands for its own
    if members["id"] is None:
        if changes.get("source") is not None:
            raise Invalid("A source goes with an id: give one.", field="id", code="missing_field")
        members.update(id=str(event_id), source=AMEND_SOURCE)
    elif str(members["source"] or "").startswith(RESERVED):
        raise Invalid(
            "Sources beginning with '{reserved}' are reserved; name another.",
            reserved=RESERVED,
            field="source",
        )
    return members


def _void(event_ids: Sequence[int], principal: Principal) -> tuple[dict[int, int], dict[int, int]]:
    """The voids made, and those that there were: by the event they cancel."""
    with recording(draws=len(event_ids)) as page:
        existing = _existing_voids(event_ids, principal)
        new = [event_id for event_id in event_ids if event_id not in existing]
        made: dict[int, int] = {}
        if new:
            with connection.cursor() as cursor:
                cursor.execute(_VOID, {"source": VOID_SOURCE, "events": new, "ids": page.ids[: len(new)]})
                made = dict(cursor.fetchall())
        if len(made) < len(new):
            existing |= _existing_voids([event_id for event_id in new if event_id not in made], principal)
        if made:
            _take_back(list(made), catalogue_at(page.version))
    return made, existing


def _audit(
    made: Mapping[int, int],
    *,
    kind: Correction.Kind,
    reason: str,
    actor: str,
    replacement: int | None = None,
) -> None:
    if made:
        with connection.cursor() as cursor:
            cursor.execute(
                _AUDIT,
                {
                    "kind": kind.value,
                    "reason": reason,
                    "actor": actor[:300],
                    "replacement": replacement,
                    "events": list(made),
                    "voids": list(made.values()),
                },
            )


def _existing_voids(event_ids: Sequence[int], principal: Principal) -> dict[int, int]:
    """The voids that there are, by the event they cancel. Raises as `void_events` for what isn't an event."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND, [[event_id for event_id in event_ids if _may_be_an_id(event_id)]])
        rows = {row[0]: row for row in cursor.fetchall()}
    for event_id in event_ids:
        row = rows.get(event_id)
        if row is None or not principal.sees(row[2]):
            raise NotFound("There is no event {event_id}.", event_id=event_id)
        if row[1] == "void":
            raise Conflict(
                "Event {event_id} is a void and can't be voided: record the event again under a new id.",
                event_id=event_id,
            )
    return {event_id: row[3] for event_id, row in rows.items() if row[3] is not None}


def _may_be_an_id(event_id: int) -> bool:
    """Whether the ledger's type holds it: a larger number would be compared as another, without an index."""
    return 0 < event_id <= LARGEST_ID


def _take_back(event_ids: Sequence[int], catalogue: Catalogue) -> None:
    """Write what the voided events had contributed, with the opposite sign, or as marks."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT e.event_name, p.id, p.path FROM metering_usageevent e"
            " JOIN metering_project p ON p.id = e.project_id WHERE e.id = ANY (%s)",
            [list(event_ids)],
        )
        places = cursor.fetchall()
    names = {name for name, _, _ in places}
    meanings = [meaning for meaning in catalogue.meanings.values() if meaning.event_name in names]
    due = [meaning.metric_id for meaning in meanings if meaning.is_history_due]
    if due:
        # History is counted without our lock: whoever is at it commits first, or sees this void.
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM metering_metricdefinition WHERE id = ANY (%s) ORDER BY id FOR SHARE", [due]
            )
        now = current()
        meanings = [now.meanings[meaning.metric_id] for meaning in meanings]
    for meaning in meanings:
        project_ids = [
            project_id
            for name, project_id, path in places
            if name == meaning.event_name and path.startswith(meaning.owner_path)
        ]
        if project_ids:
            _take_back_from(meaning, event_ids, project_ids)


def _take_back_from(meaning: Meaning, event_ids: Sequence[int], project_ids: Sequence[int]) -> None:
    params = Params()
    columns = contribution_sql(meaning, params, sign=-1)
    statement = f"""
        INSERT INTO metering_pendingcontribution
               (metric_id, project_id, billing_scope_id, hour_start, stream,
                subject_type, subject_id, "group", value_key, {", ".join(columns)})
        SELECT {params.add(meaning.metric_id)}, e.project_id, e.billing_scope_id,
               date_trunc('hour', e.occurred_at, 'UTC'),
               {event_stream_sql(meaning, params)}, e.subject_type, e.subject_id,
               {group_json_sql(meaning, params)}, {meaning.value_key_sql(params)},
               {", ".join(columns.values())}
          FROM metering_usageevent e
         WHERE e.id = ANY ({params.add(list(event_ids))}::bigint[])
           AND e.project_id = ANY ({params.add(list(project_ids))}::bigint[])
           AND {meaning.where_sql(params)}
         GROUP BY 2, 3, 4, 5, 6, 7, 8, 9
    """  # noqa: S608 (values are bound; the text is ours)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


def _members_of(event_id: int, principal: Principal) -> dict[str, Any]:
    """An event as recording takes it, without its id."""
    row = None
    if _may_be_an_id(event_id):
        with connection.cursor() as cursor:
            cursor.execute(_ORIGINAL, [event_id])
            row = cursor.fetchone()
    if row is None or not principal.sees(row[1]):
        raise NotFound("There is no event {event_id}.", event_id=event_id)
    project, _, surface, source, event_name, subject_type, subject_id, quantity, labels, occurred_at, kind = (
        row
    )
    if kind == "void":
        raise Conflict("Event {event_id} is a void and can't be amended.", event_id=event_id)
    return {
        "id": None,
        "source": source,
        "project": project,
        "event_name": event_name,
        "subject_type": subject_type or None,
        "subject_id": subject_id or None,
        "quantity": None if quantity is None else format(quantity, "f"),
        "occurred_at": iso(occurred_at),
        "labels": _as_sent(_decode_labels(labels)) or None,
        "surface": surface,
    }


def _as_sent(value: Any) -> Any:
    """A value of labels as recording took it: jsonb spells 1e200 in full, which would be too many digits."""
    if isinstance(value, dict):
        return {name: _as_sent(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_sent(inner) for inner in value]
    if isinstance(value, int) and abs(value) >= MAX_LABEL_INTEGER:
        return EXACT.normalize(Decimal(value))
    return value
