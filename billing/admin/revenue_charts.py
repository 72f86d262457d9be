"""Revenue as charts, each with the table behind it."""

import json
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from billing.reporting.revenue import MetricRevenue, Month
from metering.admin.charts import COLOUR, Chart, chart_options, drawn, legend

from .document_words import bare

_COLOURS = {"usage": COLOUR, "fees": "#0d9488", "corrections": "#d97706", "by_hand": "#71717a"}
_PATTERNS = {"usage": "", "fees": "stripes", "corrections": "dots", "by_hand": "hollow"}


def revenue_chart(months: Sequence[Month], currency: str) -> Chart:
    """What was invoiced each month: usage, fees, corrections and lines by hand upon one another."""
    words = {
        "usage": _("Usage"),
        "fees": _("Fees"),
        "corrections": _("Corrections"),
        "by_hand": _("By hand"),
    }
    shown = [sort for sort in words if any(getattr(month, sort) for month in months)] or ["usage"]
    datasets = [
        {
            "label": words[sort],
            "data": [drawn(getattr(month, sort)) for month in months],
            "backgroundColor": _COLOURS[sort],
            "pattern": _PATTERNS[sort],
            "maxBarThickness": 40,
            "stack": "revenue",
        }
        for sort in shown
    ]
    options = chart_options(y_title=currency)
    options["scales"]["x"]["stacked"] = options["scales"]["y"]["stacked"] = True
    options["plugins"]["legend"] = legend()
    return Chart(
        kind="bar",
        data=json.dumps({"labels": [f"{month.first_day:%Y-%m}" for month in months], "datasets": datasets}),
        options=json.dumps(options),
        description=_("Invoiced each month in %s, net of discounts, before tax") % currency,
        headers=[_("Month"), *(words[sort] for sort in shown), _("Sum")],
        rows=[
            (
                f"{month.first_day:%Y-%m}",
                *(bare(getattr(month, sort), currency) for sort in shown),
                bare(month.total, currency),
            )
            for month in reversed(months)
        ],
        height=260,
    )


def metrics_chart(metrics: Sequence[MetricRevenue], currency: str) -> Chart:
    """Which metrics brought in most, as horizontal bars."""
    names = [named(metric) for metric in metrics]
    options: dict[str, Any] = chart_options(y_title=currency)
    options["indexAxis"] = "y"
    options["scales"]["x"], options["scales"]["y"] = options["scales"]["y"], options["scales"]["x"]
    options["scales"]["y"]["ticks"]["autoSkip"] = False
    dataset = {
        "label": currency,
        "data": [drawn(metric.amount) for metric in metrics],
        "backgroundColor": COLOUR,
        "borderRadius": 2,
        "maxBarThickness": 22,
    }
    return Chart(
        kind="bar",
        data=json.dumps({"labels": names, "datasets": [dataset]}),
        options=json.dumps(options),
        description=_("Metrics that brought in most in %s") % currency,
        headers=[_("Metric"), currency],
        rows=[(name, bare(metric.amount, currency)) for name, metric in zip(names, metrics, strict=True)],
        height=max(120, 34 * len(metrics) + 40),
    )


def named(metric: MetricRevenue) -> str:
    if metric.metric_id is None:
        return _("%d others") % metric.metric_count
    return metric.metric_name
