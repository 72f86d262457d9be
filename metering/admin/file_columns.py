"""What the files of the kernel's lists hold, where it isn't simply every field."""

from types import SimpleNamespace
from typing import Any

from django.db.models import F, Subquery

from metering.measuring.aggregations import AGGREGATIONS
from metering.measuring.streams import TOTAL
from metering.models import MetricDefinition, WebhookDelivery

from .event_voids import void_of_row
from .list_columns import FileColumns, ListColumn, RowColumn, as_data, column

_IN_MANY_ROWS = {
    MetricDefinition.Aggregation.UNIQUE_COUNT,
    MetricDefinition.Aggregation.TIME_WEIGHTED_AVG,
}


def _value_of_row(aggregation: str, *stored: Any) -> Any:
    """What a rollup comes to, where its row alone says it."""
    if aggregation in _IN_MANY_ROWS:
        return None
    names = ("record_count", "value_sum", "value_min", "value_max", "last_value")
    row: Any = SimpleNamespace(**dict(zip(names, stored, strict=True)))
    return as_data(AGGREGATIONS[aggregation].value(row))


def _delivered_as(status: WebhookDelivery.Status) -> RowColumn:
    """How many deliveries of an announcement stand so."""
    return RowColumn(status.value, lambda row: int(row.statuses.count(status)))


USAGE_EVENTS: FileColumns = (
    "id",
    "project",
    "billing_scope",
    "surface",
    "source",
    "event_id",
    "event_name",
    "subject_type",
    "subject_id",
    "quantity",
    "labels",
    "occurred_at",
    "recorded_at",
    "kind",
    "voids",
    column("voided_by", Subquery(void_of_row().values("pk"))),
)
ROLLUPS: FileColumns = (
    "id",
    "metric",
    column("aggregation", "metric__aggregation"),
    column("unit", "metric__unit"),
    "granularity",
    "bucket_start",
    "project",
    "billing_scope",
    ListColumn("detail", ("stream",), lambda stream: "total" if stream == TOTAL else "stream"),
    "subject_type",
    "subject_id",
    "group",
    ListColumn(
        "value",
        ("metric__aggregation", "record_count", "value_sum", "value_min", "value_max", "last_value"),
        _value_of_row,
    ),
    "record_count",
    "value_sum",
    "value_min",
    "value_max",
    "last_value",
    "last_at",
)
PROJECTS: FileColumns = (
    "id",
    "key",
    "name",
    "kind",
    "parent",
    "timezone",
    "created_at",
    RowColumn("payer", lambda row: str(row.payer.key)),
    RowColumn("active_keys", lambda row: int(row.active_key_count)),
    RowColumn("own_metrics", lambda row: int(row.own_metric_count)),
)
API_KEY_STATE: FileColumns = (RowColumn("state", lambda row: str(row.state_now.value)),)
# Without what mails say: they are long, and their recipients' own.
MAILS: FileColumns = (
    "id",
    "project",
    "subject",
    "recipients",
    "sent_to",
    "status",
    "attempt_count",
    "created_at",
    "next_attempt_at",
    "sent_at",
    "message_id",
    "error",
)
IMPORTS: FileColumns = (
    "id",
    "file_name",
    "origin",
    "requested_by",
    "state",
    "sha256",
    "size",
    "line_count",
    "created_count",
    "existing_count",
    "conflict_count",
    "rejected_count",
    "cancelled_count",
    "requested_at",
    "started_at",
    "finished_at",
    "failure",
)
EXPORTS: FileColumns = (
    "id",
    "kind",
    "filters",
    "project",
    "requested_by",
    "state",
    "row_count",
    "byte_count",
    "requested_at",
    "started_at",
    "finished_at",
    "failure",
)
VERIFICATIONS: FileColumns = (
    "id",
    "trigger",
    "requested_by",
    "requested_at",
    "started_at",
    "finished_at",
    "state",
    "checks",
    "metrics",
    "position",
    "step_count",
    "done_count",
    "breach_count",
    "summary",
    "seconds",
)
DELIVERIES: FileColumns = (
    "id",
    "event",
    column("kind", "event__kind"),
    column("occurred_at", "event__occurred_at"),
    "endpoint",
    "status",
    "attempt_count",
    "created_at",
    "next_attempt_at",
    "delivered_at",
    "error",
)
DOMAIN_EVENTS: FileColumns = (
    "id",
    "public_id",
    "kind",
    column("project", F("project_key")),
    "occurred_at",
    "created_at",
    *(_delivered_as(status) for status in WebhookDelivery.Status),
)
OPEN_DELIVERIES: FileColumns = (
    RowColumn("pending_deliveries", lambda row: int(row.open_counts[WebhookDelivery.Status.PENDING])),
    RowColumn("failed_deliveries", lambda row: int(row.open_counts[WebhookDelivery.Status.FAILED])),
)
