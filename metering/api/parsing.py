"""Request bodies and query parameters, read strictly: exact numbers, known names, clear complaints."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from django.http import QueryDict
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser

from metering.answering.positions import position_at
from metering.errors import Invalid
from metering.measuring.windows import UnknownTimeZone, first_instant, zone_named
from metering.recording.repeated_members import repeated_member
from metering.texts.numbers import MAX_NUMBER_LENGTH
from metering.texts.timestamps import EARLIEST, NotAnInstant, NotRfc3339, instant_from

MAX_SMALL_BODY_BYTES = 1024 * 1024  # definitions, quotas, projects: nothing of them is larger
MAX_DEPTH = 100  # far beyond any filter of labels; what goes on to read it may recurse
MAX_FIELD_LENGTH = 255  # of a path that a complaint repeats
_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_PARAMETER_ALIASES = {"metric_key": "metric", "project_id": "project", "org_id": "project"}
# Beyond any usage, and far enough from the calendar's end for arithmetic on windows.
_LATEST_YEAR = 9000
_LABEL_PARAMETER = re.compile(r"labels\[(.+)\]")


def _exact(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_LENGTH:
        raise ValueError(f"a number has more than {MAX_NUMBER_LENGTH} characters")
    return Decimal(text)


_decode = msgspec.json.Decoder(float_hook=_exact).decode


class ExactJSONParser(BaseParser):
    """JSON whose fractions arrive as `Decimal`; refuses repeated members and what PostgreSQL can't store."""

    media_type = "application/json"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        request = (parser_context or {}).get("request")
        coding = "" if request is None else request.META.get("HTTP_CONTENT_ENCODING", "")
        if coding.strip().lower() not in {"", "identity"}:
            raise UnsupportedMediaType(coding, detail="Send the body as it is, not compressed.")
        body = stream.read(MAX_SMALL_BODY_BYTES + 1)
        if len(body) > MAX_SMALL_BODY_BYTES:
            raise Invalid("The body is too large.", code="payload_too_large")
        try:
            data = _decode(body)
            repeated = repeated_member(body)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        except (msgspec.MsgspecError, ValueError, ArithmeticError) as error:
            raise ParseError(f"The body isn't valid JSON: {error}.") from None
        if _is_deeper_than(MAX_DEPTH, data):
            raise ParseError("The JSON is nested too deeply.")
        if repeated is not None:
            raise Invalid("The member is sent twice; send it once.", field=repeated[:MAX_FIELD_LENGTH])
        if b"\\u0000" in body:
            _refuse_nul(data, "body")
        return data


