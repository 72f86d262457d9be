"""Changing the plan of a subscription and ending it: first what it means for the bill, then for good."""

import datetime as dt
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant

from billing.models import Subscription
from billing.selling.change_previews import ChangePreview, preview_of_cancellation, preview_of_change
from billing.selling.subscriptions import cancel, change_plan, withdraw_cancellation, withdraw_change
from metering.accountability import because
from metering.admin.consequences import ConsequencesFirst
from metering.admin.reason import ReasonForm
from metering.admin.refusals import worded
from metering.clock import database_now
from metering.errors import MeterbookError
from metering.measuring.windows import zone_named

from .price_words import Words
from .subscription_forms import CancellationForm, PlanChangeForm, WhenForm
from .subscription_words import LocalTimes, period_in_words

CONFIRM = "_confirm"  # name of the button that carries it out; the other one only looks ahead


class OrderPages(ConsequencesFirst):
    """What the page of a subscription offers. Every order asks the verb again when it is confirmed."""

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_order_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.change_subscription")

    @action(
        description=_("Change the plan"), url_path="change-plan", icon="swap_horiz", permissions=["order"]
    )
    def change_plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        subscription, now = _subscription(object_id), database_now()
        form = PlanChangeForm(request.POST or None, subscription=subscription, now=now)

        def look() -> ChangePreview:
            return preview_of_change(subscription, plan=form.cleaned_data["plan"], at=form.instant, now=now)

        def carry_out() -> Subscription:
            return change_plan(subscription, plan=form.cleaned_data["plan"], at=form.instant, now=now)

        return self._order(
            request,
            subscription,
            form,
            look=look,
            carry_out=carry_out,
            title=_("Change the plan"),
            button=_("Change the plan"),
            done=_("The change of plan is settled."),
            now=now,
        )

    @action(
        description=pgettext_lazy("a subscription", "Cancel"),
        url_path="cancel",
        icon="cancel",
        permissions=["order"],
        variant=ActionVariant.DANGER,
    )
    def cancel_subscription(self, request: HttpRequest, object_id: str) -> HttpResponse:
        subscription, now = _subscription(object_id), database_now()
        form = CancellationForm(request.POST or None, subscription=subscription, now=now)
        return self._order(
            request,
            subscription,
            form,
            look=lambda: preview_of_cancellation(subscription, at=form.instant, now=now),
            carry_out=lambda: cancel(subscription, at=form.instant, now=now),
            title=_("Cancel the subscription"),
            button=_("Cancel the subscription"),
            done=_("The subscription is cancelled."),
            now=now,
            carries_off=True,
        )

    @action(description=_("Take the change back"), url_path="keep-plan", icon="undo", permissions=["order"])
    def withdraw_change(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._taken_back(
            request,
            object_id,
            verb=withdraw_change,
            title=_("Take the change of plan back"),
            sentence=_("The subscription goes on with its plan as if no change had been scheduled."),
            done=_("The change of plan is taken back."),
        )

    @action(description=_("Take the cancellation back"), url_path="keep", icon="undo", permissions=["order"])
    def withdraw_cancellation(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._taken_back(
            request,
            object_id,
            verb=withdraw_cancellation,
            title=_("Take the cancellation back"),
            sentence=_("The subscription goes on until further notice."),
            done=_("The cancellation is taken back."),
        )

    def _order(
        self,
        request: HttpRequest,
        subscription: Subscription,
        form: WhenForm,
        *,
        look: Callable[[], ChangePreview],
        carry_out: Callable[[], Subscription],
        title: Any,
        button: Any,
        done: Any,
        now: dt.datetime,
        carries_off: bool = False,
    ) -> HttpResponse:
        """Look ahead, or carry out. `carries_off`: it takes something away, and its button says so."""
        preview = None
        back_url = self.page_url("change", subscription.pk)
        form.fields["reason"].required = CONFIRM in request.POST  # looking ahead needs none
        if request.method == "POST" and form.is_valid():
            because(form.cleaned_data["reason"])
            try:
                if CONFIRM in request.POST:
                    result = carry_out()
                    self.log_change(
                        request, subscription, [{"changed": {"fields": [gettext_noop("effective until")]}}]
                    )
                    return self.done(request, str(done), url=self.page_url("change", result.pk))
                preview = look()
            except MeterbookError as refusal:
                field = getattr(refusal, "field", None)
                with timezone.override(zone_named(subscription.account.timezone)):
                    form.add_error(field if field in form.fields else None, worded(refusal))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": subscription,
            "title": title,
            "subtitle": f"{subscription.account.legal_name}, {subscription.plan.name}",
            "form": form,
            "media": self.media + form.media,
            "back_url": back_url,
            "button": button,
            "variant": "danger" if carries_off else "primary",
            "preview": order_card(preview, subscription, now=now) if preview is not None else None,
            "is_cancellation": carries_off,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/billing/subscription/order.html", context)

    def _taken_back(
        self, request: HttpRequest, object_id: str, *, verb: Any, title: Any, sentence: Any, done: Any
    ) -> HttpResponse:
        subscription = _subscription(object_id)
        back_url = self.page_url("change", subscription.pk)
        sentences = [sentence]
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            because(form.cleaned_data["reason"])
            try:
                verb(subscription, now=database_now())
            except MeterbookError as refusal:
                sentences.append(worded(refusal))
            else:
                self.log_change(
                    request, subscription, [{"changed": {"fields": [gettext_noop("effective until")]}}]
                )
                return self.done(request, str(done), url=back_url)
        return self.confirmation(
            request,
            title=title,
            subtitle=f"{subscription.account.legal_name}, {subscription.plan.name}",
            sentences=sentences,
            button=title,
            back_url=back_url,
            original=subscription,
            form=form,
        )


def _subscription(object_id: str) -> Subscription:
    return get_object_or_404(Subscription.objects.select_related("account__project", "plan"), pk=object_id)


def order_card(preview: ChangePreview, subscription: Subscription, *, now: dt.datetime) -> dict[str, Any]:
    """What the order means, in words and amounts. What is due at once is due when it takes effect."""
    words = Words(preview.currency)
    times = LocalTimes(zone_named(subscription.account.timezone))
    at = times.short(preview.at)
    is_later = preview.at > now
    return {
        "at": at,
        "until": "" if preview.at <= subscription.effective_from else times.last(preview.at),
        "is_later": is_later,
        "zone": subscription.account.timezone,
        "currency": preview.currency,
        "ended": period_in_words(preview.cut) if preview.cut else "",
        "begun": period_in_words(preview.rest) if preview.rest else "",
        "restarts_cycle": preview.restarts_cycle,
        "lines": [
            {
                "name": line.name,
                "kind": gettext("Credit") if line.kind == "credit" else gettext("Charge"),
                "days": gettext("%(days)d of %(all)d days") % {"days": line.days, "all": line.of_days},
                "due": _due(line.due, at=at if is_later else ""),
                "amount": words.bare(Fraction(line.amount)),
            }
            for line in preview.lines
        ],
        "due_now": words.amount(Fraction(preview.due_now)),
        "is_credit": preview.due_now < 0,
        "lost": ", ".join(preview.metrics_lost),
        "gained": ", ".join(preview.metrics_gained),
    }


def _due(due: str, *, at: str) -> str:
    """When a line is due; `at` is when the order takes effect, empty where that is now."""
    if due != "now":
        return gettext("when the period ends")
    return gettext("on %s") % at if at else gettext("now")
