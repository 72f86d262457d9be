"""From request bodies to events: native JSON and CloudEvents, one or many. Shape only, no database.

An error in one event doesn't hide those in others: the fast decoder takes the whole body, and when it
stumbles each item is read on its own to say what is wrong with it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec.structs import astuple

from metering.errors import EventError
from metering.measuring.label_filter import Labels
from metering.models import EVENT_NAME_MAX_LENGTH, KEY_MAX_LENGTH, NAME_MAX_LENGTH
from metering.texts.numbers import MAX_NUMBER_LENGTH

from .repeated_members import members_in, most_members_in, repeated_member

# A request is parsed in memory; these keep one request from crowding out the others.
MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_EVENTS = 10_000
MAX_EVENT_BYTES = 64 * 1024
MAX_LABELS = 100
MAX_LABEL_DEPTH = 8
MAX_LABEL_INTEGER = 10**MAX_NUMBER_LENGTH
MAX_LABEL_EXPONENT = 300  # far beyond any measurement; jsonb gives up at 131,072 digits

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MAX_LENGTH)]


class MalformedBody(ValueError):
    """The body isn't JSON of the kind announced."""


class BatchTooLarge(ValueError):
    """More events than one request may carry."""


def label_number(text: str) -> Decimal:
    """A fraction in labels, exactly. Raises `ValueError`."""
    if len(text) > MAX_NUMBER_LENGTH:
        raise ValueError(f"a number has more than {MAX_NUMBER_LENGTH} characters")
    return Decimal(text)


class EventInput(msgspec.Struct, forbid_unknown_fields=True):
    """An event as sent, names resolved to ours. `quantity` keeps its text: it is read exactly later."""

    id: Name | None = None
    source: Name | None = None
    project: Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_MAX_LENGTH)] | None = None
    event_name: Annotated[str, msgspec.Meta(min_length=1, max_length=EVENT_NAME_MAX_LENGTH)] | None = None
    metric_key: Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_MAX_LENGTH)] | None = None
    subject_type: Name | None = None
    subject_id: Name | None = None
    quantity: msgspec.Raw = msgspec.Raw(b"null")
    occurred_at: str | None = None
    labels: dict[str, Any] | None = None
    surface: Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_MAX_LENGTH)] | None = None


Item = EventInput | EventError

ALIASES = {
    "event_id": "id",
    "eventId": "id",
    "eventName": "event_name",
    "metricKey": "metric_key",
    "projectId": "project",
    "project_id": "project",
    "orgId": "project",
    "org_id": "project",
    "subjectType": "subject_type",
    "subjectId": "subject_id",
    "occurredAt": "occurred_at",
    "timestamp": "occurred_at",
    "metadata": "labels",
}
_MEMBERS = frozenset(EventInput.__struct_fields__)
_NO_QUANTITY = EventInput().quantity
_LABELS_SENT_AS = {"labels", "metadata", "data"}

_decode_list = msgspec.json.Decoder(list[EventInput], float_hook=label_number).decode
_decode_one = msgspec.json.Decoder(EventInput, float_hook=label_number).decode
_decode_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_encode_sorted = msgspec.json.Encoder(decimal_format="number", order="sorted").encode


def parse_native(body: bytes) -> tuple[list[Item], bool]:
    """Events of a native body, and whether it was one object rather than an array.

    Raises `MalformedBody` and `BatchTooLarge`.
    """
    if _opens_with(body, b"["):
        try:
            items = _decode_list(body)
        except (msgspec.MsgspecError, ValueError, RecursionError, ArithmeticError):
            return _parse_each(body, _native_item), False
        if len(items) > MAX_EVENTS:
            raise BatchTooLarge
        if most_members_in(body) > sum(map(_members_of, items)):
            return _told_apart(body, items), False
        return list(items), False
    item: Item
    try:
        item = _decode_one(body)
    except (msgspec.MsgspecError, ValueError, RecursionError, ArithmeticError):
        _ensure_json(body)
        item = _native_item(0, msgspec.Raw(body))
    return [_repetition(0, body) or item], True


