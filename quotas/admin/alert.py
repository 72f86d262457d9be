"""The inbox: what was near or reached, and who has seen to it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextareaWidget

from metering import numerals
from metering.admin import cells
from metering.admin.base import ReadOnlyAdmin
from metering.admin.filters import ProjectFilter
from metering.admin.row_ids import id_from
from metering.measuring.windows import zone_named
from metering.models import OutgoingMail, WebhookDelivery
from quotas.alerting import acknowledge
from quotas.models import NOTE_MAX_LENGTH, Alert, ThresholdCrossing, UsageThreshold

from . import file_columns
from .crossing_words import period_words, subject_words
from .meters import level_meter

KIND_COLOURS = {ThresholdCrossing.Kind.APPROACHING: "warning", ThresholdCrossing.Kind.EXCEEDED: "danger"}
MOST_COUNTED = 99


def open_alerts_badge() -> str:
    """For the sidebar: how many alerts wait for somebody; empty where none do. Index: alert_open."""
    count = len(
        Alert.objects.filter(acknowledged_at=None).order_by("id").values_list("id")[: MOST_COUNTED + 1]
    )
    return "" if not count else f"{MOST_COUNTED}+" if count > MOST_COUNTED else str(count)


def _linked(page: str, text: str, *args: object) -> SafeString:
    """A link to a page of the admin, or the words alone where the admin has no such page."""
    try:
        return cells.link(reverse(f"admin:{page}", args=args), text)
    except NoReverseMatch:
        return format_html("{}", text)


class StateFilter(DropdownFilter):
    """Open ones, unless asked otherwise: an inbox."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("Open")), ("acknowledged", _("Acknowledged")), ("all", _("All"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "all":
            return queryset
        return queryset.filter(acknowledged_at__isnull=self.value() != "acknowledged")


