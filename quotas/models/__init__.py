"""The tables of quotas. Other apps import from here, never from the files behind it."""

from .quota import LIMIT_DIGITS, LIMIT_SCALE, ProjectQuota

__all__ = ["LIMIT_DIGITS", "LIMIT_SCALE", "ProjectQuota"]
