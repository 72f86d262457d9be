"""What was announced, and what became of each message."""

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action

from metering.announcing.kinds import KINDS
from metering.clock import database_now
from metering.delivering.delivering import document_of
from metering.delivering.endpoints import resend
from metering.errors import MeterbookError
from metering.models import DomainEvent, WebhookDelivery

from . import cells, file_columns
from .base import ReadOnlyAdmin
from .filters import ProjectFilter
from .refusals import worded
from .row_ids import id_from

Status = WebhookDelivery.Status
STATUS_COLOURS = {Status.PENDING: "info", Status.DELIVERED: "success", Status.FAILED: "danger"}
SOON_SECONDS = 120  # within which a page of a pending delivery keeps itself fresh


class KindFilter(DropdownFilter):
    title = _("event")
    parameter_name = "kind"
    field = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, name) for name in KINDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(**{self.field: self.value()}) if self.value() in KINDS else queryset


class DeliveryKindFilter(KindFilter):
    field = "event__kind"


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """Rows are read-only; whoever may resend asks for it, and a worker does it."""

    intro = _(
        "One row for each event and endpoint. A message that isn't taken is sent again: after seconds, "
        "minutes, hours, for about three days. Then it has failed, and can be sent again by hand."
    )
    empty_title = _("Nothing was sent yet")
    empty_text = _(
        "Events are sent to webhook endpoints that subscribe to them; “Send a test” is on their page."
    )
    csv_columns = file_columns.DELIVERIES
    list_display = ("kind", "endpoint_url", "status_badge", "tries", "next_or_done", "last_error")
    list_display_links = ("kind",)
    list_select_related = ("event", "endpoint")
    list_filter = ("status", DeliveryKindFilter)
    linked_lookups = ("endpoint__id__exact",)
    search_fields = ("event__public_id__exact",)
    search_help_text = _("Id of the event (evt_…), whole")
    ordering = ("-id",)
    sortable_by = ()
    fieldsets = (
        (None, {"fields": ("status_explained", "endpoint_url", "kind", "message_id")}),
        (_("Attempts"), {"fields": ("attempts_table",)}),
        (_("What is sent"), {"fields": ("payload",)}),
    )
    actions_detail = ("send_again",)

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_resend_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("metering.resend_webhookdelivery"))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        delivery = WebhookDelivery.objects.filter(pk=id_from(str(object_id)) or 0).first()
        is_near = (
            delivery is not None
            and delivery.status == Status.PENDING
            and ((delivery.next_attempt_at - database_now()).total_seconds() < SOON_SECONDS)
        )
        return super().change_view(
            request, object_id, form_url, {"keeps_fresh": is_near, **(extra_context or {})}
        )

    @action(description=_("Send it again"), url_path="resend", permissions=["resend"], icon="replay")
    def send_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        delivery = get_object_or_404(
            WebhookDelivery.objects.select_related("event", "endpoint"), pk=object_id
        )
        back_url = self.page_url("change", delivery.pk)
        sentences: list[Any] = [
            _("The message is sent now, under the id that it has: a receiver which took it before can tell.")
        ]
        if request.method == "POST":
            try:
                resend(delivery)
            except MeterbookError as refusal:
                sentences.append(worded(refusal))
            else:
                self.log_change(request, delivery, [{"changed": {"fields": [gettext_noop("sent again")]}}])
                return self.done(request, gettext("It is being sent again."), url=back_url)
        return self.confirmation(
            request,
            title=_("Send it again"),
            subtitle=delivery.event.kind,
            sentences=sentences,
            button=_("Send it again"),
            back_url=back_url,
            original=delivery,
        )

    # -- columns -----------------------------------------------------------------------------------------

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        now = database_now()
        for row in rows:
            row.now = now

    @admin.display(description=_("event"))
    def kind(self, delivery: WebhookDelivery) -> SafeString:
        return cells.two_lines(delivery.event.kind, cells.moment(delivery.event.occurred_at))

    @admin.display(description=_("endpoint"))
    def endpoint_url(self, delivery: WebhookDelivery) -> SafeString:
        url = reverse("admin:metering_webhookendpoint_change", args=[delivery.endpoint_id])
        return cells.link(url, cells.one_line(delivery.endpoint.url))

    @admin.display(description=_("status"))
    def status_badge(self, delivery: WebhookDelivery) -> SafeString:
        return cells.badge(delivery.get_status_display(), STATUS_COLOURS[Status(delivery.status)])

    @admin.display(description=_("attempts"))
    def tries(self, delivery: WebhookDelivery) -> SafeString:
        return cells.number(delivery.attempt_count)

    @admin.display(description=_("when"))
    def next_or_done(self, delivery: Any) -> SafeString | str:
        if delivery.status == Status.DELIVERED:
            return cells.moment(delivery.delivered_at)
        if delivery.status == Status.FAILED:
            return cells.quiet(gettext("given up"))
        if not delivery.endpoint.is_enabled:
            return cells.quiet(gettext("when the endpoint is enabled"))
        return _next(delivery, delivery.now)

    @admin.display(description=_("last error"))
    def last_error(self, delivery: WebhookDelivery) -> SafeString:
        return cells.one_line(delivery.error)

    # -- details -----------------------------------------------------------------------------------------

    @admin.display(description=_("status"))
    def status_explained(self, delivery: WebhookDelivery) -> SafeString:
        if delivery.status == Status.DELIVERED:
            note: Any = cells.moment(delivery.delivered_at)
        elif delivery.status == Status.FAILED:
            note = delivery.error
        elif not delivery.endpoint.is_enabled:
            note = gettext("It waits: the endpoint is switched off.")
        else:
            note = gettext("Next attempt: %s.") % _next(delivery, database_now())
        return cells.two_lines(self.status_badge(delivery), note)

    @admin.display(description=_("id of the message"))
    def message_id(self, delivery: WebhookDelivery) -> SafeString:
        url = reverse("admin:metering_domainevent_change", args=[delivery.event_id])
        return cells.link(url, cells.code(delivery.event.public_id))

    @admin.display(description=_("attempts"))
    def attempts_table(self, delivery: WebhookDelivery) -> SafeString:
        attempts = [
            (attempt, cells.moment(attempt.started_at)) for attempt in delivery.attempts.order_by("-number")
        ]
        template = "admin/metering/webhookdelivery/attempts.html"
        return SafeString(render_to_string(template, {"attempts": attempts}))

    @admin.display(description=_("body"))
    def payload(self, delivery: WebhookDelivery) -> SafeString:
        return _laid_out(document_of(delivery.event, delivery.data))


