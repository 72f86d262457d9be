"""The kernel's tables. Other apps import from here, never from the files behind it."""

from .announcement import KIND_MAX_LENGTH, DomainEvent
from .api_key import ApiKey
from .change import CHANGED, CHANGES_BY_TIME, REMOVED, SET, Change, ChangeMeta, changes_of
from .correction import Correction
from .event import NAME_MAX_LENGTH, QUANTITY_DIGITS, QUANTITY_SCALE, UsageEvent
from .event_import import EventImport, EventImportPiece, EventImportReject
from .export import Export, ExportPiece
from .fields import NumericField
from .history import ApiKeyChange, EndpointChange, MetricChange, ProjectChange, RuleChange, SurfaceChange
from .metric import EVENT_NAME_MAX_LENGTH, MetricDefinition
from .outgoing_mail import MAIL_KEY_MAX_LENGTH, SUBJECT_MAX_LENGTH, MailAttachment, OutgoingMail
from .project import (
    KEY_MAX_LENGTH,
    MAX_TREE_DEPTH,
    AttributionRule,
    IdRange,
    Project,
    SurfaceInstallation,
    key_validator,
)
from .rebuild import RollupRebuild
from .rollup import PendingContribution, UsageMeterRollup
from .seal import LedgerSeal, SealLeaf
from .system import CatalogueVersion, Fence, Heartbeat, OwedObservation
from .verification import VerificationRun
from .webhook import URL_MAX_LENGTH, WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookSecret

__all__ = [
    "CHANGED",
    "CHANGES_BY_TIME",
    "EVENT_NAME_MAX_LENGTH",
    "KEY_MAX_LENGTH",
    "KIND_MAX_LENGTH",
    "MAIL_KEY_MAX_LENGTH",
    "MAX_TREE_DEPTH",
    "NAME_MAX_LENGTH",
    "QUANTITY_DIGITS",
    "QUANTITY_SCALE",
    "REMOVED",
    "SET",
    "SUBJECT_MAX_LENGTH",
    "URL_MAX_LENGTH",
    "ApiKey",
    "ApiKeyChange",
    "AttributionRule",
    "CatalogueVersion",
    "Change",
    "ChangeMeta",
    "Correction",
    "DomainEvent",
    "EndpointChange",
    "EventImport",
    "EventImportPiece",
    "EventImportReject",
    "Export",
    "ExportPiece",
    "Fence",
    "Heartbeat",
    "IdRange",
    "LedgerSeal",
    "MailAttachment",
    "MetricChange",
    "MetricDefinition",
    "NumericField",
    "OutgoingMail",
    "OwedObservation",
    "PendingContribution",
    "Project",
    "ProjectChange",
    "RollupRebuild",
    "RuleChange",
    "SealLeaf",
    "SurfaceChange",
    "SurfaceInstallation",
    "UsageEvent",
    "UsageMeterRollup",
    "VerificationRun",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookSecret",
    "changes_of",
    "key_validator",
]
