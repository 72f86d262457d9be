"""A metric's meaning in one English sentence. Pure but for its texts."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from metering.measuring.meaning import steps_of
from metering.measuring.steps import Steps
from metering.models import MetricDefinition

_OPERATORS = {"$eq": "=", "$ne": "≠", "$gt": ">", "$gte": "≥", "$lt": "<", "$lte": "≤"}


def meaning_in_words(metric: MetricDefinition) -> str:
    """What the metric takes from which events, such as "Sum of label “bytes” of “api.request” events"."""
    sentence = _taken(metric)
    if metric.event_label_filter:
        sentence += ", " + _("only where %(condition)s") % {
            "condition": condition_in_words(metric.event_label_filter)
        }
    if metric.primary_labels:
        sentence += ", " + _("kept apart by %(labels)s") % {"labels": ", ".join(metric.primary_labels)}
    return sentence + "."


def _taken(metric: MetricDefinition) -> str:
    of_label = {"label": metric.value_property}
    has_label = bool(metric.value_property)
    facts = {
        "event": metric.event_name,
        "values": _("label “%(label)s”") % of_label if has_label else _("the quantity"),
        "value": _("value of label “%(label)s”") % of_label if has_label else _("quantity"),
    }
    steps = steps_of(metric)
    kinds = MetricDefinition.Aggregation
    if metric.aggregation == kinds.TIME_WEIGHTED_AVG and steps is None:
        return _("Average over time of the level that %(values)s of “%(event)s” events changes") % facts
    if metric.aggregation == kinds.SUM and steps is not None:
        return _steps_taken(steps) % facts
    sentences = {
        kinds.COUNT: _("Number of “%(event)s” events"),
        kinds.SUM: _("Sum of %(values)s of “%(event)s” events"),
        kinds.AVG: _("Average of %(values)s of “%(event)s” events"),
        kinds.MAX: _("Largest %(value)s of “%(event)s” events"),
        kinds.MIN: _("Smallest %(value)s of “%(event)s” events"),
        kinds.UNIQUE_COUNT: _("Number of different values of %(values)s of “%(event)s” events"),
        kinds.LATEST: _("Latest %(value)s of “%(event)s” events"),
        kinds.TIME_WEIGHTED_AVG: _("Average over time of %(values)s of “%(event)s” events"),
    }
    return sentences[kinds(metric.aggregation)] % facts


def _steps_taken(steps: Steps) -> str:
    """What a sum of steps between readings adds up."""
    if steps.first_counts:
        since = {
            "hourly": _("the hour began"),
            "daily": _("the day began"),
            "weekly": _("the week began"),
            "monthly": _("the month began"),
            "yearly": _("the year began"),
        }.get(steps.reset_period, _("ever"))
        # The other facts are filled in by the caller.
        return _("What each “%%(event)s” reading adds to the total since %(since)s, by %%(values)s") % {
            "since": since
        }
    if steps.restarts:
        return _("Increase from one “%(event)s” reading to the next, by %(values)s")
    return _("Change from one “%(event)s” reading to the next, by %(values)s")


def condition_in_words(condition: Mapping[str, Any]) -> str:
    """A label filter as text: `region = eu and size > 10`."""
    return _joined([_clause(name, wanted) for name, wanted in condition.items()], _("and"))


def _clause(name: str, wanted: Any) -> str:
    if name in {"$and", "$or"}:
        word = _("and") if name == "$and" else _("or")
        return "(" + _joined([condition_in_words(part) for part in wanted], word) + ")"
    if isinstance(wanted, list):
        return _("%(label)s is one of %(values)s") % {"label": name, "values": _listed(wanted)}
    if not isinstance(wanted, Mapping):
        return f"{name} = {_text(wanted)}"
    return _joined([_comparison(name, operator, value) for operator, value in wanted.items()], _("and"))


def _comparison(name: str, operator: str, value: Any) -> str:
    if operator == "$exists":
        return _("%s is present") % name if value else _("%s is absent") % name
    if operator == "$in":
        return _("%(label)s is one of %(values)s") % {"label": name, "values": _listed(value)}
    if operator == "$nin":
        return _("%(label)s is none of %(values)s") % {"label": name, "values": _listed(value)}
    return f"{name} {_OPERATORS.get(operator, operator)} {_text(value)}"


def _joined(parts: list[str], word: str) -> str:
    return f" {word} ".join(parts)


def _listed(values: list[Any]) -> str:
    return ", ".join(map(_text, values))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
