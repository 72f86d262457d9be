"""What of limits search everywhere finds: reserved amounts and refusals, by what the caller was given."""

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from metering.admin.searching import RowSearch
from quotas.models import REFERENCE_LENGTH, QuotaDecision, QuotaHold


def _reference(text: str) -> Q | None:
    return Q(reference=text.lower()) if len(text) == REFERENCE_LENGTH else None


def _hold(hold: QuotaHold) -> str:
    return f"{hold.project.key} · {hold.metric.display_name}"


def _decision(decision: QuotaDecision) -> str:
    return f"{decision.get_outcome_display()} · {decision.project_key} · {decision.metric_key}"


HOLDS = RowSearch(
    model="quotas.QuotaHold",
    icon="bookmark",
    by=_("id"),
    example="hold_5b0e…",
    row_title=lambda hold: hold.public_id,
    row_detail=_hold,
    matching=lambda text: Q(public_id=text) if text.startswith("hold_") else None,
    exact=lambda text: Q(public_id=text),
    ordering=("id",),
    related=("project", "metric"),
)
DECISIONS = RowSearch(
    model="quotas.QuotaDecision",
    icon="gavel",
    by=_("the reference that the refused caller was given"),
    example="k4q7vnd2zsx6ap3m",
    row_title=lambda decision: decision.reference,
    row_detail=_decision,
    matching=_reference,
    exact=lambda text: Q(reference=text.lower()),
    ordering=("id",),
)
