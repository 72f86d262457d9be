"""What can be done with a metric from its page: look at its rollups, clone it, archive it."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.utils.http import urlencode
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.enums import ActionVariant

from metering.defining.definitions import archive_metric
from metering.errors import MeterbookError
from metering.models import MetricDefinition

from .base import EditableAdmin
from .links import listed
from .metric_words import meaning_in_words
from .refusals import worded
from .row_ids import id_from

CLONE_OF = "clone_of"  # parameter of the add form


class MetricActions(EditableAdmin):
    """The buttons of a metric's page; archiving asks first."""

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        actions = list(super().get_actions_detail(request, object_id))
        is_archived = (
            MetricDefinition.objects.filter(pk=id_from(str(object_id)) or 0)
            .exclude(archived_from=None)
            .exists()
        )
        return [one for one in actions if not (is_archived and one.action_name.endswith("_archive"))]

    def has_see_rollups_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("metering.view_usagemeterrollup")

    @action(description=_("Rollups"), url_path="rollups", icon="table_chart", permissions=["see_rollups"])
    def show_usage(self, request: HttpRequest, object_id: str) -> HttpResponse:
        metric = get_object_or_404(MetricDefinition, pk=object_id)
        return HttpResponseRedirect(listed("usagemeterrollup", metric__id__exact=metric.pk))

    # By method, not by name of a right: names are looked up in tables that a first migrate has yet to make.
    def has_clone_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(self.has_add_permission(request))

    @action(description=_("Clone"), url_path="clone", permissions=["clone"], icon="content_copy")
    def clone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The form of a new metric, filled in with this one."""
        metric = get_object_or_404(MetricDefinition, pk=object_id)
        return HttpResponseRedirect(self.page_url("add") + "?" + urlencode({CLONE_OF: metric.pk}))

    @action(
        description=_("Archive"),
        url_path="archive",
        permissions=["change"],
        icon="archive",
        variant=ActionVariant.DANGER,
    )
    def archive(self, request: HttpRequest, object_id: str) -> HttpResponse:
        metric = get_object_or_404(MetricDefinition, pk=object_id)
        back_url = self.page_url("change", metric.pk)
        sentences = [
            meaning_in_words(metric),
            _("From now on it counts nothing more, and it can't be taken up again."),
            _(
                "What it counted stays: history, rollups, invoices. Events that no other metric listens to "
                "are refused."
            ),
        ]
        if request.method == "POST":
            try:
                archive_metric(metric)
            except MeterbookError as refusal:
                sentences.append(worded(refusal))
            else:
                self.log_change(request, metric, [{"changed": {"fields": [gettext_noop("archived from")]}}])
                return self.done(request, gettext("“%s” is archived.") % metric.display_name, url=back_url)
        return self.confirmation(
            request,
            title=_("Archive a metric"),
            subtitle=metric.display_name,
            sentences=sentences,
            button=_("Archive the metric"),
            back_url=back_url,
            original=metric,
        )
