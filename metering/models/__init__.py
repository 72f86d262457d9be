"""The kernel's tables. Other apps import from here, never from the files behind it."""

from .api_key import ApiKey
from .correction import Correction
from .event import NAME_MAX_LENGTH, QUANTITY_DIGITS, QUANTITY_SCALE, UsageEvent
from .event_import import EventImport, EventImportPiece, EventImportReject
from .metric import EVENT_NAME_MAX_LENGTH, MetricDefinition
from .project import (
    KEY_MAX_LENGTH,
    MAX_TREE_DEPTH,
    AttributionRule,
    Project,
    SurfaceInstallation,
    key_validator,
)
from .rebuild import RollupRebuild
from .rollup import PendingContribution, UsageMeterRollup
from .seal import LedgerSeal, SealLeaf
from .system import CatalogueVersion, Fence, Heartbeat, OwedObservation
from .verification import VerificationRun

__all__ = [
    "EVENT_NAME_MAX_LENGTH",
    "KEY_MAX_LENGTH",
    "MAX_TREE_DEPTH",
    "NAME_MAX_LENGTH",
    "QUANTITY_DIGITS",
    "QUANTITY_SCALE",
    "ApiKey",
    "AttributionRule",
    "CatalogueVersion",
    "Correction",
    "EventImport",
    "EventImportPiece",
    "EventImportReject",
    "Fence",
    "Heartbeat",
    "LedgerSeal",
    "MetricDefinition",
    "OwedObservation",
    "PendingContribution",
    "Project",
    "RollupRebuild",
    "SealLeaf",
    "SurfaceInstallation",
    "UsageEvent",
    "UsageMeterRollup",
    "VerificationRun",
    "key_validator",
]
