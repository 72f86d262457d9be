"""The events of an explained line as a page shows them: one page of them, all or of one window."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext

from billing.proving.explaining import Bucket, Explanation
from billing.proving.line_events import EventPlace, LineEvent, Which, line_events
from metering import numerals
from metering.admin import cells
from metering.answering.answers import answer
from metering.errors import Invalid
from metering.measuring.windows import Window

from .explain_page import label_of, page_url

EVENTS_SHOWN = 50
SHOWN_LABELS = 6


def which_of(request: HttpRequest) -> Which:
    text = request.GET.get("which", "")
    return Which(text) if text in list(Which) else Which.BILLED


def events_of(request: HttpRequest, explanation: Explanation) -> dict[str, Any]:
    """One page of events, narrowed to a window where one was clicked."""
    which, window = which_of(request), _window(request, explanation)
    try:
        place = EventPlace.from_text(request.GET["place"]) if request.GET.get("place") else None
    except Invalid:
        place = None
    page = answer(
        lambda catalogue: line_events(
            explanation.line,
            which=which,
            start=window.start if window else None,
            end=window.end if window else None,
            place=place,
            limit=EVENTS_SHOWN,
        )
    )
    kept = {name: request.GET[name] for name in ("from",) if window and name in request.GET}
    learned = explanation.learned
    assert learned is not None

    def url(**parameters: str) -> str:
        return "?" + urlencode(parameters) + "#events"

    tabs = [
        (Which.BILLED, gettext("On this line"), explanation.line.event_count),
        (Which.VOIDED, gettext("Cancelled since"), learned.voided_count),
        (Which.LATER, gettext("Recorded since"), learned.later_count),
    ]
    same: dict[str, str] = {"which": which.value, **kept}
    return {
        "rows": [_event_row(event, explanation) for event in page.events],
        "tabs": [
            {
                "text": text,
                "count": numerals.count(count or 0),
                "url": url(which=each.value),
                "is_chosen": each == which,
            }
            for each, text, count in tabs
            if count or each == Which.BILLED
        ],
        "window": label_of(explanation, window) if window else "",
        "whole_url": url(which=which.value),
        "newer_url": url(**same, place=page.preceding.text) if page.preceding else "",
        "older_url": url(**same, place=page.following.text) if page.following else "",
        "csv_url": page_url("invoiceline_events", explanation.line.pk)
        + "?"
        + urlencode({"which": which.value}),
        "zone": explanation.zone.key,
        "value_header": explanation.line.unit or gettext("Value"),
    }


def _window(request: HttpRequest, explanation: Explanation) -> Window | None:
    """The window of the course that begins at `from`; None without one of ours."""
    wanted = request.GET.get("from")
    buckets: Sequence[Bucket] = explanation.course.buckets if explanation.course else ()
    return next((b.window for b in buckets if b.window.start.isoformat() == wanted), None)


def _event_row(event: LineEvent, explanation: Explanation) -> dict[str, Any]:
    labels = json.loads(event.labels, parse_float=str)
    shown = ", ".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in list(labels.items())[:SHOWN_LABELS]
    )
    return {
        "id": event.id,
        "url": reverse("admin:metering_usageevent_change", args=[event.id]),
        "at": f"{event.occurred_at.astimezone(explanation.zone):%Y-%m-%d %H:%M:%S}",
        "project": event.project,
        "subject": " ".join(filter(None, (event.subject_type, event.subject_id))) or cells.DASH,
        "value": cells.readable(event.value) if isinstance(event.value, Decimal) else event.value,
        "labels": shown,
        "void_url": reverse("admin:metering_usageevent_change", args=[event.voided_by])
        if event.voided_by
        else "",
    }
