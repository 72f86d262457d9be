"""The tables of quotas. Other apps import from here, never from the files behind it."""

from .alert import NOTE_MAX_LENGTH, Alert
from .crossing import ThresholdCrossing
from .decision import REFERENCE_LENGTH, QuotaBreach, QuotaDecision
from .history import OverrideChange, QuotaChange, ThresholdChange
from .hold import HOLD_ID_LENGTH, QuotaHold, QuotaHoldEnding, QuotaHoldShare
from .override import ACTOR_MAX_LENGTH, REASON_MAX_LENGTH, QuotaOverride
from .quota import LIMIT_DIGITS, LIMIT_SCALE, ProjectQuota
from .threshold import (
    DEFAULT_APPROACH_FRACTION,
    EVERY_SUBJECT_TOGETHER,
    FRACTION_SCALE,
    MAX_EMAILS,
    SUBJECT_MAX_LENGTH,
    UsageThreshold,
)

__all__ = [
    "ACTOR_MAX_LENGTH",
    "DEFAULT_APPROACH_FRACTION",
    "EVERY_SUBJECT_TOGETHER",
    "FRACTION_SCALE",
    "HOLD_ID_LENGTH",
    "LIMIT_DIGITS",
    "LIMIT_SCALE",
    "MAX_EMAILS",
    "NOTE_MAX_LENGTH",
    "REASON_MAX_LENGTH",
    "REFERENCE_LENGTH",
    "SUBJECT_MAX_LENGTH",
    "Alert",
    "OverrideChange",
    "ProjectQuota",
    "QuotaBreach",
    "QuotaChange",
    "QuotaDecision",
    "QuotaHold",
    "QuotaHoldEnding",
    "QuotaHoldShare",
    "QuotaOverride",
    "ThresholdChange",
    "ThresholdCrossing",
    "UsageThreshold",
]
