"""What the columns of a CSV file mean, and the events that its rows are.

A column goes to a member of an event (`occurred_at`), to a label (`labels.region`, nested by dots) or
nowhere. Cells are text; a label may be told to be a `number`, a `boolean` or `json`. An empty cell is absent.
The apostrophe that our own exports put before risky text is taken away again, and what counts for nothing in
them any more, events that are voided and their voids, is no event here.
"""

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from metering.answering.exports import EVENT_COLUMNS
from metering.errors import EventError, Invalid
from metering.measuring.windows import UnknownTimeZone, first_instant, zone_named
from metering.recording.intake import ALIASES, EventInput, label_number
from metering.recording.resolving import RESERVED, Misfit
from metering.texts.csv_cells import original
from metering.texts.numbers import NotANumber, decimal_from
from metering.texts.timestamps import iso

from .carried import IMPORT_SOURCE, carried_id

MEMBERS = EventInput.__struct_fields__
LABEL = "labels."
LABEL_TYPES = ("text", "number", "boolean", "json")
# What the ledger itself says of a row of our own export; an import finds it anew.
LEDGER_COLUMNS = frozenset({"id", "billing_scope", "recorded_at", "kind", "voids", "voided_by"})
MAX_COLUMNS = 1000

_TRUE, _FALSE = frozenset({"true", "t", "yes", "y", "1"}), frozenset({"false", "f", "no", "n", "0"})
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,30})?)?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_decode_json = msgspec.json.Decoder(float_hook=label_number).decode


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A row of our own export that counts for nothing: an event that a void cancels, or such a void."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a cell goes: a member, or a label of a type."""

    name: str
    type: str = "text"

    @classmethod
    def from_text(cls, text: str) -> "Target":
        """`occurred_at`, `labels.region`, `labels.size:number`; also the spellings that the API takes. Raises
        `ValueError`."""
        name, colon, kind = text.strip().partition(":")
        if name.startswith(LABEL):
            if not all(name.split(".")):
                raise ValueError(f"'{text}' names no label")
            kind = kind if colon else "text"
            if kind not in LABEL_TYPES:
                raise ValueError(f"'{kind}' is no type of a label; these are: {', '.join(LABEL_TYPES)}")
            return cls(name, kind)
        member = ALIASES.get(name, name)
        if member not in MEMBERS or colon:
            raise ValueError(f"events have no member '{text}'; labels are written labels.NAME")
        return cls(member, "json" if member == "labels" else "text")


class RowOptions(msgspec.Struct, frozen=True):
    """How rows are read. `columns` names the column of a target, `constants` the text of one for all rows."""

    columns: dict[str, str] = {}
    constants: dict[str, str] = {}
    ignored: tuple[str, ...] = ()
    timezone: str | None = None


