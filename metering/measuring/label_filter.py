"""Conditions on an event's labels: `{"region": "eu", "size": {"$gt": 10}, "$or": [...]}`. Pure.

A condition has two faces, a Python predicate for recording and an SQL expression for everything set-based;
both compare typed: "5" isn't 5, true isn't 1. A label that is absent fails every comparison, and so passes
`$ne` and `$nin`. Numbers compare by value, texts by code point.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from metering.errors import Worded

Labels = Mapping[str, Any]

MAX_CONDITIONS = 100
_ABSENT = object()
_COMPARISONS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


class InvalidFilter(Worded, ValueError):
    """The filter can't be read; the message says where."""


class Params(dict[str, Any]):
    """Named parameters of one SQL statement. `owners` are those that hold the projects below a path."""

    def __init__(self) -> None:
        super().__init__()
        self.owners: dict[str, str] = {}

    def add(self, value: Any) -> str:
        """Bind `value` and return its placeholder."""
        name = f"p{len(self)}"
        self[name] = value
        return f"%({name})s"


def value_at(labels: Labels, path: str) -> Any:
    """The value under a dotted path, or the module's marker for absence. See `is_absent`."""
    if "." not in path:
        return labels.get(path, _ABSENT)
    value: Any = labels
    for part in path.split("."):
        if type(value) is not dict or part not in value:
            return _ABSENT
        value = value[part]
    return value


def is_absent(value: Any) -> bool:
    return value is _ABSENT


def path_sql(labels: str, path: str, params: Params) -> str:
    """SQL for the jsonb value under a dotted path, which leads through objects and never into arrays."""
    return labels + "".join(f" -> {params.add(part)}::text" for part in path.split("."))


def text_sql(labels: str, path: str, params: Params) -> str:
    """SQL for the text of the value under a dotted path; absent and JSON null are NULL."""
    return f"({path_sql(labels, path, params)}) #>> '{{}}'"


def _comparable(value: Any) -> Any:
    """A value with its type, so that equality is typed and numbers compare by value."""
    if value is None or isinstance(value, bool):
        return ("literal", value)
    if isinstance(value, float):
        return ("number", Decimal(repr(value)))
    if isinstance(value, int | Decimal):
        return ("number", Decimal(value))
    if isinstance(value, str):
        return ("text", value)
    return ("other", None)


