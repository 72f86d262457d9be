"""A new metric from an old one: the way to another meaning once the old meaning is frozen."""

from typing import Any

from metering.catalogue import move_version
from metering.clock import ledger_end
from metering.errors import Invalid
from metering.locks import no_recorder_running
from metering.models import MetricDefinition

from .definitions import (
    MEANING_FIELDS,
    WORDING_FIELDS,
    count_history,
    draft_of,
    ensure_key_is_free,
    held_metric,
    put_in_force,
)


def clone_of(metric: MetricDefinition, *, key: str, **changes: Any) -> MetricDefinition:
    """The unsaved definition that a clone would be: the metric's fields but for `changes`. Raises `Invalid`.

    A name that was the old key becomes the new key.
    """
    unknown = sorted(set(changes) - set(MEANING_FIELDS) - set(WORDING_FIELDS))
    if unknown:
        raise Invalid("'{unknown}' can't be changed.", unknown=unknown[0], field=unknown[0])
    fields = {name: getattr(metric, name) for name in (*MEANING_FIELDS, *WORDING_FIELDS)}
    if metric.display_name == metric.key:
        fields["display_name"] = key
    return draft_of(key=key, project=metric.project, **fields | changes)


def clone_metric(
    metric: MetricDefinition,
    *,
    key: str,
    counts_from: int | None = None,
    archives: bool = False,
    **changes: Any,
) -> MetricDefinition:
    """Define a metric that means what `metric` does but for `changes`, of the same owner.

    It counts from now on, or from all history with `counts_from=0`. With `archives` the old one stops at the
    very position from which the new one counts: no event falls between them. Raises `Invalid` naming the
    field and `Conflict` for a key that is taken; then nothing has changed.
    """
    clone = clone_of(metric, key=key, **changes)
    with no_recorder_running():
        ensure_key_is_free(clone)
        put_in_force(clone, counts_from=counts_from)
        if archives:
            held_metric(metric)
            MetricDefinition.objects.filter(pk=metric.pk, archived_from=None).update(
                archived_from=ledger_end()
            )
        move_version()
    count_history(clone)
    return clone
