"""Making projects and saying who pays for them."""

import datetime as dt
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q

from metering.catalogue import move_version
from metering.defining.ready_made import record_surface_installation
from metering.errors import Conflict, Invalid, NotFound
from metering.locks import hold_recording, hold_tree, no_recorder_running
from metering.measuring.windows import UnknownTimeZone, zone_named
from metering.models import (
    MAX_TREE_DEPTH,
    AttributionRule,
    Project,
    SurfaceInstallation,
    UsageEvent,
    key_validator,
)

from .chains import Link, reached
from .holders import delete_unheld, holders_of


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
    the key is taken anywhere; `NotFound` when the parent was removed meanwhile.
    """
    _ensure_key(key)
    if kind not in Project.Kind.values:
        raise Invalid(
            "Unknown kind '{kind}'; use {known}.",
            kind=kind,
            known=", ".join(Project.Kind.values),
            field="kind",
        )
    _ensure_zone(timezone)
    if not name.strip():
        raise Invalid("A project needs a name.", field="name")
    with transaction.atomic():
        hold_tree()
        if parent is not None:
            parent = _stored(parent)  # where it lies now that nothing moves
            if parent.depth + 1 >= MAX_TREE_DEPTH:
                raise Invalid("A tree is at most {most} projects deep.", most=MAX_TREE_DEPTH, field="parent")
        try:
            with transaction.atomic():
                project = Project.objects.create(
                    key=key, name=name, kind=kind, parent=parent, timezone=timezone
                )
        except IntegrityError:
            raise Conflict("There is a project '{key}' already.", key=key, field="key") from None
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
    """Rename a project, or give it another kind or zone. Raises `Invalid`, and `NotFound` once removed."""
    if name is not None:
        if not name.strip():
            raise Invalid("A project needs a name.", field="name")
        project.name = name
    if kind is not None:
        if kind not in Project.Kind.values:
            raise Invalid(
                "Unknown kind '{kind}'; use {known}.",
                kind=kind,
                known=", ".join(Project.Kind.values),
                field="kind",
            )
        project.kind = kind
    if timezone is not None:
        _ensure_zone(timezone)
        project.timezone = timezone
    changes = {"name": project.name, "kind": project.kind, "timezone": project.timezone}
    with transaction.atomic():
        if not Project.objects.filter(pk=project.pk).update(**changes):
            raise NotFound("The project '{key}' was removed.", key=project.key)
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
                raise Invalid("A tree is at most {most} projects deep.", most=MAX_TREE_DEPTH, field="parent")
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


def remove_project(project: Project) -> None:
    """Take back a project that was added by mistake: one that nothing refers to.

    Recorders that are under way end first, and later ones don't find it any more. Raises `Conflict` that
    names everything that holds it (usage, projects below it, metrics, keys, rules, surfaces, quotas), and
    `NotFound` when it was removed already.
    """
    if not Project.objects.filter(pk=project.pk).exists():
        raise NotFound("There is no project '{key}' any more.", key=project.key)
    # Asked before the lock as well, so that a project in use stops nobody's recording.
    _ensure_unheld(project)
    with no_recorder_running():
        hold_tree()
        if not delete_unheld(project):
            _ensure_unheld(project)
            raise Conflict("'{key}' is in use by something that was just added.", key=project.key)
        move_version()


def install_surface(*, project: Project, key: str, name: str) -> SurfaceInstallation:
    """Install an app or connector into a project, and record that as usage where a metric listens for it.

    Raises `Invalid`, `Conflict` where the project has a surface of that key, and `NotFound` where the project
    was removed meanwhile.
    """
    _ensure_key(key)
    _ensure_surface_name(name)
    try:
        with transaction.atomic():
            hold_recording()
            hold_tree()
            _stored(project)
            surface = SurfaceInstallation.objects.create(project=project, key=key, name=name)
            move_version()
            record_surface_installation(surface)
    except IntegrityError:
        raise Conflict("The project has a surface '{key}' already.", key=key, field="key") from None
    return surface


def rename_surface(surface: SurfaceInstallation, *, name: str) -> SurfaceInstallation:
    """Call a surface something else; its key stays. Raises `Invalid`, and `NotFound` once uninstalled."""
    _ensure_surface_name(name)
    if not SurfaceInstallation.objects.filter(pk=surface.pk).update(name=name):
        raise NotFound("The surface '{key}' was uninstalled.", key=surface.key)
    surface.name = name
    return surface


def uninstall_surface(surface: SurfaceInstallation) -> None:
    """Take back a surface that nothing refers to; events may name it no more.

    One with usage or rules stays, because both keep saying what they said. Raises `Conflict` that names what
    holds it, and `NotFound` when it was uninstalled already.
    """
    if not SurfaceInstallation.objects.filter(pk=surface.pk).exists():
        raise NotFound("There is no surface '{key}' any more.", key=surface.key)
    _ensure_unheld(surface)
    with no_recorder_running():
        if not delete_unheld(surface):
            _ensure_unheld(surface)
            raise Conflict("'{key}' is in use by something that was just added.", key=surface.key)
        move_version()


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
    overlap with another rule and for a cycle of payers at any instant; `NotFound` for what was removed
    meanwhile.
    """
    if effective_from is not None and effective_until is not None and effective_from >= effective_until:
        raise Invalid("The interval is empty: it must end after it begins.", field="effective_until")
    if payer.root_id != project.root_id:
        raise Invalid("The payer must lie in the same tree.", field="billing_attribution_project")
    if surface is not None and surface.project_id != project.pk:
        raise Invalid("The surface isn't installed in this project.", field="surface")
    with no_recorder_running():
        hold_tree()
        project, payer = _stored(project), _stored(payer)
        if surface is not None and not SurfaceInstallation.objects.filter(pk=surface.pk).exists():
            raise NotFound("The surface '{key}' was uninstalled.", key=surface.key)
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
    """End a rule that is open or ends later.

    Raises `Invalid` where it would end before it began, or later than it does, and `NotFound` once withdrawn.
    """
    with no_recorder_running():
        stored = AttributionRule.objects.filter(pk=rule.pk).first()
        if stored is None:
            raise NotFound("The rule was withdrawn.")
        if stored.effective_from is not None and effective_until <= stored.effective_from:
            raise Invalid(
                "A rule must end after it begins; one that has yet to begin can be withdrawn.",
                field="effective_until",
            )
        if stored.effective_until is not None and effective_until > stored.effective_until:
            raise Invalid("A rule can be ended earlier, not later; add a new one.", field="effective_until")
        rule.effective_until = effective_until
        rule.save(update_fields=["effective_until"])
        move_version()
    return rule


