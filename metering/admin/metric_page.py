"""What a metric's page opens with: its meaning in words, whether that may still change, its latest usage."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from metering import numerals
from metering.answering.usage_charts import course_of, latest_days
from metering.catalogue import Catalogue
from metering.defining.first_uses import first_use_of
from metering.models import MetricDefinition

from . import cells
from .charts import usage_chart
from .links import listed
from .metric_words import meaning_in_words, reach_in_words, reading_in_words
from .panels import panels_of
from .rebuild import last_rebuild_in_words

CHART_DAYS = 30


def metric_facts(
    request: HttpRequest, metric: MetricDefinition, *, is_frozen: bool, may_add: bool, may_change: bool
) -> dict[str, Any]:
    """What can be said without reading usage."""
    actions = []
    if is_frozen and may_add:
        actions.append((_("Clone it with your change"), _page("clone", metric)))
    if is_frozen and may_change and not metric.is_archived:
        actions.append((_("Archive it"), _page("archive", metric)))
    return {
        "words": meaning_in_words(metric),
        "reading": reading_in_words(metric),
        "rebuild": last_rebuild_in_words(metric),
        "owner": cells.project_link(metric.project) if metric.project else _("all projects"),
        "state": _state(metric, is_frozen=is_frozen),
        "actions": actions,
    }


def _state(metric: MetricDefinition, *, is_frozen: bool) -> tuple[Any, str]:
    """A badge, and what it means for whoever wants to change the definition."""
    if metric.is_archived:
        words = _("It counts nothing recorded after ledger id %(last)s; what it counted stays.")
        return cells.badge(_("Archived")), words % {"last": cells.grouped(metric.archived_from)}
    if is_frozen:
        return (
            cells.badge(_("Frozen"), "info"),
            _("It has counted events, so its meaning can't change any more: numbers behind invoices stay."),
        )
    return (
        cells.badge(_("Free to change"), "success"),
        _("No event has counted yet. With the first one its meaning freezes."),
    )


def _page(name: str, metric: MetricDefinition) -> str:
    return reverse(f"admin:metering_metricdefinition_{name}", args=[metric.pk])


def metric_usage(
    request: HttpRequest, catalogue: Catalogue, metric: MetricDefinition, *, is_frozen: bool
) -> dict[str, Any]:
    """Its latest days, the event with which it froze, and who uses it; each for those who may see it."""
    may_see_usage = request.user.has_perm("metering.view_usagemeterrollup")
    return {
        "may_see_usage": may_see_usage,
        "usage": _usage(catalogue, metric) if may_see_usage else None,
        "first": _first(request, catalogue, metric) if is_frozen else "",
        "panels": panels_of("metric", request, metric),
    }


def _usage(catalogue: Catalogue, metric: MetricDefinition) -> dict[str, Any] | None:
    """What the metric came to in its latest days; None before its first usage."""
    meaning = catalogue.meanings[metric.pk]
    interval = latest_days(meaning, days=CHART_DAYS)
    if interval is None:
        return None
    course = course_of(meaning, interval)
    return {
        "interval": interval,
        "chart": usage_chart(meaning, course.points, interval, name=metric.display_name, height=220),
        "value": cells.readable(course.value),
        "reach": reach_in_words(metric.aggregation),
        "record_count": numerals.count(course.record_count),
        "unit": metric.unit,
        "url": listed("usagemeterrollup", metric__id__exact=metric.pk),
    }


def _first(request: HttpRequest, catalogue: Catalogue, metric: MetricDefinition) -> Any:
    first = first_use_of(catalogue.meanings[metric.pk])
    if first is None:
        return ""
    words = cells.grouped(first.id)
    if not request.user.has_perm("metering.view_usageevent"):
        return _("Frozen since event %(id)s.") % {"id": words}
    link = cells.link(reverse("admin:metering_usageevent_change", args=[first.id]), words)
    return format_html(_("Frozen since event {}, recorded at {}."), link, cells.moment(first.recorded_at))
