"""What an event means at the moment it is recorded: its project, payer, metrics, readings, digest.

Pure given a catalogue: no statement is sent except for projects made since the catalogue was loaded.
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import msgspec

from metering.catalogue import Catalogue, ProjectNode
from metering.errors import EventError
from metering.measuring.meaning import Meaning, Unreadable
from metering.principal import Principal
from metering.texts.numbers import EXACT, MAX_NUMBER_LENGTH, NotANumber, decimal_from, plain
from metering.texts.timestamps import FUTURE_TOLERANCE, NotAnInstant, instant_from

from .intake import (
    MAX_EVENT_BYTES,
    MAX_LABEL_DEPTH,
    MAX_LABEL_EXPONENT,
    MAX_LABEL_INTEGER,
    MAX_LABELS,
    EventInput,
    labels_text,
)

RESERVED = "meterbook:"  # sources of what we record ourselves

_NULL = b"null"
_encode = msgspec.json.Encoder().encode
_NO_LABELS: dict[str, Any] = {}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class Candidate:
    """An event that may be recorded, with everything its row and its contributions need."""

    __slots__ = (
        "billing_scope_id",
        "digest",
        "event_id",
        "event_name",
        "groups",
        "hour_start",
        "index",
        "key",
        "labels",
        "occurred_at",
        "project_id",
        "quantity",
        "readings",
        "source",
        "subject_id",
        "subject_type",
        "surface_id",
        "value_keys",
    )

    index: int
    key: tuple[int, str, str]  # project, source, event id: what identifies the event for ever
    project_id: int
    billing_scope_id: int
    surface_id: int | None
    source: str
    event_id: str
    event_name: str
    subject_type: str
    subject_id: str
    quantity: Decimal | None
    labels: bytes
    occurred_at: dt.datetime
    hour_start: dt.datetime
    digest: bytes
    readings: list[tuple[Meaning, Decimal]]
    groups: list[tuple[str | None, ...]]
    value_keys: list[uuid.UUID]


class Misfit(Exception):
    """The event can't be recorded; carries a reason code of the contract."""

    def __init__(self, code: str, field: str | None, detail: str) -> None:
        super().__init__(detail)
        self.code, self.field, self.detail = code, field, detail


