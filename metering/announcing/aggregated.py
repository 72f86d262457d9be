"""What a tick announces: which usage changed."""

from collections.abc import Sequence
from typing import Any

from metering.catalogue import current
from metering.rolling_up.tick_observers import Touched
from metering.texts.timestamps import iso

from .kinds import USAGE_AGGREGATED
from .outbox import announce

EVENT_DELIVERED = "event.delivered"  # the usage event that a delivered webhook leaves
MAX_LISTED = 1_000  # of a metric, project, payer and day each; `touched_count` tells of the others


class TickAnnouncer:
    """Announces `usage.aggregated` in the transaction that merged, where somebody subscribes to it."""

    def observe(self, touched: Sequence[Touched]) -> None:
        """One event for all of it, of which each endpoint gets what lies in its project and below."""
        catalogue = current()
        if not catalogue.may_await(USAGE_AGGREGATED):
            return
        rows: list[tuple[str, dict[str, Any]]] = []
        for one in touched:
            meaning = catalogue.meanings[one.metric_id]
            # Telling of deliveries would be delivered, recorded, and told of by the next tick, for ever.
            if meaning.event_name != EVENT_DELIVERED:
                node = catalogue.project_by_id(one.project_id)
                row = {
                    "metric": meaning.key,
                    "project": node.key,
                    "billing_scope": catalogue.project_by_id(one.billing_scope_id).key,
                    "first_hour": iso(one.first_hour),
                    "last_hour": iso(one.last_hour),
                }
                rows.append((node.path, row))

        def told_of(path: str) -> dict[str, Any] | None:
            own = [row for row_path, row in rows if row_path.startswith(path)]
            return {"touched_count": len(own), "touched": own[:MAX_LISTED]} if own else None

        everything = told_of("")
        if everything is not None:
            announce(USAGE_AGGREGATED, project_id=None, data=everything, part_for=told_of)

    def after_commit(self, touched: Sequence[Touched]) -> None:
        """Nothing: the sweep is a few seconds away."""
