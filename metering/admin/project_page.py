"""Everything about one project at a glance: where it stands, who pays, what it uses, its keys and events."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from metering import numerals
from metering.answering.event_listing import EventFilter, events_page
from metering.attributing.project_place import SHOWN_CHILDREN, ProjectPlace, place_of
from metering.catalogue import Catalogue
from metering.models import ApiKey, MetricDefinition, Project, SurfaceInstallation
from metering.texts.timestamps import instant_from

from . import cells
from .attribution_rule import rules_of
from .links import adding, listed, project_url, tree_url
from .panels import asked_at
from .project_usage import UsageCard, metrics_along, usage_card

SHOWN_KEYS = 6
SHOWN_EVENTS = 10
SHOWN_RULES = 6
SHOWN_SURFACES = 6
SHOWN_METRICS = 6
NAMED = 4
STATE_COLOURS = {ApiKey.State.ACTIVE: "success", ApiKey.State.EXPIRED: "warning", ApiKey.State.REVOKED: ""}


@dataclass(frozen=True, slots=True)
class Rows:
    """The first rows of a table, whether there are more, and where all are."""

    rows: Sequence[Any]
    has_more: bool
    url: str
    add_url: str = ""


def project_page(request: HttpRequest, catalogue: Catalogue, project: Project) -> dict[str, Any]:
    """What templates/admin/metering/project/page.html shows; what one may not see is None.

    The number of statements doesn't grow with what the project has.
    """
    now = asked_at(request)
    place = place_of(catalogue, project, at=now)
    seen = [one.metric_id for one in metrics_along(catalogue, project)]
    metrics = MetricDefinition.objects.in_bulk(seen)
    return {
        "place": place_card(request, place),
        "payer": payer_card(request, place, now=now),
        "usage": _usage(request, catalogue, place, metrics),
        "may_see_usage": request.user.has_perm("metering.view_usagemeterrollup"),
        "keys": _keys(request, project, now=now),
        "events": _events(request, project),
        "surfaces": _surfaces(request, project),
        "metrics": _metrics(request, project, metrics),
    }


# -- place ---------------------------------------------------------------------------------------------------


def place_card(request: HttpRequest, place: ProjectPlace) -> dict[str, Any]:
    """The way from the top, its neighbours, and the first of those below."""
    project, children = place.project, place.children
    grandchild_count = len(place.below) - len(children)
    return {
        "way": [(one.name, project_url(one.pk)) for one in place.ancestors],
        "siblings": _siblings(place),
        "children": [
            {"name": one.name, "key": one.key, "url": project_url(one.id)}
            for one in children[:SHOWN_CHILDREN]
        ],
        "counted": _counted(len(children), grandchild_count),
        "all_words": _("All %(count)s projects below it") % {"count": numerals.count(len(place.below))}
        if len(place.below) > SHOWN_CHILDREN
        else "",
        "all_url": tree_url(project)
        if request.user.has_perms(["metering.view_attributionrule", "metering.view_project"])
        else listed("project", parent__id__exact=project.pk),
        "add_url": adding("project", parent=project.pk)
        if request.user.has_perm("metering.add_project")
        else "",
    }


def _siblings(place: ProjectPlace) -> SafeString | str:
    if place.project.parent_id is None:
        return _("The top of its tree.")
    parent = place.ancestors[-1]
    if not place.sibling_count:
        return _("The only one directly below %(parent)s.") % {"parent": parent.name}
    words = ngettext(
        "%(count)s other directly below %(parent)s",
        "%(count)s others directly below %(parent)s",
        place.sibling_count,
    ) % {"count": numerals.count(place.sibling_count), "parent": parent.name}
    return cells.link(listed("project", parent__id__exact=parent.pk), words)


def _counted(child_count: int, further_count: int) -> str:
    if not child_count:
        return ""
    words = ngettext("%(count)s project directly below", "%(count)s projects directly below", child_count) % {
        "count": numerals.count(child_count)
    }
    if further_count:
        words += ", " + _("%(count)s further down") % {"count": numerals.count(further_count)}
    return words + "."


# -- who pays ------------------------------------------------------------------------------------------------


def payer_card(request: HttpRequest, place: ProjectPlace, *, now: dt.datetime) -> dict[str, Any]:
    """Who pays, since when, by which rule, and what comes next; whom it doesn't pay for."""
    project = place.project
    may_see_rules = request.user.has_perm("metering.view_attributionrule")
    rules = rules_of(project, now=now) if may_see_rules else []
    return {
        "itself": place.pays_for_itself,
        "link": cells.project_link(place.payer),
        "name": place.payer.name,
        "since": cells.moment(place.now.start, empty=_("ever")),
        "has_begun": place.now.start is not None,
        "rule": _rule_words(place, may_see_rules=may_see_rules),
        "following": _following(place),
        "unpaid": _unpaid(place),
        "rules": rules[:SHOWN_RULES],
        "has_more_rules": len(rules) > SHOWN_RULES,
        "rules_url": listed("attributionrule", project__id__exact=project.pk),
        "tree_url": tree_url(project) if may_see_rules else "",
        "add_url": adding("attributionrule", project=project.pk)
        if request.user.has_perm("metering.add_attributionrule")
        else "",
    }