def _is_storable(text: str) -> bool:
    """PostgreSQL's text holds neither NUL nor half a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


class Condition:
    """One comparison of one label with one operand, or a set of them."""

    def __init__(self, path: str, operator: str, operand: Any) -> None:
        self.path, self.operator, self.operand = path, operator, operand
        if operator in {"$in", "$nin"}:
            if not isinstance(operand, list) or not operand:
                raise InvalidFilter(
                    "{path}: {operator} takes a list of values.", path=path, operator=operator
                )
            operands = operand
        else:
            operands = [operand]
        if operator == "$exists":
            if not isinstance(operand, bool):
                raise InvalidFilter("{path}: $exists takes true or false.", path=path)
        elif operator in _COMPARISONS:
            if isinstance(operand, bool) or not isinstance(operand, int | float | Decimal | str):
                raise InvalidFilter(
                    "{path}: {operator} takes a number or a text.", path=path, operator=operator
                )
        elif any(isinstance(value, list | dict) for value in operands):
            raise InvalidFilter("{path}: values must be texts, numbers, true, false or null.", path=path)
        if not all(_is_storable(value) for value in operands if isinstance(value, str)):
            raise InvalidFilter("{path}: a text that can't be stored.", path=path[:100])
        self._comparables = [_comparable(value) for value in operands]

    def matches(self, labels: Labels) -> bool:
        value = value_at(labels, self.path)
        absent = value is _ABSENT
        if self.operator == "$exists":
            return absent is not self.operand
        negated = self.operator in {"$ne", "$nin"}
        if absent:
            return negated
        comparable = _comparable(value)
        if self.operator in _COMPARISONS:
            kind, operand = self._comparables[0]
            if comparable[0] != kind:
                return False
            if self.operator == "$gt":
                return bool(comparable[1] > operand)
            if self.operator == "$gte":
                return bool(comparable[1] >= operand)
            if self.operator == "$lt":
                return bool(comparable[1] < operand)
            return bool(comparable[1] <= operand)
        return (comparable in self._comparables) is not negated

    def sql(self, labels: str, params: Params) -> str:
        value = path_sql(labels, self.path, params)
        if self.operator == "$exists":
            return f"({value}) IS {'NOT ' if self.operand else ''}NULL"
        if self.operator in _COMPARISONS:
            sign = _COMPARISONS[self.operator]
            kind, operand = self._comparables[0]
            text = f"({value}) #>> '{{}}'"
            if kind == "number":
                return (
                    f"CASE WHEN jsonb_typeof({value}) = 'number'"
                    f" THEN ({text})::numeric {sign} {params.add(operand)}::numeric ELSE FALSE END"
                )
            return (
                f"CASE WHEN jsonb_typeof({value}) = 'string'"
                f' THEN ({text}) COLLATE "C" {sign} {params.add(operand)}::text ELSE FALSE END'
            )
        json_operands = params.add([_json(kind, operand) for kind, operand in self._comparables])
        found = f"COALESCE(({value}) = ANY ({json_operands}::jsonb[]), FALSE)"
        return f"NOT {found}" if self.operator in {"$ne", "$nin"} else found


def _json(kind: str, operand: Any) -> str:
    if kind == "text":
        return json.dumps(operand)
    if kind == "number":
        return format(operand, "f")
    return {None: "null", True: "true", False: "false"}[operand]


class AllOf:
    """Every part matches; without parts, everything does."""

    joint, empty = " AND ", "TRUE"

    def __init__(self, parts: list["Condition | AllOf"]) -> None:
        self.parts = parts

    def matches(self, labels: Labels) -> bool:
        return all(part.matches(labels) for part in self.parts)

    def sql(self, labels: str, params: Params) -> str:
        if not self.parts:
            return self.empty
        return "(" + self.joint.join(part.sql(labels, params) for part in self.parts) + ")"

    def __len__(self) -> int:
        return sum(len(part) if isinstance(part, AllOf) else 1 for part in self.parts)


class AnyOf(AllOf):
    """At least one part matches."""

    joint, empty = " OR ", "FALSE"

    def matches(self, labels: Labels) -> bool:
        return any(part.matches(labels) for part in self.parts)


class NoneOf(AnyOf):
    """No part matches."""

    def matches(self, labels: Labels) -> bool:
        return not super().matches(labels)

    def sql(self, labels: str, params: Params) -> str:
        return f"NOT {super().sql(labels, params)}"


def filter_from(spec: Any, *, _depth: int = 0) -> AllOf:
    """The condition that a stored or posted filter spells. Raises `InvalidFilter`."""
    if not isinstance(spec, Mapping):
        raise InvalidFilter("A filter is an object of label: value.")
    if _depth > 8:
        raise InvalidFilter("The filter is nested too deeply.")
    parts: list[Condition | AllOf] = []
    for name, wanted in spec.items():
        if name in {"$and", "$or"}:
            if not isinstance(wanted, list) or not wanted:
                raise InvalidFilter("{name} takes a list of filters.", name=name)
            inner: list[Condition | AllOf] = [filter_from(part, _depth=_depth + 1) for part in wanted]
            parts.append(AllOf(inner) if name == "$and" else AnyOf(inner))
        elif name.startswith("$"):
            raise InvalidFilter("{name} isn't a known operator.", name=name)
        elif not name or not _is_storable(name):
            raise InvalidFilter("A label needs a name that can be stored.")
        elif isinstance(wanted, Mapping):
            if not wanted:
                raise InvalidFilter("{name}: names no operator.", name=name)
            for operator, operand in wanted.items():
                if operator not in {"$eq", "$ne", "$in", "$nin", "$exists", *_COMPARISONS}:
                    raise InvalidFilter(
                        "{name}: {operator} isn't a known operator.", name=name, operator=operator
                    )
                parts.append(Condition(name, operator, operand))
        elif isinstance(wanted, list):
            parts.append(Condition(name, "$in", wanted))
        else:
            parts.append(Condition(name, "$eq", wanted))
    result = AllOf(parts)
    if len(result) > MAX_CONDITIONS:
        raise InvalidFilter("A filter has at most {most} conditions.", most=MAX_CONDITIONS)
    return result
