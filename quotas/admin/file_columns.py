"""What the files of the lists of limits hold, where it isn't simply every field."""

from decimal import Decimal

from django.db.models.fields.json import KT

from metering.admin.list_columns import FileColumns, ListColumn, RowColumn, as_data, column


def _number(text: str) -> Decimal | None:
    """A number that is kept as text; not every one fits a column of numbers."""
    return Decimal(text) if text else None


def _of_utilisation(name: str) -> RowColumn:
    return RowColumn(name, lambda row: as_data(getattr(row.utilisation, name)))


# How a quota stands in the period that runs now.
QUOTA_STANDING: FileColumns = (
    RowColumn("period_start", lambda row: row.utilisation.period.start),
    RowColumn("period_end", lambda row: row.utilisation.period.end),
    RowColumn("limit_in_force", lambda row: as_data(row.utilisation.limit)),
    _of_utilisation("used"),
    _of_utilisation("held"),
    _of_utilisation("remaining"),
    _of_utilisation("fraction"),
    _of_utilisation("projected"),
)
THRESHOLDS: FileColumns = (
    "id",
    "project",
    "metric",
    "subject_type",
    "subject_id",
    "amount",
    "quota_fraction",
    "level",
    "approach_fraction",
    "period",
    "action",
    "notify_emails",
    "is_enabled",
    "created_at",
    RowColumn("used", lambda row: as_data(row.stand.value)),
    RowColumn("subjects_near", lambda row: int(row.stand.near_count)),
    RowColumn("subjects_reached", lambda row: int(row.stand.reached_count)),
)
ALERTS: FileColumns = (
    "id",
    column("kind", "crossing__kind"),
    column("project", "crossing__threshold__project__key"),
    column("metric", "crossing__threshold__metric__key"),
    column("subject_type", "crossing__subject_type"),
    column("subject_id", "crossing__subject_id"),
    column("used", "crossing__value"),
    column("level", "crossing__level"),
    column("period_start", "crossing__period_start"),
    column("period_end", "crossing__period_end"),
    column("action", "crossing__threshold__action"),
    column("noticed_at", "crossing__crossed_at"),
    "acknowledged_at",
    "acknowledged_by",
    "note",
)
OVERRIDES: FileColumns = (
    "id",
    "quota",
    column("project", "quota__project__key"),
    column("metric", "quota__metric__key"),
    "limit",
    "effective_from",
    "effective_until",
    "reason",
    "created_by",
    "created_at",
    "ended_by",
)
HOLDS: FileColumns = (
    "id",
    "public_id",
    "project",
    "billing_scope",
    "metric",
    "requested",
    "granted",
    "on_exceed",
    "occurred_at",
    "actor",
    "created_at",
    "expires_at",
    column("ended_as", "ending__kind"),
    column("used", "ending__quantity"),
    column("event", "ending__event"),
    column("ended_at", "ending__ended_at"),
)
DECISIONS: FileColumns = (
    "id",
    "reference",
    "outcome",
    "quota",
    "threshold",
    column("project", "user_project_key"),
    column("limited_project", "project_key"),
    column("metric", "metric_key"),
    "mode",
    "period",
    "period_start",
    "period_end",
    "limit",
    "level",
    *(ListColumn(name, (name,), _number) for name in ("used", "held", "requested", "remaining")),
    "position",
    "basis",
    "subject_type",
    "subject_id",
    "events",
    "actor",
    "detail",
    "first_at",
    "last_at",
    "count",
)


def changes(of: str, *names: str) -> FileColumns:
    """A history: when, what, of which limit; what it was set to; who, through what and why."""
    return (
        column("id", "pgh_id"),
        column("changed_at", "pgh_created_at"),
        column("change", "pgh_label"),
        column(of, "pgh_obj_id"),
        *names,
        column("actor", KT("pgh_context__actor")),
        column("through", KT("pgh_context__through")),
        column("why", KT("pgh_context__reason")),
    )