def _rule_words(place: ProjectPlace, *, may_see_rules: bool) -> SafeString | str:
    """The rules that decide, in order: “its own rule, then the rule of org-2”."""
    deciding = [step for step in place.steps if step.rule is not None]
    if not deciding:
        return _("No rule names another: a project without one pays for itself.")
    parts = []
    for step in deciding:
        words = (
            _("its own rule")
            if step.project_id == place.project.pk
            else _("the rule of %s") % place.named[step.project_id].key
        )
        assert step.rule is not None
        url = reverse("admin:metering_attributionrule_change", args=[step.rule.id])
        parts.append(cells.link(url, words) if may_see_rules else format_html("{}", words))
    return format_html_join(_(", then "), "{}", ((one,) for one in parts))


def _following(place: ProjectPlace) -> SafeString | str:
    following = place.following
    if following is None:
        return ""
    payer: Any = cells.project_link(place.named[following.payer_id])
    if following.payer_id == place.project.pk:
        payer = _("the project itself")
    return format_html(_("From {} on: {}"), cells.moment(following.start), payer)


def _unpaid(place: ProjectPlace) -> str:
    """Which projects below aren't counted by limits here, nor on invoices; "" where all are, or none is."""
    unpaid = place.unpaid
    if not unpaid:
        return ""
    if len(unpaid) == len(place.below):
        return _(
            "It pays for none of the projects below it: their usage isn't counted here, nor billed to it."
        )
    names = ", ".join(one.key for one in unpaid[:NAMED]) + (" …" if len(unpaid) > NAMED else "")
    facts = {"count": numerals.count(len(unpaid)), "all": numerals.count(len(place.below)), "names": names}
    return (
        ngettext(
            "%(count)s of the %(all)s projects below it pays for itself, or another does: %(names)s. Its "
            "usage isn't counted here, nor billed to it.",
            "%(count)s of the %(all)s projects below it pay for themselves, or others do: %(names)s. Their "
            "usage isn't counted here, nor billed to it.",
            len(unpaid),
        )
        % facts
    )


# -- usage, keys, events -------------------------------------------------------------------------------------


def _usage(
    request: HttpRequest, catalogue: Catalogue, place: ProjectPlace, metrics: Mapping[int, MetricDefinition]
) -> UsageCard | None:
    if not request.user.has_perm("metering.view_usagemeterrollup"):
        return None
    below_ids = [one.id for one in place.below]
    return usage_card(request, catalogue, place.project, below_ids=below_ids, metrics=metrics)


