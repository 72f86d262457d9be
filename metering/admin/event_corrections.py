"""Voiding and amending from the pages of events. Each shows first what it would change."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant

from metering.correcting.correction_previews import Effect, Preview, preview_of_amendment, preview_of_voids
from metering.correcting.corrections import amend_event, void_events
from metering.errors import MeterbookError
from metering.models import MetricDefinition, Project, UsageEvent

from . import cells
from .event_correction_forms import AmendForm, ReasonForm
from .event_voids import voids_of
from .paging import LargeTableAdmin
from .refusals import worded
from .row_ids import id_from

MOST_AT_ONCE = 200  # by hand: their consequences are to be read, and stay within an address
OFFERED_PROJECTS = 200


class CorrectableEvents(LargeTableAdmin):
    """The actions of `UsageEventAdmin` that correct, by the rights to void and to amend."""

    actions = ("void_selected",)  # type: ignore[assignment]
    actions_detail = ("amend", "void")

    def has_void_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("metering.void_usageevent")

    def has_amend_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("metering.amend_usageevent")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.void_many)
        return [path("void/", view, name="metering_usageevent_void_many"), *super().get_urls()]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """None on voids and on what is voided already."""
        event = UsageEvent.objects.filter(pk=id_from(str(object_id)) or 0).first()
        if event is None or event.voids is not None or voids_of([event]):
            return []
        return list(super().get_actions_detail(request, object_id))

    # -- void --------------------------------------------------------------------------------------------

    @admin.action(description=_("Void selected events"), permissions=["void"])
    def void_selected(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse:
        # What was ticked; never all that a filter finds.
        ids = request.POST.getlist(ACTION_CHECKBOX_NAME)
        return HttpResponseRedirect(
            self.page_url("void_many") + "?" + urlencode({"ids": ",".join(ids[:MOST_AT_ONCE])})
        )

    @action(
        description=_("Void"),
        url_path="void",
        permissions=["void"],
        icon="backspace",
        variant=ActionVariant.DANGER,
    )
    def void(self, request: HttpRequest, object_id: str) -> HttpResponse:
        event = self._event(request, object_id)
        return self._void_page(
            request, [event.pk], original=event, back_url=self.page_url("change", event.pk)
        )

    def void_many(self, request: HttpRequest) -> HttpResponse:
        if not self.has_void_permission(request):
            raise PermissionDenied
        ids = [id_from(text) for text in request.GET.get("ids", "").split(",")]
        if not 0 < len(ids) <= MOST_AT_ONCE or None in ids:
            messages.error(request, gettext("Tick the events to be voided."))
            return HttpResponseRedirect(self.page_url("changelist"))
        unique = list(dict.fromkeys(event_id for event_id in ids if event_id is not None))
        return self._void_page(request, unique, back_url=self.page_url("changelist"))

    def _void_page(
        self,
        request: HttpRequest,
        ids: Sequence[int],
        *,
        back_url: str,
        original: UsageEvent | None = None,
    ) -> HttpResponse:
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                voided = void_events(
                    ids, reason=form.cleaned_data["reason"], actor=request.user.get_username()
                )
            except MeterbookError as refusal:
                form.refuse(refusal)
            else:
                count = sum(one.outcome == "created" for one in voided)
                text = ngettext("%d event is voided.", "%d events are voided.", count) % count
                if count < len(voided):
                    text += " " + gettext("%d had been before.") % (len(voided) - count)
                return self.done(request, text, url=back_url)
        try:
            preview = preview_of_voids(ids)
        except MeterbookError as refusal:
            messages.error(request, worded(refusal))
            return HttpResponseRedirect(back_url)
        voided_before = sum(one.outcome == "exists" for one in preview.voided)
        if voided_before == len(ids):
            messages.info(request, gettext("Nothing to do: what was chosen is voided already."))
            return HttpResponseRedirect(back_url)
        count = len(ids) - voided_before
        return self._page(
            request,
            title=ngettext("Void an event", "Void %(count)d events", count) % {"count": count},
            original=original,
            form=form,
            back_url=back_url,
            preview=preview,
            voided_before=voided_before,
            button=ngettext("Void the event", "Void %(count)d events", count) % {"count": count},
        )

    # -- amend -------------------------------------------------------------------------------------------

    @action(description=_("Amend"), url_path="amend", permissions=["amend"], icon="edit_note")
    def amend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """First what is right, then what that changes; recorded is only what was shown."""
        event = self._event(request, object_id)
        back_url = self.page_url("change", event.pk)
        if event.voids is not None or event.voided_by is not None:
            messages.error(request, gettext("A void, or what is voided, isn't amended; record a new event."))
            return HttpResponseRedirect(back_url)
        may_ignore_limits = request.user.has_perm("metering.add_usageevent")
        sent = request.POST.copy() if request.method == "POST" else None
        form = AmendForm(sent, event=event, may_ignore_limits=may_ignore_limits)
        preview = None
        if sent is not None and form.is_valid():
            seen = form.cleaned_data["seen"] == form.fingerprint
            try:
                if "amend" in request.POST and seen:
                    amended = amend_event(
                        event.pk,
                        form.changes,
                        reason=form.cleaned_data["reason"],
                        actor=request.user.get_username(),
                        enforce=form.enforce,
                    )
                    text = gettext("Event %(old)d is voided; this one was recorded in its place.")
                    return self.done(
                        request, text % {"old": event.pk}, url=self.page_url("change", amended.event.id)
                    )
                preview = preview_of_amendment(event.pk, form.changes, enforce=form.enforce)
            except MeterbookError as refusal:
                form.refuse(refusal)
            else:
                sent["seen"] = form.fingerprint
        return self._page(
            request,
            title=_("Amend an event"),
            original=event,
            form=form,
            back_url=back_url,
            preview=preview,
            differences=form.differences if preview is not None else [],
            warnings=list(preview.event.warnings) if preview is not None and preview.event else [],
            button=_("Amend the event"),
            is_amendment=True,
            project_keys=Project.objects.order_by("key").values_list("key", flat=True)[:OFFERED_PROJECTS],
        )

    # -- both --------------------------------------------------------------------------------------------

    def _event(self, request: HttpRequest, object_id: str) -> Any:
        event = self.get_object(request, object_id)
        if event is None:
            raise Http404
        return event

    def _page(self, request: HttpRequest, *, preview: Preview | None, **context: Any) -> TemplateResponse:
        request.current_app = self.admin_site.name
        names = dict(MetricDefinition.objects.values_list("pk", "display_name")) if preview else {}
        return TemplateResponse(
            request,
            "admin/metering/usageevent/correct.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "preview": preview,
                "lines": [_line(effect, names) for effect in preview.effects] if preview else [],
                **context,
            },
        )


def _line(effect: Effect, names: dict[int, str]) -> dict[str, Any]:
    start = date_format(effect.start, "F Y")
    if effect.is_month:
        period = start
    elif effect.end is None:
        period = gettext("%s and later") % start
    else:
        period = gettext("%(start)s until %(end)s") % {
            "start": start,
            "end": date_format(effect.end, "F Y"),
        }
    sign = "+" if effect.difference > 0 else ""
    difference = cells.readable(effect.difference)
    return {
        "metric": names.get(effect.meaning.metric_id, effect.meaning.key),
        "unit": effect.meaning.unit,
        "project": effect.project_key,
        "period": period,
        "before": cells.readable(effect.before),
        "after": cells.readable(effect.after),
        "difference": f"{sign}{difference}" if effect.difference else gettext("none"),
    }
