"""Charts of reports: a running period's amounts and usage, and who a plan would be dearer for."""

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from billing.reporting.distribution import Bucket
from billing.reporting.running_period import Charge, Preview
from billing.reporting.running_usage import Point
from billing.reporting.what_if import Subject, WhatIf
from metering import numerals
from metering.admin import cells
from metering.admin.charts import COLOUR, GREY, Chart, chart_options, drawn, legend

from .price_words import Words, grouped

RED, GREEN = "#dc2626", "#16a34a"
MAX_BARS = 20
_BARS: dict[str, Any] = {"borderRadius": 2, "maxBarThickness": 22}


def amounts_chart(preview: Preview) -> Chart:
    """What each price of the running periods comes to so far, and at their end."""
    words = Words(preview.account.currency)
    charges = sorted(preview.running, key=lambda charge: -(charge.projected_amount or charge.amount))
    charges = charges[:MAX_BARS]
    datasets: list[dict[str, Any]] = [
        {
            **_BARS,
            "label": _("So far"),
            "data": [drawn(charge.amount) for charge in charges],
            "backgroundColor": COLOUR,
        }
    ]
    if any(charge.projected_amount is not None for charge in charges):
        datasets.append(
            {
                **_BARS,
                "label": _("At the end, if it goes on"),
                "data": [drawn(charge.projected_amount) for charge in charges],
                "backgroundColor": COLOUR,
                "pattern": "stripes",
            }
        )
    return Chart(
        kind="bar",
        data=json.dumps({"labels": [charge.priced.price.name for charge in charges], "datasets": datasets}),
        options=json.dumps(_lying(len(datasets) > 1, unit=preview.account.currency)),
        description=_("Amounts of the running period by price, so far and at its end"),
        headers=[_("Price"), _("So far"), _("At the end")],
        rows=[
            (charge.priced.price.name, _amount(words, charge.amount), _amount(words, charge.projected_amount))
            for charge in charges
        ],
        height=max(140, 48 * len(charges) + 70),
    )


def usage_over_time_chart(charge: Charge, points: Sequence[Point], *, zone: ZoneInfo) -> Chart:
    """Usage of one price in each day of the running period."""
    metric = charge.priced.price.metric
    assert metric is not None
    labels = [f"{point.window.start.astimezone(zone):%Y-%m-%d}" for point in points]
    dataset = {
        **_BARS,
        "label": metric.unit or metric.display_name,
        "data": [drawn(point.value) for point in points],
        "backgroundColor": COLOUR,
        "maxBarThickness": 40,
    }
    return Chart(
        kind="bar",
        data=json.dumps({"labels": labels, "datasets": [dataset]}),
        options=json.dumps(chart_options(y_title=metric.unit or metric.display_name)),
        description=_("%(metric)s over the running period") % {"metric": metric.display_name},
        headers=[_("From (%s)") % zone.key, metric.unit or _("Used")],
        rows=[
            (label, cells.readable(point.value))
            for label, point in reversed(list(zip(labels, points, strict=True)))
            if point.value is not None
        ],
        height=200,
    )


def distribution_chart(buckets: Sequence[Bucket]) -> Chart:
    """How many accounts would have moved by how much: green pays less, red more."""
    shown = [bucket for bucket in buckets if bucket.count or not bucket.is_new]
    labels = [bucket_in_words(bucket) for bucket in shown]
    dataset = {
        **_BARS,
        "label": _("Accounts"),
        "data": [bucket.count for bucket in shown],
        "backgroundColor": [_colour(bucket) for bucket in shown],
        "maxBarThickness": 60,
    }
    options = chart_options()
    options["scales"]["y"]["ticks"]["precision"] = 0
    options["scales"]["x"]["ticks"]["autoSkip"] = False
    options["scales"]["x"]["ticks"]["maxRotation"] = 60
    return Chart(
        kind="bar",
        data=json.dumps({"labels": labels, "datasets": [dataset]}),
        options=json.dumps(options),
        description=_("How many accounts would have paid how much more or less"),
        headers=[_("Change of the amount"), _("Accounts")],
        rows=[(label, numerals.count(bucket.count)) for label, bucket in zip(labels, shown, strict=True)],
        height=260,
    )


def subjects_chart(found: WhatIf, names: Mapping[str, str]) -> Chart:
    """What each metric and fee comes to over all accounts, under both."""
    words = Words(found.plan.currency)
    largest = sorted(found.by_subject.items(), key=lambda item: -max(item[1].current, item[1].hypothetical))[
        :MAX_BARS
    ]
    labels = [subject_in_words(subject, names) for subject, _amounts in largest]
    sides = (
        (_("As it was"), GREY, "stripes", [amounts.current for _subject, amounts in largest]),
        (str(found.plan), COLOUR, "", [amounts.hypothetical for _subject, amounts in largest]),
    )
    datasets = [
        {
            **_BARS,
            "label": label,
            "data": [drawn(one) for one in data],
            "backgroundColor": colour,
            "pattern": pattern,
        }
        for label, colour, pattern, data in sides
    ]
    return Chart(
        kind="bar",
        data=json.dumps({"labels": labels, "datasets": datasets}),
        options=json.dumps(_lying(True, unit=found.plan.currency)),
        description=_("Amounts by metric and fee, under both plans"),
        headers=["", _("As it was"), str(found.plan), _("Difference")],
        rows=[
            (
                label,
                _amount(words, amounts.current),
                _amount(words, amounts.hypothetical),
                _amount(words, amounts.difference),
            )
            for label, (_subject, amounts) in zip(labels, largest, strict=True)
        ],
        height=max(140, 48 * len(largest) + 70),
    )


def subject_in_words(subject: Subject, names: Mapping[str, str]) -> str:
    """A fee by its name, usage by that of its metric; `names` are those of metrics by key."""
    is_usage = subject.kind == "usage"
    return _("Usage of %s") % names.get(subject.name, subject.name) if is_usage else subject.name


def bucket_in_words(bucket: Bucket) -> str:
    """“−25 to −10 %”."""
    if bucket.is_new:
        return _("pays nothing now")
    if bucket.above is None:
        assert bucket.below is not None
        return _("below %s %%") % _percent(bucket.below)
    if bucket.below is None:
        return _("above %s %%") % _percent(bucket.above)
    if bucket.above == bucket.below:
        return _("no change")
    return _("%(above)s to %(below)s %%") % {
        "above": _percent(bucket.above),
        "below": _percent(bucket.below),
    }


def _percent(fraction: Fraction) -> str:
    return grouped(fraction * 100)


def _colour(bucket: Bucket) -> str:
    if bucket.is_new or (bucket.above is not None and bucket.above >= 0 and bucket.above != bucket.below):
        return RED
    return GREY if bucket.above == bucket.below else GREEN


def _lying(has_legend: bool, *, unit: str) -> dict[str, Any]:
    """Horizontal bars of amounts."""
    options = chart_options(y_title=unit)
    options["indexAxis"] = "y"
    options["scales"]["x"], options["scales"]["y"] = options["scales"]["y"], options["scales"]["x"]
    options["scales"]["y"]["ticks"]["autoSkip"] = False
    if has_legend:
        options["plugins"]["legend"] = legend()
    return options


def _amount(words: Words, amount: Any) -> str:
    return cells.DASH if amount is None else words.bare(Fraction(amount))
