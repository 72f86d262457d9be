"""Why was this refused? Denials, warnings and closed periods, and the numbers they were made of."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, TextFilter

from metering.admin import cells
from metering.admin.filters import InstantRangeFilter, ProjectFilter
from metering.admin.paging import LargeTableAdmin, Place, PlaceChangeList, RowPage, page_by_id
from metering.models import MetricDefinition, Project
from quotas.models import ProjectQuota, QuotaDecision, UsageThreshold

from . import file_columns
from .decision_words import mode_words, sentences_on
from .meters import meter
from .quota import used_words
from .threshold import ACTION_WORDS

Outcome = QuotaDecision.Outcome
OUTCOME_COLOURS = {
    Outcome.DENIED: "danger",
    Outcome.SOFT_BREACH: "warning",
    Outcome.CLOSED_PERIOD: "info",
    Outcome.UNAVAILABLE: "danger",
    Outcome.BLOCKED: "danger",
}


class MetricKeyFilter(TextFilter):
    title = _("metric")
    parameter_name = "metric_key"

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(metric_key=self.value().strip()) if self.value() else queryset


@admin.register(QuotaDecision)
class QuotaDecisionAdmin(LargeTableAdmin):
    """Newest first, by primary key."""

    intro = _(
        "Every answer of a quota, or of a threshold that blocks, that wasn't a plain yes: what was asked, "
        "what stood against it, and by what it was decided. Equal answers within a minute are one row. "
        "Search for the reference that a refused caller was given (“decision” in the answer)."
    )
    empty_title = _("Nothing was refused")
    empty_text = _(
        "Or not lately: decisions are kept for 90 days unless set otherwise. Check the filters, too."
    )
    csv_columns = file_columns.DECISIONS
    list_display = ("when", "answer", "user_key", "metric_key", "asked_for", "left", "times", "who")
    list_display_links = ("when",)
    list_filter = (
        ("project", ProjectFilter),
        MetricKeyFilter,
        ("outcome", ChoicesDropdownFilter),
        ("last_at", InstantRangeFilter),
    )
    search_fields = ("reference",)
    search_help_text = _("Reference, event id, subject or key, exactly")
    fieldsets = (
        (None, {"fields": ("answer", "in_words")}),
        (
            _("Numbers"),
            {
                "fields": (
                    "share",
                    "limit_then",
                    "level_then",
                    "used_then",
                    "held_then",
                    "requested_then",
                    "remaining_then",
                )
            },
        ),
        (_("Now"), {"fields": ("now", "links")}),
        (
            _("Details"),
            {
                "fields": (
                    "code",
                    "project_key_link",
                    "user_key_link",
                    "metric_link",
                    "mode_then",
                    "period_then",
                    "subject",
                    "event_ids",
                    "who_in_full",
                    "first",
                    "when",
                    "times",
                    "detail",
                )
            },
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if queryset.filter(reference=term.lower()).exists():
            return queryset.filter(reference=term.lower()), False
        named = Q(subject_id=term) | Q(events__contains=[term]) | Q(project_key=term)
        return queryset.filter(named | Q(user_project_key=term) | Q(metric_key=term)), False

    def page_at(self, changelist: PlaceChangeList, place: str | None) -> RowPage:
        return page_by_id(changelist.queryset, place=Place.from_text(place), size=self.list_per_page)

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("at"))
    def when(self, decision: QuotaDecision) -> SafeString:
        return cells.moment(decision.last_at)

    @admin.display(description=_("first at"))
    def first(self, decision: QuotaDecision) -> SafeString:
        return cells.moment(decision.first_at)

    @admin.display(description=_("answer"))
    def answer(self, decision: QuotaDecision) -> SafeString:
        return cells.badge(decision.get_outcome_display(), OUTCOME_COLOURS[Outcome(decision.outcome)])

    @admin.display(description=_("project"))
    def user_key(self, decision: QuotaDecision) -> Any:
        if decision.user_project_key == decision.project_key:
            return decision.user_project_key
        whose = gettext("by the threshold of %s") if decision.threshold_id else gettext("by the quota of %s")
        return cells.two_lines(decision.user_project_key, whose % decision.project_key)

    @admin.display(description=_("asked for"))
    def asked_for(self, decision: QuotaDecision) -> SafeString:
        return cells.number(_decimal(decision.requested))

    @admin.display(description=_("left"))
    def left(self, decision: QuotaDecision) -> SafeString:
        limit, remaining = decision.limit, decision.remaining
        if decision.level is not None:
            limit, remaining = decision.level, "0"
        if limit is None or remaining is None:
            return cells.number(None)
        of = gettext("of %s") % cells.readable(limit)
        return format_html(
            '<span class="mb-number">{}<span class="mb-quiet mb-small"> {}</span></span>',
            cells.readable(_decimal(remaining)),
            of,
        )

    @admin.display(description=_("times"))
    def times(self, decision: QuotaDecision) -> SafeString:
        return cells.number(decision.count)

    @admin.display(description=_("asked by, and reference"))
    def who(self, decision: QuotaDecision) -> SafeString:
        return cells.two_lines(cells.one_line(decision.actor), cells.code(decision.reference))

    @admin.display(description=_("reference"))
    def code(self, decision: QuotaDecision) -> SafeString:
        return cells.code(decision.reference)

    # -- one decision ------------------------------------------------------------------------------------

    @admin.display(description=_("why"))
    def in_words(self, decision: QuotaDecision) -> SafeString:
        said = sentences_on(decision, unit=_unit_of(decision))
        return format_html(
            '<div class="mb-prose">{}</div>', format_html_join("", "<p>{}</p>", ((one,) for one in said))
        )

    @admin.display(description=_("taken before"))
    def share(self, decision: QuotaDecision) -> Any:
        used, of = _decimal(decision.used), decision.limit or decision.level
        if not of or used is None:
            return cells.DASH
        return meter((used + (_decimal(decision.held) or 0)) / of)

    @admin.display(description=_("limit"))
    def limit_then(self, decision: QuotaDecision) -> SafeString:
        return cells.number(decision.limit, unit=_unit_of(decision))

    @admin.display(description=_("level of the threshold"))
    def level_then(self, decision: QuotaDecision) -> SafeString:
        return cells.number(decision.level, unit=_unit_of(decision))

    @admin.display(description=_("used before"))
    def used_then(self, decision: QuotaDecision) -> SafeString:
        return cells.number(_decimal(decision.used), unit=_unit_of(decision))

    @admin.display(description=_("held by reservations"))
    def held_then(self, decision: QuotaDecision) -> SafeString:
        return cells.number(_decimal(decision.held), unit=_unit_of(decision))

    @admin.display(description=_("asked for"))
    def requested_then(self, decision: QuotaDecision) -> SafeString:
        return cells.number(_decimal(decision.requested), unit=_unit_of(decision))

    @admin.display(description=_("left"))
    def remaining_then(self, decision: QuotaDecision) -> SafeString:
        return cells.number(_decimal(decision.remaining), unit=_unit_of(decision))

    @admin.display(description=_("the limit now"))
    def now(self, decision: Any) -> Any:
        if not hasattr(decision, "limit_now"):
            decision.limit_now = self._limit_now(decision)
        return decision.limit_now

    @staticmethod
    def _limit_now(decision: QuotaDecision) -> Any:
        if decision.threshold_id is not None:
            return _threshold_now(decision.threshold_id)
        quota = (
            ProjectQuota.objects.select_related("project", "metric").filter(pk=decision.quota_id or 0).first()
        )
        if quota is None:
            return gettext("Removed since, or not known.") if decision.quota_id else cells.DASH
        url = reverse("admin:quotas_projectquota_change", args=[quota.pk])
        return cells.two_lines(cells.link(url, used_words(quota)), quota.get_mode_display())

    @admin.display(description=_("look further"))
    def links(self, decision: QuotaDecision) -> SafeString:
        links = [
            cells.link(
                reverse("admin:quotas_projectquota_standing", args=[decision.project_id]),
                gettext("Limits of %s") % decision.project_key,
            ),
            cells.link(_events_url(decision), gettext("Its recorded usage")),
            cells.link(
                reverse("admin:quotas_quotadecision_changelist")
                + "?"
                + urlencode({"project__id__exact": decision.project_id}),
                gettext("Its other decisions"),
            ),
        ]
        return format_html_join(" · ", "{}", ((one,) for one in links))

    @admin.display(description=_("limit of"))
    def project_key_link(self, decision: QuotaDecision) -> Any:
        return _project(decision, decision.project_id, decision.project_key)

    @admin.display(description=_("usage of"))
    def user_key_link(self, decision: QuotaDecision) -> Any:
        return _project(decision, decision.user_project_id, decision.user_project_key)

    @admin.display(description=_("metric"))
    def metric_link(self, decision: QuotaDecision) -> Any:
        if decision.metric_id is None:
            return cells.DASH
        url = reverse("admin:metering_metricdefinition_change", args=[decision.metric_id])
        return cells.link(url, decision.metric_key)

    @admin.display(description=_("mode"))
    def mode_then(self, decision: QuotaDecision) -> str:
        return mode_words(decision.mode)

    @admin.display(description=_("period"))
    def period_then(self, decision: QuotaDecision) -> Any:
        if decision.period_start is None or decision.period_end is None:
            return gettext("never starts anew") if decision.period == "never" else cells.DASH
        return format_html("{} – {}", cells.moment(decision.period_start), cells.moment(decision.period_end))

    @admin.display(description=_("subject"))
    def subject(self, decision: QuotaDecision) -> str:
        return " ".join(filter(None, (decision.subject_type, decision.subject_id))) or cells.DASH

    @admin.display(description=_("some of the events"))
    def event_ids(self, decision: QuotaDecision) -> Any:
        if not decision.events:
            return cells.DASH
        return format_html_join(" ", "{}", ((cells.code(one),) for one in decision.events))

    @admin.display(description=_("asked by"))
    def who_in_full(self, decision: QuotaDecision) -> str:
        return decision.actor


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _unit_of(decision: Any) -> str:
    """The unit of the decision's metric, asked once."""
    if not hasattr(decision, "unit"):
        found = MetricDefinition.objects.filter(pk=decision.metric_id).values_list("unit", flat=True)
        decision.unit = found.first() or ""
    return str(decision.unit)


def _threshold_now(threshold_id: int) -> Any:
    threshold = UsageThreshold.objects.kept().select_related("metric").filter(pk=threshold_id).first()
    if threshold is None:
        return gettext("Removed since.")
    url = reverse("admin:quotas_usagethreshold_change", args=[threshold.pk])
    level = cells.DASH if threshold.level is None else cells.readable(threshold.level)
    words = str(ACTION_WORDS[UsageThreshold.Action(threshold.action)])
    return cells.two_lines(
        cells.link(url, gettext("Threshold at %s") % f"{level} {threshold.metric.unit}".strip()),
        words if threshold.is_enabled else gettext("switched off"),
    )


def _project(decision: Any, project_id: int, key: str) -> Any:
    """A link, or the key alone of a project that is gone. The decision's projects are asked for once."""
    if not hasattr(decision, "projects"):
        decision.projects = Project.objects.in_bulk([decision.project_id, decision.user_project_id])
    project = decision.projects.get(project_id)
    return key if project is None else cells.project_link(project)


def _events_url(decision: QuotaDecision) -> str:
    query = {"project__id__exact": decision.user_project_id}
    return reverse("admin:metering_usageevent_changelist") + "?" + urlencode(query)
