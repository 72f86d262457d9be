"""Publishing, cloning, archiving and removing plans, each after a page that says what it means."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.models import Plan
from billing.selling.plans import (
    archive_plan,
    clone_plan,
    publish_plan,
    remove_draft,
)
from metering.accountability import because
from metering.admin.reason import ReasonForm
from metering.admin.refusals import worded
from metering.admin.row_ids import id_from
from metering.errors import MeterbookError

from .price_pages import PricePages
from .price_words import price_in_words
from .what_if import what_if_url


class CloneForm(forms.Form):
    key = forms.CharField(
        label=_("Key"),
        max_length=100,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("As it is: the next version of this plan. Another key: a plan of its own."),
    )
    name = forms.CharField(label=_("Name"), max_length=200, widget=UnfoldAdminTextInputWidget())


class PlanActions(PricePages):
    """What a plan's state allows to be done with it."""

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        actions = list(super().get_actions_detail(request, object_id))
        plan = Plan.objects.filter(pk=id_from(str(object_id)) or 0).first()
        offered = {
            Plan.State.DRAFT: ("publish", "compare", "clone", "remove"),
            Plan.State.PUBLISHED: ("compare", "clone", "archive"),
            Plan.State.ARCHIVED: ("compare", "clone"),
        }
        names = offered[Plan.State(plan.state)] if plan is not None else ()
        return [one for one in actions if one.action_name.rpartition("_")[2] in names]

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.change_plan")

    def has_clone_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(self.has_add_permission(request))

    def has_compare_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perms(["billing.view_plan", "billing.view_billingaccount"])

    @action(description=_("What if"), url_path="compare", icon="query_stats", permissions=["compare"])
    def compare(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(what_if_url(get_object_or_404(Plan, pk=object_id)))

    @action(description=_("Publish"), url_path="publish", icon="publish", permissions=["publish"])
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        plan = get_object_or_404(Plan, pk=object_id)
        back_url = self.page_url("change", plan.pk)
        sentences = [
            *(
                f"{price.name}: {price_in_words(price, plan)}."
                for price in plan.prices.select_related("metric")
            ),
            _("From now on neither plan nor prices can be changed, and accounts can subscribe to it."),
            _("Who is on an earlier version stays on it until the plan is changed."),
        ]
        return self._asked(
            request,
            plan,
            verb=publish_plan,
            title=_("Publish a plan"),
            sentences=sentences,
            button=_("Publish the plan"),
            back_url=back_url,
            done=gettext("“%s” is published."),
            field="state",
        )

    @action(description=_("Clone"), url_path="clone", icon="content_copy", permissions=["clone"])
    def clone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        plan = get_object_or_404(Plan, pk=object_id)
        back_url = self.page_url("change", plan.pk)
        form = CloneForm(
            request.POST if request.method == "POST" else None,
            initial={"key": plan.key, "name": plan.name},
        )
        if request.method == "POST" and form.is_valid():
            try:
                clone = clone_plan(plan, key=form.cleaned_data["key"], name=form.cleaned_data["name"])
            except MeterbookError as refusal:
                field = getattr(refusal, "field", None)
                form.add_error(field if field in form.fields else None, worded(refusal))
            else:
                self.log_addition(request, clone, [{"added": {}}])
                return self.done(
                    request,
                    gettext("Version %(version)d of “%(key)s” is a draft with the same prices.")
                    % {"version": clone.version, "key": clone.key},
                    url=self.page_url("change", clone.pk),
                )
        return self.confirmation(
            request,
            title=_("Clone a plan"),
            subtitle=str(plan),
            sentences=[_("A draft with the same prices, to be changed and published.")],
            button=_("Make the draft"),
            back_url=back_url,
            original=plan,
            form=form,
        )

    @action(
        description=_("Archive"),
        url_path="archive",
        icon="archive",
        permissions=["publish"],
        variant=ActionVariant.DANGER,
    )
    def archive(self, request: HttpRequest, object_id: str) -> HttpResponse:
        plan = get_object_or_404(Plan, pk=object_id)
        return self._asked(
            request,
            plan,
            verb=archive_plan,
            title=_("Archive a plan"),
            sentences=[
                _("Nobody can subscribe to this version any more. It can't be taken up again, only cloned."),
                _("Accounts that are on it stay on it, at its prices."),
            ],
            button=_("Archive the plan"),
            back_url=self.page_url("change", plan.pk),
            done=gettext("“%s” is archived."),
            field="state",
        )

    @action(
        description=_("Remove the draft"),
        url_path="remove",
        icon="delete",
        permissions=["publish"],
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        plan = get_object_or_404(Plan, pk=object_id)
        back_url = self.page_url("change", plan.pk)
        sentences: list[Any] = [_("The draft and its prices are gone then; nobody ever subscribed to it.")]
        if request.method == "POST":
            try:
                remove_draft(plan)
            except MeterbookError as refusal:
                sentences.append(worded(refusal))
            else:
                self.log_removal(request, plan)
                return self.done(
                    request,
                    gettext("The draft of “%s” is removed.") % plan.name,
                    url=self.page_url("changelist"),
                )
        return self.confirmation(
            request,
            title=_("Remove a draft"),
            subtitle=str(plan),
            sentences=sentences,
            button=_("Remove the draft"),
            back_url=back_url,
            original=plan,
        )

    def _asked(
        self,
        request: HttpRequest,
        plan: Plan,
        *,
        verb: Any,
        title: Any,
        sentences: list[Any],
        button: Any,
        back_url: str,
        done: str,
        field: str,
    ) -> HttpResponse:
        """The confirmation page of a verb that takes nothing but the plan, and carrying it out."""
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            because(form.cleaned_data["reason"])
            try:
                verb(plan)
            except MeterbookError as refusal:
                sentences.append(worded(refusal))
            else:
                self.log_change(request, plan, [{"changed": {"fields": [field]}}])
                return self.done(request, done % plan.name, url=back_url)
        return self.confirmation(
            request,
            title=title,
            subtitle=str(plan),
            sentences=sentences,
            button=button,
            back_url=back_url,
            original=plan,
            form=form,
        )
