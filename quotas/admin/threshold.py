"""Thresholds: what is watched, where it stands now, and a button that shows whether alerts arrive."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from metering import numerals
from metering.accountability import changed_by
from metering.admin import cells
from metering.admin.consequences import Consequence, ConsequencesFirst
from metering.admin.filters import ProjectFilter
from metering.admin.reason import ReasonForm
from metering.admin.refusals import worded
from metering.errors import MeterbookError
from quotas.alerting import send_test
from quotas.models import UsageThreshold
from quotas.thresholds import PERIOD_OF_RESET, change_threshold, remove_threshold, set_steps, set_threshold
from quotas.watching import Stand, stands_of

from . import file_columns
from .consequences import of_threshold
from .crossing_words import subject_words
from .history import history_of
from .meters import level_meter
from .threshold_form import ThresholdForm

ACTION_COLOURS = {
    UsageThreshold.Action.ALERT: "info",
    UsageThreshold.Action.BLOCK: "danger",
    UsageThreshold.Action.NONE: "",
}
ACTION_WORDS = {
    UsageThreshold.Action.ALERT: _("Alert"),
    UsageThreshold.Action.BLOCK: _("Block"),
    UsageThreshold.Action.NONE: _("None"),
}


@admin.register(UsageThreshold)
class UsageThresholdAdmin(ConsequencesFirst):
    form = ThresholdForm
    intro = _(
        "Levels of usage at which people are told, or further usage is refused. A threshold counts the "
        "project's own usage and what it pays for, as quotas do, for each subject on its own or for all "
        "together. Each level alerts once in a period."
    )
    empty_title = _("No thresholds yet")
    empty_text = _(
        "Nobody is told when usage grows. Add a threshold at an amount, or at 50, 80 and 100 percent of a "
        "quota."
    )
    csv_columns = file_columns.THRESHOLDS
    list_display = ("name", "project_key", "whose", "state", "level_shown", "each", "action_badge", "told")
    list_display_links = ("name",)
    list_per_page = 25
    list_filter = (
        ("project", ProjectFilter),
        ("action", ChoicesDropdownFilter),
        ("period", ChoicesDropdownFilter),
        ("is_enabled", BooleanRadioFilter),
    )
    linked_lookups = ("metric__id__exact",)
    search_fields = ("project__key", "project__name", "metric__key", "metric__display_name", "subject_id")
    search_help_text = _("Project, metric or subject")
    sortable_by = ()
    ordering = ("metric__key", "project__key", "period", "subject_id", "level", "id")
    autocomplete_fields = ("project", "metric")
    add_fieldsets = (
        (None, {"fields": ("project", "metric", "period")}),
        (
            _("Whose usage"),
            {
                "fields": ("subject_id", "subject_type"),
                "description": _("Leave both empty to watch every customer, user or device on its own."),
            },
        ),
        (
            _("Level"),
            {
                "fields": ("amount", "percent_of_quota", "approach_percent"),
                "description": _("One of the two."),
            },
        ),
        (_("What happens"), {"fields": ("action", "notify_emails", "is_enabled", "reason")}),
    )
    fieldsets = (
        (None, {"fields": ("project_key", "metric_name", "whose", "period_fixed")}),
        (_("Now"), {"fields": ("state", "used_now", "alerts_link")}),
        (
            _("Level"),
            {
                "fields": ("amount", "percent_of_quota", "approach_percent", "level_shown"),
                "description": _(
                    "One of the first two. Another level alerts anew, and lifts a block that the old one "
                    "made."
                ),
            },
        ),
        (_("What happens"), {"fields": ("action", "notify_emails", "is_enabled", "reason")}),
    )
    readonly_fields = (
        "project_key",
        "metric_name",
        "whose",
        "period_fixed",
        "state",
        "used_now",
        "alerts_link",
        "level_shown",
    )
    actions_detail = ("test", "remove")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        kept = super().get_queryset(request).filter(removed_at=None)
        return kept.select_related("project", "metric")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.add_fieldsets if obj is None else self.fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.readonly_fields

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        stands = stands_of(rows)
        for row in rows:
            row.stand = stands[row.pk]

    @staticmethod
    def _stand(threshold: Any) -> Stand:
        if not hasattr(threshold, "stand"):
            threshold.stand = stands_of([threshold])[threshold.pk]
        return threshold.stand

    def kept_history(self, object_id: str) -> HttpResponse:
        return history_of("thresholdchange", object_id)

    def consequences(self, request: HttpRequest, form: Any, *, change: bool) -> Sequence[Consequence]:
        """Of the lowest step: whoever is beyond another is beyond that, too."""
        given = form.cleaned_data
        before = UsageThreshold.objects.get(pk=form.instance.pk) if change else None
        after = form.instance
        after.amount = given["amount"]
        after.quota_fraction = min(given["percent_of_quota"], default=None)
        if (after.amount is None) == (after.quota_fraction is None):
            return []  # the verb refuses it
        if before is None:
            after.period = given["period"] or PERIOD_OF_RESET[given["metric"].reset_period]
        return of_threshold(before, after)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        with changed_by(request.user.get_username(), reason=form.cleaned_data["reason"], through="admin"):
            self._save(request, obj, form.cleaned_data, change=change)

    def _save(self, request: HttpRequest, obj: Any, given: dict[str, Any], *, change: bool) -> None:
        fractions = given["percent_of_quota"]
        common = {
            "action": given["action"],
            "notify_emails": given["notify_emails"],
            "approach_fraction": given["approach_percent"],
            "is_enabled": given["is_enabled"],
        }
        if change:
            share = fractions[0] if fractions else None
            stored = UsageThreshold.objects.get(pk=obj.pk)
            change_threshold(stored, amount=given["amount"], quota_fraction=share, **common)
            return
        common |= {
            "metric": given["metric"],
            "subject_id": given["subject_id"],
            "subject_type": given["subject_type"],
            "period": given["period"] or None,
        }
        if len(fractions) > 1 and given["amount"] is None:
            created = set_steps(given["project"], quota_fractions=fractions, **common)
            messages.info(request, gettext("%d thresholds were added, one for each step.") % len(created))
            self.adopt(obj, created[0])
            return
        share = fractions[0] if fractions else None
        self.adopt(
            obj, set_threshold(given["project"], amount=given["amount"], quota_fraction=share, **common)
        )

    # -- columns -----------------------------------------------------------------------------------------

    @admin.display(description=_("metric"))
    def name(self, threshold: UsageThreshold) -> str:
        return threshold.metric.display_name

    @admin.display(description=_("project"))
    def project_key(self, threshold: UsageThreshold) -> SafeString:
        return cells.project_link(threshold.project)

    @admin.display(description=_("whose usage"))
    def whose(self, threshold: UsageThreshold) -> Any:
        if threshold.is_for_each_subject:
            if threshold.subject_type:
                return gettext("each %s on its own") % threshold.subject_type
            return gettext("each subject on its own")
        return cells.one_line(subject_words(threshold.subject_type, threshold.subject_id))

    @admin.display(description=_("now"))
    def state(self, threshold: UsageThreshold) -> Any:
        if not threshold.is_enabled:
            return cells.badge(gettext("Off"), "warning")
        if threshold.level is None:
            return cells.badge(gettext("No quota"), "warning")
        stand = self._stand(threshold)
        if threshold.is_for_each_subject:
            return self._counts(stand)
        value = stand.value or Decimal(0)
        approach = threshold.approach_level
        if not threshold.level:
            is_reached = stand.value is not None
            return cells.badge(
                gettext("Reached") if is_reached else gettext("No usage"), "danger" if is_reached else ""
            )
        return level_meter(value, threshold.level, is_near=approach is not None and value >= approach)

    @staticmethod
    def _counts(stand: Stand) -> SafeString:
        shown = []
        if stand.reached_count:
            shown.append((gettext("%d reached") % stand.reached_count, "danger"))
        if stand.near_count:
            shown.append((gettext("%d near") % stand.near_count, "warning"))
        return cells.badges(shown or [(gettext("All below"), "success")])

    @admin.display(description=_("level"))
    def level_shown(self, threshold: UsageThreshold) -> SafeString:
        if threshold.level is None:
            return cells.quiet(gettext("no quota to take a share of"))
        number = cells.number(threshold.level, unit=threshold.metric.unit)
        if threshold.quota_fraction is None:
            return number
        share = gettext("%s of the quota") % numerals.exact_percent(threshold.quota_fraction)
        return format_html('{}<span class="mb-number mb-quiet mb-small">{}</span>', number, share)

    @admin.display(description=_("each"))
    def each(self, threshold: UsageThreshold) -> str:
        return threshold.get_period_display().partition(" (")[0]

    @admin.display(description=_("action"))
    def action_badge(self, threshold: UsageThreshold) -> SafeString:
        chosen = UsageThreshold.Action(threshold.action)
        return cells.badge(ACTION_WORDS[chosen], ACTION_COLOURS[chosen])

    @admin.display(description=_("told"))
    def told(self, threshold: UsageThreshold) -> Any:
        emails = threshold.notify_emails
        if not emails:
            return cells.quiet(gettext("nobody by mail"))
        first = cells.one_line(emails[0])
        if len(emails) == 1:
            return first
        return cells.two_lines(
            first, ngettext("and %d more", "and %d more", len(emails) - 1) % (len(emails) - 1)
        )

    # -- details -----------------------------------------------------------------------------------------

    @admin.display(description=_("metric"))
    def metric_name(self, threshold: UsageThreshold) -> SafeString:
        url = reverse("admin:metering_metricdefinition_change", args=[threshold.metric_id])
        return cells.link(url, threshold.metric.display_name)

    @admin.display(description=_("period"))
    def period_fixed(self, threshold: UsageThreshold) -> str:
        zone = gettext("by the calendar of %s") % threshold.project.timezone
        return f"{threshold.get_period_display()}, {zone}"

    @admin.display(description=_("used in this period"))
    def used_now(self, threshold: UsageThreshold) -> str:
        if threshold.is_for_each_subject:
            return gettext("Counted for each subject on its own.")
        facts = {
            "used": cells.readable(self._stand(threshold).value or Decimal(0)),
            "level": cells.readable(threshold.level),
            "unit": threshold.metric.unit,
        }
        return (gettext("%(used)s of %(level)s %(unit)s") % facts).strip()

    @admin.display(description=_("alerts"))
    def alerts_link(self, threshold: UsageThreshold) -> SafeString:
        url = reverse("admin:quotas_alert_changelist")
        query = urlencode({"crossing__threshold__id__exact": str(threshold.pk), "state": "all"})
        return cells.link(f"{url}?{query}", gettext("All alerts of this threshold"))

    # -- actions -----------------------------------------------------------------------------------------

    def has_test_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("quotas.change_usagethreshold"))

    def has_remove_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("quotas.delete_usagethreshold"))

    def _kept(self, object_id: str) -> UsageThreshold:
        kept = UsageThreshold.objects.kept().select_related("project", "metric")
        return get_object_or_404(kept, pk=object_id)

    @action(description=_("Send a test"), url_path="test", permissions=["test"], icon="outgoing_mail")
    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        threshold = self._kept(object_id)
        back_url = self.page_url("change", threshold.pk)
        if request.method == "POST":
            try:
                sent = send_test(threshold, actor=request.user.get_username())
            except MeterbookError as refusal:
                messages.error(request, worded(refusal))
                return HttpResponseRedirect(back_url)
            text = ngettext("%d mail", "%d mails", sent.mail_count) % sent.mail_count
            text += " " + gettext("and") + " "
            text += ngettext("%d webhook delivery", "%d webhook deliveries", sent.delivery_count) % (
                sent.delivery_count
            )
            return self.done(request, gettext("On their way: %s, marked as a test.") % text, url=back_url)
        people = ", ".join(threshold.notify_emails) or gettext("nobody, no addresses are given")
        return self.confirmation(
            request,
            title=_("Send a test"),
            subtitle=str(threshold),
            sentences=[
                gettext("By mail: %s.") % people,
                _("By webhook: every endpoint that subscribes to threshold.exceeded for this project."),
                _("Both say clearly that they are a test. No alert is opened and nothing is refused."),
            ],
            button=_("Send the test"),
            is_harmless=True,
            back_url=back_url,
            original=threshold,
        )

    @action(
        description=_("Remove"),
        url_path="remove",
        permissions=["remove"],
        icon="remove_circle",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        threshold = self._kept(object_id)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            self.log_deletions(request, UsageThreshold.objects.filter(pk=threshold.pk))
            reason = form.cleaned_data["reason"]
            with changed_by(request.user.get_username(), reason=reason, through="admin"):
                remove_threshold(threshold)
            return self.done(request, gettext("The threshold is removed."), url=self.page_url("changelist"))
        return self.confirmation(
            request,
            title=_("Remove a threshold"),
            subtitle=str(threshold),
            sentences=[
                _("Nobody is told any more when this level is near or reached."),
                _("A block that it made is lifted at once. Its alerts stay."),
            ],
            button=_("Remove the threshold"),
            back_url=self.page_url("change", threshold.pk),
            original=threshold,
            form=form,
        )
