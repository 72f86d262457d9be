"""The catalogue: plans in versions, and the prices on them."""

import json
from functools import lru_cache

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from billing import rating
from metering.models import MetricDefinition, Project, key_validator

KEY_MAX_LENGTH = 100
MAX_INTERVAL_COUNT = 366
MAX_PRICES = 200  # of a plan; price lists have a few dozen


class PlanQuerySet(models.QuerySet["Plan"]):
    def drafts(self) -> "PlanQuerySet":
        return self.filter(state=Plan.State.DRAFT)

    def published(self) -> "PlanQuerySet":
        return self.filter(state=Plan.State.PUBLISHED)

    def seen_from(self, path: str | None, *, below: bool = False) -> "PlanQuerySet":
        """Global plans and those of the project at `path` and its ancestors; with `below`, of its descendants
        too. None sees all."""
        if path is None:
            return self
        ancestors = [int(part) for part in path.strip("/").split("/")]
        seen = Q(project=None) | Q(project_id__in=ancestors)
        if below:
            seen |= Q(project__path__startswith=path)
        return self.filter(seen)


class Plan(models.Model):
    """One version of what is sold under a key. Written by `selling.plans`.

    A draft changes freely; once published, it never does, and neither do its prices (guarded in the
    database): later versions are clones.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        PUBLISHED = "published", _("Published")
        ARCHIVED = "archived", _("Archived")

    class Interval(models.TextChoices):
        DAY = "day", _("Day")
        WEEK = "week", _("Week")
        MONTH = "month", _("Month")
        YEAR = "year", _("Year")

    project = models.ForeignKey(
        Project,
        verbose_name=_("project"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="plans",
        help_text=_(
            "Whose plan it is: accounts of this project and of the projects below may subscribe. Empty: "
            "accounts of all projects. It can't be changed later."
        ),
    )
    key = models.CharField(
        _("key"),
        max_length=KEY_MAX_LENGTH,
        validators=[key_validator],
        help_text=_("Short name used in the API, the same for all versions. It can't be changed later."),
    )
    version = models.PositiveIntegerField(_("version"), editable=False)
    name = models.CharField(_("name"), max_length=200, help_text=_("What customers read on invoices."))
    description = models.TextField(
        _("description"), blank=True, max_length=10_000, help_text=_("For colleagues; not on invoices.")
    )
    currency = models.CharField(
        _("currency"),
        max_length=3,
        help_text=_("Of every price on the plan. Only accounts of the same currency can subscribe."),
    )
    interval = models.CharField(
        _("interval"),
        max_length=5,
        choices=Interval.choices,
        default=Interval.MONTH,
        help_text=_("How often a billing period ends. Tiers and included quantities begin anew with each."),
    )
    interval_count = models.PositiveSmallIntegerField(
        _("number of intervals"),
        default=1,
        help_text=_("How many of them a billing period has: 3 months make a quarter."),
    )
    state = models.CharField(
        _("state"), max_length=9, choices=State.choices, default=State.DRAFT, editable=False
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    published_at = models.DateTimeField(_("published at"), null=True, editable=False)
    archived_at = models.DateTimeField(_("archived at"), null=True, editable=False)

    objects = PlanQuerySet.as_manager()

    class Meta:
        db_table_comment = "One version of what is sold under a key. Published versions never change."
        ordering = ["key", "-version", "id"]
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        constraints = [
            models.UniqueConstraint(
                fields=["project", "key", "version"], name="plan_version_once", nulls_distinct=False
            ),
            models.UniqueConstraint(
                fields=["project", "key"],
                condition=Q(state="draft"),
                name="plan_with_one_draft",
                nulls_distinct=False,
            ),
            models.UniqueConstraint(fields=["id", "currency"], name="plan_currency_to_refer_to"),
            models.CheckConstraint(name="plan_interval_has_units", condition=Q(interval_count__gte=1)),
            models.CheckConstraint(
                name="plan_state_with_its_times",
                condition=Q(state="draft", published_at=None, archived_at=None)
                | Q(state="published", published_at__isnull=False, archived_at=None)
                | Q(state="archived", published_at__isnull=False, archived_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key} v{self.version}"

    @property
    def is_draft(self) -> bool:
        return self.state == self.State.DRAFT

    @property
    def is_published(self) -> bool:
        return self.state == self.State.PUBLISHED

    def is_seen_from(self, path: str) -> bool:
        """Whether an account of the project at `path` may be on it. Needs `project` loaded."""
        return self.project is None or path.startswith(self.project.path)


@lru_cache(maxsize=4096)
def _parsed(price: str) -> rating.Price:
    """One reading of a price's JSON serves all accounts that are billed by it."""
    return rating.price_from(json.loads(price))


