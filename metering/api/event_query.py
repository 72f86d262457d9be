"""Which events a request asks for: the parameters that listing and export share."""

from drf_spectacular.utils import OpenApiParameter

from metering.answering.event_listing import EventFilter
from metering.catalogue import Catalogue
from metering.models import UsageEvent
from metering.principal import Principal

from .parsing import Query
from .visibility import SCOPES, scope_of_events

EVENT_PARAMETERS = (
    "project",
    "scope",
    "event_name",
    "source",
    "event_id",
    "subject_type",
    "subject_id",
    "from",
    "to",
    "timezone",
    "kind",
    "voided",
    "as_of",
)
SCOPE_PARAMETER = OpenApiParameter(
    "scope",
    enum=list(SCOPES),
    description="own: that project alone; tree: with everything below; billed: what it pays for.",
)
AS_OF_PARAMETER = OpenApiParameter(
    "as_of",
    description="The ledger as it stood at a position, or at the last fence up to an RFC 3339 time.",
)
LABELS_PARAMETER = OpenApiParameter(
    "labels",
    {"type": "object", "additionalProperties": {"type": "string"}},
    style="deepObject",
    explode=True,
    description="Only usage with these labels, each as a parameter of its own: `labels[region]=eu`.",
)
EVENT_STATE_PARAMETERS = (
    OpenApiParameter("kind", enum=UsageEvent.Kind.values),
    OpenApiParameter("voided", bool, description="Only events that a void cancels, or only the others."),
    AS_OF_PARAMETER,
)


def event_filter_of(query: Query, principal: Principal, catalogue: Catalogue) -> EventFilter:
    """The events that `EVENT_PARAMETERS` and labels ask for, within what the caller sees or pays for."""
    zone = query.zone()
    scope = scope_of_events(query, principal, catalogue)
    return EventFilter(
        project_ids=scope.project_ids,
        payer_id=scope.payer_id,
        event_name=query.text("event_name"),
        source=query.text("source"),
        event_id=query.text("event_id"),
        subject_type=query.text("subject_type"),
        subject_id=query.text("subject_id"),
        start=query.instant("from", zone=zone),
        end=query.instant("to", zone=zone),
        labels=query.labels,
        kind=query.choice("kind", UsageEvent.Kind.values),
        is_voided=query.flag_or_none("voided"),
        position=query.position(),
    )
