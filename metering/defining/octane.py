"""Octane's Meter JSON: what of it is a metric of ours, and what of a metric it can say. Pure.

Fields, required ones and enums are those of the published schema "Meter" of Octane's REST API
(`octane-meter-schema.json` at github.com/api-evangelist/octane, draft-07, `additionalProperties: false`);
meanings are those of docs.getoctane.io, "Creating meters", "Measurement labels" and "Meter event label
filtering". The schema leaves the inside of `event_label_filter` open: it is spelled as ours here. By the
documentation it can ask for a text's equality and for presence, joined by AND, OR and NOT, and nothing else.

Who owns a metric, since when it counts and its reset period are not part of a Meter: the importer says the
first two, and the last is monthly. A measured text, which Octane counts by UNIQUE_COUNT, is the measurement's
value there and the label `value` here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metering.measuring.label_filter import InvalidFilter, filter_from

REQUIRED = (
    "name",
    "event_name",
    "meter_type",
    "data_type",
    "aggregation",
    "is_incremental",
    "reporting_method",
)
OPTIONAL = (
    "display_name",
    "description",
    "unit_name",
    "expected_labels",
    "primary_labels",
    "event_label_filter",
)
AGGREGATIONS = ("SUM", "COUNT", "MAX", "MIN", "UNIQUE_COUNT")
TEXT_LABEL = "value"
DEFAULT_RESET_PERIOD = "monthly"
_CHOICES = {
    "meter_type": ("counter", "gauge"),
    "data_type": ("INT", "FLOAT", "STRING"),
    "aggregation": AGGREGATIONS,
    "reporting_method": ("periodic", "total"),
}
_LISTS = ("expected_labels", "primary_labels")
_OUR_NAMES = {"name": "key", "unit_name": "unit"}
_THEIR_NAMES = {ours: theirs for theirs, ours in _OUR_NAMES.items()} | {"value_property": "data_type"}
_EQUALITIES = ("$eq", "$ne", "$in", "$nin")


@dataclass(frozen=True, slots=True)
class Objection:
    """What stands against reading a Meter, or against writing one. `field` is Octane's name when reading."""

    code: str
    field: str | None
    detail: str


class NotAMeter(ValueError):
    """The JSON isn't a Meter. Carries everything that is wrong with it."""

    def __init__(self, objections: Sequence[Objection]) -> None:
        super().__init__("; ".join(objection.detail for objection in objections))
        self.objections = objections


class BeyondOctane(ValueError):
    """A Meter can't say what the metric means. Carries every reason, by our field names."""

    def __init__(self, objections: Sequence[Objection]) -> None:
        super().__init__("; ".join(objection.detail for objection in objections))
        self.objections = objections


def octane_field(ours: str | None) -> str | None:
    """Octane's name of a field of ours."""
    return ours if ours is None else _THEIR_NAMES.get(ours, ours)


def definition_from(meter: Any) -> dict[str, Any]:
    """The fields of a definition, by our names, that a Meter spells. Raises `NotAMeter`.

    Enums are taken in any case, as Octane's own documents spell them both ways. Null is absence.
    """
    if not isinstance(meter, Mapping):
        raise NotAMeter([Objection("invalid_field", None, "A Meter is a JSON object.")])
    objections = [
        Objection("invalid_field", str(name)[:100], "A Meter has no such field.")
        for name in meter
        if name not in {*REQUIRED, *OPTIONAL}
    ]
    fields: dict[str, Any] = {}
    for name in (*REQUIRED, *OPTIONAL):
        value = meter.get(name)
        if value is None:
            if name in REQUIRED:
                objections.append(Objection("missing_field", name, "Octane requires this field."))
            continue
        try:
            fields[_OUR_NAMES.get(name, name)] = _read(name, value)
        except ValueError as error:
            objections.append(Objection("invalid_field", name, str(error)))
    if objections:
        raise NotAMeter(objections)
    if fields["data_type"] == "STRING" and fields["aggregation"] == "UNIQUE_COUNT":
        fields["value_property"] = TEXT_LABEL
    return fields


