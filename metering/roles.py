"""The four roles of staff, and what each may do with the kernel's tables.

`settings.STAFF_ROLES` puts the areas of all apps together; config/roles makes groups of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Role(TextChoices):
    """The value is the name of the role's group."""

    OPERATOR = "Operator", _("Operator")
    FINANCE = "Finance", _("Finance")
    APPROVER = "Approver", _("Approver")
    AUDITOR = "Auditor", _("Auditor")


# Among the rights of a role: those to see every table of the area.
SEES = "view"


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the work: tables of one app, and which rights each role holds there.

    Auditors see every table of every area, so they are named only where they may do more. `decisions` are
    rights to judge what others did. `others` are rights that pages ask for and no role holds. `doing` says
    what whoever may do more than see does, where that isn't changing.
    """

    app: str
    title: Any
    tables: tuple[str, ...]
    rights: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)
    decisions: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    doing: Any = None

    def rights_of(self, role: Role) -> frozenset[str]:
        """Codenames that the role holds here; empty where it has no business."""
        named = self.rights.get(role, ())
        held = {right for right in named if right != SEES}
        if SEES in named or role == Role.AUDITOR:
            held |= self.views
        return frozenset(held)

    @property
    def views(self) -> frozenset[str]:
        """The rights to see its tables."""
        return frozenset(f"{SEES}_{table}" for table in self.tables)

    @property
    def all_rights(self) -> frozenset[str]:
        """Every right here that some page asks for."""
        return self.views.union(self.others, *(self.rights_of(role) for role in Role))


AREAS = (
    Area(
        "metering",
        _("Usage"),
        tables=("usageevent", "correction", "usagemeterrollup", "eventimport"),
        rights={
            Role.OPERATOR: (
                SEES,
                "add_usageevent",
                "import_events",
                "void_usageevent",
                "amend_usageevent",
                "add_correction",
            ),
            Role.FINANCE: (SEES,),
            Role.APPROVER: (SEES,),
        },
    ),
    Area(
        "metering",
        _("Metrics"),
        tables=("metricdefinition",),
        rights={
            Role.OPERATOR: (SEES, "add_metricdefinition", "change_metricdefinition"),
            Role.FINANCE: (SEES,),
            Role.APPROVER: (SEES,),
        },
    ),
    Area(
        "metering",
        _("Exports"),
        tables=("export",),
        rights=dict.fromkeys(Role, (SEES, "export_data")),
        doing=_("Makes files"),
    ),
    Area(
        "metering",
        _("Projects"),
        tables=("project", "surfaceinstallation"),
        rights={
            Role.OPERATOR: (
                SEES,
                "add_project",
                "change_project",
                "delete_project",
                "add_surfaceinstallation",
                "change_surfaceinstallation",
                "delete_surfaceinstallation",
            ),
            Role.FINANCE: (SEES,),
            Role.APPROVER: (SEES,),
        },
    ),
    Area(
        "metering",
        _("Who pays for what"),
        tables=("attributionrule",),
        rights=dict.fromkeys(
            (Role.OPERATOR, Role.FINANCE),
            (SEES, "add_attributionrule", "change_attributionrule", "delete_attributionrule"),
        )
        | {Role.APPROVER: (SEES,)},
    ),
    Area(
        "metering",
        _("API keys"),
        tables=("apikey",),
        rights={Role.OPERATOR: (SEES, "add_apikey", "change_apikey")},
    ),
    Area(
        "metering",
        _("Announcements"),
        tables=("webhookendpoint", "webhookdelivery", "domainevent"),
        rights={
            Role.OPERATOR: (
                SEES,
                "add_webhookendpoint",
                "change_webhookendpoint",
                "delete_webhookendpoint",
                "resend_webhookdelivery",
            ),
        },
    ),
    Area(
        "metering",
        _("Mails"),
        tables=("outgoingmail",),
        rights={
            Role.OPERATOR: (SEES, "resend_outgoingmail"),
            Role.FINANCE: (SEES,),
            Role.APPROVER: (SEES,),
        },
    ),
    Area(
        "metering",
        _("Keeping the ledger"),
        tables=(
            "heartbeat",
            "fence",
            "rolluprebuild",
            "ledgerseal",
            "verificationrun",
            "pendingcontribution",
            "owedobservation",
        ),
        rights={
            Role.OPERATOR: (SEES, "rebuild_rollups", "verify_ledger"),
            # Whoever bills by the ledger sees what proves it.
            Role.FINANCE: (SEES,),
            Role.APPROVER: (SEES,),
        },
    ),
)