def events_from(events: Iterable[Mapping[str, Any]]) -> list[Item]:
    """Events given in process, as the mappings that the API takes; Decimals and datetimes welcome.

    A float that is no number is an error of its event: JSON has no word for it.
    """
    given = list(events)
    items, _ = parse_native(_encode(given))
    for index, event in enumerate(given):
        field = next((str(name) for name, value in event.items() if _holds_no_number(value)), None)
        if field is not None:
            code = "invalid_label" if ALIASES.get(field, field) == "labels" else "invalid_value"
            items[index] = EventError(index, code, field, "not a decimal number")
    return items


def _holds_no_number(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(_holds_no_number(inner) for inner in value.values())
    return isinstance(value, list | tuple) and any(_holds_no_number(inner) for inner in value)


def parse_cloudevents(body: bytes, *, batch: bool) -> list[Item]:
    """Events of a structured or batched CloudEvents 1.0 body. Raises as `parse_native`."""
    if batch:
        if not _opens_with(body, b"["):
            _ensure_json(body)
            raise MalformedBody("A CloudEvents batch is a JSON array.")
        return _parse_each(body, _cloudevent_item)
    _ensure_json(body)
    return [_repetition(0, body) or _cloudevent_item(0, msgspec.Raw(body))]


def parse_binary_cloudevent(attributes: Mapping[str, str], body: bytes) -> list[Item]:
    """The event of a binary-mode request: `ce-` headers without their prefix, and the data as body."""
    data = body if body.strip() else b"null"
    _ensure_json(data)
    members: dict[str, msgspec.Raw] = {
        name: msgspec.Raw(_encode(value)) for name, value in attributes.items()
    }
    members["data"] = msgspec.Raw(data)
    return [_repetition(0, data, within="data") or _cloudevent_members(0, members)]


def cloudevent_field(field: str | None) -> str | None:
    """Our name of a member as its CloudEvent spells it: `labels.region` is `data.region`."""
    if field is None:
        return None
    head, dot, rest = field.partition(".")
    return _CLOUDEVENT_NAMES.get(head, head) + dot + rest


def labels_text(labels: Labels) -> bytes:
    """Canonical JSON of labels: members sorted, numbers normalised."""
    return _encode_sorted(labels)


def _opens_with(body: bytes, opening: bytes) -> bool:
    return body[:64].lstrip().startswith(opening) or body.lstrip().startswith(opening)


def _ensure_json(body: bytes) -> None:
    try:
        body.decode()
        msgspec.json.decode(body, type=msgspec.Raw)  # the grammar alone: a number beyond all limits is one
    except RecursionError:
        raise MalformedBody("The JSON is nested too deeply.") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise MalformedBody(f"The body isn't valid JSON: {error}.") from None


def _parse_each(body: bytes, read: Any) -> list[Item]:
    _ensure_json(body)
    raws: Sequence[msgspec.Raw] = _decode_raw_list(body)
    if len(raws) > MAX_EVENTS:
        raise BatchTooLarge
    return _told_apart(body, [read(index, raw) for index, raw in enumerate(raws)])


def _members_of(event: EventInput) -> int:
    """How many members an event was sent with, those within labels included; explicit nulls aside."""
    values = astuple(event)
    count = len(values) - values.count(None)
    if event.quantity == _NO_QUANTITY:
        count -= 1
    return count + members_in(event.labels)


def _told_apart(body: bytes, items: Sequence[Item]) -> list[Item]:
    """The events of a batch; in the place of each that names a member twice, an error that says so.

    One pass over the whole body, and a look at each event only where that finds a repetition.
    """
    if _repetition(0, body) is None:
        return list(items)
    return [
        _repetition(index, raw) or item
        for index, (raw, item) in enumerate(zip(_decode_raw_list(body), items, strict=True))
    ]


def _repetition(index: int, raw: bytes | msgspec.Raw, *, within: str = "") -> EventError | None:
    """What is wrong with an event that names a member twice, at any depth, or None."""
    try:
        name = repeated_member(bytes(raw))
    except RecursionError:
        raise MalformedBody("The JSON is nested too deeply.") from None
    except ValueError as error:
        raise MalformedBody(f"The body isn't valid JSON: {error}.") from None
    if name is None:
        return None
    path = f"{within}.{name}" if within else name
    code = "invalid_label" if path.partition(".")[0] in _LABELS_SENT_AS and "." in path else "invalid_field"
    return EventError(index, code, _shown(path), "the member is sent twice; send it once")


def _native_item(index: int, raw: msgspec.Raw) -> Item:
    try:
        members = _decode_raw_object(raw)
    except msgspec.MsgspecError:
        return EventError(index, "invalid_field", None, "an event is a JSON object")
    renamed: dict[str, msgspec.Raw] = {}
    sent_as: dict[str, str] = {}
    for name, value in members.items():
        member = ALIASES.get(name, name)
        if member not in _MEMBERS:
            return EventError(index, "invalid_field", _shown(name), "events have no such member")
        if bytes(value).strip() == b"null":
            continue
        if member in sent_as:
            return EventError(
                index,
                "invalid_field",
                name,
                f"'{name}' and '{sent_as[member]}' name the same member; send one",
            )
        sent_as[member] = name
        renamed[member] = value
    return _convert(index, renamed, sent_as)


def _cloudevent_item(index: int, raw: msgspec.Raw) -> Item:
    try:
        members = _decode_raw_object(raw)
    except msgspec.MsgspecError:
        return EventError(index, "invalid_field", None, "a CloudEvent is a JSON object")
    return _cloudevent_members(index, members)


_CLOUDEVENT_MEMBERS = {
    "id": "id",
    "source": "source",
    "type": "event_name",
    "subject": "subject_id",
    "subjecttype": "subject_type",
    "time": "occurred_at",
    "data": "labels",
    "project": "project",
    "surface": "surface",
}


_CLOUDEVENT_NAMES = {member: name for name, member in _CLOUDEVENT_MEMBERS.items()}


def _cloudevent_members(index: int, members: Mapping[str, msgspec.Raw]) -> Item:
    """Required attributes are required; unknown extension attributes are ignored, as the spec asks."""
    present = {name: value for name, value in members.items() if bytes(value).strip() != b"null"}
    for name in ("specversion", "id", "source", "type"):
        if name not in present:
            return EventError(index, "missing_field", name, f"a CloudEvent needs '{name}'")
    if bytes(present["specversion"]).strip() != b'"1.0"':
        return EventError(index, "invalid_field", "specversion", "only CloudEvents 1.0 are understood")
    if "data_base64" in present:
        return EventError(index, "invalid_field", "data_base64", "data must be a JSON object")
    renamed: dict[str, msgspec.Raw] = {}
    sent_as: dict[str, str] = {}
    for name, member in _CLOUDEVENT_MEMBERS.items():
        if name in present:
            renamed[member] = present[name]
            sent_as[member] = name
    return _convert(index, renamed, sent_as)


def _convert(index: int, members: Mapping[str, msgspec.Raw], sent_as: Mapping[str, str]) -> Item:
    """Read each member by its own type, so that the error names it as it was sent."""
    try:
        return _decode_one(_encode(members))
    except (msgspec.MsgspecError, ValueError, RecursionError, ArithmeticError):
        pass
    for member, value in members.items():
        try:
            _decode_one(_encode({member: value}))
        except RecursionError:
            return EventError(index, _code_of(member), sent_as[member], "nested too deeply")
        except (msgspec.MsgspecError, ValueError, ArithmeticError) as error:
            detail = str(error).split(" - at ")[0]
            return EventError(index, _code_of(member), sent_as[member], detail[:1].lower() + detail[1:])
    return EventError(index, "invalid_field", None, "the event can't be read")


def _code_of(member: str) -> str:
    if member == "labels":
        return "invalid_label"
    return "invalid_timestamp" if member == "occurred_at" else "invalid_field"


def _shown(name: str) -> str:
    return name if len(name) <= NAME_MAX_LENGTH else name[:NAME_MAX_LENGTH] + "…"
