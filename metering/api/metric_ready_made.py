"""`/metrics/ready-made/`: the definitions that ship with the house."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.defining.ready_made import READY_MADE, add_ready_made, seen_metric
from metering.errors import Invalid
from metering.models import MetricDefinition

from .documents import ProblemDocument
from .metric_documents import AddReadyMadeDocument, ReadyMadeList, ReadyMadeOutcomes
from .metrics import owner_of, shown
from .parsing import Query, members_of
from .visibility import principal_of_request


class ReadyMadeView(APIView):
    permissions = {"GET": "read", "POST": "manage"}
    staff_rights = {"GET": "metering.view_metricdefinition", "POST": "metering.add_metricdefinition"}

    @extend_schema(
        operation_id="metrics_ready_made",
        summary="Ready-made metrics",
        description="What ships with the house, and whether a project sees it already.",
        parameters=[OpenApiParameter("project", description="Who is asked about. Default: the key's.")],
        responses={200: ReadyMadeList, 404: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("project",))
        owner = owner_of({"project": query.text("project")}, principal_of_request(request))
        return Response(
            {
                "results": [
                    {
                        "key": each.key,
                        **{name: value for name, value in each.fields.items() if name in _SHOWN},
                        "is_defined": seen_metric(each.key, project=owner) is not None,
                    }
                    for each in READY_MADE
                ]
            }
        )

    @extend_schema(
        operation_id="metrics_add_ready_made",
        summary="Define ready-made metrics",
        description=(
            "All or those named, owned by the project. One that is there already stays as it is: `exists`. "
            "201 when any was defined, else 200."
        ),
        request=AddReadyMadeDocument,
        responses={
            200: ReadyMadeOutcomes,
            201: ReadyMadeOutcomes,
            404: ProblemDocument,
            409: ProblemDocument,
            422: ProblemDocument,
        },
    )
    def post(self, request: Request) -> Response:
        members = members_of(request.data, known=("keys", "project"), aliases={"project_id": "project"})
        keys = members.get("keys")
        if keys is not None and (
            not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys)
        ):
            raise Invalid("Must be an array of texts with at least one.", field="keys")
        added = add_ready_made(keys, project=owner_of(members, principal_of_request(request)))
        defined = MetricDefinition.objects.select_related("project").in_bulk([m.pk for m in added.defined])
        results = [_outcome("created", defined[metric.pk]) for metric in added.defined]
        results += [_outcome("exists", metric) for metric in added.existing]
        return Response({"results": results}, status=201 if added.defined else 200)


_SHOWN = {"display_name", "description", "unit", "event_name", "aggregation", "primary_labels"}


def _outcome(outcome: str, metric: MetricDefinition) -> dict[str, Any]:
    return {"key": metric.key, "outcome": outcome, "metric": shown(metric)}