def _read(name: str, value: Any) -> Any:
    """One field's value. Raises `ValueError` with what is wrong."""
    if name == "is_incremental":
        if not isinstance(value, bool):
            raise ValueError("Must be true or false.")
        return value
    if name in _LISTS:
        if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
            raise ValueError("Must be an array of texts.")
        return list(value)
    if name == "event_label_filter":
        return _filter(value)
    if not isinstance(value, str):
        raise ValueError("Must be a text.")
    if name in REQUIRED and not value:
        raise ValueError("Must not be empty.")
    if name not in _CHOICES:
        return value
    by_folded = {choice.casefold(): choice for choice in _CHOICES[name]}
    if value.casefold() not in by_folded:
        raise ValueError(f"Must be one of {', '.join(_CHOICES[name])}.")
    return by_folded[value.casefold()]


def _filter(value: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(value.get("is_expression"), bool):
        raise ValueError(
            "Octane's nested expressions (is_expression) aren't read; write label: value, with $and, $or,"
            " $ne, $in, $nin and $exists where needed."
        )
    try:
        filter_from(value)
    except InvalidFilter as error:
        raise ValueError(str(error)) from None
    return value


def meter_from(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The Meter that says what a definition means; `definition` maps our field names to values.

    `definition_from` reads it back to the same meaning. Raises `BeyondOctane` with every reason.
    """
    objections = list(_objections(definition))
    if objections:
        raise BeyondOctane(objections)
    return {
        "name": definition["key"],
        "display_name": definition["display_name"],
        "description": definition["description"],
        "event_name": definition["event_name"],
        "meter_type": definition["meter_type"],
        "data_type": definition["data_type"],
        "aggregation": definition["aggregation"],
        "unit_name": definition["unit"],
        "is_incremental": definition["is_incremental"],
        "reporting_method": definition["reporting_method"],
        "expected_labels": list(definition["expected_labels"]),
        "primary_labels": list(definition["primary_labels"]),
        "event_label_filter": definition["event_label_filter"],
    }


def _objections(definition: Mapping[str, Any]) -> list[Objection]:
    found = []

    def object_to(field: str, detail: str) -> None:
        found.append(Objection("inexpressible", field, detail))

    counts_texts = definition["data_type"] == "STRING" and definition["aggregation"] == "UNIQUE_COUNT"
    value_property = definition["value_property"]
    if definition["aggregation"] not in AGGREGATIONS:
        object_to("aggregation", f"Octane has no aggregation {definition['aggregation']}.")
    if value_property and not (counts_texts and value_property == TEXT_LABEL):
        object_to("value_property", f"Octane reads a measurement's value, not its label '{value_property}'.")
    if definition["reporting_method"] == "total" and definition["reset_period"] != DEFAULT_RESET_PERIOD:
        object_to(
            "reset_period",
            f"A Meter doesn't say that running totals begin again {definition['reset_period']}.",
        )
    for detail in sorted(set(_filter_objections(definition["event_label_filter"]))):
        object_to("event_label_filter", detail)
    if definition.get("archived_from") is not None:
        object_to("archived_from", "The metric is archived; a Meter always counts.")
    return found


def _filter_objections(spec: Mapping[str, Any]) -> list[str]:
    found = []
    for name, wanted in spec.items():
        if name in {"$and", "$or"}:
            for part in wanted:
                found += _filter_objections(part)
            continue
        conditions = wanted if isinstance(wanted, Mapping) else {"$eq": wanted}
        for operator, operand in conditions.items():
            if operator in _EQUALITIES:
                values = operand if isinstance(operand, list) else [operand]
                if not all(isinstance(value, str) for value in values):
                    found.append(f"Octane's labels are texts; '{name}' is compared with something else.")
            elif operator != "$exists":
                found.append(f"Octane has no {operator}, which '{name}' is compared by.")
    return found