class Resolver:
    """Turns inputs into candidates for one request: one principal, one catalogue, one instant."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        principal: Principal,
        now: dt.datetime,
        default_source: str,
        may_contain_nul: bool = True,
        may_reserve: bool = False,
    ) -> None:
        self._catalogue = catalogue
        self._principal = principal
        self._now = now
        self._latest = now + FUTURE_TOLERANCE
        self._default_source = default_source
        self._may_contain_nul = may_contain_nul
        self._may_reserve = may_reserve
        self._projects: dict[str | None, ProjectNode] = {}
        self._listening: dict[tuple[int, str | None, str | None], tuple[str, tuple[Meaning, ...]]] = {}

    def candidate(self, index: int, event: EventInput) -> Candidate | EventError:
        """The candidate, or why there is none."""
        try:
            return self._resolve(index, event)
        except Misfit as misfit:
            return EventError(index, misfit.code, misfit.field, misfit.detail)
        except Unreadable as unreadable:
            return EventError(index, unreadable.code, unreadable.field, unreadable.detail)

    def _resolve(self, index: int, event: EventInput) -> Candidate:
        if self._may_contain_nul:
            _refuse_nul(event)
        project = self._projects.get(event.project) or self._project(event.project)
        names = (project.id, event.event_name, event.metric_key)
        event_name, listening = self._listening.get(names) or self._metrics(project, event)

        result = Candidate()
        result.index = index
        result.project_id = project.id
        result.event_name = event_name
        result.source = event.source or self._default_source
        result.event_id = event.id or uuid.uuid4().hex
        result.subject_type = event.subject_type or ""
        result.subject_id = event.subject_id or ""
        result.key = (project.id, result.source, result.event_id)
        if result.source.startswith(RESERVED) and not self._may_reserve:
            raise Misfit("invalid_field", "source", "sources beginning with 'meterbook:' are reserved")

        quantity = result.quantity = _quantity(bytes(event.quantity))
        occurred_at = result.occurred_at = self._occurred_at(event.occurred_at)
        result.hour_start = occurred_at.replace(minute=0, second=0, microsecond=0)
        labels = event.labels
        if labels:
            labels = canonical_labels(labels)
            text = labels_text(labels)
            if len(text) > MAX_EVENT_BYTES:
                raise Misfit("payload_too_large", "labels", f"an event has at most {MAX_EVENT_BYTES} bytes")
        else:
            labels, text = _NO_LABELS, b"{}"
        result.labels = text

        result.surface_id = None
        if event.surface is not None:
            result.surface_id = self._catalogue.surface_id(project.id, event.surface)
            if result.surface_id is None:
                raise Misfit("invalid_field", "surface", "no such surface is installed in this project")
        result.billing_scope_id = self._catalogue.payer_at(
            project.id, occurred_at, surface_id=result.surface_id
        )

        result.readings = readings = []
        result.groups = groups = []
        result.value_keys = value_keys = []
        for meaning in listening:
            if meaning.matches(labels):
                reading = meaning.reading(quantity, labels)
                readings.append((meaning, reading))
                groups.append(meaning.group(labels))
                value_keys.append(meaning.value_key(labels, reading))
        if event.metric_key is not None and all(m.key != event.metric_key for m, _ in readings):
            raise Misfit(
                "invalid_field",
                "metric_key",
                f"metric '{event.metric_key}' would not count this event: its filter differs",
            )
        result.digest = content_digest(
            event, event_name=event_name, quantity=quantity, occurred_at=occurred_at, labels=text
        )
        return result

    def _project(self, key: str | None) -> ProjectNode:
        if key is None:
            own = self._sole_project()
            if own is None:
                raise Misfit("missing_field", "project", "the event must name its project")
            self._projects[None] = own
            return own
        node = self._catalogue.project(key)
        if node is None or not self._principal.sees(node.path):
            raise Misfit("unknown_project", "project", f"there is no project '{_shown(key)}'")
        self._projects[key] = node
        return node

    def _sole_project(self) -> ProjectNode | None:
        """The key's project, when it has none below it."""
        if self._principal.project_id is None:
            return None
        node = self._catalogue.project_by_id(self._principal.project_id)
        return None if self._catalogue.has_children(node) else node

    def _metrics(self, project: ProjectNode, event: EventInput) -> tuple[str, tuple[Meaning, ...]]:
        """The event name and the unarchived metrics that listen to it."""
        event_name = event.event_name
        if event.metric_key is not None:
            metric = self._catalogue.metric_for(project, event.metric_key)
            if metric is None:
                raise Misfit(
                    "unknown_event_name", "metric_key", f"there is no metric '{_shown(event.metric_key)}'"
                )
            if event_name is not None and event_name != metric.event_name:
                raise Misfit(
                    "invalid_field",
                    "event_name",
                    f"metric '{metric.key}' listens to '{metric.event_name}'; send one of the two",
                )
            if metric.archived_from is not None:
                raise Misfit("metric_archived", "metric_key", f"metric '{metric.key}' is archived")
            event_name = metric.event_name
        if event_name is None:
            raise Misfit("missing_field", "event_name", "the event must name what happened")
        every = self._catalogue.listening(project, event_name)
        if not every:
            raise Misfit(
                "unknown_event_name",
                "event_name",
                f"no metric listens to '{_shown(event_name)}' in this project",
            )
        active = tuple(meaning for meaning in every if meaning.archived_from is None)
        if not active:
            raise Misfit(
                "metric_archived", "event_name", f"every metric of '{_shown(event_name)}' is archived"
            )
        found = (event_name, active)
        self._listening[(project.id, event.event_name, event.metric_key)] = found
        return found

    def _occurred_at(self, text: str | None) -> dt.datetime:
        if text is None:
            return self._now
        try:
            instant = instant_from(text)
        except NotAnInstant as error:
            raise Misfit("invalid_timestamp", "occurred_at", str(error)) from None
        if instant > self._latest:
            raise Misfit("timestamp_in_future", "occurred_at", "more than 5 minutes in the future")
        return instant


