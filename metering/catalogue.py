"""Projects, rules and definitions as recorders see them: held in memory, exact at their version.

Recorders take the shared lock, read the one version row and come here; a definition or rule can't change
while they run, so what they use is never stale. Questions ask `current()`, one row read per request.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection

from .errors import Invalid, NotFound
from .measuring.meaning import Meaning
from .models import (
    MAX_TREE_DEPTH,
    AttributionRule,
    MetricDefinition,
    Project,
    SurfaceInstallation,
    WebhookEndpoint,
)

MAX_CACHED_MATCHES = 100_000


@dataclass(frozen=True, slots=True)
class ProjectNode:
    """What recording and reading need to know of a project."""

    id: int
    key: str
    path: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One attribution rule, half-open; None is unbounded."""

    id: int
    payer_id: int
    effective_from: dt.datetime | None
    effective_until: dt.datetime | None

    def covers(self, instant: dt.datetime) -> bool:
        return (self.effective_from is None or self.effective_from <= instant) and (
            self.effective_until is None or instant < self.effective_until
        )


class Catalogue:
    """Everything at one version. Projects made since are looked up when they are named."""

    def __init__(self, version: int) -> None:
        self.version = version
        self._by_key: dict[str, ProjectNode] = {}
        self._by_id: dict[int, ProjectNode] = {}
        for project_id, key, path, zone in Project.objects.values_list("id", "key", "path", "timezone"):
            self._remember(ProjectNode(project_id, key, path, zone))
        self._project_rules: dict[int, list[Rule]] = defaultdict(list)
        self._surface_rules: dict[int, list[Rule]] = defaultdict(list)
        for row in AttributionRule.objects.all():
            rule = Rule(row.pk, row.billing_attribution_project_id, row.effective_from, row.effective_until)
            if row.surface_id is None:
                self._project_rules[row.project_id].append(rule)
            else:
                self._surface_rules[row.surface_id].append(rule)
        self._surfaces: dict[tuple[int, str], int] = {
            (project_id, key): surface_id
            for surface_id, project_id, key in SurfaceInstallation.objects.values_list(
                "id", "project_id", "key"
            )
        }
        self.meanings: dict[int, Meaning] = {}
        self._by_event_name: dict[str, list[Meaning]] = defaultdict(list)
        self._by_metric_key: dict[str, list[Meaning]] = defaultdict(list)
        for metric in MetricDefinition.objects.select_related("project").order_by("id"):
            meaning = Meaning(metric, owner_path=metric.project.path if metric.project else "")
            self.meanings[metric.pk] = meaning
            self._by_event_name[metric.event_name].append(meaning)
            self._by_metric_key[metric.key].append(meaning)
        self._listening: dict[tuple[int, str], tuple[Meaning, ...]] = {}
        # (path of its project, kinds) of each endpoint that listens; no kinds stands for all.
        self._endpoints: list[tuple[str, frozenset[str]]] = [
            (path, frozenset(kinds))
            for path, kinds in WebhookEndpoint.objects.filter(is_enabled=True).values_list(
                "project__path", "kinds"
            )
        ]
        self._awaits_all = any(not kinds for _path, kinds in self._endpoints)
        self._awaited_kinds = frozenset().union(*(kinds for _path, kinds in self._endpoints))

    def _remember(self, node: ProjectNode) -> None:
        self._by_key[node.key] = node
        self._by_id[node.id] = node

    # -- projects ----------------------------------------------------------------------------------------

    def project(self, key: str) -> ProjectNode | None:
        """The project named `key`, or None."""
        node = self._by_key.get(key)
        if node is None:
            row = Project.objects.filter(key=key).values_list("id", "key", "path", "timezone").first()
            if row is None:
                return None
            node = ProjectNode(*row)
            self._remember(node)
        return node

    def project_by_id(self, project_id: int) -> ProjectNode:
        node = self._by_id.get(project_id)
        if node is None:
            row = Project.objects.values_list("id", "key", "path", "timezone").get(pk=project_id)
            node = ProjectNode(*row)
            self._remember(node)
        return node

    def keys_of(self, project_ids: Iterable[int]) -> dict[int, str]:
        """The keys of projects by id, of those that there are; a statement where one isn't held."""
        wanted = set(project_ids)
        unknown = wanted - self._by_id.keys()
        if unknown:
            for row in Project.objects.filter(pk__in=unknown).values_list("id", "key", "path", "timezone"):
                self._remember(ProjectNode(*row))
        return {node.id: node.key for node in map(self._by_id.get, wanted) if node is not None}

    def has_children(self, node: ProjectNode) -> bool:
        """Whether any project lies below. Asked of the database: children made later aren't held here."""
        return Project.objects.filter(parent_id=node.id).exists()

    def surface_id(self, project_id: int, key: str) -> int | None:
        return self._surfaces.get((project_id, key))

    # -- who pays ----------------------------------------------------------------------------------------

    def payer_at(self, project_id: int, instant: dt.datetime, *, surface_id: int | None = None) -> int:
        """The project that pays for usage of `project_id` at `instant`.

        The surface's rule where it has one at that instant, else the project's, then along the chain until a
        project pays for itself; one without a rule does.
        """
        payer = project_id
        if surface_id is not None:
            payer = self._ruled(self._surface_rules.get(surface_id), instant, default=project_id)
        for _ in range(MAX_TREE_DEPTH + 1):
            following = self._ruled(self._project_rules.get(payer), instant, default=payer)
            if following == payer:
                return payer
            payer = following
        return payer  # unreachable while chains and cycles are refused when written

    def rules_of(self, project_id: int, *, surface_id: int | None = None) -> Sequence[Rule]:
        """The rules of a project, or of one of its surfaces, in no particular order."""
        if surface_id is None:
            return self._project_rules.get(project_id, ())
        return self._surface_rules.get(surface_id, ())

    @staticmethod
    def _ruled(rules: Sequence[Rule] | None, instant: dt.datetime, *, default: int) -> int:
        for rule in rules or ():
            if rule.covers(instant):
                return rule.payer_id
        return default

    # -- metrics -----------------------------------------------------------------------------------------

    def listening(self, project: ProjectNode, event_name: str) -> tuple[Meaning, ...]:
        """The metrics, archived ones included, that `project` sees and that listen to `event_name`."""
        key = (project.id, event_name)
        found = self._listening.get(key)
        if found is None:
            found = tuple(
                meaning
                for meaning in self._by_event_name.get(event_name, ())
                if project.path.startswith(meaning.owner_path)
            )
            if len(self._listening) >= MAX_CACHED_MATCHES:
                self._listening.clear()
            self._listening[key] = found
        return found

    def event_names(self) -> list[str]:
        """Every name that an event of the ledger can have: recording asks for a metric that listens."""
        return sorted(self._by_event_name)

    def metric_for(self, project: ProjectNode, key: str) -> Meaning | None:
        """The metric `key` as `project` sees it: its own, an ancestor's or a global one."""
        for meaning in self._by_metric_key.get(key, ()):
            if project.path.startswith(meaning.owner_path):
                return meaning
        return None

    def metrics_with_key(self, key: str) -> Sequence[Meaning]:
        """Every metric of that key, wherever in the trees."""
        return self._by_metric_key.get(key, ())

    def metric_within(self, path: str | None, key: str) -> Meaning:
        """The metric `key` for somebody who sees the subtree at `path` (None: all).

        Raises `NotFound`, and `Invalid` where several projects below have each their own of that name.
        """
        found = [
            meaning
            for meaning in self._by_metric_key.get(key, ())
            if path is None or path.startswith(meaning.owner_path) or meaning.owner_path.startswith(path)
        ]
        if not found:
            raise NotFound("There is no metric '{key}'.", key=key)
        if len(found) > 1:
            raise Invalid(
                "Several projects have a metric '{key}' of their own; name the project.",
                key=key,
                field="project",
            )
        return found[0]

    # -- who is told --------------------------------------------------------------------------------------

    def may_await(self, kind: str) -> bool:
        """Whether any webhook endpoint at all takes events of that kind."""
        return self._awaits_all or kind in self._awaited_kinds

    def awaits(self, kind: str, *, path: str) -> bool:
        """Whether an endpoint takes events of that kind from the project at `path`."""
        return any(
            path.startswith(endpoint_path) and (not kinds or kind in kinds)
            for endpoint_path, kinds in self._endpoints
        )


_current: Catalogue | None = None


def catalogue_at(version: int) -> Catalogue:
    """The catalogue at `version`, which the caller has just read; reloaded when it moved."""
    global _current
    catalogue = _current
    if catalogue is None or catalogue.version != version:
        catalogue = Catalogue(version)
        _current = catalogue
    return catalogue


def current() -> Catalogue:
    """The catalogue by the version row as committed now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT version FROM metering_catalogueversion")
        (version,) = cursor.fetchone()
    return catalogue_at(version)


def move_version() -> None:
    """Tell every process that something it holds has changed; takes effect with the caller's commit."""
    with connection.cursor() as cursor:
        # From a sequence, which no rollback turns back: a number never stands for two different contents.
        cursor.execute(
            "UPDATE metering_catalogueversion SET version = nextval('metering_catalogue_version_seq')"
        )


def forget() -> None:
    """Drop what this process holds: for tests whose rollbacks bring an older version back."""
    global _current
    _current = None


def project_ids_below(paths: Iterable[str]) -> list[int]:
    """Ids of the projects at and below the given paths, asked of the database."""
    ids: set[int] = set()
    for path in paths:
        ids.update(Project.objects.filter(path__startswith=path).values_list("id", flat=True))
    return sorted(ids)
