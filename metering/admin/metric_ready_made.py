"""The page that adds definitions which ship with the house."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from metering.defining.definitions import draft_of
from metering.defining.ready_made import READY_MADE, add_ready_made, seen_metric
from metering.errors import MeterbookError
from metering.models import MetricDefinition, Project

from .base import HouseAdmin
from .metric_octane import owner_field
from .metric_words import meaning_in_words
from .refusals import worded


class ReadyMadeForm(forms.Form):
    project = owner_field()
    keys = forms.MultipleChoiceField(
        label=_("Metrics"),
        choices=[(each.key, each.key) for each in READY_MADE],
        error_messages={"required": _("Choose at least one.")},
    )


class ReadyMadePages(HouseAdmin):
    """The part of the metrics' admin that adds ready-made ones."""

    def has_add_ready_made_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(self.has_add_permission(request))

    @action(
        description=_("Add ready-made metrics"),
        url_path="ready-made",
        permissions=["add_ready_made"],
        icon="playlist_add",
    )
    def add_ready_made_metrics(self, request: HttpRequest) -> HttpResponse:
        form = ReadyMadeForm(request.POST) if request.method == "POST" else ReadyMadeForm()
        if request.method == "POST" and form.is_valid():
            try:
                added = add_ready_made(form.cleaned_data["keys"], project=form.cleaned_data["project"])
            except MeterbookError as refusal:
                form.add_error(None, worded(refusal))
            else:
                for metric in added.defined:
                    self.log_addition(request, metric, [{"added": {}}])
                return self.done(
                    request,
                    _outcome(added.defined, added.existing),
                    url=self.page_url("changelist"),
                )
        chosen = set(request.POST.getlist("keys")) if request.method == "POST" else None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("Add ready-made metrics"),
            "form": form,
            "lines": _lines(_owner(form), chosen),
            "back_url": self.page_url("changelist"),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/metering/metricdefinition/ready_made.html", context)


def _owner(form: ReadyMadeForm) -> Project | None:
    return form.cleaned_data.get("project") if form.is_bound and hasattr(form, "cleaned_data") else None


def _lines(owner: Project | None, chosen: set[str] | None) -> list[dict[str, Any]]:
    """Each shipped metric, and who has one of its key: nobody, everybody, or some projects."""
    owners: dict[str, list[MetricDefinition]] = {each.key: [] for each in READY_MADE}
    for metric in MetricDefinition.objects.filter(key__in=owners).select_related("project"):
        owners[metric.key].append(metric)
    lines = []
    for each in READY_MADE:
        is_seen = seen_metric(each.key, project=owner) is not None
        lines.append(
            {
                "key": each.key,
                "name": each.fields["display_name"],
                "unit": each.fields["unit"],
                "words": meaning_in_words(draft_of(key=each.key, **each.fields)),
                "description": each.fields["description"],
                "is_seen": is_seen,
                "owners": [
                    metric.project.key if metric.project else gettext("all projects")
                    for metric in owners[each.key][:3]
                ],
                "more_owners": max(0, len(owners[each.key]) - 3),
                "is_chosen": not is_seen if chosen is None else each.key in chosen,
            }
        )
    return lines


def _outcome(defined: list[MetricDefinition], existing: list[MetricDefinition]) -> str:
    sentences = []
    if defined:
        text = ngettext("%d metric was added.", "%d metrics were added.", len(defined))
        sentences.append(text % len(defined))
    if existing:
        names = ", ".join(metric.key for metric in existing)
        sentences.append(gettext("There already, and left as they are: %s.") % names)
    return " ".join(sentences)
