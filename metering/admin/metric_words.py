"""A metric's meaning in plain sentences: what is taken from which events, and how it adds up.

Law: every definition that holds has a sentence, and none shows how it is stored.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from metering.measuring.meaning import steps_of
from metering.measuring.steps import Steps
from metering.models import MetricDefinition

from . import cells

_PLAIN = re.compile(r"[^\W\d_][\w.:/@-]*")  # what nobody takes for a number or for a part of the sentence
_RESERVED = frozenset({"true", "false", "null", "none", "empty", "and", "or", "is", "not", "anything"})
Kind = MetricDefinition.Aggregation


def meaning_in_words(metric: MetricDefinition) -> str:
    """The whole of it: “Sum of label “tokens” of events “llm.request” where region is eu, per month.”"""
    sentence = _("%(taken)s of events “%(event)s”")
    if metric.aggregation == Kind.COUNT:
        sentence = _("%(taken)s “%(event)s”")
    steps = steps_of(metric)
    sentence = sentence % {"taken": _taken(metric, steps), "event": metric.event_name}
    if metric.event_label_filter:
        sentence += " " + _("where %s") % condition_in_words(metric.event_label_filter)
    if metric.primary_labels:
        sentence += ", " + _("kept apart by %s") % joined(
            [_name(one) for one in metric.primary_labels], _("and")
        )
    if not (steps is not None and _states_total(metric)):  # whose beginning was said already
        sentence += ", " + _period(metric)
    return sentence + "."


def reading_in_words(metric: MetricDefinition) -> str:
    """Which values it takes, and what every event must carry; empty where nothing is asked of them."""
    parts = []
    if metric.data_type == MetricDefinition.DataType.STRING:
        if metric.value_property:
            parts.append(_("It takes texts."))
    elif metric.aggregation != Kind.COUNT or metric.value_property:
        is_whole = metric.data_type == MetricDefinition.DataType.INT
        numbers = _("whole numbers") if is_whole else pgettext("values", "numbers")
        if metric.meter_type == MetricDefinition.MeterType.COUNTER:
            parts.append(_("It takes %s that are never negative.") % numbers)
        else:
            parts.append(_("It takes %s, which may be negative.") % numbers)
    if metric.expected_labels:
        names = joined([_name(one) for one in metric.expected_labels], _("and"))
        parts.append(_("Events without %s are refused.") % names)
    return " ".join(parts)


def reach_in_words(aggregation: str) -> str:
    """What one number over several projects stands for, where it isn't their sum; empty where it is."""
    return {
        "AVG": _("average over all projects"),
        "MIN": _("smallest of any project"),
        "MAX": _("largest of any project"),
        "LATEST": _("latest reading of any project"),
    }.get(aggregation, "")


def _taken(metric: MetricDefinition, steps: Steps | None) -> str:
    of_label = {"label": metric.value_property}
    has_label = bool(metric.value_property)
    values = _("label “%(label)s”") % of_label if has_label else _("the quantity")
    if metric.aggregation == Kind.TIME_WEIGHTED_AVG and steps is None:
        return _("Average over time of the level that is changed by %s") % values
    if metric.aggregation == Kind.SUM and steps is not None:
        return _steps_taken(steps, values)
    words = {
        Kind.COUNT: _("Number of events"),
        Kind.SUM: _("Sum of %(values)s"),
        Kind.AVG: _("Average of %(values)s"),
        Kind.MAX: _("Largest value of %(values)s") if has_label else _("Largest quantity"),
        Kind.MIN: _("Smallest value of %(values)s") if has_label else _("Smallest quantity"),
        Kind.UNIQUE_COUNT: _("Number of different values of %(values)s"),
        Kind.LATEST: _("Latest value of %(values)s") if has_label else _("Latest quantity"),
        Kind.TIME_WEIGHTED_AVG: _("Average over time of %(values)s"),
    }
    return words[Kind(metric.aggregation)] % {"values": values}


def _states_total(metric: MetricDefinition) -> bool:
    return metric.reporting_method == MetricDefinition.ReportingMethod.TOTAL


