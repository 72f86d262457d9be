"""Making projects and saying who pays for them."""

import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q

from .catalogue import move_version
from .errors import Conflict, Invalid
from .locks import hold_recording, hold_tree, no_recorder_running
from .models import MAX_TREE_DEPTH, AttributionRule, Project, SurfaceInstallation, UsageEvent, key_validator
from .ready_made import record_surface_installation
from .windows import UnknownTimeZone, zone_named


def create_project(
    *,
    key: str,
    name: str,
    kind: str = Project.Kind.PROJECT,
    parent: Project | None = None,
    timezone: str = "UTC",
) -> Project:
    """Add a node to the scope tree.

    Raises `Invalid` for a malformed key, an unknown kind or zone, or a tree deeper than 32; `Conflict` when
    the key is taken anywhere.
    """
    _ensure_key(key)
    if kind not in Project.Kind.values:
        raise Invalid(f"Unknown kind '{kind}'; use {', '.join(Project.Kind.values)}.", field="kind")
    _ensure_zone(timezone)
    if not name.strip():
        raise Invalid("A project needs a name.", field="name")
    with transaction.atomic():
        hold_tree()
        if parent is not None:
            parent = Project.objects.get(pk=parent.pk)  # where it lies now that nothing moves
            if parent.depth + 1 >= MAX_TREE_DEPTH:
                raise Invalid(f"A tree is at most {MAX_TREE_DEPTH} projects deep.", field="parent")
        try:
            with transaction.atomic():
                project = Project.objects.create(
                    key=key, name=name, kind=kind, parent=parent, timezone=timezone
                )
        except IntegrityError:
            raise Conflict(f"There is a project '{key}' already.", field="key") from None
        project.path = f"{parent.path if parent else '/'}{project.pk}/"
        project.save(update_fields=["path"])
    return project


def change_project(
    project: Project,
    *,
    name: str | None = None,
    kind: str | None = None,
    timezone: str | None = None,
) -> Project:
    """Rename a project, or give it another kind or time zone. Raises `Invalid`."""
    if name is not None:
        if not name.strip():
            raise Invalid("A project needs a name.", field="name")
        project.name = name
    if kind is not None:
        if kind not in Project.Kind.values:
            raise Invalid(f"Unknown kind '{kind}'; use {', '.join(Project.Kind.values)}.", field="kind")
        project.kind = kind
    if timezone is not None:
        _ensure_zone(timezone)
        project.timezone = timezone
    with transaction.atomic():
        project.save(update_fields=["name", "kind", "timezone"])
        move_version()
    return project


def move_project(project: Project, *, parent: Project | None) -> Project:
    """Hang a project, with everything below it, under another parent.

    Raises `Conflict` when it or a descendant has usage, rules, or metrics that others would lose sight of,
    and `Invalid` for a parent below itself or too great a depth.
    """
    with no_recorder_running():
        hold_tree()
        project.refresh_from_db()
        subtree = list(Project.objects.below(project))
        ids = [node.pk for node in subtree]
        if UsageEvent.objects.filter(Q(project_id__in=ids) | Q(billing_scope_id__in=ids)).exists():
            raise Conflict("A project with usage can't move in the tree.", field="parent")
        if AttributionRule.objects.filter(
            Q(project_id__in=ids) | Q(billing_attribution_project_id__in=ids)
        ).exists():
            raise Conflict(
                "A project with attribution rules can't move; end and remove them first.", field="parent"
            )
        if Project.objects.filter(pk__in=ids, metrics__isnull=False).exists():
            raise Conflict("A project with metrics of its own can't move in the tree.", field="parent")
        if parent is not None:
            parent.refresh_from_db()
            if parent.path.startswith(project.path):
                raise Invalid("A project can't lie below itself.", field="parent")
            deepest = max(node.depth for node in subtree) - project.depth
            if parent.depth + 1 + deepest >= MAX_TREE_DEPTH:
                raise Invalid(f"A tree is at most {MAX_TREE_DEPTH} projects deep.", field="parent")
        old_path = project.path
        project.parent = parent
        project.save(update_fields=["parent"])
        new_path = f"{parent.path if parent else '/'}{project.pk}/"
        for node in subtree:
            node.path = new_path + node.path.removeprefix(old_path)
            Project.objects.filter(pk=node.pk).update(path=node.path)
        move_version()
    project.refresh_from_db()
    return project


def install_surface(*, project: Project, key: str, name: str) -> SurfaceInstallation:
    """Install an app or connector into a project, and record that as usage where a metric listens for it.

    Raises `Invalid` and `Conflict`.
    """
    _ensure_key(key)
    try:
        with transaction.atomic():
            hold_recording()
            surface = SurfaceInstallation.objects.create(project=project, key=key, name=name)
            move_version()
            record_surface_installation(surface)
    except IntegrityError:
        raise Conflict(f"The project has a surface '{key}' already.", field="key") from None
    return surface