def _quantity(raw: bytes) -> Decimal | None:
    text = raw.strip()
    if text == _NULL:
        return None
    if text[:1] == b'"':
        text = text[1:-1]
    elif text[:1] in {b"t", b"f", b"{", b"["}:
        raise Misfit("invalid_value", "quantity", "not a decimal number")
    if len(text) > MAX_NUMBER_LENGTH:
        raise Misfit("invalid_value", "quantity", f"the number has more than {MAX_NUMBER_LENGTH} characters")
    try:
        return decimal_from(text.decode("ascii", "replace"))
    except NotANumber as error:
        raise Misfit("invalid_value", "quantity", str(error)) from None


def canonical_labels(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Labels within the limits, numbers normalised. Raises `Misfit`."""
    if len(labels) > MAX_LABELS:
        raise Misfit("invalid_label", "labels", f"an event has at most {MAX_LABELS} labels")
    return {name: _canonical(value, name, 1) for name, value in labels.items()}


def _canonical(value: Any, name: str, depth: int) -> Any:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if not -MAX_LABEL_INTEGER < value < MAX_LABEL_INTEGER:
            raise Misfit("invalid_label", f"labels.{_shown(name)}", "the number has too many digits")
        return value
    if kind is Decimal:
        if not value:
            return 0
        if abs(value.adjusted()) > MAX_LABEL_EXPONENT:
            raise Misfit("invalid_label", f"labels.{_shown(name)}", "the number is too large or too small")
        # 100, 100.0 and 1e2 are the same content.
        return int(value) if value == value.to_integral_value() else EXACT.normalize(value)
    if depth >= MAX_LABEL_DEPTH:
        raise Misfit(
            "invalid_label", f"labels.{_shown(name)}", f"nested deeper than {MAX_LABEL_DEPTH} levels"
        )
    if kind is dict:
        return {inner: _canonical(item, name, depth + 1) for inner, item in value.items()}
    return [_canonical(item, name, depth + 1) for item in value]


def content_digest(
    event: EventInput, *, event_name: str, quantity: Decimal | None, occurred_at: dt.datetime, labels: bytes
) -> bytes:
    """BLAKE2b-256 of what the producer sent; absent stays absent, the key and the attribution stay out."""
    content = (
        event_name,
        event.subject_type,
        event.subject_id,
        None if quantity is None else plain(quantity),
        None if event.occurred_at is None else (occurred_at - _EPOCH) // _MICROSECOND,
        event.surface,
        event.labels is not None,
    )
    return blake2b(_encode(content) + labels, digest_size=32).digest()


def _refuse_nul(event: EventInput) -> None:
    """PostgreSQL's text holds no NUL. Called only when the body can contain one."""
    for name in (
        "id",
        "source",
        "project",
        "event_name",
        "metric_key",
        "subject_type",
        "subject_id",
        "surface",
    ):
        value = getattr(event, name)
        if value is not None and "\x00" in value:
            raise Misfit("invalid_field", name, "holds a NUL character")
    if event.labels and _holds_nul(event.labels):
        raise Misfit("invalid_label", "labels", "holds a NUL character")


def _holds_nul(labels: Any) -> bool:
    """Not by recursion: how deep they are nested is asked later."""
    waiting = [labels]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and "\x00" in value:
            return True
    return False


def _shown(name: str) -> str:
    return name if len(name) <= 100 else name[:100] + "…"
