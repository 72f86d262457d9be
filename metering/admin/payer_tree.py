"""The page "who pays for what, since when": the scope tree with its payers at an instant."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from metering import moments, numerals
from metering.answering.answers import answer
from metering.answering.usage import Scope, Slice, usage_in
from metering.answering.usage_charts import last_used_first
from metering.attributing.payer_tree import PAGE_PROJECTS, PayerLine, PayerTree, payer_tree
from metering.attributing.payers import Span
from metering.catalogue import Catalogue
from metering.clock import database_now
from metering.measuring.meaning import Meaning
from metering.models import AttributionRule, MetricDefinition, Project

from . import cells
from .day_fields import DayField
from .row_ids import id_from

MAX_TOPS = 500
COLOURS = 8  # mb-payer-1 … in the style sheet; the ninth payer of a page looks like the first
WINDOW_BEFORE, WINDOW_AFTER = dt.timedelta(days=365), dt.timedelta(days=182)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a timeline, in percent of its width."""

    left: str
    width: str
    colour: str
    words: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line as the page shows it."""

    line: PayerLine
    path: str
    indent: str
    has_children: bool
    payer: Project
    colour: str
    way: list[Project]
    rule_words: str
    rule_url: str
    since: SafeString
    change: str
    stretches: list[Stretch]
    timeline_words: str
    own: SafeString | None
    paid: SafeString | None
    add_url: str
    end_url: str
    more_surfaces: int


class DayForm(forms.Form):
    """The day of the toolbar, with the theme's calendar: the browser's own wouldn't be ISO."""

    on = DayField(required=False)