@admin.register(DomainEvent)
class DomainEventAdmin(ReadOnlyAdmin):
    intro = _(
        "What happened, as it is told to webhook endpoints. Written together with what caused it, kept for a "
        "limited time, and for as long as somebody is still to be told."
    )
    empty_title = _("Nothing has happened yet")
    empty_text = _(
        "Metrics that are defined, limits that are approached or exceeded show up here; usage does while an "
        "endpoint subscribes to it."
    )
    csv_columns = file_columns.DOMAIN_EVENTS
    csv_key = "public_id"
    list_display = ("kind", "project_shown", "happened", "told", "public_id")
    list_display_links = ("kind",)
    list_filter = (KindFilter, ("project", ProjectFilter))
    search_fields = ("public_id__exact",)
    search_help_text = _("Id (evt_…), whole")
    ordering = ("-id",)
    sortable_by = ()
    fieldsets = (
        (None, {"fields": ("kind_explained", "public_id", "project_shown", "happened")}),
        (_("What is told"), {"fields": ("payload",)}),
        (_("Who is told"), {"fields": ("deliveries",)}),
    )

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        by_event: dict[int, list[str]] = {row.pk: [] for row in rows}
        found = WebhookDelivery.objects.filter(event_id__in=by_event).values_list("event_id", "status")
        for event_id, status in found:
            by_event[event_id].append(status)
        for row in rows:
            row.statuses = by_event[row.pk]

    @admin.display(description=_("project"))
    def project_shown(self, event: DomainEvent) -> SafeString | str:
        # By the key: the project may have been removed since.
        return event.project_key or cells.quiet(gettext("no single one"))

    @admin.display(description=_("happened at"))
    def happened(self, event: DomainEvent) -> SafeString:
        return cells.moment(event.occurred_at)

    @admin.display(description=_("told"))
    def told(self, event: Any) -> SafeString:
        if not event.statuses:
            return cells.quiet(gettext("nobody subscribes"))
        return cells.badges(
            [
                (f"{event.statuses.count(status)} {status.label}", STATUS_COLOURS[status])
                for status in Status
                if status in event.statuses
            ]
        )

    @admin.display(description=_("event"))
    def kind_explained(self, event: DomainEvent) -> SafeString:
        known = KINDS.get(event.kind)
        return cells.two_lines(event.kind, gettext(known.description) if known else "")

    @admin.display(description=_("document"))
    def payload(self, event: DomainEvent) -> SafeString:
        return _laid_out(document_of(event))

    @admin.display(description=_("deliveries"))
    def deliveries(self, event: DomainEvent) -> SafeString:
        deliveries = [
            (
                reverse("admin:metering_webhookdelivery_change", args=[delivery.pk]),
                delivery,
                cells.badge(delivery.get_status_display(), STATUS_COLOURS[Status(delivery.status)]),
            )
            for delivery in event.deliveries.select_related("endpoint").order_by("id")
        ]
        template = "admin/metering/domainevent/deliveries.html"
        return SafeString(render_to_string(template, {"deliveries": deliveries}))


def _next(delivery: WebhookDelivery, now: Any) -> str:
    """When it is tried next; not while the endpoint rests."""
    next_at = max(delivery.next_attempt_at, delivery.endpoint.rests_until or delivery.next_attempt_at)
    return gettext("now") if next_at <= now else cells.ago(next_at, now=now)


def _laid_out(document: dict[str, Any]) -> SafeString:
    return cells.pretty_json(json.dumps(document, indent=2, ensure_ascii=False))
