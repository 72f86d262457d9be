"""Where one project stands: above and below whom, who pays for it now and next, and whom it pays for."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, OuterRef, Subquery

from metering.catalogue import Catalogue
from metering.models import Project

from .payers import Span, Step, chain_at, spans_of

SHOWN_CHILDREN = 8


@dataclass(frozen=True, slots=True)
class Below:
    """A project below another, and whether that one pays for it."""

    id: int
    key: str
    name: str
    kind: str
    parent_id: int | None
    is_paid_for: bool


@dataclass(frozen=True, slots=True)
class ProjectPlace:
    """The place of a project in its tree and among those who pay, at one instant.

    `ancestors` lead from the top to the parent. `steps` lead to the payer, `spans` say who pays at any time.
    `named` holds every project that ancestors, steps and spans mention.
    """

    project: Project
    ancestors: Sequence[Project]
    sibling_count: int
    below: Sequence[Below]
    steps: Sequence[Step]
    spans: Sequence[Span]
    now: Span
    named: Mapping[int, Project]

    @property
    def payer(self) -> Project:
        return self.named[self.now.payer_id]

    @property
    def pays_for_itself(self) -> bool:
        return self.now.payer_id == self.project.pk

    @property
    def following(self) -> Span | None:
        """Who pays when the present payer ceases to; None where nothing is known to change."""
        if self.now.end is None:
            return None
        return next(span for span in self.spans if span.start == self.now.end)

    @property
    def children(self) -> list[Below]:
        return [one for one in self.below if one.parent_id == self.project.pk]

    @property
    def unpaid(self) -> list[Below]:
        """Those below for whose usage it doesn't pay."""
        return [one for one in self.below if not one.is_paid_for]


def place_of(catalogue: Catalogue, project: Project, *, at: dt.datetime) -> ProjectPlace:
    """The place of a project, in two statements. Index: project_path_prefix."""
    steps = chain_at(catalogue, project.pk, at)
    spans = spans_of(catalogue, project.pk)
    ancestor_ids = [int(part) for part in project.path.strip("/").split("/")][:-1]
    wanted = {*ancestor_ids, project.pk, *(step.payer_id for step in steps), *(one.payer_id for one in spans)}
    children = Project.objects.filter(parent=OuterRef("pk")).order_by().values("parent")
    child_count = Subquery(children.annotate(count=Count("pk")).values("count"))
    named: Any = Project.objects.annotate(child_count=child_count).in_bulk(wanted)
    below = Project.objects.below(project).exclude(pk=project.pk).order_by("name", "key")
    return ProjectPlace(
        project=project,
        ancestors=[named[one] for one in ancestor_ids],
        sibling_count=named[project.parent_id].child_count - 1 if project.parent_id else 0,
        below=[
            Below(*row, is_paid_for=catalogue.payer_at(row[0], at) == project.pk)
            for row in below.values_list("pk", "key", "name", "kind", "parent_id")
        ],
        steps=steps,
        spans=spans,
        now=next(span for span in spans if span.covers(at)),
        named=named,
    )