def _keys(request: HttpRequest, project: Project, *, now: dt.datetime) -> Rows | None:
    """Its API keys: working ones first, the one used last before others."""
    if not request.user.has_perm("metering.view_apikey"):
        return None
    keys = list(
        project.api_keys.order_by(
            F("revoked_at").desc(nulls_first=True), F("last_used_at").desc(nulls_last=True), "-id"
        )[: SHOWN_KEYS + 1]
    )
    lines = []
    for key in keys[:SHOWN_KEYS]:
        state = key.state(at=now)
        lines.append(
            {
                "url": reverse("admin:metering_apikey_change", args=[key.pk]),
                "name": key.name,
                "prefix": key.shown_prefix,
                "badge": cells.badge(state.label, STATE_COLOURS[state]),
                "used": cells.ago(key.last_used_at, now=now),
            }
        )
    add_url = adding("apikey", project=project.pk) if request.user.has_perm("metering.add_apikey") else ""
    return Rows(lines, len(keys) > SHOWN_KEYS, listed("apikey", project__id__exact=project.pk), add_url)


def _events(request: HttpRequest, project: Project) -> Rows | None:
    """Its latest usage. By time of use, because that is what an index of the ledger yields by project."""
    if not request.user.has_perm("metering.view_usageevent"):
        return None
    page = events_page(EventFilter(project_ids=[project.pk]), cursor=None, limit=SHOWN_EVENTS)
    lines = [
        {
            "url": reverse("admin:metering_usageevent_change", args=[event["id"]]),
            "id": event["id"],
            "at": cells.moment(instant_from(event["occurred_at"])),
            "name": event["event_name"],
            "badge": _event_badge(event),
            "subject": " ".join(filter(None, (event["subject_type"], event["subject_id"]))) or cells.DASH,
            "quantity": cells.grouped(event["quantity"]),
            "payer": "" if event["billing_scope"] == project.key else event["billing_scope"],
        }
        for event in page.events
    ]
    return Rows(lines, page.following is not None, listed("usageevent", project__id__exact=project.pk))


def _event_badge(event: dict[str, Any]) -> SafeString | str:
    if event["voids"] is not None:
        return cells.badge(pgettext("of an event", "Void"), "warning")
    return cells.badge(_("Voided"), "danger") if event["voided_by"] is not None else ""


def _surfaces(request: HttpRequest, project: Project) -> Rows | None:
    if not request.user.has_perm("metering.view_surfaceinstallation"):
        return None
    found = list(SurfaceInstallation.objects.filter(project=project).order_by("key")[: SHOWN_SURFACES + 1])
    add_url = ""
    if request.user.has_perm("metering.add_surfaceinstallation"):
        add_url = adding("surfaceinstallation", project=project.pk)
    url = listed("surfaceinstallation", project__id__exact=project.pk)
    return Rows(found[:SHOWN_SURFACES], len(found) > SHOWN_SURFACES, url, add_url)


def _metrics(request: HttpRequest, project: Project, metrics: Mapping[int, MetricDefinition]) -> Rows | None:
    """Those that it owns itself, archived ones last."""
    if not request.user.has_perm("metering.view_metricdefinition"):
        return None
    own = [one for one in metrics.values() if one.project_id == project.pk]
    own.sort(key=lambda one: (one.is_archived, one.key))
    add_url = ""
    if request.user.has_perm("metering.add_metricdefinition"):
        add_url = adding("metricdefinition", project=project.pk)
    url = listed("metricdefinition", project__id__exact=project.pk)
    return Rows(own[:SHOWN_METRICS], len(own) > SHOWN_METRICS, url, add_url)


def page_without_usage(request: HttpRequest, catalogue: Catalogue, project: Project) -> dict[str, Any]:
    """What is left of the page while usage takes too long to read: place and payer."""
    now = asked_at(request)
    place = place_of(catalogue, project, at=now)
    return {
        "place": place_card(request, place),
        "payer": payer_card(request, place, now=now),
        "keys": _keys(request, project, now=now),
    }
