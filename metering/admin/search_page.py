"""The page of search everywhere, and what its box shows while one types."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from .searching import LONGEST_TEXT, Asked, Found, Hit, found_everywhere, searches_for, the_one_meant

MOST_SHOWN = 10  # of each kind
MOST_SUGGESTED = 4


@dataclass(frozen=True, slots=True)
class ShownHit:
    """A hit as it stands on the page, its matching parts marked."""

    title: SafeString
    detail: SafeString
    hit: Hit


@require_safe
def search_page(request: HttpRequest) -> HttpResponse:
    """What `q` finds. With `go` a text that names one thing leads straight to it; with `suggest` the answer
    is the list below the box alone."""
    is_suggesting = "suggest" in request.GET
    asked = Asked.from_text(request.GET.get("q", ""), most=MOST_SUGGESTED if is_suggesting else MOST_SHOWN)
    found = found_everywhere(request, asked)
    meant = the_one_meant(found)
    if "go" in request.GET and meant is not None:
        return HttpResponseRedirect(meant.url)
    context = {
        "asked": asked,
        "groups": [(one, shown_hits(one, asked)) for one in found],
        "hit_count": sum(len(one.hits) for one in found),
        "most": asked.most,
        "longest": LONGEST_TEXT,
        "meant": meant,
    }
    response = _suggestions(request, context) if is_suggesting else _page(request, context)
    add_never_cache_headers(response)
    return response


def shown_hits(found: Found, asked: Asked) -> list[ShownHit]:
    return [ShownHit(asked.marked(hit.title), asked.marked(hit.detail), hit) for hit in found.hits]


def _suggestions(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, "admin/search/suggestions.html", context)


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    request.current_app = admin.site.name
    text = context["asked"].text
    title = _("Search: %s") % text if text else _("Search")
    examples = [(search.title, search.by, search.example) for search in searches_for(request)]
    frame = {
        **admin.site.each_context(request),
        "title": title,
        "has_own_search_box": True,
        "examples": examples,
    }
    return TemplateResponse(request, "admin/search/page.html", {**frame, **context})