def _is_deeper_than(depth: int, data: Any) -> bool:
    layer = [data]
    for _ in range(depth + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return True


def _refuse_nul(value: Any, field: str) -> None:
    if isinstance(value, str) and "\x00" in value:
        raise Invalid("Holds a NUL character.", field=field)
    if isinstance(value, dict):
        for name, inner in value.items():
            if "\x00" in name:
                raise Invalid("Holds a NUL character.", field=field)
            _refuse_nul(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            _refuse_nul(inner, field)


def snake_case(name: str) -> str:
    """`resetPeriod` is `reset_period`."""
    return _CAMEL.sub(lambda match: "_" + match.group(1).lower(), name)


def members_of(
    data: Any, *, known: Iterable[str], aliases: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The members of a JSON object by our names: camelCase and `aliases` resolved, explicit nulls kept.

    Raises `Invalid` for anything but an object, for unknown members and for one sent under two names.
    """
    if not isinstance(data, Mapping):
        raise Invalid("The body must be a JSON object.")
    names = set(known)
    members: dict[str, Any] = {}
    for sent, value in data.items():
        name = snake_case(sent)
        if name not in names:
            name = (aliases or {}).get(name, name)
        if name not in names:
            raise Invalid("There is no such member.", field=sent[:100])
        if name in members:
            raise Invalid(f"'{sent}' is another name of a member that was sent already.", field=sent)
        members[name] = value
    return members


def text_of(members: Mapping[str, Any], name: str, *, max_length: int = 255) -> str | None:
    """A text member, or None where it is absent or null. Raises `Invalid`."""
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Invalid("Must be a text.", field=name)
    if len(value) > max_length:
        raise Invalid(f"At most {max_length} characters.", field=name)
    return value


def choice_of(members: Mapping[str, Any], name: str, choices: Iterable[str]) -> str | None:
    """One of `choices`, in any case; None where it is absent. Raises `Invalid`."""
    value = text_of(members, name)
    if value is None:
        return None
    by_folded = {choice.casefold(): choice for choice in choices}
    found = by_folded.get(value.casefold())
    if found is None:
        raise Invalid(f"Must be one of {', '.join(by_folded.values())}.", field=name)
    return found


class Query:
    """The query parameters of one request; every one must be known and given once."""

    def __init__(self, parameters: QueryDict, *, known: Iterable[str], with_labels: bool = False) -> None:
        names = set(known)
        self._values: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        for sent, values in parameters.lists():
            label = _LABEL_PARAMETER.fullmatch(sent) if with_labels else None
            name = sent if label is not None or sent in names else snake_case(sent)
            if label is None and name not in names:
                name = _PARAMETER_ALIASES.get(name, sent)
            if label is None and name not in names:
                raise Invalid("There is no such parameter.", field=name[:100])
            if len(values) > 1 or name in self._values:
                raise Invalid("Given more than once.", field=name[:100])
            if "\x00" in values[0] or "\x00" in name:
                raise Invalid("Holds a NUL character.", field=name[:100].replace("\x00", ""))
            if label is not None:
                self.labels[label.group(1)] = values[0]
            elif values[0] == "":
                # An unset variable in a script must not turn into a wider question.
                raise Invalid("Is empty; leave it out or give it a value.", field=name)
            else:
                self._values[name] = values[0]

    def text(self, name: str) -> str | None:
        return self._values.get(name)

    def needed(self, name: str) -> str:
        value = self._values.get(name)
        if value is None:
            raise Invalid("This parameter is needed.", field=name, code="missing_field")
        return value

    def choice(self, name: str, choices: Iterable[str]) -> str | None:
        return choice_of(self._values, name, choices)

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.choice(name, ("true", "false", "1", "0"))
        return default if value is None else value in {"true", "1"}

    def flag_or_none(self, name: str) -> bool | None:
        """A flag for which leaving it out is a third answer."""
        return self.flag(name) if name in self._values else None

    def number(self, name: str, *, default: int, least: int, most: int) -> int:
        value = self._values.get(name)
        if value is None:
            return default
        if not re.fullmatch("[0-9]{1,9}", value, re.ASCII) or not least <= int(value) <= most:
            raise Invalid(f"Must be a whole number from {least} to {most}.", field=name)
        return int(value)

    def row_id(self, name: str) -> int | None:
        """A ledger id; None where it isn't asked for."""
        value = self._values.get(name)
        if value is not None and not re.fullmatch("[0-9]{1,18}", value, re.ASCII):
            raise Invalid("Must be a ledger id, a whole number.", field=name)
        return None if value is None else int(value)

    def zone(self, name: str = "timezone") -> ZoneInfo:
        value = self._values.get(name, "UTC")
        try:
            return zone_named(value)
        except UnknownTimeZone:
            raise Invalid(f"There is no time zone '{value[:64]}'.", field=name) from None

    def instant(self, name: str, *, zone: ZoneInfo) -> dt.datetime | None:
        """An RFC 3339 time, or a date: the first instant of that day in `zone`."""
        value = self._values.get(name)
        if value is None:
            return None
        if _DATE.fullmatch(value):
            try:
                day = dt.date.fromisoformat(value)
            except ValueError:
                raise Invalid("There is no such date.", field=name) from None
            if not EARLIEST.year <= day.year < _LATEST_YEAR:
                raise Invalid(f"Must lie between {EARLIEST.year} and {_LATEST_YEAR}.", field=name)
            return first_instant(day, zone)
        try:
            instant = instant_from(_with_plus(value))
        except NotRfc3339 as error:
            raise Invalid(f"Neither a date, such as 2026-11-01, nor {str(error)[4:]}.", field=name) from None
        except NotAnInstant as error:
            raise Invalid(f"{str(error)[:1].upper()}{str(error)[1:]}.", field=name) from None
        if instant.year >= _LATEST_YEAR:
            raise Invalid(f"Must lie before the year {_LATEST_YEAR}.", field=name)
        return instant

    def position(self, name: str = "as_of") -> int | None:
        """The ledger position that is asked for, as a position or a time; see `position_at`."""
        value = self._values.get(name)
        return None if value is None else position_at(_with_plus(value))


def _with_plus(text: str) -> str:
    """An unescaped "+" of an offset arrives as a blank."""
    return text[:-6] + text[-6:].replace(" ", "+")
