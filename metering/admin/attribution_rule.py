"""Who pays for whom, from when until when."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSplitDateTimeWidget

from metering.attributing.scope_tree import attribute, end_attribution, withdraw_attribution
from metering.catalogue import current
from metering.clock import database_now
from metering.errors import MeterbookError
from metering.models import AttributionRule, Project
from metering.moments import in_words, no_day_lazy, typed_in_lazy

from . import cells
from .base import VerbForm
from .consequences import Consequence, ConsequencesFirst
from .filters import ProjectFilter
from .payer_tree import payer_tree_page
from .refusals import worded
from .row_ids import id_from

IN_FORCE, ENDED, AHEAD = "in force", "ended", "ahead"
_BADGES = {IN_FORCE: (_("In force"), "success"), ENDED: (_("Ended"), ""), AHEAD: (_("From later on"), "info")}


def state_of(rule: AttributionRule, *, at: dt.datetime) -> str:
    if rule.effective_until is not None and rule.effective_until <= at:
        return ENDED
    if rule.effective_from is not None and rule.effective_from > at:
        return AHEAD
    return IN_FORCE


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A rule as the project's page shows it."""

    rule: AttributionRule
    badge: SafeString
    since: SafeString
    until: SafeString


def rules_of(project: Project, *, now: dt.datetime) -> list[RuleLine]:
    """The rules of a project and its surfaces, latest first."""
    rules = project.attribution_rules.select_related("surface", "billing_attribution_project").order_by(
        "surface_id", "-effective_from"
    )
    return [
        RuleLine(
            rule,
            cells.badge(*_BADGES[state_of(rule, at=now)]),
            cells.moment(rule.effective_from, empty=gettext("ever")),
            cells.moment(rule.effective_until, empty=gettext("further notice")),
        )
        for rule in rules
    ]


class EndForm(forms.Form):
    effective_until = forms.SplitDateTimeField(
        label=_("End at"),
        widget=UnfoldAdminSplitDateTimeWidget(),
        error_messages={"invalid_date": no_day_lazy()},
        help_text=format_lazy(
            "{} {}",
            _("From this instant on the project pays for itself, unless another rule says otherwise."),
            typed_in_lazy(),
        ),
    )


def consequences_of(request: HttpRequest, rule: AttributionRule) -> list[Consequence]:
    """Of a rule as it will be made: who pays from when on, which rule it ends, what stays, and what other
    apps say to it."""
    facts = {
        "project": rule.project.key,
        "payer": rule.billing_attribution_project.key,
        "since": gettext("ever") if rule.effective_from is None else in_words(rule.effective_from),
        "until": gettext("further notice")
        if rule.effective_until is None
        else in_words(rule.effective_until),
    }
    if rule.surface is None:
        words = gettext(
            "Usage of %(project)s that happens from %(since)s until %(until)s is paid by %(payer)s."
        )
    else:
        facts["surface"] = rule.surface.key
        words = gettext(
            "Usage of %(project)s through %(surface)s that happens from %(since)s until %(until)s is paid by "
            "%(payer)s."
        )
    found = [Consequence("rule-payer", words % facts)]
    running = AttributionRule.objects.filter(
        project=rule.project, surface=rule.surface, effective_until=None
    ).select_related("billing_attribution_project")
    for other in running:
        if rule.effective_from is not None and (
            other.effective_from is None or other.effective_from < rule.effective_from
        ):
            facts["before"] = other.billing_attribution_project.key
            words = gettext("The rule by which %(before)s pays now ends at %(since)s.")
            found.append(Consequence("rule-ends", words % facts))
    if len(found) == 1:
        payer_id = current().payer_at(rule.project_id, database_now())
        facts["before"] = Project.objects.get(pk=payer_id).key
        found.append(Consequence("rule-now", gettext("It is paid by %(before)s now.") % facts))
    words = gettext(
        "Usage that is recorded already keeps its payer, whenever it happened; late usage that is recorded "
        "from now on follows the rule."
    )
    found.append(Consequence("rule-recorded", words))
    for name in settings.ATTRIBUTION_CONSEQUENCES:
        found += import_string(name)(request, rule)
    return found


