"""Pages for limits, one file per noun."""

from . import alert, change, decision, hold, override, override_change, quota, threshold, threshold_change

__all__ = [
    "alert",
    "change",
    "decision",
    "hold",
    "override",
    "override_change",
    "quota",
    "threshold",
    "threshold_change",
]
