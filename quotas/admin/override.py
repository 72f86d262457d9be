"""Temporary limits: given and ended early, never edited."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from metering import moments
from metering.accountability import changed_by
from metering.admin import cells
from metering.admin.base import VerbForm
from metering.admin.consequences import Consequence, ConsequencesFirst
from metering.admin.reason import ReasonForm
from metering.admin.row_ids import id_from
from metering.clock import database_now
from quotas.models import QuotaOverride
from quotas.overrides import end_override, override_quota

from . import file_columns
from .consequences import of_temporary_limit
from .history import history_of

COMING, RUNNING, OVER = "coming", "running", "over"
_BADGES = {
    COMING: (_("Coming"), "info"),
    RUNNING: (_("In force"), "success"),
    OVER: (_("Over"), "default"),
}


def state_of(override: QuotaOverride, *, at: dt.datetime) -> str:
    if override.effective_until <= at:
        return OVER
    return RUNNING if override.effective_from <= at else COMING


class OverrideForm(VerbForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "effective_from" in self.fields:
            self.fields["effective_from"].required = False
            self.fields["effective_from"].help_text = " ".join(
                (gettext("Empty: from now on."), moments.typed_in())
            )
            self.fields["effective_until"].help_text = " ".join(
                (gettext("From this instant on the quota's own limit holds again."), moments.typed_in())
            )

    class Meta:
        widgets = {"reason": UnfoldAdminTextareaWidget(attrs={"rows": 3})}


@admin.register(QuotaOverride)
class QuotaOverrideAdmin(ConsequencesFirst):
    form = OverrideForm
    intro = _(
        "Another limit that a quota has for a while: for a campaign, a migration, until an invoice is paid. "
        "It holds by the clock, whenever the usage that it judges has happened."
    )
    empty_title = _("No temporary limits yet")
    empty_text = _("Every quota has its own limit. Add one to raise or lower a limit until a certain time.")
    csv_columns = file_columns.OVERRIDES
    list_display = ("metric_name", "project_key", "limit_shown", "since", "until", "state", "reason")
    list_display_links = ("metric_name",)
    list_select_related = ("quota__project", "quota__metric")
    search_fields = ("quota__project__key", "quota__metric__key", "reason")
    search_help_text = _("Project, metric or reason")
    sortable_by = ()
    ordering = ("-effective_from", "-id")
    add_fieldsets = ((None, {"fields": ("quota", "limit", "effective_from", "effective_until", "reason")}),)
    fieldsets = (
        (None, {"fields": ("metric_name", "project_full", "limit_shown", "since", "until", "state")}),
        (_("Why"), {"fields": ("reason", "created_by", "made_at", "ended_by")}),
    )
    readonly_fields = ("metric_name", "project_full", "limit_shown", "since", "until", "state", "made_at")
    autocomplete_fields = ("quota",)
    actions_detail = ("end",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.add_fieldsets if obj is None else self.fieldsets

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("quota__project", "quota__metric")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """It isn't edited: it is ended, and another one given."""
        return False

    def kept_history(self, object_id: str) -> HttpResponse:
        return history_of("overridechange", object_id)

    def has_end_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("quotas.change_quotaoverride"))

    def consequences(self, request: HttpRequest, form: Any, *, change: bool) -> Sequence[Consequence]:
        given = form.cleaned_data
        begins_now = not given["effective_from"] or given["effective_from"] <= database_now()
        return of_temporary_limit(given["quota"], given["limit"]) if begins_now else []

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        given = form.cleaned_data
        actor = request.user.get_username()
        with changed_by(actor, reason=given["reason"], through="admin"):
            created = override_quota(
                given["quota"],
                limit=given["limit"],
                effective_from=given["effective_from"],
                effective_until=given["effective_until"],
                reason=given["reason"],
                actor=actor,
            )
        self.adopt(obj, created)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        override = QuotaOverride.objects.filter(pk=id_from(str(object_id)) or 0).first()
        if override is None or state_of(override, at=database_now()) == OVER:
            return []
        return list(super().get_actions_detail(request, object_id))

    @admin.display(description=_("metric"))
    def metric_name(self, override: QuotaOverride) -> str:
        return override.quota.metric.display_name

    @admin.display(description=_("project"))
    def project_key(self, override: QuotaOverride) -> str:
        return override.quota.project.key

    @admin.display(description=_("project"))
    def project_full(self, override: QuotaOverride) -> SafeString:
        project = override.quota.project
        return cells.two_lines(cells.project_link(project), project.name)

    @admin.display(description=_("limit"))
    def limit_shown(self, override: QuotaOverride) -> SafeString:
        return cells.number(override.limit, unit=override.quota.metric.unit)

    @admin.display(description=_("since"))
    def since(self, override: QuotaOverride) -> SafeString:
        return cells.moment(override.effective_from)

    @admin.display(description=_("created at"))
    def made_at(self, override: QuotaOverride) -> SafeString:
        return cells.moment(override.created_at)

    @admin.display(description=_("until"))
    def until(self, override: QuotaOverride) -> SafeString:
        return cells.moment(override.effective_until)

    @admin.display(description=_("state"))
    def state(self, override: QuotaOverride) -> SafeString:
        return cells.badge(*_BADGES[state_of(override, at=dt.datetime.now(dt.UTC))])

    @action(
        description=_("End now"),
        url_path="end",
        permissions=["end"],
        icon="event_busy",
        variant=ActionVariant.DANGER,
    )
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        override = get_object_or_404(self.get_queryset(request), pk=object_id)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            actor = request.user.get_username()
            with changed_by(actor, reason=form.cleaned_data["reason"], through="admin"):
                end_override(override, actor=actor)
            self.log_change(request, override, [{"changed": {"fields": [gettext_noop("effective until")]}}])
            return self.done(
                request, gettext("The temporary limit is ended."), url=self.page_url("change", override.pk)
            )
        return self.confirmation(
            request,
            title=_("End a temporary limit"),
            subtitle=f"{override.quota.project.key} · {override.quota.metric.display_name}",
            sentences=[
                _("The quota's own limit holds again from now on; one that has yet to begin never will."),
                _("Recorded usage stays and counts."),
            ],
            button=_("End it now"),
            back_url=self.page_url("change", override.pk),
            original=override,
            form=form,
        )
