"""Pages for limits, one file per noun."""

from . import quota

__all__ = ["quota"]
