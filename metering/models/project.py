"""The scope tree: who uses, and who pays."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

KEY_MAX_LENGTH = 100
MAX_TREE_DEPTH = 32

key_validator = RegexValidator(
    r"^[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?\Z",
    _("Use lower-case letters, digits, dots, hyphens and underscores; begin and end with a letter or digit."),
)


class ProjectQuerySet(models.QuerySet["Project"]):
    def below(self, project: "Project") -> "ProjectQuerySet":
        """`project` and all its descendants."""
        return self.filter(path__startswith=project.path)

    def in_tree_order(self) -> "ProjectQuerySet":
        """Parents directly before their children."""
        return self.order_by("path")


class Project(models.Model):
    """A node of the scope tree. Written by `attributing.scope_tree`; a node with usage stays where it is."""

    class Kind(models.TextChoices):
        TENANT = "tenant", _("Platform tenant")
        ORGANISATION = "organisation", _("Organisation")
        PROJECT = "project", _("Project")

    key = models.CharField(
        _("key"),
        max_length=KEY_MAX_LENGTH,
        unique=True,
        validators=[key_validator],
        help_text=_("Short name used in the API and in files. It can't be changed later."),
    )
    name = models.CharField(_("name"), max_length=200, help_text=_("What people call it."))
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices, default=Kind.PROJECT)
    parent = models.ForeignKey(
        "self",
        verbose_name=_("parent"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="children",
        help_text=_("The organisation or tenant that this project belongs to. Empty for the top of a tree."),
    )
    timezone = models.CharField(
        _("time zone"),
        max_length=64,
        default="UTC",
        help_text=_("IANA name, such as Europe/Berlin. Quota periods begin at this zone's midnight."),
    )
    # Ids of the ancestors and of the node itself, "/1/7/42/": prefix search gives subtrees, ids keep the
    # path under the index limit of 2,704 bytes at depth 32, keys would not.
    path = models.CharField(max_length=700, editable=False, db_default="", db_collation="C")
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        db_table_comment = "A node of the scope tree: tenant, organisation or project."
        ordering = ["path"]
        verbose_name = _("project")
        verbose_name_plural = _("projects")
        indexes = [
            models.Index(fields=["path"], name="project_path_prefix", opclasses=["text_pattern_ops"]),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def depth(self) -> int:
        """0 for the top of a tree."""
        return self.path.count("/") - 2

    @property
    def root_id(self) -> int:
        return int(self.path.split("/", 2)[1])


class SurfaceInstallation(models.Model):
    """Something installed into a project (an app, a connector) that produces usage for it."""

    project = models.ForeignKey(
        Project, verbose_name=_("project"), on_delete=models.PROTECT, related_name="surfaces"
    )
    key = models.CharField(_("key"), max_length=KEY_MAX_LENGTH, validators=[key_validator])
    name = models.CharField(_("name"), max_length=200)
    installed_at = models.DateTimeField(_("installed at"), db_default=Now(), editable=False)

    class Meta:
        db_table_comment = "An app or connector installed into a project, which may have its own payer."
        ordering = ["project_id", "key"]
        verbose_name = _("surface installation")
        verbose_name_plural = _("surface installations")
        constraints = [models.UniqueConstraint(fields=["project", "key"], name="surface_key_within_project")]

    def __str__(self) -> str:
        return self.key


class IdRange(Func):
    """A one-element range over an id, so that GiST compares ids for equality without btree_gist."""

    function = "int8range"
    template = "%(function)s(%(expressions)s, '[]')"


class AttributionRule(models.Model):
    """From one instant to another, one project (or surface) is paid for by a project. Never overlaps itself.

    Written by `attributing.scope_tree.attribute`. Changing a rule never changes recorded events.
    """

    project = models.ForeignKey(
        Project, verbose_name=_("project"), on_delete=models.PROTECT, related_name="attribution_rules"
    )
    surface = models.ForeignKey(
        SurfaceInstallation,
        verbose_name=_("surface"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="attribution_rules",
        help_text=_("Only usage of this surface; empty for all other usage of the project."),
    )
    billing_attribution_project = models.ForeignKey(
        Project,
        verbose_name=_("paid by"),
        on_delete=models.PROTECT,
        related_name="pays_for_rules",
        help_text=_("The project that pays. It must lie in the same tree."),
    )
    effective_from = models.DateTimeField(
        _("effective from"), null=True, blank=True, help_text=_("Empty: since ever.")
    )
    effective_until = models.DateTimeField(
        _("effective until"), null=True, blank=True, help_text=_("Empty: until further notice.")
    )

    class Meta:
        db_table_comment = "Who pays for the usage of a project or surface, from when until when."
        ordering = ["project_id", "surface_id", "effective_from"]
        verbose_name = _("attribution rule")
        verbose_name_plural = _("attribution rules")
        constraints = [
            models.CheckConstraint(
                name="attribution_interval_not_empty",
                condition=Q(effective_from__isnull=True)
                | Q(effective_until__isnull=True)
                | Q(effective_until__gt=models.F("effective_from")),
            ),
            ExclusionConstraint(
                name="attribution_without_overlap",
                expressions=[
                    (IdRange("project_id", "project_id"), RangeOperators.OVERLAPS),
                    (
                        IdRange(Coalesce("surface_id", 0), Coalesce("surface_id", 0)),
                        RangeOperators.OVERLAPS,
                    ),
                    (
                        Func(
                            "effective_from",
                            "effective_until",
                            function="tstzrange",
                            output_field=DateTimeRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ],
            ),
        ]

    def __str__(self) -> str:
        """With names where they were loaded along: never by a query."""
        loaded = self._state.fields_cache
        if "project" not in loaded or "billing_attribution_project" not in loaded:
            return gettext("Rule %s") % self.pk
        surface = loaded.get("surface")
        place = f"{self.project.key}/{surface.key}" if surface else self.project.key
        return gettext("%(payer)s pays for %(place)s") % {
            "payer": self.billing_attribution_project.key,
            "place": place,
        }