class Price(models.Model):
    """One price of a plan: for the usage of a metric, or a fixed fee. Written and guarded with its plan.

    `price` is the JSON of `pricing.md` in its canonical spelling. Of the prices of one metric the first in
    the order of `position` takes usage whose labels match; the one without a match takes the rest, wherever
    it stands.
    """

    class Kind(models.TextChoices):
        USAGE = "usage", _("Usage of a metric")
        FIXED = "fixed", _("Fixed fee")

    class Charged(models.TextChoices):
        ADVANCE = "advance", _("In advance, when a period begins")
        ARREARS = "arrears", _("In arrears, when a period ends")

    plan = models.ForeignKey(
        Plan,
        verbose_name=_("plan"),
        on_delete=models.PROTECT,
        related_name="prices",
        db_index=False,  # the unique constraint begins with it
    )
    position = models.PositiveSmallIntegerField(_("position"))
    name = models.CharField(
        _("name"),
        max_length=200,
        help_text=_("What the invoice line is called."),
    )
    kind = models.CharField(_("kind"), max_length=5, choices=Kind.choices)
    metric = models.ForeignKey(
        MetricDefinition,
        verbose_name=_("metric"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="prices",
        help_text=_("Whose usage is priced."),
    )
    price = models.JSONField(_("price"))
    label_match = models.JSONField(
        _("label match"),
        default=dict,
        blank=True,
        help_text=_("Only usage whose labels match; empty: whatever no other price of the metric takes."),
    )
    per_project = models.BooleanField(
        _("each project on its own"),
        default=False,
        help_text=_(
            "On: tiers, included quantity, minimum and maximum apply to each project by itself. Off: to the "
            "whole account."
        ),
    )
    split_by = ArrayField(
        models.CharField(max_length=200),
        verbose_name=_("lines by"),
        default=list,
        blank=True,
        help_text=_(
            "A line for each project, or for each value of a label: project, labels.region. Amounts are "
            "worked out of the whole and split by quantity. Empty: one line."
        ),
    )
    charged = models.CharField(
        _("charged"),
        max_length=7,
        choices=Charged.choices,
        default=Charged.ARREARS,
        help_text=_("Usage is always charged in arrears."),
    )

    class Meta:
        db_table_comment = "One price of a plan: of a metric's usage, or a fixed fee. As fixed as its plan."
        ordering = ["plan_id", "position"]
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "position"],
                name="price_position_within_plan",
                deferrable=models.Deferrable.DEFERRED,
            ),
            models.CheckConstraint(
                name="price_of_usage_has_a_metric",
                condition=Q(kind="usage", metric__isnull=False, charged="arrears")
                | Q(kind="fixed", metric=None, label_match={}, per_project=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def parsed(self) -> rating.Price:
        """The price as rating takes it."""
        return _parsed(json.dumps(self.price, sort_keys=True))

    @property
    def is_fixed(self) -> bool:
        return self.kind == self.Kind.FIXED

    @property
    def is_default(self) -> bool:
        """Whether it takes whatever usage of its metric no other price takes."""
        return self.kind == self.Kind.USAGE and not self.label_match
