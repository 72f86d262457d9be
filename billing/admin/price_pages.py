"""The pages that edit the prices of a draft, with what they would bill beside them."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from billing.models import Plan, Price
from billing.selling.plans import change_prices
from billing.selling.price_lists import PriceDraft, draft_of
from metering import numerals
from metering.admin.base import EditableAdmin
from metering.admin.refusals import worded
from metering.errors import MeterbookError
from metering.texts.numbers import NotANumber, decimal_from

from .price_form import PriceForm, initial_of
from .price_preview import preview_card


class PricePages(EditableAdmin):
    """What the page of a plan offers for each price, and for another one. Prices are named by position."""

    def get_urls(self) -> list[Any]:
        def page(route: str, view: Callable[..., Any], name: str) -> Any:
            full = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
            return path(route, self.admin_site.admin_view(view), name=full)

        return [
            page("<int:plan_id>/prices/add/<str:kind>/", self.add_price, "add_price"),
            page("<int:plan_id>/prices/preview/<str:kind>/", self.preview_price, "preview_price"),
            page("<int:plan_id>/prices/<int:position>/", self.change_price, "change_price"),
            page("<int:plan_id>/prices/<int:position>/remove/", self.remove_price, "remove_price"),
            page("<int:plan_id>/prices/<int:position>/move/", self.move_price, "move_price"),
            *super().get_urls(),
        ]

    def add_price(self, request: HttpRequest, plan_id: int, kind: str) -> HttpResponse:
        plan = self._draft(request, plan_id)
        return self._price_page(request, plan, kind=_kind(kind), position=None)

    def change_price(self, request: HttpRequest, plan_id: int, position: int) -> HttpResponse:
        plan = self._draft(request, plan_id)
        price = self._price(plan, position)
        return self._price_page(request, plan, kind=price.kind, position=position, stored=price)

    def _price_page(
        self,
        request: HttpRequest,
        plan: Plan,
        *,
        kind: str,
        position: int | None,
        stored: Price | None = None,
    ) -> HttpResponse:
        initial = initial_of(draft_of(stored)) if stored is not None else {}
        form = PriceForm(
            request.POST if request.method == "POST" else None, plan=plan, kind=kind, initial=initial
        )
        back_url = self.page_url("change", plan.pk)
        if request.method == "POST" and form.is_valid():
            draft = form.draft
            assert draft is not None
            try:
                change_prices(plan, lambda prices: _placed(prices, draft, position))
            except MeterbookError as refusal:
                form.add_error(None, worded(refusal))
            else:
                self.log_change(request, plan, [{"changed": {"fields": [gettext_noop("prices")]}}])
                return self.done(
                    request, gettext("The price “%s” is saved.") % draft.shown_name, url=back_url
                )
        title = _("Change a price") if stored else _("Add a fixed fee") if form.is_fee else _("Add a price")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": plan,
            "title": title,
            "subtitle": f"{plan.name}, {plan.currency}",
            "form": form,
            "media": self.media + form.media,
            "back_url": back_url,
            "preview_url": self.page_url("preview_price", plan.pk, kind),
            "preview": self._preview(form.draft if form.is_bound else None, plan, None)
            if form.is_bound or stored is None
            else self._preview(draft_of(stored), plan, None),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/billing/plan/price.html", context)

    def preview_price(self, request: HttpRequest, plan_id: int, kind: str) -> HttpResponse:
        """What the form as it stands would bill, as a piece of HTML; nothing is stored."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        plan = self._draft(request, plan_id)
        form = PriceForm(request.POST, plan=plan, kind=_kind(kind))
        quantity, wrong = _asked(request.POST.get("preview_quantity", ""))
        context = {
            "preview": self._preview(form.draft, plan, quantity) if form.is_valid() else None,
            "errors": [
                (form.fields[name].label if name in form.fields else "", message)
                for name, messages in form.errors.items()
                for message in messages
            ],
            "wrong_quantity": wrong,
        }
        return TemplateResponse(request, "admin/billing/plan/price_preview.html", context)

    @staticmethod
    def _preview(draft: PriceDraft | None, plan: Plan, quantity: Decimal | None) -> dict[str, Any] | None:
        if draft is None:
            return None
        unit = draft.metric.unit if draft.metric else ""
        return preview_card(draft.price, currency=plan.currency, unit=unit, quantity=quantity)

    def remove_price(self, request: HttpRequest, plan_id: int, position: int) -> HttpResponse:
        plan = self._draft(request, plan_id)
        price = self._price(plan, position)
        back_url = self.page_url("change", plan.pk)
        sentences = [gettext("The draft has one price less; prices after it move up.")]
        if request.method == "POST":
            try:
                change_prices(plan, lambda prices: [*prices[:position], *prices[position + 1 :]])
            except MeterbookError as refusal:
                sentences.append(worded(refusal))
            else:
                self.log_change(request, plan, [{"changed": {"fields": [gettext_noop("prices")]}}])
                return self.done(request, gettext("The price “%s” is removed.") % price.name, url=back_url)
        return self.confirmation(
            request,
            title=_("Remove a price"),
            subtitle=price.name,
            sentences=sentences,
            button=_("Remove the price"),
            back_url=back_url,
            original=plan,
        )

    def move_price(self, request: HttpRequest, plan_id: int, position: int) -> HttpResponse:
        """One place up, where the order decides which of two prices takes usage that both match."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        plan = self._draft(request, plan_id)
        self._price(plan, position)
        if position:
            try:
                change_prices(plan, lambda prices: _moved_up(prices, position))
            except MeterbookError as refusal:
                self.message_user(request, worded(refusal), level="ERROR")
        return HttpResponseRedirect(self.page_url("change", plan.pk))

    def _draft(self, request: HttpRequest, plan_id: int) -> Plan:
        plan = get_object_or_404(Plan.objects.select_related("project"), pk=plan_id)
        if not plan.is_draft or not self.has_change_permission(request, plan):
            raise PermissionDenied
        return plan

    @staticmethod
    def _price(plan: Plan, position: int) -> Price:
        price = plan.prices.select_related("metric__project").filter(position=position).first()
        if price is None:
            raise Http404
        return price


def _kind(text: str) -> str:
    if text not in Price.Kind.values:
        raise Http404
    return text


def _placed(prices: list[PriceDraft], draft: PriceDraft, position: int | None) -> list[PriceDraft]:
    """The draft in its place; another one comes last."""
    if position is None or position >= len(prices):
        return [*prices, draft]
    return [*prices[:position], draft, *prices[position + 1 :]]


def _moved_up(prices: list[PriceDraft], position: int) -> list[PriceDraft]:
    if not 0 < position < len(prices):
        return prices
    before, moved = prices[position - 1], prices[position]
    return [*prices[: position - 1], moved, before, *prices[position + 1 :]]


def _asked(text: str) -> tuple[Decimal | None, str]:
    """The quantity that somebody wants to see the amount for, or why it can't be read."""
    if not text.strip():
        return None, ""
    try:
        quantity = decimal_from(numerals.plainly_written(text))
    except ValidationError as error:
        return None, " ".join(error.messages).removesuffix(".")
    except NotANumber as error:
        return None, worded(error)
    return (quantity, "") if quantity >= 0 else (None, gettext("must not be negative"))