class NoteForm(forms.Form):
    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=NOTE_MAX_LENGTH,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("What was done about it, for whoever looks later. It can't be changed afterwards."),
    )


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    intro = _(
        "Thresholds that usage came near or reached, newest first. An alert stays open until somebody "
        "acknowledges it; usage that is voided afterwards doesn't take it back."
    )
    empty_title = _("No open alerts")
    empty_text = _("Nothing waits for you. Thresholds say what is watched; the filters show older alerts.")
    csv_columns = file_columns.ALERTS
    list_display = (
        "kind_badge",
        "metric_name",
        "project_key",
        "whose",
        "share",
        "used",
        "period",
        "noticed",
        "seen",
    )
    list_display_links = ("kind_badge",)
    list_filter = (
        StateFilter,
        ("crossing__kind", ChoicesDropdownFilter),
        ("crossing__threshold__project", ProjectFilter),
        ("crossing__threshold__action", ChoicesDropdownFilter),
    )
    linked_lookups = ("crossing__threshold__id__exact",)
    search_fields = (
        "crossing__subject_id",
        "crossing__threshold__metric__key",
        "crossing__threshold__metric__display_name",
        "crossing__threshold__project__key",
    )
    search_help_text = _("Subject, metric or project")
    sortable_by = ()
    ordering = ("-id",)
    show_full_result_count = False
    actions = ("acknowledge_selected",)  # type: ignore[assignment]
    actions_detail = ("acknowledge",)
    fieldsets = (
        (None, {"fields": ("kind_badge", "metric_name", "project_key", "whose", "period", "share", "used")}),
        (_("What happens"), {"fields": ("consequence", "threshold_link", "usage_link")}),
        (_("Who was told"), {"fields": ("noticed", "mails", "webhooks")}),
        (_("Acknowledged"), {"fields": ("seen_in_full", "note_shown")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """With the names that an alert is called by."""
        found = super().get_queryset(request)
        return found.select_related("crossing__threshold__project", "crossing__threshold__metric")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """With what the one who looks may be led to."""
        alert: Any = super().get_object(request, object_id, from_field)
        if alert is not None:
            alert.may_see_events = request.user.has_perm("metering.view_domainevent")
            alert.may_see_mails = request.user.has_perm("metering.view_outgoingmail")
        return alert

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        is_open = Alert.objects.filter(pk=id_from(str(object_id)) or 0, acknowledged_at=None).exists()
        return list(super().get_actions_detail(request, object_id)) if is_open else []

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Without "show all" beside the number: it would lead to the open ones, where one is already."""
        changelist = super().get_changelist_instance(request)
        changelist.full_result_count = changelist.result_count
        return changelist

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("what"))
    def kind_badge(self, alert: Alert) -> SafeString:
        crossing = alert.crossing
        return cells.badge(crossing.get_kind_display(), KIND_COLOURS[ThresholdCrossing.Kind(crossing.kind)])

    @admin.display(description=_("metric"))
    def metric_name(self, alert: Alert) -> str:
        return alert.crossing.threshold.metric.display_name

    @admin.display(description=_("project"))
    def project_key(self, alert: Alert) -> SafeString:
        return cells.project_link(alert.crossing.threshold.project)

    @admin.display(description=_("whose usage"))
    def whose(self, alert: Alert) -> SafeString:
        return cells.one_line(subject_words(alert.crossing.subject_type, alert.crossing.subject_id))

    @admin.display(description=_("share of the level"))
    def share(self, alert: Alert) -> SafeString:
        crossing = alert.crossing
        if not crossing.level:
            return cells.quiet(gettext("any usage"))
        return level_meter(crossing.value, crossing.level, is_near=True)

    @admin.display(description=_("used"))
    def used(self, alert: Alert) -> SafeString:
        crossing = alert.crossing
        unit = crossing.threshold.metric.unit
        return format_html(
            '<div>{}<span class="mb-number mb-small mb-quiet">{}</span></div>',
            cells.number(crossing.value, unit=unit),
            gettext("of %s") % numerals.with_unit(cells.readable(crossing.level), unit),
        )

    @admin.display(description=_("period"))
    def period(self, alert: Alert) -> SafeString:
        crossing, threshold = alert.crossing, alert.crossing.threshold
        zone = zone_named(threshold.project.timezone)
        words = period_words(threshold.period, crossing.period_start, crossing.period_end, zone=zone)
        return cells.two_lines(words, zone.key)

    @admin.display(description=_("noticed at"))
    def noticed(self, alert: Alert) -> SafeString:
        return cells.moment(alert.crossing.crossed_at)

    @admin.display(description=_("state"))
    def seen(self, alert: Alert) -> SafeString:
        if alert.is_open:
            return cells.badge(gettext("Open"), "primary")
        who = gettext("by %s") % alert.acknowledged_by
        return cells.two_lines(cells.badge(gettext("Seen"), "success"), cells.one_line(who))

    @admin.display(description=_("acknowledged"))
    def seen_in_full(self, alert: Alert) -> SafeString:
        if alert.is_open:
            return cells.badge(gettext("Open"), "primary")
        who = gettext("by %s") % alert.acknowledged_by
        return cells.two_lines(cells.moment(alert.acknowledged_at), cells.one_line(who))

    # -- details -----------------------------------------------------------------------------------------

    @admin.display(description=_("further usage"))
    def consequence(self, alert: Alert) -> str:
        crossing, threshold = alert.crossing, alert.crossing.threshold
        if threshold.removed_at is not None:
            return gettext("The threshold was removed since. Nothing is refused because of it.")
        if not threshold.is_enabled:
            return gettext("The threshold was switched off since. Nothing is refused because of it.")
        if threshold.action != UsageThreshold.Action.BLOCK:
            return gettext("Is recorded as before: this threshold refuses nothing.")
        if crossing.kind == ThresholdCrossing.Kind.APPROACHING:
            return gettext("Will be refused when the level is reached, until the period ends.")
        if crossing.version != threshold.version:
            return gettext("The level was changed since; this crossing of the old one refuses nothing.")
        return gettext(
            "Is refused until the period ends, the threshold is raised or removed, or voids take usage below "
            "the level."
        )

    @admin.display(description=_("threshold"))
    def threshold_link(self, alert: Alert) -> SafeString:
        threshold = alert.crossing.threshold
        unit = threshold.metric.unit
        level = numerals.with_unit(cells.readable(alert.crossing.level), unit)
        if threshold.removed_at is not None:
            return cells.quiet(gettext("%s (removed)") % level)
        return cells.link(reverse("admin:quotas_usagethreshold_change", args=[threshold.pk]), level)

    @admin.display(description=_("usage"))
    def usage_link(self, alert: Alert) -> SafeString:
        threshold = alert.crossing.threshold
        query = {"metric__id__exact": threshold.metric_id, "project__id__exact": threshold.project_id}
        url = reverse("admin:metering_usagemeterrollup_changelist")
        return cells.link(f"{url}?{urlencode(query)}", gettext("The rollups of this metric in the project"))

    @admin.display(description=_("by mail"))
    def mails(self, alert: Alert) -> Any:
        if alert.posted_at is None:
            return cells.quiet(gettext("not posted yet"))
        found = OutgoingMail.objects.filter(pk__in=alert.mail_ids).order_by("id")
        lines = [
            (
                _linked("metering_outgoingmail_change", ", ".join(mail.recipients), mail.pk),
                mail.get_status_display(),
            )
            for mail in found
        ]
        if not lines:
            return cells.quiet(gettext("nobody"))
        return format_html_join("", '<div>{} <span class="mb-quiet">{}</span></div>', lines)

    @admin.display(description=_("by webhook"))
    def webhooks(self, alert: Any) -> Any:
        count = WebhookDelivery.objects.filter(event_id=alert.event_id or 0).count()
        if not count:
            return cells.quiet(gettext("no endpoint subscribes"))
        text = ngettext("%d delivery", "%d deliveries", count) % count
        if not alert.may_see_events:
            return text
        return _linked("metering_domainevent_change", text, alert.event_id)

    @admin.display(description=_("note"))
    def note_shown(self, alert: Alert) -> Any:
        return format_html("{}", alert.note) if alert.note else cells.DASH

    # -- actions -----------------------------------------------------------------------------------------

    def has_acknowledge_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("quotas.change_alert"))

    @admin.action(description=_("Acknowledge selected alerts"), permissions=["acknowledge"])
    def acknowledge_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        count = acknowledge(list(queryset), actor=request.user.get_username())
        self.message_user(
            request, ngettext("%d alert is acknowledged.", "%d alerts are acknowledged.", count) % count
        )

    @action(
        description=_("Acknowledge"), url_path="acknowledge", permissions=["acknowledge"], icon="done_all"
    )
    def acknowledge(self, request: HttpRequest, object_id: str) -> HttpResponse:
        alert = self.get_object(request, object_id)
        if not isinstance(alert, Alert):
            raise Http404
        form = NoteForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            acknowledge([alert], actor=request.user.get_username(), note=form.cleaned_data["note"])
            return self.done(request, gettext("The alert is acknowledged."), url=self.page_url("changelist"))
        threshold = alert.crossing.threshold
        return self.confirmation(
            request,
            title=_("Acknowledge an alert"),
            subtitle=f"{threshold.project.key} · {threshold.metric.display_name}",
            sentences=[
                _("It leaves the inbox, with your name and the time. Further alerts still come."),
                _("Acknowledging lifts no block; raise or remove the threshold for that."),
            ],
            button=_("Acknowledge"),
            is_harmless=True,
            back_url=self.page_url("change", alert.pk),
            original=alert,
            form=form,
        )