def attribute(
    project: Project,
    *,
    payer: Project,
    surface: SurfaceInstallation | None = None,
    effective_from: dt.datetime | None = None,
    effective_until: dt.datetime | None = None,
) -> AttributionRule:
    """Say who pays for a project (or one surface of it) in a half-open interval; None is unbounded.

    A rule in force that has no end is ended where the new one begins. Recorded events keep their payer.
    Raises `Invalid` for an empty interval, a payer in another tree, a foreign surface; `Conflict` for an
    overlap with another rule and for a cycle of payers at any instant.
    """
    if effective_from is not None and effective_until is not None and effective_from >= effective_until:
        raise Invalid("The interval is empty: it must end after it begins.", field="effective_until")
    if payer.root_id != project.root_id:
        raise Invalid("The payer must lie in the same tree.", field="billing_attribution_project")
    if surface is not None and surface.project_id != project.pk:
        raise Invalid("The surface isn't installed in this project.", field="surface")
    with no_recorder_running():
        if effective_from is not None:
            AttributionRule.objects.filter(
                Q(effective_from__lt=effective_from) | Q(effective_from=None),
                project=project,
                surface=surface,
                effective_until=None,
            ).update(effective_until=effective_from)
        if surface is None:
            _ensure_no_cycle(project, payer, effective_from, effective_until)
        try:
            with transaction.atomic():
                rule = AttributionRule.objects.create(
                    project=project,
                    surface=surface,
                    billing_attribution_project=payer,
                    effective_from=effective_from,
                    effective_until=effective_until,
                )
        except IntegrityError:
            raise Conflict(
                "Another rule covers a part of this interval; end that one first.", field="effective_from"
            ) from None
        move_version()
    return rule


def end_attribution(rule: AttributionRule, *, effective_until: dt.datetime) -> AttributionRule:
    """End a rule that is open or ends later. Raises `Invalid` where it would end before it began."""
    if rule.effective_from is not None and effective_until <= rule.effective_from:
        raise Invalid("A rule must end after it begins.", field="effective_until")
    if rule.effective_until is not None and effective_until > rule.effective_until:
        raise Invalid("A rule can be ended earlier, not later; add a new one.", field="effective_until")
    with no_recorder_running():
        rule.effective_until = effective_until
        rule.save(update_fields=["effective_until"])
        move_version()
    return rule


def _ensure_no_cycle(
    project: Project, payer: Project, start: dt.datetime | None, end: dt.datetime | None
) -> None:
    """Refuse a payer whose chain, at any instant of [start, end), comes back here or makes one too long.

    Every project that this one would pay for at an instant is followed to the payer's end at that instant.
    """
    if payer.pk == project.pk:
        return
    payers: dict[int, list[_Link]] = {}
    paid: dict[int, list[_Link]] = {}
    for source, target, since, until in AttributionRule.objects.filter(
        project__path__startswith=f"/{project.root_id}/", surface=None
    ).values_list("project_id", "billing_attribution_project_id", "effective_from", "effective_until"):
        if source != target:
            payers.setdefault(source, []).append((target, since, until))
            paid.setdefault(target, []).append((source, since, until))
    for _, since, until, links in _reached(project.pk, paid, start, end, stop=None):
        for node, _, _, further in _reached(payer.pk, payers, since, until, stop=project.pk):
            if node == project.pk:
                raise Conflict(
                    "The payer's own usage would be paid by this project at the same time: a cycle.",
                    field="billing_attribution_project",
                )
            if links + 1 + further > MAX_TREE_DEPTH:
                raise Invalid(
                    f"A chain of payers has at most {MAX_TREE_DEPTH} links.",
                    field="billing_attribution_project",
                )


_Link = tuple[int, dt.datetime | None, dt.datetime | None]


def _reached(
    origin: int,
    links: dict[int, list[_Link]],
    start: dt.datetime | None,
    end: dt.datetime | None,
    *,
    stop: int | None,
) -> Iterator[tuple[int, dt.datetime | None, dt.datetime | None, int]]:
    """Projects reached from `origin`, itself included, with the interval and the number of links."""
    walk = [(origin, start, end, 0)]
    while walk:
        node, since, until, count = walk.pop()
        yield node, since, until, count
        if node == stop or count > MAX_TREE_DEPTH:
            continue
        for following, link_since, link_until in links.get(node, ()):
            overlap_start, overlap_end = _later(since, link_since), _earlier(until, link_until)
            if overlap_start is None or overlap_end is None or overlap_start < overlap_end:
                walk.append((following, overlap_start, overlap_end, count + 1))


def _later(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)


def _earlier(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    if one is None or other is None:
        return one or other
    return min(one, other)


def _ensure_key(key: str) -> None:
    try:
        key_validator(key)
    except ValidationError as error:
        raise Invalid(error.messages[0], field="key") from None
    if len(key) > 100:
        raise Invalid("A key has at most 100 characters.", field="key")


def _ensure_zone(name: str) -> ZoneInfo:
    try:
        return zone_named(name)
    except UnknownTimeZone:
        raise Invalid(f"There is no time zone '{name[:64]}'.", field="timezone") from None