def withdraw_attribution(rule: AttributionRule, *, at: dt.datetime) -> None:
    """Take back a rule that has decided nothing: it begins after `at`, or there is no usage it could decide.

    A rule that was ended because this one was to follow stays ended. Raises `Conflict` for one that is or was
    in force for a project that has usage or pays for others, and `NotFound` once withdrawn.
    """
    with no_recorder_running():
        stored = AttributionRule.objects.filter(pk=rule.pk).first()
        if stored is None:
            raise NotFound("The rule was withdrawn already.")
        lies_ahead = stored.effective_from is not None and stored.effective_from > at
        pays_for_others = AttributionRule.objects.filter(
            billing_attribution_project=stored.project_id
        ).exclude(project=stored.project_id)
        if not lies_ahead and (
            UsageEvent.objects.filter(project=stored.project_id).exists() or pays_for_others.exists()
        ):
            raise Conflict("A rule that has been in force stays; end it instead.", field="effective_from")
        stored.delete()
        move_version()


def _ensure_no_cycle(
    project: Project, payer: Project, start: dt.datetime | None, end: dt.datetime | None
) -> None:
    """Refuse a payer whose chain, at any instant of [start, end), comes back here or makes one too long.

    Every project that this one would pay for at an instant is followed to the payer's end at that instant.
    """
    if payer.pk == project.pk:
        return
    payers: dict[int, list[Link]] = {}
    paid: dict[int, list[Link]] = {}
    for source, target, since, until in AttributionRule.objects.filter(
        project__path__startswith=f"/{project.root_id}/", surface=None
    ).values_list("project_id", "billing_attribution_project_id", "effective_from", "effective_until"):
        if source != target:
            payers.setdefault(source, []).append((target, since, until))
            paid.setdefault(target, []).append((source, since, until))
    for _, since, until, links in reached(project.pk, paid, start, end, stop=None, most_links=MAX_TREE_DEPTH):
        for node, _, _, further in reached(
            payer.pk, payers, since, until, stop=project.pk, most_links=MAX_TREE_DEPTH
        ):
            if node == project.pk:
                raise Conflict(
                    "The payer's own usage would be paid by this project at the same time: a cycle.",
                    field="billing_attribution_project",
                )
            if links + 1 + further > MAX_TREE_DEPTH:
                raise Invalid(
                    "A chain of payers has at most {most} links.",
                    most=MAX_TREE_DEPTH,
                    field="billing_attribution_project",
                )


def _stored(project: Project) -> Project:
    """The project as it is now. Raises `NotFound` once it was removed."""
    found = Project.objects.filter(pk=project.pk).first()
    if found is None:
        raise NotFound("The project '{key}' was removed.", key=project.key)
    return found


def _ensure_unheld(row: Project | SurfaceInstallation) -> None:
    holders = ", ".join(holders_of(row))
    if not holders:
        return
    if isinstance(row, Project):
        raise Conflict("'{key}' can't be removed: it still has {holders}.", key=row.key, holders=holders)
    raise Conflict("'{key}' can't be uninstalled: it still has {holders}.", key=row.key, holders=holders)


def _ensure_surface_name(name: str) -> None:
    if not name.strip():
        raise Invalid("A surface needs a name.", field="name")
    if len(name) > 200:
        raise Invalid("A name has at most 200 characters.", field="name")


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
        raise Invalid("There is no time zone '{name}'.", name=name[:64], field="timezone") from None
