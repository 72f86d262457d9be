"""`/metrics/preview/` and `/metrics/{key}/preview/`: what a definition would make of recorded usage."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.defining.cloning import clone_of
from metering.defining.definitions import draft_of
from metering.defining.previews import DEFAULT_DAYS, MAX_DAYS, MAX_EVENTS, Evaluation, Preview, preview_of
from metering.errors import Invalid
from metering.models import MetricDefinition
from metering.texts.numbers import plain
from metering.texts.timestamps import iso

from .documents import ProblemDocument
from .metric_documents import MetricPreviewDocument, MetricPreviewRequestDocument
from .metrics import ALIASES, MEMBERS, WHOSE, fields_of, metric_of, owner_of
from .parsing import members_of, text_of
from .visibility import principal_of_request, visible_project_ids

_RESPONSES = {
    200: MetricPreviewDocument,
    404: ProblemDocument,
    422: ProblemDocument,
    503: ProblemDocument,
}


class DraftPreviewView(APIView):
    permissions = {"POST": "read"}

    @extend_schema(
        operation_id="metrics_preview_draft",
        summary="Preview a definition that isn't saved",
        description=(
            "Evaluates it on what the ledger holds: the last days that have events of its name. Nothing is "
            f"saved. At most the latest {MAX_EVENTS:,} events are looked at; `note` says when that cut in."
        ),
        request=MetricPreviewRequestDocument,
        responses=_RESPONSES,
    )
    def post(self, request: Request) -> Response:
        principal = principal_of_request(request)
        members = members_of(
            request.data,
            known=("key", "name", "project", "counts_from", "days", *MEMBERS),
            aliases=ALIASES,
        )
        fields = fields_of(members)
        key = text_of(members, "key", max_length=100)
        if key is None and not fields.get("event_name"):
            raise Invalid("A key or an event name is needed.", field="event_name", code="missing_field")
        draft = draft_of(key=key or "draft", project=owner_of(members, principal), **fields)
        ids = visible_project_ids(principal)
        return Response(_shown(draft, preview_of(draft, project_ids=ids, days=_days(members))))


class MetricPreviewView(APIView):
    permissions = {"POST": "read"}

    @extend_schema(
        operation_id="metrics_preview",
        summary="Preview changes to a metric",
        description=(
            "The metric with the members sent, beside the definition in force, both on the same recorded "
            "events whatever positions they count from. Without changes, the definition as it is."
        ),
        parameters=[WHOSE],
        request=MetricPreviewRequestDocument,
        responses=_RESPONSES,
    )
    def post(self, request: Request, key: str) -> Response:
        metric = metric_of(request, key)
        members = members_of(
            request.data if request.data is not None else {},
            known=("days", *MEMBERS),
            aliases={**ALIASES, "name": "display_name"},
        )
        draft = clone_of(metric, key=metric.key, **fields_of(members))
        ids = visible_project_ids(principal_of_request(request))
        preview = preview_of(draft, stored=metric, project_ids=ids, days=_days(members))
        return Response(_shown(draft, preview))


def _days(members: dict[str, Any]) -> int:
    days = members.get("days")
    if days is None:
        return DEFAULT_DAYS
    if isinstance(days, bool) or not isinstance(days, int):
        raise Invalid(f"Must be a whole number from 1 to {MAX_DAYS}.", field="days")
    return days


def _shown(draft: MetricDefinition, preview: Preview) -> dict[str, Any]:
    note = None
    if preview.is_capped:
        note = f"Only the latest {MAX_EVENTS:,} events were looked at: those from {iso(preview.start)} on."
    return {
        "unit": draft.unit,
        "from": iso(preview.start),
        "to": iso(preview.end),
        "position": preview.position,
        "note": note,
        "proposed": _evaluation(preview.proposed),
        "stored": None if preview.stored is None else _evaluation(preview.stored),
    }


def _evaluation(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "matching_count": evaluation.matching_count,
        "refused_count": evaluation.refused_count,
        "refused_examples": [
            {name: getattr(misfit, name) for name in ("id", "project", "event_id", "code", "field", "detail")}
            for misfit in evaluation.misfits
        ],
        "record_count": evaluation.record_count,
        "value": _text(evaluation.value),
        "days": [
            {
                "day": part.day.isoformat() if part.day else None,
                "value": _text(part.value),
                "record_count": part.record_count,
            }
            for part in evaluation.days
        ],
        "groups": [
            {"group": part.group, "value": _text(part.value), "record_count": part.record_count}
            for part in evaluation.groups
        ],
        "group_count": evaluation.group_count,
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
