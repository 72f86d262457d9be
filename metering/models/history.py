"""Who changed the kernel's configuration, when, and why: a table for each kind of it."""

from django.utils.translation import gettext_lazy as _

from .api_key import ApiKey
from .change import ChangeMeta, changes_of
from .metric import MetricDefinition
from .project import AttributionRule, Project, SurfaceInstallation
from .webhook import WebhookEndpoint


class ProjectChange(
    changes_of(Project, fields=["key", "name", "kind", "parent", "timezone"])  # type: ignore[misc]
):
    """What a project became by one change."""

    named_by = ("key",)

    class Meta(ChangeMeta):
        db_table_comment = "What a project became by one change. Written by trigger, append-only."
        verbose_name = _("change of a project")
        verbose_name_plural = _("changes of projects")


class SurfaceChange(
    changes_of(SurfaceInstallation, fields=["project", "key", "name"])  # type: ignore[misc]
):
    """What a surface became by one change."""

    named_by = ("project", "key")

    class Meta(ChangeMeta):
        db_table_comment = "What a surface became by one change. Written by trigger, append-only."
        verbose_name = _("change of a surface")
        verbose_name_plural = _("changes of surfaces")


class RuleChange(
    changes_of(  # type: ignore[misc]
        AttributionRule,
        fields=["project", "surface", "billing_attribution_project", "effective_from", "effective_until"],
    )
):
    """What an attribution rule became by one change: who pays for whom, from when until when."""

    named_by = ("project", "surface")

    class Meta(ChangeMeta):
        db_table_comment = "What an attribution rule became by one change. Written by trigger, append-only."
        verbose_name = _("change of an attribution rule")
        verbose_name_plural = _("changes of attribution rules")


class MetricChange(
    changes_of(  # type: ignore[misc]
        MetricDefinition,
        fields=[
            "key",
            "display_name",
            "description",
            "unit",
            "project",
            "event_name",
            "meter_type",
            "data_type",
            "aggregation",
            "value_property",
            "is_incremental",
            "reporting_method",
            "expected_labels",
            "primary_labels",
            "event_label_filter",
            "reset_period",
            "counts_from",
            "archived_from",
        ],
    )
):
    """What a metric became by one change."""

    named_by = ("key",)

    class Meta(ChangeMeta):
        db_table_comment = "What a metric became by one change. Written by trigger, append-only."
        verbose_name = _("change of a metric")
        verbose_name_plural = _("changes of metrics")


class ApiKeyChange(
    changes_of(  # type: ignore[misc]
        ApiKey,
        fields=[
            "project",
            "name",
            "key_id",
            "permissions",
            "may_bill",
            "created_by",
            "expires_at",
            "revoked_at",
        ],
    )
):
    """What an API key became by one change. Nothing of its secret; its use leaves no row."""

    named_by = ("name",)

    class Meta(ChangeMeta):
        db_table_comment = "What an API key became by one change. Written by trigger, append-only."
        verbose_name = _("change of an API key")
        verbose_name_plural = _("changes of API keys")


class EndpointChange(
    changes_of(  # type: ignore[misc]
        WebhookEndpoint, fields=["project", "url", "description", "kinds", "is_enabled", "disabled_reason"]
    )
):
    """What a webhook endpoint became by one change. Nothing of its secrets; deliveries leave no row."""

    named_by = ("url",)

    class Meta(ChangeMeta):
        db_table_comment = "What a webhook endpoint became by one change. Written by trigger, append-only."
        verbose_name = _("change of a webhook endpoint")
        verbose_name_plural = _("changes of webhook endpoints")