class Rows:
    """The meaning of one header. Raises `Invalid` where the options don't fit it."""

    def __init__(self, header: Sequence[str], options: RowOptions) -> None:
        if len(header) > MAX_COLUMNS:
            raise Invalid("A file has at most {most} columns.", most=MAX_COLUMNS, field="file")
        self._width = len(header)
        self.is_own_export = set(EVENT_COLUMNS) <= set(header)
        own_names = ("kind", "voided_by", "recorded_at") if self.is_own_export else ()
        self._own_at = {name: header.index(name) for name in own_names}
        self._zone = _zone(options.timezone)
        self.column_of: dict[str, str] = {}
        self._cells: list[tuple[int, Target]] = []
        self._constants: list[tuple[Target, str]] = []
        for text, constant in options.constants.items():
            self._take(_target(text, "constant"), f"the constant '{constant}'")
            self._constants.append((_target(text, "constant"), constant))
        named = set()
        for text, column in options.columns.items():
            target = _target(text, "map")
            if header.count(column) != 1:
                known = ", ".join(f"'{name}'" for name in header)
                what = "no column" if column not in header else "more than one column"
                raise Invalid(
                    "The file has {what} '{column}'. It has: {known}.",
                    what=what,
                    column=column,
                    known=known,
                    field="map",
                )
            self._take(target, column)
            self._cells.append((header.index(column), target))
            named.add(column)
        taken_by_name = set(self.column_of)
        self.ignored: list[str] = []
        for index, column in enumerate(header):
            own = self._own_target(column) if column not in named else None
            if column in named:
                continue
            if own is None or column in options.ignored or own.name in taken_by_name:
                self.ignored.append(column)
                continue
            self._take(own, column)
            self._cells.append((index, own))
        # The whole object of labels comes before single ones are put into it.
        self._cells.sort(key=lambda cell: cell[1].name != "labels")

    def _own_target(self, column: str) -> Target | None:
        """What a column means by its own name."""
        if self.is_own_export and column in LEDGER_COLUMNS:
            return None
        try:
            return Target.from_text(column)
        except ValueError:
            return None

    def _take(self, target: Target, what: str) -> None:
        if target.name in self.column_of:
            raise Invalid(
                "'{name}' comes from '{column_of}' and from '{what}'; choose one.",
                name=target.name,
                column_of=self.column_of[target.name],
                what=what,
                field="map",
            )
        self.column_of[target.name] = what

    def member_names(self) -> list[str]:
        return sorted({name.partition(".")[0] for name in self.column_of})

    def event(self, cells: Sequence[str]) -> Mapping[str, Any] | EventError | Cancelled | None:
        """The members of the row's event; None for an empty row."""
        if not any(cells):
            return None
        if len(cells) != self._width and (len(cells) < self._width or any(cells[self._width :])):
            detail = f"the row has {len(cells)} cells, the header has {self._width}"
            return EventError(0, "invalid_field", None, detail)
        if self.is_own_export and (cells[self._own_at["kind"]] == "void" or cells[self._own_at["voided_by"]]):
            return Cancelled()
        members: dict[str, Any] = {}
        try:
            for target, text in self._constants:
                self._put(members, target, text)
            for index, target in self._cells:
                cell = original(cells[index])
                if cell:
                    self._put(members, target, cell)
        except Misfit as misfit:
            return EventError(0, misfit.code, misfit.field, misfit.detail)
        if self.is_own_export:
            if not members.get("labels"):
                members.pop("labels", None)  # an event without labels is exported with none
            source = str(members.get("source", ""))
            if source.startswith(RESERVED) and source != IMPORT_SOURCE:
                recorded_at = cells[self._own_at["recorded_at"]]
                members["id"] = carried_id(source, str(members.get("id", "")), recorded_at=recorded_at)
                members["source"] = IMPORT_SOURCE
        return members

    def _put(self, members: dict[str, Any], target: Target, text: str) -> None:
        if target.name == "labels":
            value = _label(text, target)
            if not isinstance(value, dict):
                raise Misfit("invalid_label", "labels", "not a JSON object")
            members["labels"] = value
        elif target.name.startswith(LABEL):
            place = members.setdefault("labels", {})
            *path, last = target.name.removeprefix(LABEL).split(".")
            for part in path:
                place = place.setdefault(part, {})
                if not isinstance(place, dict):
                    raise Misfit("invalid_label", target.name, f"'{part}' is a value, not a group of labels")
            place[last] = _label(text, target)
        elif target.name == "quantity":
            members["quantity"] = text.strip()
        elif target.name == "occurred_at":
            members["occurred_at"] = self._instant(text.strip())
        else:
            members[target.name] = text

    def _instant(self, text: str) -> str:
        """The time with an offset: by the clocks of the zone of the file where it has none itself.

        A day alone stands for its first instant.
        """
        is_day = _DAY.fullmatch(text) is not None
        if not is_day and not _NAIVE.fullmatch(text):
            return text
        if self._zone is None:
            detail = f"a {'day' if is_day else 'time'} without offset; say by which clocks (time zone)"
            raise Misfit("invalid_timestamp", "occurred_at", detail)
        try:
            if is_day:
                return iso(first_instant(dt.date.fromisoformat(text), self._zone))
            local = dt.datetime.fromisoformat(text.upper()).replace(tzinfo=self._zone)
            instant = local.astimezone(dt.UTC)
        except (ValueError, OverflowError) as error:
            raise Misfit("invalid_timestamp", "occurred_at", f"no such time: {error}") from None
        if instant.astimezone(self._zone).replace(tzinfo=None) != local.replace(tzinfo=None):
            raise Misfit("invalid_timestamp", "occurred_at", f"the clocks of {self._zone.key} skip that time")
        return iso(instant)


def cells_of(text: str, delimiter: str) -> list[str]:
    """The cells of one row. Raises `csv.Error`."""
    return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])


def header_of(raw: bytes, delimiter: str) -> list[str]:
    """Column names, trimmed. Raises `Invalid` for a header that names nothing."""
    try:
        names = [name.strip() for name in cells_of(raw.decode(), delimiter)]
    except csv.Error as error:
        raise Invalid("The header can't be read: {why}.", why=error, field="file") from None
    if not any(names):
        raise Invalid("The first line must name the columns.", field="file")
    return names


def parsed_pairs(pairs: Iterable[str], *, field: str) -> dict[str, str]:
    """`["occurred_at=Time"]` as a mapping. Raises `Invalid`."""
    found: dict[str, str] = {}
    for pair in pairs:
        target, sign, value = pair.partition("=")
        if not sign or not value:
            raise Invalid("'{pair}' isn't of the form NAME=VALUE.", pair=pair, field=field)
        if target.strip() in found:
            raise Invalid("'{target}' is given twice.", target=target.strip(), field=field)
        _target(target, field)
        found[target.strip()] = value
    return found


def _target(text: str, field: str) -> Target:
    try:
        return Target.from_text(text)
    except ValueError as error:
        raise Invalid(f"{str(error)[:1].upper()}{str(error)[1:]}.", field=field) from None


def _zone(name: str | None) -> ZoneInfo | None:
    if not name:
        return None
    try:
        return zone_named(name)
    except UnknownTimeZone:
        raise Invalid("There is no time zone '{name}'.", name=name[:64], field="timezone") from None


def _label(text: str, target: Target) -> Any:
    return _READ[target.type](text, target.name)


def _number(text: str, name: str) -> Decimal:
    try:
        return decimal_from(text.strip())
    except NotANumber as error:
        raise Misfit("invalid_label", name, str(error)) from None


def _boolean(text: str, name: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise Misfit("invalid_label", name, "neither true nor false")


def _json(text: str, name: str) -> Any:
    try:
        return _decode_json(text)
    except (msgspec.MsgspecError, ValueError, RecursionError, ArithmeticError):
        raise Misfit("invalid_label", name, "not valid JSON") from None


_READ: dict[str, Callable[[str, str], Any]] = {
    "text": lambda text, _: text,
    "number": _number,
    "boolean": _boolean,
    "json": _json,
}
