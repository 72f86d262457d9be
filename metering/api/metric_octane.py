"""`/metrics/octane/` and `/metrics/{key}/octane/`: Octane's Meter JSON in and out."""

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.defining.octane_exchange import import_octane, meters_of
from metering.models import MetricDefinition

from .documents import ProblemDocument
from .metric_documents import ImportedMetrics, OctaneMeterDocument
from .metrics import WHOSE, counts_from_of, metric_of, owner_of, shown
from .parsing import Query
from .visibility import principal_of_request

_EXAMPLE = {
    "name": "api_calls",
    "display_name": "API calls",
    "event_name": "api_request",
    "meter_type": "counter",
    "data_type": "INT",
    "aggregation": "COUNT",
    "unit_name": "call",
    "is_incremental": True,
    "reporting_method": "periodic",
    "expected_labels": ["endpoint"],
    "primary_labels": ["endpoint"],
}


class OctaneMetersView(APIView):
    permissions = {"POST": "manage"}
    staff_rights = {"POST": "metering.add_metricdefinition"}

    @extend_schema(
        operation_id="metrics_import_octane",
        summary="Import Octane's Meters",
        description=(
            "One Meter or an array of them, all or nothing: on any error nothing is imported, and `errors` "
            "names each by index and field. The Meter's `name` becomes the key, `unit_name` the unit. The "
            "metrics count from now on and reset monthly."
        ),
        parameters=[
            OpenApiParameter("project", description="Owner of the metrics. Default: the key's project."),
            OpenApiParameter("counts_from", int, enum=[0], description="0: count all history too."),
        ],
        request=PolymorphicProxySerializer(
            component_name="OctaneMeters",
            serializers=[OctaneMeterDocument, OctaneMeterDocument(many=True)],
            resource_type_field_name=None,
            many=False,
        ),
        examples=[OpenApiExample("One Meter", value=_EXAMPLE, request_only=True)],
        responses={201: ImportedMetrics, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
    )
    def post(self, request: Request) -> Response:
        query = Query(request.query_params, known=("project", "counts_from"))
        named = {name: query.text(name) for name in ("project",)}
        history = {"counts_from": 0 if query.choice("counts_from", ("0",)) else None}
        metrics = import_octane(
            request.data if isinstance(request.data, list) else [request.data],
            project=owner_of(named, principal_of_request(request)),
            counts_from=counts_from_of(history),
        )
        stored = MetricDefinition.objects.select_related("project").in_bulk([one.pk for one in metrics])
        return Response({"results": [shown(stored[one.pk]) for one in metrics]}, status=201)


class OctaneMeterView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "metering.view_metricdefinition"}

    @extend_schema(
        operation_id="metrics_export_octane",
        summary="A metric as Octane's Meter",
        description=(
            "409 `inexpressible` with every reason where a Meter can't say what the metric means: an "
            "aggregation that Octane hasn't, a value read from a label, comparisons by size, an archived "
            "metric. Owner, ledger positions and the reset period of a periodic metric aren't part of it."
        ),
        parameters=[WHOSE],
        responses={200: OctaneMeterDocument, 404: ProblemDocument, 409: ProblemDocument},
    )
    def get(self, request: Request, key: str) -> Response:
        (meter,) = meters_of([metric_of(request, key)])
        return Response(meter)
