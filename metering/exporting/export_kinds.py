"""Which exports there are: what each is asked by, its columns and what they mean.

Apps add kinds of their own by naming them in EXPORT_KINDS. A kind promises that its columns keep their names,
order and meaning; new ones are added at the end.
"""

import datetime as dt
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from metering.errors import Invalid, NotFound
from metering.models import Project
from metering.texts.csv_blocks import Block
from metering.texts.timestamps import EARLIEST, NotAnInstant, instant_from, iso

LATEST_YEAR = 9000
MAX_TEXT_LENGTH = 255
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


class Shape(StrEnum):
    """What a filter's value looks like."""

    TEXT = "text"
    DAY = "day"
    INSTANT = "instant"
    NUMBER = "number"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file. `meaning` is written for whoever opens it."""

    name: str
    meaning: Any


@dataclass(frozen=True, slots=True)
class Filter:
    """One thing that an export can be limited by. `choices`: (value, label) of a choice.

    `offers` yields values with their labels, which a page may offer to staff beside the field.
    """

    name: str
    label: Any
    shape: Shape = Shape.TEXT
    help_text: Any = ""
    choices: Sequence[tuple[str, Any]] = ()
    is_required: bool = False
    max_length: int = MAX_TEXT_LENGTH
    offers: Callable[[], Iterable[tuple[str, str]]] = tuple

    def value_of(self, sent: object) -> Any:
        """What was sent, as a text, day, instant or number. Raises `Invalid` that names the filter."""
        if isinstance(sent, int) and not isinstance(sent, bool) and self.shape == Shape.NUMBER:
            sent = str(sent)
        if not isinstance(sent, str):
            raise Invalid("Must be a text.", field=self.path)
        if not sent or len(sent) > self.max_length or "\x00" in sent:
            raise Invalid("Must have from 1 to {most} characters.", most=self.max_length, field=self.path)
        return getattr(self, f"_{self.shape}")(sent)

    @property
    def path(self) -> str:
        return f"filters.{self.name}"

    def _text(self, sent: str) -> str:
        return sent

    def _number(self, sent: str) -> int:
        if not _NUMBER.fullmatch(sent):
            raise Invalid("Must be a whole number.", field=self.path)
        return int(sent)

    def _choice(self, sent: str) -> str:
        by_folded = {value.casefold(): value for value, _ in self.choices}
        if sent.casefold() not in by_folded:
            raise Invalid("Must be one of {known}.", known=", ".join(by_folded.values()), field=self.path)
        return by_folded[sent.casefold()]

    def _day(self, sent: str) -> dt.date:
        if not _DAY.fullmatch(sent):
            raise Invalid("Must be a day such as 2026-03-31.", field=self.path)
        try:
            day = dt.date.fromisoformat(sent)
        except ValueError:
            raise Invalid("There is no such day.", field=self.path) from None
        if not EARLIEST.year <= day.year < LATEST_YEAR:
            raise Invalid(
                "Must lie between {earliest} and {latest}.",
                earliest=EARLIEST.year,
                latest=LATEST_YEAR,
                field=self.path,
            )
        return day

    def _instant(self, sent: str) -> dt.datetime:
        """A day stands for its first instant in UTC."""
        if _DAY.fullmatch(sent):
            return dt.datetime.combine(self._day(sent), dt.time(), dt.UTC)
        try:
            instant = instant_from(sent)
        except NotAnInstant as error:
            raise Invalid("Is {why}.", why=error, field=self.path) from None
        if instant.year >= LATEST_YEAR:
            raise Invalid("Must lie before the year {latest}.", latest=LATEST_YEAR, field=self.path)
        return instant


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants in a file: of all that lies at and below `project_path` (None: of everything), what
    the filters leave."""

    project_path: str | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """The value of a filter; None where it isn't set."""
        return self.filters.get(name)

    def project(self) -> Project | None:
        """The project that the filter `project` names. Raises `NotFound`, also where it lies elsewhere."""
        key = self["project"]
        if key is None:
            return None
        project = Project.objects.filter(key=key).first()
        if project is None or not project.path.startswith(self.project_path or ""):
            raise NotFound("There is no project '{key}'.", key=key[:100])
        return project


@dataclass(frozen=True, slots=True)
class ExportKind:
    """A kind of file. `blocks` streams it from one snapshot in flat memory; closed early, it stops reading.

    `ensure` raises `NotFound` or `Invalid` for filters that name nothing, before anybody waits for it.
    `expected_count` says how many rows there will be, or about how many, or None. Staff need the `right`.
    """

    name: str
    title: Any
    description: Any
    right: str
    columns: Sequence[Column]
    filters: Sequence[Filter]
    blocks: Callable[[Asked], Generator[Block, None, None]]
    ensure: Callable[[Asked], object]
    expected_count: Callable[[Asked], int | None]

    @property
    def header(self) -> list[str]:
        return [column.name for column in self.columns]


def registered_kinds() -> list[ExportKind]:
    """All kinds, in the order of EXPORT_KINDS."""
    return [import_string(path) for path in settings.EXPORT_KINDS]


def kind_named(name: str) -> ExportKind:
    """Raises `Invalid` for a kind that there is not."""
    by_name = {kind.name: kind for kind in registered_kinds()}
    if name not in by_name:
        raise Invalid("Must be one of {known}.", known=", ".join(by_name), field="kind")
    return by_name[name]


def kind_to_make(name: str) -> ExportKind:
    """Also one of a family of EXPORT_KIND_FAMILIES, "family:member": those are asked for on pages of their
    own, never by name. Raises `Invalid` for a kind that there is not."""
    family, colon, member = name.partition(":")
    if colon and family in settings.EXPORT_KIND_FAMILIES:
        kind: ExportKind = import_string(settings.EXPORT_KIND_FAMILIES[family])(member)
        return kind
    return kind_named(name)


def filters_of(kind: ExportKind, sent: Mapping[str, object]) -> dict[str, Any]:
    """What was sent, each value of its shape; null is absence. Raises `Invalid` that names the filter.

    An interval that ends before it begins is refused; an empty one is not.
    """
    known = {one.name: one for one in kind.filters}
    for name in sent:
        if name not in known:
            raise Invalid("There is no such filter.", field=f"filters.{name[:100]}")
    values = {name: known[name].value_of(value) for name, value in sent.items() if value is not None}
    for one in kind.filters:
        if one.is_required and one.name not in values:
            raise Invalid("This filter is needed.", field=one.path, code="missing_field")
    start = values.get("from")
    end_name = "to" if "to" in known else "until"
    end = values.get(end_name)
    if start is not None and end is not None and start > end:
        raise Invalid("Lies before the beginning.", field=f"filters.{end_name}")
    return values


def as_stored(values: Mapping[str, Any]) -> dict[str, str | int]:
    """Filters as JSON, from which `filters_of` makes the same again."""
    return {name: _stored(value) for name, value in values.items()}


def _stored(value: Any) -> str | int:
    if isinstance(value, dt.datetime):
        return iso(value)
    return value.isoformat() if isinstance(value, dt.date) else value
