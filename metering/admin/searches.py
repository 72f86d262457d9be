"""What of the kernel search everywhere finds: projects, events, metrics, keys, endpoints, files, pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from metering.models import Export, UsageEvent

from .event_search import ids_of_events_called
from .searching import Asked, Hit, RowSearch, Search

# Passing through all of them takes about 40 ms for 5,000. Beyond that an event id needs its project's key.
MOST_PROJECTS = 10_000

PROJECTS = RowSearch(
    model="metering.Project",
    icon="account_tree",
    by=_("key or name"),
    example="acme-shop",
    row_title=lambda project: project.name,
    row_detail=lambda project: f"{project.key} · {project.get_kind_display()}",
    exact=lambda text: Q(key=text.lower()),
    ordering=("key",),
)
METRICS = RowSearch(
    model="metering.MetricDefinition",
    icon="straighten",
    by=_("key, name or event name"),
    example="tokens",
    row_title=lambda metric: metric.display_name,
    row_detail=lambda metric: _joined(metric.key, metric.project and metric.project.key),
    exact=lambda text: Q(key=text.lower()),
    ordering=("key", "id"),
    related=("project",),
)
API_KEYS = RowSearch(
    model="metering.ApiKey",
    icon="key",
    by=_("name, or the part before the dot"),
    example="mbk_x7k2m9",
    row_title=lambda key: key.name,
    row_detail=lambda key: _joined(f"{key.shown_prefix}…", key.project.key),
    exact=lambda text: Q(key_id=text.removeprefix("mbk_")),
    ordering=("name", "id"),
    related=("project",),
)
WEBHOOK_ENDPOINTS = RowSearch(
    model="metering.WebhookEndpoint",
    icon="webhook",
    by=_("URL or description"),
    example="hooks.example.com",
    row_title=lambda endpoint: endpoint.url,
    row_detail=lambda endpoint: _joined(endpoint.description, endpoint.project.key),
    exact=lambda text: Q(url=text),
    ordering=("url", "id"),
    related=("project",),
)
IMPORTS = RowSearch(
    model="metering.EventImport",
    icon="upload_file",
    by=_("file or person"),
    example="march.csv",
    row_title=lambda found: found.file_name,
    row_detail=lambda found: _joined(found.requested_by, f"{found.requested_at:%Y-%m-%d}"),
    exact=lambda text: Q(file_name=text),
    ordering=("-id",),
)
EXPORTS = RowSearch(
    model="metering.Export",
    icon="download",
    by=_("file, kind or person"),
    example="journal-12.csv",
    row_title=lambda export: export.file_name,
    row_detail=lambda export: _joined(export.requested_by, f"{export.requested_at:%Y-%m-%d}"),
    exact=lambda text: Q(pk=Export.id_in(text)),
    ordering=("-id",),
)


def _joined(*parts: str | None) -> str:
    return " · ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSearch(Search):
    """Events by ledger id or event id, exactly; behind a project's key and a space, those of that project."""

    def look(self, request: HttpRequest, asked: Asked) -> Sequence[Hit]:
        project_key, _space, event_id = asked.text.rpartition(" ")
        ids = ids_of_events_called(
            event_id, project_key=project_key.lower() or None, most_projects=MOST_PROJECTS
        )
        if not ids:
            return []
        events = UsageEvent.objects.select_related("project").defer("digest", "labels")
        return [self._hit(event) for event in events.filter(pk__in=ids).order_by("-pk")[: asked.most + 1]]

    def all_url(self, asked: Asked) -> str:
        return f"{self.address('changelist')}?{urlencode({'q': asked.words[-1]})}"

    def _hit(self, event: UsageEvent) -> Hit:
        return Hit(
            title=_joined(event.event_name, event.event_id),
            url=self.address("change", event.pk),
            detail=_joined(
                f"{event.pk}", event.project.key, event.source, f"{event.occurred_at:%Y-%m-%d %H:%M} UTC"
            ),
            is_exact=True,
        )


EVENTS = EventSearch(
    model="metering.UsageEvent",
    icon="receipt_long",
    by=_("ledger id, or event id behind the key of its project; as a whole"),
    example="acme-shop req-8f31",
)


def _anybody(request: HttpRequest) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSearch(Search):
    """Pages of the sidebar that the person may go to, by the words of their titles and groups."""

    def is_for(self, request: HttpRequest) -> bool:
        return True

    def look(self, request: HttpRequest, asked: Asked) -> Sequence[Hit]:
        wanted = [word.casefold() for word in asked.words]
        hits = []
        sidebar: Any = settings.UNFOLD["SIDEBAR"]
        for group in sidebar["navigation"]:
            for item in group["items"]:
                title, group_title = str(item["title"]), str(group.get("title") or "")
                named = f"{title} {group_title}".casefold()
                if all(word in named for word in wanted) and item.get("permission", _anybody)(request):
                    is_exact = title.casefold() == asked.text.casefold()
                    hits.append(Hit(title, str(item["link"]), group_title, is_exact=is_exact))
        return sorted(hits, key=lambda hit: not hit.is_exact)

    def all_url(self, asked: Asked) -> str:
        return ""


PAGES = PageSearch(model="", kind=_("Pages"), icon="arrow_outward", by=_("title"), example=_("What if"))
