"""Webhook endpoints: added, tried, their secrets replaced, and how they are doing."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminIntegerFieldWidget

from metering import numerals
from metering.announcing.kinds import KINDS, SUBSCRIBABLE
from metering.clock import database_now
from metering.delivering.endpoints import (
    LONGEST_OVERLAP_HOURS,
    OVERLAP_HOURS,
    Changes,
    add_endpoint,
    change_endpoint,
    remove_endpoint,
    resend_failed,
    rotate_secret,
    test_endpoint,
)
from metering.errors import MeterbookError
from metering.models import WebhookDelivery, WebhookEndpoint, WebhookSecret

from . import cells, file_columns
from .base import EditableAdmin, VerbForm
from .filters import ProjectFilter
from .refusals import worded

Status = WebhookDelivery.Status


class HealthFilter(DropdownFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("works", _("Works")), ("failing", _("Failing")), ("off", _("Switched off"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "off":
            return queryset.filter(is_enabled=False)
        if self.value() == "failing":
            return queryset.filter(is_enabled=True).exclude(failing_since=None)
        if self.value() == "works":
            return queryset.filter(is_enabled=True, failing_since=None)
        return queryset


def _kind_choices() -> list[tuple[str, Any]]:
    return [
        (name, format_html("{} <span class='mb-quiet'>{}</span>", name, gettext(KINDS[name].description)))
        for name in SUBSCRIBABLE
    ]


class EndpointForm(VerbForm):
    kinds = forms.MultipleChoiceField(
        label=_("Events"),
        choices=_kind_choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text=_("None chosen: all, also kinds that come later."),
    )


class RotateForm(forms.Form):
    overlap_hours = forms.IntegerField(
        label=_("Hours for which the old secret signs along"),
        initial=OVERLAP_HOURS,
        min_value=0,
        max_value=LONGEST_OVERLAP_HOURS,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text=_(
            "So much time the receiver has for taking over the new one; until then each message is signed by "
            "both. 0 where the old one has become known: it ends at once."
        ),
    )


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(EditableAdmin):
    form = EndpointForm
    intro = _(
        "Addresses that are told what happens in a project and below it, by signed messages. What a receiver "
        "doesn't take is sent again, for about three days; one that fails for longer is switched off."
    )
    empty_title = _("No webhook endpoints yet")
    empty_text = _("Add one for a system that should know of limits, usage or definitions as they happen.")
    csv_more = file_columns.OPEN_DELIVERIES
    csv_key = "url"
    list_display = ("address", "project_key", "takes", "state", "waiting", "failed", "last_delivery")
    list_display_links = ("address",)
    list_select_related = ("project",)
    list_filter = (("project", ProjectFilter), HealthFilter)
    search_fields = ("url", "description")
    search_help_text = _("URL or description")
    ordering = ("-id",)
    sortable_by = ()
    autocomplete_fields = ("project",)
    add_fieldsets = ((None, {"fields": ("project", "url", "description", "kinds")}),)
    fieldsets = (
        (None, {"fields": ("project_key", "url", "description", "is_enabled", "kinds")}),
        (_("How it is doing"), {"fields": ("state", "deliveries", "last_delivery", "secrets_in_force")}),
    )
    readonly_fields = ("project_key", "state", "deliveries", "last_delivery", "secrets_in_force")
    actions_detail = ("send_test", "resend_all", "rotate", "remove")

    # -- rights ------------------------------------------------------------------------------------------

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.

    def has_remove_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("metering.delete_webhookendpoint"))

    def has_manage_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("metering.change_webhookendpoint"))

    def has_resend_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("metering.resend_webhookdelivery"))

    # -- writing -----------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        if change:
            stored = WebhookEndpoint.objects.get(pk=obj.pk)
            change_endpoint(
                stored,
                Changes(given["url"], given["description"], given["kinds"], given["is_enabled"]),
            )
            return
        created, secret = add_endpoint(
            project=given["project"],
            url=given["url"],
            description=given["description"],
            kinds=given["kinds"],
        )
        self.adopt(obj, created)
        obj.shown_once = secret

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        if kwargs.get("add"):
            # After an endpoint is made there is one page to see, whatever button was pressed.
            context |= {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._shown_once(request, obj, obj.shown_once, title=gettext("The new webhook endpoint"))

    def _shown_once(
        self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str, *, title: str
    ) -> HttpResponse:
        """The secret, in the answer to the very request that made it: it is kept nowhere."""
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "endpoint": endpoint,
            "secret": secret,
            "endpoint_url": self.page_url("change", endpoint.pk),
        }
        response = TemplateResponse(request, "admin/metering/webhookendpoint/shown_once.html", context)
        add_never_cache_headers(response)
        return response

    @action(description=_("Send a test"), url_path="test", permissions=["manage"], icon="send")
    def send_test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """An event for this endpoint alone; its page says what becomes of it."""
        endpoint = get_object_or_404(WebhookEndpoint, pk=object_id)
        sentences: list[Any] = [
            _("An event “endpoint.tested” is sent to this address within seconds, signed as all others are."),
            _("The next page says what the receiver answered."),
        ]
        if request.method == "POST":
            try:
                delivery = test_endpoint(endpoint, requested_by=request.user.get_username())
            except MeterbookError as refusal:
                sentences.append(worded(refusal))
            else:
                self.log_change(request, endpoint, [{"changed": {"fields": [gettext_noop("test sent")]}}])
                return HttpResponseRedirect(
                    reverse("admin:metering_webhookdelivery_change", args=[delivery.pk])
                )
        return self.confirmation(
            request,
            title=_("Send a test"),
            subtitle=endpoint.url,
            sentences=sentences,
            button=_("Send it"),
            back_url=self.page_url("change", endpoint.pk),
            original=endpoint,
        )

    @action(description=_("Send failed ones again"), url_path="resend", permissions=["resend"], icon="replay")
    def resend_all(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = get_object_or_404(WebhookEndpoint, pk=object_id)
        count = WebhookDelivery.objects.filter(endpoint=endpoint, status=Status.FAILED).count()
        sentences: list[Any] = [
            ngettext(
                "%(count)s message has failed for good. It is sent again now, under its id.",
                "%(count)s messages have failed for good. They are sent again now, under their ids.",
                count,
            )
            % {"count": numerals.count(count)}
        ]
        if request.method == "POST":
            try:
                resent_count = resend_failed(endpoint)
            except MeterbookError as refusal:
                sentences.append(worded(refusal))
            else:
                self.log_change(
                    request,
                    endpoint,
                    [{"changed": {"fields": [gettext_noop("failed deliveries sent again")]}}],
                )
                message = ngettext(
                    "%(count)s message is sent again.", "%(count)s messages are sent again.", resent_count
                )
                url = f"{_deliveries_url(endpoint)}&status__exact=pending"
                return self.done(request, message % {"count": numerals.count(resent_count)}, url=url)
        return self.confirmation(
            request,
            title=_("Send failed messages again"),
            subtitle=endpoint.url,
            sentences=sentences,
            button=_("Send them again"),
            back_url=self.page_url("change", endpoint.pk),
            original=endpoint,
        )

    @action(description=_("Replace the secret"), url_path="rotate", permissions=["manage"], icon="key")
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = get_object_or_404(WebhookEndpoint, pk=object_id)
        form = RotateForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                _row, secret = rotate_secret(endpoint, overlap_hours=form.cleaned_data["overlap_hours"])
            except MeterbookError as refusal:
                form.add_error(None, worded(refusal))
            else:
                self.log_change(request, endpoint, [{"changed": {"fields": [gettext_noop("secret")]}}])
                return self._shown_once(request, endpoint, secret, title=gettext("The new secret"))
        return self.confirmation(
            request,
            title=_("Replace the secret"),
            subtitle=endpoint.url,
            sentences=[_("The new secret is shown on the next page, once.")],
            button=_("Replace it"),
            back_url=self.page_url("change", endpoint.pk),
            original=endpoint,
            form=form,
        )

    @action(
        description=_("Remove"),
        url_path="remove",
        permissions=["remove"],
        icon="delete",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = get_object_or_404(WebhookEndpoint, pk=object_id)
        if request.method == "POST":
            self.log_removal(request, endpoint)
            remove_endpoint(endpoint)
            return self.done(request, gettext("The endpoint is removed."), url=self.page_url("changelist"))
        return self.confirmation(
            request,
            title=_("Remove a webhook endpoint"),
            subtitle=endpoint.url,
            sentences=[
                _("Nothing is sent there any more. What waits for it goes, and so does its log."),
                _("To stop for a while, switch it off instead."),
            ],
            button=_("Remove it"),
            back_url=self.page_url("change", endpoint.pk),
            original=endpoint,
        )

    # -- columns -----------------------------------------------------------------------------------------

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        now = database_now()
        counts = _open_counts([row.pk for row in rows])
        for row in rows:
            row.now = now
            row.open_counts = counts[row.pk]

    @admin.display(description=_("endpoint"))
    def address(self, endpoint: WebhookEndpoint) -> SafeString:
        return cells.two_lines(cells.one_line(endpoint.url), endpoint.description)

    @admin.display(description=_("project"))
    def project_key(self, endpoint: WebhookEndpoint) -> SafeString:
        return cells.project_link(endpoint.project)

    @admin.display(description=_("events"))
    def takes(self, endpoint: WebhookEndpoint) -> SafeString:
        if not endpoint.kinds:
            return cells.quiet(gettext("all"))
        return format_html_join("", "<div>{}</div>", ((cells.code(kind),) for kind in endpoint.kinds))

    @admin.display(description=_("state"))
    def state(self, endpoint: WebhookEndpoint) -> SafeString:
        now = _asked_at(endpoint)
        if not endpoint.is_enabled:
            kind = "plain" if endpoint.disabled_reason == WebhookEndpoint.Disabled.STAFF else "danger"
            return cells.two_lines(
                cells.badge(endpoint.get_disabled_reason_display() or _("Switched off"), kind),
                cells.ago(endpoint.disabled_at, now=now) if endpoint.disabled_at else "",
            )
        if endpoint.failing_since is not None:
            since = gettext("for %s") % cells.span_of((now - endpoint.failing_since).total_seconds())
            return cells.two_lines(cells.badge(_("Failing"), "warning"), since)
        if endpoint.delivered_at is None:
            return cells.badge(_("Not tried yet"), "info")
        return cells.badge(_("Works"), "success")

    @admin.display(description=_("pending"))
    def waiting(self, endpoint: Any) -> SafeString:
        return cells.number(endpoint.open_counts[Status.PENDING])

    @admin.display(description=_("failed"))
    def failed(self, endpoint: Any) -> SafeString:
        count = endpoint.open_counts[Status.FAILED]
        if not count:
            return cells.number(0)
        url = f"{_deliveries_url(endpoint)}&status__exact={Status.FAILED}"
        link = cells.link(url, numerals.count(count), title=gettext("Show them"))
        return format_html('<span class="mb-number">{}</span>', link)

    @admin.display(description=_("last delivery"))
    def last_delivery(self, endpoint: WebhookEndpoint) -> SafeString:
        return cells.moment(endpoint.delivered_at, empty=gettext("never"))

    # -- details -----------------------------------------------------------------------------------------

    @admin.display(description=_("deliveries"))
    def deliveries(self, endpoint: Any) -> SafeString:
        if not hasattr(endpoint, "open_counts"):
            endpoint.open_counts = _open_counts([endpoint.pk])[endpoint.pk]
        counts = endpoint.open_counts
        return format_html(
            "{} · {} · {}",
            cells.link(_deliveries_url(endpoint), gettext("All deliveries")),
            gettext("%s pending") % numerals.count(counts[Status.PENDING]),
            gettext("%s failed") % numerals.count(counts[Status.FAILED]),
        )

    @admin.display(description=_("secrets in force"))
    def secrets_in_force(self, endpoint: WebhookEndpoint) -> SafeString:
        now = _asked_at(endpoint)
        secrets = WebhookSecret.objects.filter(endpoint=endpoint).order_by("-id")
        lines = [
            (
                gettext("made %s") % cells.ago(secret.created_at, now=now),
                ""
                if secret.expires_at is None
                else gettext("· replaced, signs along; ends %s") % cells.ago(secret.expires_at, now=now),
            )
            for secret in secrets
            if secret.expires_at is None or secret.expires_at > now
        ]
        return format_html_join("", "<div>{} <span class='mb-quiet'>{}</span></div>", lines)


def _asked_at(endpoint: Any) -> dt.datetime:
    """The time of the page, asked once."""
    if not hasattr(endpoint, "now"):
        endpoint.now = database_now()
    now: dt.datetime = endpoint.now
    return now


def _open_counts(endpoint_ids: Sequence[int]) -> defaultdict[int, Counter[str]]:
    """How many deliveries of each endpoint are pending or failed. Index: webhook_delivery_by_status."""
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    rows = (
        WebhookDelivery.objects.filter(
            endpoint_id__in=endpoint_ids, status__in=[Status.PENDING, Status.FAILED]
        )
        .values_list("endpoint_id", "status")
        .annotate(count=Count("id"))
        .order_by()
    )
    for endpoint_id, status, count in rows:
        counts[endpoint_id][status] = count
    return counts


def _deliveries_url(endpoint: WebhookEndpoint) -> str:
    return f"{reverse('admin:metering_webhookdelivery_changelist')}?endpoint__id__exact={endpoint.pk}"
