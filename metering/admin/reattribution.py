"""The page that gives past usage of a project the payers of today's rules, after a look at what moves."""

import datetime as dt
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from metering import numerals
from metering.attributing.misattribution import reattribution_preview
from metering.attributing.reattribution import reattribute
from metering.errors import MeterbookError
from metering.models import Project

from .day_fields import DayField
from .refusals import worded

MAX_EVENTS_HERE = 20_000  # some seconds; more is for the command, which no time-out of a page ends


class ReattributionForm(forms.Form):
    first_day = DayField(
        label=_("First day (UTC)"),
        help_text=_("When the use happened."),
    )
    last_day = DayField(label=_("Last day (UTC)"), help_text=_("Included."))
    reason = forms.CharField(
        label=_("Reason"),
        max_length=1000,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("Such as the contract that was agreed late. It is kept with every event that moves."),
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        first, last = given.get("first_day"), given.get("last_day")
        if first and last and first > last:
            self.add_error("last_day", _("The last day lies before the first."))
        for name in ("first_day", "last_day"):
            if given.get(name) and not dt.date(1970, 1, 1) <= given[name] < dt.date(9000, 1, 1):
                self.add_error(name, _("Must lie between 1970 and 9000."))
        return given


def reattribution_page(
    request: HttpRequest, project: Project, *, context: dict[str, Any], back_url: str
) -> HttpResponse:
    """The form; then the form with what would move; then, confirmed, the deed."""
    form = ReattributionForm(request.POST if request.method == "POST" else None)
    preview = None
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        start = dt.datetime.combine(given["first_day"], dt.time(), dt.UTC)
        end = dt.datetime.combine(given["last_day"], dt.time(), dt.UTC) + dt.timedelta(days=1)
        try:
            preview = reattribution_preview(project, start=start, end=end)
            if "confirmed" in request.POST and preview.count <= MAX_EVENTS_HERE:
                done = reattribute(
                    project,
                    start=start,
                    end=end,
                    reason=given["reason"],
                    actor=request.user.get_username(),
                )
                messages.success(
                    request,
                    gettext("%(count)s events have the payers of today's rules now.")
                    % {"count": numerals.count(done.moved_count)},
                )
                for detail, count in done.left.items():
                    messages.warning(
                        request,
                        gettext("%(count)s keep their payer: %(detail)s.")
                        % {"count": numerals.count(count), "detail": detail},
                    )
                return HttpResponseRedirect(back_url)
        except MeterbookError as refusal:
            form.add_error(None, worded(refusal))
    context |= {
        "title": _("Re-attribute past usage"),
        "subtitle": project.name,
        "original": project,
        "form": form,
        "preview": preview,
        "is_too_much": preview is not None and preview.count > MAX_EVENTS_HERE,
        "back_url": back_url,
    }
    return TemplateResponse(request, "admin/metering/project/reattribute.html", context)