@admin.register(AttributionRule)
class AttributionRuleAdmin(ConsequencesFirst):
    form = VerbForm
    intro = _(
        "Who pays for a project's usage, from when until when. Without a rule a project pays for itself. A "
        "rule decides for usage that is recorded after it was made; recorded events keep their payer."
    )
    empty_title = _("No rules yet")
    empty_text = _("Every project pays for itself. Add a rule to let an organisation pay for its projects.")
    list_display = ("project_key", "surface_key", "payer", "since", "until", "state")
    list_display_links = ("project_key",)
    list_select_related = ("project", "surface", "billing_attribution_project")
    list_filter = (("project", ProjectFilter),)
    search_fields = ("project__key", "billing_attribution_project__key")
    search_help_text = _("Project or payer")
    sortable_by = ()
    ordering = ("project__key", "surface_id", "-effective_from")
    autocomplete_fields = ("project", "surface", "billing_attribution_project")
    add_fieldsets = (
        (
            None,
            {
                "fields": (
                    "project",
                    "surface",
                    "billing_attribution_project",
                    "effective_from",
                    "effective_until",
                ),
                "description": _(
                    "A running rule without an end is ended where the new one begins. The end is not "
                    "included. To say from now on, give the present time, not an empty beginning."
                ),
            },
        ),
    )
    fieldsets = (
        (None, {"fields": ("project_full", "surface_key", "payer_full", "since", "until", "state")}),
    )
    readonly_fields = ("project_full", "surface_key", "payer_full", "since", "until", "state")
    actions_detail = ("end", "withdraw")

    def get_urls(self) -> list[URLPattern]:
        tree = path("tree/", self.admin_site.admin_view(self.tree), name="metering_attributionrule_tree")
        return [tree, *super().get_urls()]

    def tree(self, request: HttpRequest) -> HttpResponse:
        """Who pays for what, since when."""
        request.current_app = self.admin_site.name
        return payer_tree_page(request, self.admin_site.each_context(request))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """With the names that a rule is called by on its page and in its history."""
        return (
            super().get_queryset(request).select_related("project", "surface", "billing_attribution_project")
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A rule isn't edited: it is ended, and a new one begins."""
        return False

    def has_end_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("metering.change_attributionrule"))

    def has_withdraw_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("metering.delete_attributionrule"))

    def consequences(self, request: HttpRequest, form: Any, *, change: bool) -> Sequence[Consequence]:
        return consequences_of(request, form.instance)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        created = attribute(
            given["project"],
            payer=given["billing_attribution_project"],
            surface=given["surface"],
            effective_from=given["effective_from"],
            effective_until=given["effective_until"],
        )
        self.adopt(obj, created)
        for name in ("project", "surface", "billing_attribution_project"):
            setattr(obj, name, getattr(created, name))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        rule = AttributionRule.objects.filter(pk=id_from(str(object_id)) or 0).first()
        if rule is None or state_of(rule, at=database_now()) == ENDED:
            return []
        return list(super().get_actions_detail(request, object_id))

    @admin.display(description=_("project"))
    def project_key(self, rule: AttributionRule) -> str:
        return rule.project.key

    @admin.display(description=_("project"))
    def project_full(self, rule: AttributionRule) -> SafeString:
        return cells.two_lines(cells.project_link(rule.project), rule.project.name)

    @admin.display(description=_("paid by"))
    def payer_full(self, rule: AttributionRule) -> SafeString:
        payer = rule.billing_attribution_project
        return cells.two_lines(cells.project_link(payer), payer.name)

    @admin.display(description=_("usage of surface"))
    def surface_key(self, rule: AttributionRule) -> str:
        return rule.surface.key if rule.surface else gettext("all other usage")

    @admin.display(description=_("paid by"))
    def payer(self, rule: AttributionRule) -> SafeString:
        return cells.project_link(rule.billing_attribution_project)

    @admin.display(description=_("since"))
    def since(self, rule: AttributionRule) -> SafeString:
        return cells.moment(rule.effective_from, empty=gettext("ever"))

    @admin.display(description=_("until"))
    def until(self, rule: AttributionRule) -> SafeString:
        return cells.moment(rule.effective_until, empty=gettext("further notice"))

    @admin.display(description=_("state"))
    def state(self, rule: AttributionRule) -> SafeString:
        return cells.badge(*_BADGES[state_of(rule, at=dt.datetime.now(dt.UTC))])

    @action(
        description=_("End this rule"),
        url_path="end",
        permissions=["end"],
        icon="event_busy",
        variant=ActionVariant.DANGER,
    )
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        rule = get_object_or_404(
            AttributionRule.objects.select_related("project", "billing_attribution_project"), pk=object_id
        )
        now = database_now().replace(microsecond=0)
        form = EndForm(
            request.POST if request.method == "POST" else None,
            initial={"effective_until": now},
        )
        if request.method == "POST" and form.is_valid():
            try:
                end_attribution(rule, effective_until=form.cleaned_data["effective_until"])
            except MeterbookError as refusal:
                form.add_error("effective_until", worded(refusal))
            else:
                self.log_change(request, rule, [{"changed": {"fields": [gettext_noop("effective until")]}}])
                return self.done(request, gettext("The rule ends."), url=self.page_url("change", rule.pk))
        return self.confirmation(
            request,
            title=_("End an attribution rule"),
            subtitle=f"{rule.project.key} → {rule.billing_attribution_project.key}",
            sentences=[_("Usage that is recorded already keeps its payer, whenever it happened.")],
            button=_("End the rule"),
            back_url=self.page_url("change", rule.pk),
            original=rule,
            form=form,
        )

    @action(description=_("Withdraw"), url_path="withdraw", permissions=["withdraw"], icon="undo")
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        rule = get_object_or_404(self.get_queryset(request), pk=object_id)
        sentences: list[Any] = [
            _("The rule disappears, as if it had never been made."),
            _(
                "Only a rule that has decided nothing can be withdrawn: one that has yet to begin, or one "
                "of a project that has no usage and pays for nobody else. Any other is ended."
            ),
            _("A rule that ended because this one was to follow stays ended."),
        ]
        if request.method == "POST":
            try:
                withdraw_attribution(rule, at=database_now())
            except MeterbookError as refusal:
                sentences.append(worded(refusal))
            else:
                self.log_removal(request, rule)
                return self.done(request, gettext("The rule is withdrawn."), url=self.page_url("changelist"))
        return self.confirmation(
            request,
            title=_("Withdraw an attribution rule"),
            subtitle=str(rule),
            sentences=sentences,
            button=_("Withdraw the rule"),
            back_url=self.page_url("change", rule.pk),
            original=rule,
        )
