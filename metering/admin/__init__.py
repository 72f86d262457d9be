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
    rollup,
    seal,
    surface,
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
    "rollup",
    "seal",
    "surface",
]