def _steps_taken(steps: Steps, values: str) -> str:
    """What a sum of steps between readings adds up."""
    if steps.first_counts:
        since = {
            "hourly": _("since the hour began"),
            "daily": _("since the day began"),
            "weekly": _("since the week began"),
            "monthly": _("since the month began"),
            "yearly": _("since the year began"),
        }.get(steps.reset_period, _("since ever"))
        return _("What each reading adds to the total %(since)s, by %(values)s") % {
            "since": since,
            "values": values,
        }
    if steps.restarts:
        return _("Increase from one reading to the next, by %s") % values
    return _("Change from one reading to the next, by %s") % values


def _period(metric: MetricDefinition) -> str:
    """How often counting starts anew, unless a limit says otherwise."""
    Reset = MetricDefinition.ResetPeriod
    return {
        Reset.HOURLY: _("per hour"),
        Reset.DAILY: _("per day"),
        Reset.WEEKLY: _("per week"),
        Reset.MONTHLY: _("per month"),
        Reset.YEARLY: _("per year"),
        Reset.NEVER: _("over all time"),
    }[Reset(metric.reset_period)]


# -- conditions on labels ------------------------------------------------------------------------------------


def condition_in_words(condition: Mapping[str, Any]) -> str:
    """A label filter as text: “region is eu and (size is more than 10 or plan is gold)”."""
    return _all_of(condition).text


@dataclass(frozen=True, slots=True)
class _Clause:
    """A part of a condition, and the word that holds it together; "" where it is one comparison."""

    text: str
    word: str = ""


def _all_of(condition: Mapping[str, Any]) -> _Clause:
    return _held([part for name, wanted in condition.items() for part in _clauses(name, wanted)], _("and"))


def _held(parts: Sequence[_Clause], word: str) -> _Clause:
    """The parts, with brackets around those that another word holds together."""
    if not parts:
        return _Clause(_("anything"))
    if len(parts) == 1:
        return parts[0]
    texts = [f"({part.text})" if part.word not in {"", word} else part.text for part in parts]
    return _Clause(f" {word} ".join(texts), word)


def _clauses(name: str, wanted: Any) -> list[_Clause]:
    if name in {"$and", "$or"}:
        return [_held([_all_of(part) for part in wanted], _("and") if name == "$and" else _("or"))]
    if isinstance(wanted, Mapping):
        return [_Clause(_comparison(_name(name), operator, value)) for operator, value in wanted.items()]
    return [_Clause(_comparison(_name(name), "$in" if isinstance(wanted, list) else "$eq", wanted))]


def _comparison(name: str, operator: str, value: Any) -> str:
    if operator == "$exists":
        return _("%s is present") % name if value else _("%s is absent") % name
    if isinstance(value, list) and len(value) == 1:
        operator, value = {"$in": "$eq", "$nin": "$ne"}.get(operator, operator), value[0]
    words = {
        "$eq": _("%(label)s is %(value)s"),
        "$ne": _("%(label)s is not %(value)s"),
        "$gt": _("%(label)s is more than %(value)s"),
        "$gte": _("%(label)s is at least %(value)s"),
        "$lt": _("%(label)s is less than %(value)s"),
        "$lte": _("%(label)s is at most %(value)s"),
        "$in": _("%(label)s is one of %(value)s"),
        "$nin": _("%(label)s is none of %(value)s"),
    }
    text = joined([_text(one) for one in value], _("or")) if isinstance(value, list) else _text(value)
    return words[operator] % {"label": name, "value": text}


def joined(texts: Sequence[str], word: str) -> str:
    """“eu, us or ch”."""
    *first, last = texts
    return f"{', '.join(first)} {word} {last}" if first else last


def _name(label: str) -> str:
    """A label's name, in quotation marks where it would read as a part of the sentence."""
    return label if _PLAIN.fullmatch(label) and label not in _RESERVED else f"“{label}”"


def _text(value: Any) -> str:
    """A value; texts in quotation marks where they would read as something else."""
    if value is None:
        return _("empty")
    if isinstance(value, bool):
        return _("true") if value else _("false")
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value.lower() not in _RESERVED else f"“{value}”"
    return cells.grouped(Decimal(str(value)))
