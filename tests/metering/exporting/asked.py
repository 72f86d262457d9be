"""Exports as a key or somebody inside asks for them."""

from typing import Any

from metering.exporting.export_kinds import kind_named
from metering.exporting.exports import request_export
from metering.models import Export, Project
from metering.principal import EVERYBODY_INSIDE, Principal


def asked(kind: str = "usage_events", *, by: Project | None = None, **filters: Any) -> Export:
    """By everybody inside, or by a key of the project `by`."""
    principal = EVERYBODY_INSIDE
    if by is not None:
        principal = Principal("key", frozenset({"read"}), by.pk, by.path)
    sent = {"from" if name == "start" else name: value for name, value in filters.items()}
    return request_export(kind_named(kind), sent, principal=principal, project_path=principal.project_path)
