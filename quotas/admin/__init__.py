"""Pages for limits, one file per noun."""

from . import alert, change, decision, hold, override, quota, threshold

__all__ = ["alert", "change", "decision", "hold", "override", "quota", "threshold"]
