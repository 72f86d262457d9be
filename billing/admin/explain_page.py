"""An explained line as a page shows it: the answer, its proof, steps, facts and the course of the usage."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext

from billing.proving.explaining import Bucket, Course, Explanation
from metering import numerals
from metering.admin import cells
from metering.admin.charts import COLOUR, Chart, chart_options, drawn
from metering.admin.metric_words import meaning_in_words
from metering.measuring.windows import Window
from metering.models import Project

from .explain_words import LineWords, document_name, events_in_words

_PATTERNS = {"hour": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "month": "%Y-%m"}


def page_of(explanation: Explanation) -> dict[str, Any]:
    """What the template shows, but for the events."""
    line, words = explanation.line, LineWords(explanation)
    sentences = words.answer()
    learned, meaning = explanation.learned, explanation.meaning
    return {
        "title": gettext("Why %(amount)s for “%(name)s”?")
        % {"amount": words.amount(line.amount), "name": line.name},
        "headline": sentences[0],
        "sentences": sentences[1:],
        "proof": _proof(explanation, words),
        "document": {"name": document_name(line), "url": page_url("invoice_change", line.invoice_id)},
        "customer": {
            "name": line.invoice.account.legal_name,
            "url": page_url("billingaccount_change", line.invoice.account_id),
        },
        "steps": [words.step(step) for step in explanation.steps],
        "facts": list(_facts(explanation, words)),
        "related": list(_related(explanation)),
        "chart": _chart(explanation, words),
        "days": _day_rows(explanation),
        "day_word": _unit_words(explanation.course),
        "adds_up": explanation.course is None or explanation.course.adds_up,
        "compares": meaning is not None and (meaning.is_stepped or meaning.carries_level),
        "learned": learned,
        "is_live": line.reverses_id is None and explanation.reversal is None,
        "voided_words": events_in_words(learned.voided_count) if learned else "",
        "later_words": events_in_words(learned.later_count) if learned else "",
    }


def _proof(explanation: Explanation, words: LineWords) -> dict[str, Any]:
    """The badge and what it stands for."""
    if explanation.stands is None:
        return {"badge": cells.badge(gettext("By hand")), "text": ""}
    if not explanation.stands:
        return {
            "badge": cells.badge(gettext("Doesn't match"), "danger"),
            "is_bad": True,
            "text": gettext(
                "Working this line out again gives something else: %s. Somebody altered the ledger or the "
                "line behind the system's back; a verification names the place."
            )
            % (words.differences() or gettext("the amount")),
        }
    if explanation.rerun is None:
        text = gettext("Counting the days again gives the same amount.")
    else:
        text = gettext("Reading the ledger again gives the same %s, and the same amount.") % events_in_words(
            explanation.rerun.event_count
        )
    return {"badge": cells.badge(gettext("Proved"), "success"), "text": text}


def _facts(explanation: Explanation, words: LineWords) -> Iterator[Any]:
    line = explanation.line
    if line.plan_name:
        yield gettext("Plan"), line.plan_name
    if line.share:
        yield gettext("Share of a full period"), gettext("%s days") % line.share.replace("/", gettext(" of "))
    if explanation.ask is None:
        return
    assert line.metric is not None
    yield (
        gettext("Counted"),
        cells.two_lines(
            cells.link(
                reverse("admin:metering_metricdefinition_change", args=[line.metric.pk]),
                line.metric.display_name,
            ),
            meaning_in_words(line.metric),
        ),
    )
    yield gettext("Which events"), words.selection()
    payer = Project.objects.get(pk=explanation.ask.payer_id)
    yield gettext("Paid by"), cells.project_link(payer)
    if words.group():
        yield gettext("Part of"), words.group()
    yield gettext("Period"), words.interval()
    yield (
        gettext("As the ledger stood at"),
        gettext("position %s") % cells.grouped(explanation.position),
    )
    yield gettext("Events"), cells.grouped(line.event_count)
    yield gettext("Digest of the events"), cells.code(bytes(line.event_digest or b"").hex())


def _related(explanation: Explanation) -> Iterator[Any]:
    """Lines that this one takes back, and that take it back."""
    for text, other in (
        (gettext("Takes back"), explanation.line.reverses),
        (gettext("Taken back by"), explanation.reversal),
    ):
        if other is not None:
            yield {
                "text": text,
                "url": page_url("invoiceline_change", other.pk),
                "name": gettext("“%(name)s” of %(document)s")
                % {"name": other.name, "document": document_name(other)},
            }


def _unit_words(course: Course | None) -> str:
    units = {"hour": gettext("hour"), "day": gettext("day"), "month": gettext("month")}
    return "" if course is None else units[course.unit]


def _chart(explanation: Explanation, words: LineWords) -> Chart | None:
    course = explanation.course
    if course is None or not any(bucket.event_count or bucket.value for bucket in course.buckets):
        return None
    labels = [label_of(explanation, bucket.window) for bucket in course.buckets]
    unit = explanation.line.unit or explanation.line.name
    dataset: dict[str, Any] = {
        "label": unit,
        "data": [drawn(bucket.value) for bucket in course.buckets],
        "backgroundColor": COLOUR,
        "borderColor": COLOUR,
    }
    dataset |= (
        {"borderRadius": 2, "maxBarThickness": 40, "categoryPercentage": 0.85, "barPercentage": 1}
        if course.adds_up
        else {"borderWidth": 2, "pointRadius": 3, "spanGaps": True, "tension": 0}
    )
    return Chart(
        kind="bar" if course.adds_up else "line",
        data=json.dumps({"labels": labels, "datasets": [dataset]}),
        options=json.dumps(chart_options()),
        description=gettext("%(name)s %(days)s") % {"name": explanation.line.name, "days": words.days()},
        headers=(),
        rows=(),
        height=240,
    )


def _day_rows(explanation: Explanation) -> list[dict[str, Any]]:
    """Each window with usage, its share of the whole, and where its events are."""
    course = explanation.course
    if course is None:
        return []
    used = [bucket for bucket in course.buckets if bucket.event_count or bucket.value]
    whole = sum((bucket.value for bucket in used if bucket.value is not None), Decimal(0))
    return [
        {
            "label": label_of(explanation, bucket.window),
            "value": cells.readable(bucket.value),
            "share": _share(bucket, whole) if course.adds_up else "",
            "count": numerals.count(bucket.event_count),
            "url": "?" + urlencode({"from": bucket.window.start.isoformat()}) + "#events",
        }
        for bucket in used
    ]


def _share(bucket: Bucket, whole: Decimal) -> str:
    return (
        cells.DASH
        if not whole or bucket.value is None
        else numerals.percent(bucket.value / whole, decimals=1)
    )


def label_of(explanation: Explanation, window: Window) -> str:
    """When a window begins, on the clocks of the line's period."""
    assert explanation.course is not None
    return window.start.astimezone(explanation.zone).strftime(_PATTERNS[explanation.course.unit])


def page_url(name: str, *args: object) -> str:
    """A page of billing; empty where there is none."""
    try:
        return reverse(f"admin:billing_{name}", args=args)
    except NoReverseMatch:
        return ""