def payer_tree_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Needs the rights to view projects and rules; usage is shown to those who may view rollups."""
    if not request.user.has_perms(["metering.view_attributionrule", "metering.view_project"]):
        raise PermissionDenied
    tops = list(Project.objects.filter(parent=None).order_by("name", "key")[:MAX_TOPS])
    top = _top(request, tops)
    now = database_now()
    on = _day(request.GET.get("on"))
    at = now if on is None else dt.datetime.combine(on, dt.time(), dt.UTC)
    search = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    context |= {
        "title": _("Who pays for what, since when"),
        "content_title": _("Who pays for what, since when"),
        "tops": tops if top is None or top in tops else [top, *tops],
        "top": top,
        "search": search,
        "day_form": DayForm(initial={"on": on}),
        "at": cells.moment(at),
        "is_now": on is None,
        "may_add": request.user.has_perm("metering.add_attributionrule"),
        "rules_url": reverse("admin:metering_attributionrule_changelist"),
    }
    if top is not None:
        context |= answer(lambda catalogue: _with_usage(request, catalogue, top, at=at, search=search))
        context["has_rules"] = (
            any(row.rule_url for row in context["rows"])
            or AttributionRule.objects.filter(project__path__startswith=top.path).exists()
        )
    return TemplateResponse(request, "admin/metering/attributionrule/tree.html", context)


def _with_usage(
    request: HttpRequest, catalogue: Catalogue, top: Project, *, at: dt.datetime, search: str
) -> dict[str, Any]:
    """The lines of the tree, with what the chosen metric comes to."""
    tree = payer_tree(catalogue, top, at=at, search=search, offset=_offset(request))
    choice = _usage_choice(request, catalogue)
    rows = _rows(request, catalogue, tree, at=at, meaning=choice.get("metric"))
    return {**choice, **_pages(request, tree), **rows}


def _top(request: HttpRequest, tops: Sequence[Project]) -> Project | None:
    """The project asked for, else the first tenant."""
    wanted = id_from(request.GET.get("tree"))
    if wanted is not None:
        found = Project.objects.filter(pk=wanted).first()
        if found is not None:
            return found
    return tops[0] if tops else None


def _day(text: str | None) -> dt.date | None:
    try:
        day = moments.day_from(text or "")
    except ValueError:
        return None
    return day if dt.date(1971, 1, 1) <= day < dt.date(9990, 1, 1) else None


def _offset(request: HttpRequest) -> int:
    text = request.GET.get("from", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0


def _usage_choice(request: HttpRequest, catalogue: Catalogue) -> dict[str, Any]:
    """The metric whose month is shown: the one asked for, else the one used last that adds up."""
    if not request.user.has_perm("metering.view_usagemeterrollup"):
        return {}
    used = [meaning for meaning, end in last_used_first(catalogue.meanings.values()) if end is not None]
    used = [meaning for meaning in used if meaning.aggregation.name in {"COUNT", "SUM"}]
    names = dict(MetricDefinition.objects.values_list("pk", "display_name"))
    wanted = request.GET.get("metric", "")
    chosen = next((one for one in used if str(one.metric_id) == wanted), used[0] if used else None)
    return {"metric_choices": [(one.metric_id, names[one.metric_id]) for one in used], "metric": chosen}


def _pages(request: HttpRequest, tree: PayerTree) -> dict[str, Any]:
    def url(offset: int) -> str:
        query = request.GET.copy()
        query["from"] = str(offset)
        return f"?{query.urlencode()}"

    counted = ngettext("%(count)s project", "%(count)s projects", tree.project_count) % {
        "count": numerals.count(tree.project_count)
    }
    if tree.project_count > PAGE_PROJECTS:
        counted = _("projects %(first)s to %(last)s of %(count)s") % {
            "first": numerals.count(min(tree.offset + 1, tree.project_count)),
            "last": numerals.count(tree.last),
            "count": numerals.count(tree.project_count),
        }
    return {
        "counted": counted,
        "earlier_url": url(max(0, tree.offset - PAGE_PROJECTS)) if tree.offset else "",
        "later_url": url(tree.offset + PAGE_PROJECTS) if tree.last < tree.project_count else "",
    }


def _rows(
    request: HttpRequest,
    catalogue: Catalogue,
    tree: PayerTree,
    *,
    at: dt.datetime,
    meaning: Meaning | None,
) -> dict[str, Any]:
    window = Span(at - WINDOW_BEFORE, at + WINDOW_AFTER, 0)
    named = Project.objects.in_bulk(
        {step.payer_id for line in tree.lines for step in line.steps}
        | {step.project_id for line in tree.lines for step in line.steps}
        | {span.payer_id for line in tree.lines for span in line.spans}
    )
    colours: dict[int, str] = {}
    for line in tree.lines:
        for span in line.spans:
            if span.payer_id != line.project.pk:
                colours.setdefault(span.payer_id, f"mb-payer-{len(colours) % COLOURS + 1}")
    own, paid = _month_usage(meaning, tree, at)
    may_end = request.user.has_perm("metering.change_attributionrule")
    may_add = request.user.has_perm("metering.add_attributionrule")
    parents = {line.project.parent_id for line in tree.lines} | {
        line.project.pk for line in tree.lines if line.surface is not None
    }
    rows = [
        _row(
            line,
            named,
            colours,
            window,
            at=at,
            own=own,
            paid=paid,
            may_add=may_add,
            may_end=may_end,
            has_children=line.surface is None and line.project.pk in parents,
            more_surfaces=tree.surfaces_left_out.get(line.project.pk, 0) if line.surface is None else 0,
        )
        for line in tree.lines
    ]
    projects = [line for line in tree.lines if line.surface is None and not line.is_context]
    return {
        "rows": rows,
        "exceptions": [line for line in projects if line.is_exception],
        "alone_count": sum(line.pays_for_itself for line in projects),
        "paid_count": sum(not line.pays_for_itself for line in projects),
        "window_start": f"{window.start:%Y-%m}",
        "window_end": f"{window.end:%Y-%m}",
        "mark": _percent(at, window),
        "month": f"{at:%Y-%m}",
        "legend": [(colour, named[payer_id]) for payer_id, colour in colours.items()],
    }


def _row(
    line: PayerLine,
    named: dict[int, Project],
    colours: dict[int, str],
    window: Span,
    *,
    at: dt.datetime,
    own: dict[str, Any],
    paid: dict[str, Any],
    may_add: bool,
    may_end: bool,
    has_children: bool,
    more_surfaces: int,
) -> Row:
    payer, now = named[line.payer_id], line.now
    following = next((span for span in line.spans if span.start is not None and span.start == now.end), None)
    # The first rule of the way decides: without one a surface follows its project, a project pays itself.
    deciding = next((step for step in line.steps if step.rule is not None), None)
    place = {"project": line.project.pk} | ({"surface": line.surface.pk} if line.surface else {})
    stretches = _stretches(line, named, colours, window)
    is_own_rule = deciding is not None and deciding.project_id == line.project.pk
    is_own_rule = is_own_rule and (deciding.surface_id is not None) == (line.surface is not None)  # type: ignore[union-attr]
    rule_id = deciding.rule.id if deciding and deciding.rule else None
    return Row(
        line=line,
        path=f"{line.project.path}s/" if line.surface else line.project.path,
        indent=f"{line.depth * 1.25:g}",
        has_children=has_children,
        payer=payer,
        colour=colours.get(payer.pk, "mb-payer-own") if payer.pk != line.project.pk else "mb-payer-own",
        way=[
            named[step.payer_id]
            for step in line.steps[:-1]
            if step.payer_id not in {payer.pk, line.project.pk}
        ],
        rule_words="" if deciding is None else _("own rule") if is_own_rule else _rule_of(deciding, named),
        rule_url=reverse("admin:metering_attributionrule_change", args=[rule_id]) if rule_id else "",
        since=_day_or_moment(now.start),
        change=""
        if following is None
        else _("from %(day)s: %(payer)s")
        % {"day": f"{following.start:%Y-%m-%d}", "payer": _payer_words(following.payer_id, line, named)},
        stretches=stretches,
        timeline_words="; ".join(stretch.words for stretch in stretches),
        own=own.get(line.project.key) if line.surface is None else None,
        paid=paid.get(line.project.key) if line.surface is None else None,
        add_url=reverse("admin:metering_attributionrule_add") + "?" + urlencode(place) if may_add else "",
        end_url=reverse("admin:metering_attributionrule_end", args=[rule_id])
        if may_end and is_own_rule and rule_id and now.end is None
        else "",
        more_surfaces=more_surfaces,
    )


def _day_or_moment(instant: dt.datetime | None) -> SafeString:
    """Most rules begin with a day: that is shown as one."""
    if instant is not None and instant.astimezone(dt.UTC).time() == dt.time():
        return format_html('<time title="{0}T00:00:00Z">{0}</time>', f"{instant.astimezone(dt.UTC):%Y-%m-%d}")
    return cells.moment(instant, empty=_("ever"))


def _rule_of(step: Any, named: dict[int, Project]) -> str:
    return _("rule of %(project)s") % {"project": named[step.project_id].name}


def _payer_words(payer_id: int, line: PayerLine, named: dict[int, Project]) -> str:
    return _("itself") if payer_id == line.project.pk else named[payer_id].name


def _stretches(
    line: PayerLine, named: dict[int, Project], colours: dict[int, str], window: Span
) -> list[Stretch]:
    assert window.start is not None
    assert window.end is not None
    stretches = []
    for span in line.spans:
        start = window.start if span.start is None else max(window.start, span.start)
        end = window.end if span.end is None else min(window.end, span.end)
        if start >= end:
            continue
        left, right = _percent(start, window), _percent(end, window)
        is_own = span.payer_id == line.project.pk
        stretches.append(
            Stretch(
                left=left,
                width=f"{float(right) - float(left):.2f}",
                colour="mb-payer-own" if is_own else colours[span.payer_id],
                words=_("%(start)s to %(end)s: %(payer)s")
                % {
                    "start": _("ever") if span.start is None else f"{span.start:%Y-%m-%d}",
                    "end": _("further notice") if span.end is None else f"{span.end:%Y-%m-%d}",
                    "payer": _payer_words(span.payer_id, line, named),
                },
            )
        )
    return stretches


def _percent(instant: dt.datetime, window: Span) -> str:
    assert window.start is not None
    assert window.end is not None
    return f"{100 * ((instant - window.start) / (window.end - window.start)):.2f}"


def _month_usage(
    meaning: Meaning | None, tree: PayerTree, at: dt.datetime
) -> tuple[dict[str, SafeString], dict[str, SafeString]]:
    """Of the month of `at` (UTC), by project key: what it used itself, and all that it pays for."""
    if meaning is None or not tree.lines:
        return {}, {}
    start = at.astimezone(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (start + dt.timedelta(days=32)).replace(day=1)
    ids = sorted({line.project.pk for line in tree.lines})

    def by(name: str, scope: Scope) -> dict[str, SafeString]:
        found = usage_in(meaning, [(start, end)], slice=Slice(scope=scope, group_by=(name,)))
        return {usage.group[name] or "": cells.number(usage.value) for usage in found}

    return by("project", Scope(project_ids=ids)), by("billing_scope", Scope())
