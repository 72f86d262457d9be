"""The kernel's pages for operators and finance staff, one file per noun."""

from . import (
    api_key,
    attribution_rule,
    correction,
    event,
    event_import,
    fence,
    heartbeat,
    metric,
    project,
    rebuild,
    rollup,
    seal,
    surface,
    verification,
)

__all__ = [
    "api_key",
    "attribution_rule",
    "correction",
    "event",
    "event_import",
    "fence",
    "heartbeat",
    "metric",
    "project",
    "rebuild",
    "rollup",
    "seal",
    "surface",
    "verification",
]
