"""What recorders and definitions announce: usage of a request, new metrics."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from metering.catalogue import Catalogue
from metering.models import MetricDefinition
from metering.recording.resolving import Candidate

from .kinds import METRIC_DEFINED, USAGE_RECORDED
from .outbox import announce, announce_on_page

# Sources of events that the house records itself. Were they announced, each delivery of a webhook, which is
# recorded where a metric listens, would cause the next one.
_OWN_SOURCES = frozenset({"meterbook"})


def announce_recorded(
    candidates: Iterable[Candidate], row_ids: Mapping[tuple[int, str, str], int], *, catalogue: Catalogue
) -> None:
    """Announce the new events of one request, in one domain event, where somebody subscribes to that.

    Costs no round trip where nobody does: who subscribes is known at the version of the catalogue.
    """
    if not catalogue.may_await(USAGE_RECORDED):
        return
    counts: Counter[tuple[int, str]] = Counter()
    ids: list[int] = []
    for candidate in candidates:
        row_id = row_ids.get(candidate.key)
        if row_id is not None and candidate.source not in _OWN_SOURCES:
            counts[candidate.project_id, candidate.event_name] += 1
            ids.append(row_id)
    project_ids = {project_id for project_id, _name in counts}
    nodes = {project_id: catalogue.project_by_id(project_id) for project_id in project_ids}
    if not any(catalogue.awaits(USAGE_RECORDED, path=node.path) for node in nodes.values()):
        return

    def told_of(path: str) -> dict[str, Any] | None:
        rows = [
            {"project": nodes[project_id].key, "event_name": name, "count": count}
            for (project_id, name), count in counts.items()
            if nodes[project_id].path.startswith(path)
        ]
        if not rows:
            return None
        return {"count": sum(row["count"] for row in rows), "last_id": max(ids), "events": rows}

    announce_on_page(
        USAGE_RECORDED,
        project_id=next(iter(project_ids)) if len(project_ids) == 1 else None,
        data=told_of("") or {},
        part_for=told_of if len(project_ids) > 1 else None,
    )


def announce_definition(metric: MetricDefinition) -> None:
    """Announce a metric that was just put in force, to those who see it: its project and what is above."""
    announce(
        METRIC_DEFINED,
        project_id=metric.project_id,
        data={
            "metric": metric.key,
            "display_name": metric.display_name,
            "unit": metric.unit,
            "aggregation": metric.aggregation,
            "event_name": metric.event_name,
            "project": metric.project.key if metric.project else None,
            "counts_from": metric.counts_from,
        },
    )
