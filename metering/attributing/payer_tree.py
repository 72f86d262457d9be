"""Who pays for what in a part of the scope tree at an instant, since when and until when: a page of it."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet
from django.db.models.functions import Collate

from metering.catalogue import Catalogue
from metering.models import AttributionRule, Project, SurfaceInstallation

from .payers import Span, Step, chain_at, spans_of

PAGE_PROJECTS = 100
MAX_SURFACES = 10  # of one project; the rest is a list of its own


@dataclass(frozen=True, slots=True)
class PayerLine:
    """A project, or one of its surfaces, with its payer at the instant.

    `steps` lead to the payer; `spans` say who pays at any time. `is_exception`: it pays for itself while what
    pays for its parent pays for others beside it. `is_context`: shown for the place of those below it only.
    """

    project: Project
    surface: SurfaceInstallation | None
    depth: int
    steps: Sequence[Step]
    spans: Sequence[Span]
    now: Span
    is_exception: bool = False
    is_context: bool = False

    @property
    def payer_id(self) -> int:
        return self.now.payer_id

    @property
    def pays_for_itself(self) -> bool:
        return self.payer_id == self.project.pk


@dataclass(frozen=True, slots=True)
class PayerTree:
    """A page of lines in tree order, and how many projects there are to page through."""

    lines: Sequence[PayerLine]
    project_count: int
    offset: int
    surfaces_left_out: dict[int, int] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return min(self.offset + PAGE_PROJECTS, self.project_count)


def payer_tree(
    catalogue: Catalogue, top: Project, *, at: dt.datetime, search: str = "", offset: int = 0
) -> PayerTree:
    """The projects at and below `top`, or those of them whose key or name holds `search`.

    At most 100 projects from `offset` on, each followed by its surfaces; before the first of a branch its
    ancestors up to `top`. Empty where nothing matches.
    """
    found: QuerySet[Project] = Project.objects.below(top)
    if search:
        found = found.filter(Q(key__icontains=search) | Q(name__icontains=search))
    count = found.count()
    page = list(found.order_by(Collate("path", "C"))[offset : offset + PAGE_PROJECTS])
    shown = _with_ancestors(page, top)
    page_ids = {project.pk for project in page}
    exceptions = _exceptions(catalogue, page, at)
    surfaces = _surfaces_of(page_ids)
    lines = []
    for project in shown:
        depth = project.depth - top.depth
        lines.append(
            _line(
                catalogue,
                project,
                None,
                depth=depth,
                at=at,
                is_exception=project.pk in exceptions,
                is_context=project.pk not in page_ids,
            )
        )
        lines += [
            _line(catalogue, project, surface, depth=depth + 1, at=at)
            for surface in surfaces.get(project.pk, ())[:MAX_SURFACES]
        ]
    left_out = {
        project_id: len(installed) - MAX_SURFACES
        for project_id, installed in surfaces.items()
        if len(installed) > MAX_SURFACES
    }
    return PayerTree(lines, count, offset, left_out)


def _line(
    catalogue: Catalogue,
    project: Project,
    surface: SurfaceInstallation | None,
    *,
    depth: int,
    at: dt.datetime,
    is_exception: bool = False,
    is_context: bool = False,
) -> PayerLine:
    surface_id = surface.pk if surface else None
    spans = spans_of(catalogue, project.pk, surface_id=surface_id)
    return PayerLine(
        project,
        surface,
        depth,
        chain_at(catalogue, project.pk, at, surface_id=surface_id),
        spans,
        next(span for span in spans if span.covers(at)),
        is_exception,
        is_context,
    )


def _with_ancestors(page: Sequence[Project], top: Project) -> list[Project]:
    """The page in tree order, each branch led by its ancestors up to `top`."""
    held = {project.pk for project in page}
    wanted = {
        int(part)
        for project in page
        for part in project.path.removeprefix(top.path).strip("/").split("/")
        if part
    } | ({top.pk} if page else set())
    ancestors = Project.objects.filter(pk__in=wanted - held)
    return sorted([*page, *ancestors], key=lambda project: project.path)


def _surfaces_of(project_ids: Iterable[int]) -> dict[int, list[SurfaceInstallation]]:
    found: dict[int, list[SurfaceInstallation]] = defaultdict(list)
    for surface in SurfaceInstallation.objects.filter(project__in=project_ids).order_by("project_id", "key"):
        found[surface.project_id].append(surface)
    return found


def _exceptions(catalogue: Catalogue, page: Sequence[Project], at: dt.datetime) -> set[int]:
    """Projects that pay for themselves though their parent's payer pays for a sibling, by rules in force."""
    alone = {
        project.pk: project.parent_id
        for project in page
        if project.parent_id is not None and catalogue.payer_at(project.pk, at) == project.pk
    }
    if not alone:
        return set()
    ruled = AttributionRule.objects.filter(
        Q(effective_from=None) | Q(effective_from__lte=at),
        Q(effective_until=None) | Q(effective_until__gt=at),
        surface=None,
        project__parent__in=set(alone.values()),
    ).values_list("project_id", "project__parent_id")
    paying = {
        parent_id
        for project_id, parent_id in ruled
        if parent_id is not None
        and catalogue.payer_at(project_id, at) == catalogue.payer_at(parent_id, at) != project_id
    }
    return {project_id for project_id, parent_id in alone.items() if parent_id in paying}
