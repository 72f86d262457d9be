"""Metrics in and out as Octane's Meter JSON."""

import json
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanSwitchWidget,
)

from metering.defining.octane_exchange import MAX_METERS, Draft, drafts_of, import_octane, meters_of
from metering.errors import Inexpressible, MeterbookError
from metering.models import MetricDefinition, Project

from .base import HouseAdmin
from .metric_words import meaning_in_words
from .project_forms import ProjectSelect
from .refusals import worded

MAX_FILE_BYTES = 1024 * 1024

EXAMPLE = """[
  {
    "name": "api_calls",
    "display_name": "API calls",
    "event_name": "api_request",
    "meter_type": "COUNTER",
    "data_type": "INT",
    "aggregation": "SUM",
    "unit_name": "call",
    "is_incremental": true,
    "reporting_method": "periodic",
    "primary_labels": ["endpoint"]
  }
]"""


def owner_field() -> forms.ModelChoiceField:
    return forms.ModelChoiceField(
        label=_("Owner"),
        queryset=Project.objects.all(),
        required=False,
        widget=ProjectSelect(MetricDefinition._meta.get_field("project")),
        help_text=_(
            "They count usage of this project and everything below it, and their keys are taken there. "
            "Without an owner they count usage of all projects, and their keys are taken for everybody."
        ),
    )


class OctaneForm(forms.Form):
    text = forms.CharField(
        label=_("Meter JSON"),
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 16, "class": "font-mono", "spellcheck": "false", "placeholder": EXAMPLE}
        ),
        help_text=_("One Meter, or an array of them, as Octane's API shows them."),
    )
    file = forms.FileField(
        label=_("Or a file"),
        required=False,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".json,application/json"}),
        help_text=_("A .json file; it takes the place of the text above."),
    )
    project = owner_field()
    counts_history = forms.BooleanField(
        label=_("Count all history too"),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text=_("Off: events recorded from now on count. On: what the ledger holds already does too."),
    )

    def clean(self) -> dict[str, Any]:
        """`text` is what was given either way, and `meters` what it says."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        upload = cleaned.get("file")
        field = "file" if upload else "text"
        if upload:
            if upload.size > MAX_FILE_BYTES:
                raise ValidationError({"file": gettext("The file is larger than 1 MB.")})
            try:
                cleaned["text"] = upload.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                raise ValidationError({"file": gettext("The file isn't text in UTF-8.")}) from None
        if not cleaned.get("text", "").strip():
            raise ValidationError({"text": gettext("Paste the JSON, or choose a file.")})
        try:
            found = json.loads(cleaned["text"], parse_float=Decimal, parse_constant=_refuse)
            # Half a surrogate pair can be escaped, and can't be stored.
            json.dumps(found, ensure_ascii=False, default=str).encode()
        except json.JSONDecodeError as error:
            facts = {"line": error.lineno, "column": error.colno, "problem": error.msg}
            raise ValidationError(
                {field: gettext("This isn't JSON: line %(line)s, column %(column)s: %(problem)s.") % facts}
            ) from None
        except (ValueError, RecursionError) as error:
            raise ValidationError(
                {field: gettext("This isn't JSON that can be read: %s.") % str(error)[:100]}
            ) from None
        cleaned["meters"] = found if isinstance(found, list) else [found]
        if not found or len(cleaned["meters"]) > MAX_METERS:
            raise ValidationError({field: gettext("Give 1 to %d Meters.") % MAX_METERS})
        return cleaned


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


class OctanePages(HouseAdmin):
    """Pages of the metrics' admin that speak Octane."""

    def has_import_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(self.has_add_permission(request))

    def has_export_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(self.has_view_permission(request))

    @action(
        description=_("Import from Octane"),
        url_path="import-octane",
        permissions=["import"],
        icon="upload_file",
    )
    def import_from_octane(self, request: HttpRequest) -> HttpResponse:
        """What would be created, with every error, before anything is; then the same once more to do it."""
        is_sent = request.method == "POST"
        form = OctaneForm(request.POST, request.FILES) if is_sent else OctaneForm()
        drafts: list[Draft] = []
        if is_sent and form.is_valid():
            given = form.cleaned_data
            drafts = drafts_of(given["meters"], project=given["project"])
            if "_create" in request.POST and not any(draft.errors for draft in drafts):
                try:
                    return self._imported(request, given)
                except MeterbookError as refusal:
                    form.add_error(None, worded(refusal))
            else:
                # The file's content stays on the page: it is what the second step creates.
                again = request.POST.copy()
                again["text"] = given["text"]
                form = OctaneForm(again)
                form.is_valid()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("Import from Octane"),
            "form": form,
            "lines": [_line(draft) for draft in drafts],
            "error_count": sum(1 for draft in drafts if draft.errors),
            "can_create": bool(drafts) and not form.errors and not any(draft.errors for draft in drafts),
            "back_url": self.page_url("changelist"),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/metering/metricdefinition/import_octane.html", context)

    def _imported(self, request: HttpRequest, given: dict[str, Any]) -> HttpResponse:
        metrics = import_octane(
            given["meters"],
            project=given["project"],
            counts_from=0 if given["counts_history"] else None,
        )
        for metric in metrics:
            self.log_addition(request, metric, [{"added": {}}])
        message = ngettext(
            "%d metric was imported from Octane.", "%d metrics were imported from Octane.", len(metrics)
        )
        return self.done(request, message % len(metrics), url=self.page_url("changelist"))

    @action(description=_("Export as Octane's Meters"), url_path="export-octane-many", permissions=["export"])
    def export_to_octane(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        """Of the chosen rows, one file."""
        try:
            meters = meters_of(queryset.select_related("project"))
        except Inexpressible as refusal:
            self._say_why(request, refusal)
            return None
        return _download(meters, "octane-meters.json")

    @action(
        description=_("Export to Octane"), url_path="export-octane", permissions=["export"], icon="download"
    )
    def export_one_to_octane(self, request: HttpRequest, object_id: str) -> HttpResponse:
        metric = get_object_or_404(MetricDefinition, pk=object_id)
        try:
            (meter,) = meters_of([metric])
        except Inexpressible as refusal:
            self._say_why(request, refusal)
            return HttpResponseRedirect(self.page_url("change", metric.pk))
        return _download(meter, f"octane-meter-{metric.key}.json")

    def _say_why(self, request: HttpRequest, refusal: Inexpressible) -> None:
        for error in refusal.errors:
            self.message_user(request, error.detail, level="ERROR")


def _download(content: object, filename: str) -> HttpResponse:
    response = HttpResponse(
        json.dumps(content, indent=2, ensure_ascii=False) + "\n", content_type="application/json"
    )
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


def _line(draft: Draft) -> dict[str, Any]:
    metric = draft.metric
    return {
        "number": draft.index + 1,
        "key": metric.key if metric else draft.name,
        "name": metric.display_name if metric else "",
        "words": meaning_in_words(metric) if metric else "",
        "unit": metric.unit if metric else "",
        "errors": draft.errors,
    }
