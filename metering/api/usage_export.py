"""`/usage/export/`: events or rollups as a CSV stream."""

from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from metering.answering.exports import events_csv, rollups_csv
from metering.catalogue import current
from metering.exporting.export_kinds import kind_named
from metering.sealing.seals import sealed_head

from .documents import ProblemDocument
from .event_query import EVENT_PARAMETERS, EVENT_STATE_PARAMETERS, SCOPE_PARAMETER, event_filter_of
from .exports import ensure_may_export
from .parsing import Query
from .usage import CSVRenderer, metric_and_scope
from .visibility import principal_of_request

POSITION_HEADER = "Meterbook-Position"  # a stream of CSV has no other place to name it
_COMMON = ("type", "project", "from", "to", "timezone", "format")
_FOR_ROLLUPS = ("metric", "scope", "granularity", "as_of")


SEAL_HEADER = "X-Meterbook-Seal"


class UsageExportView(APIView):
    """A consistent snapshot of any size, in flat memory. Text cells can't act as formulas."""

    permissions = {"GET": "read"}
    staff_rights = {"GET": "metering.export_data"}
    renderer_classes = [CSVRenderer, JSONRenderer]

    @extend_schema(
        operation_id="usage_export",
        summary="Export events or rollups as CSV",
        description=(
            "Events come with the header `X-Meterbook-Seal`, once something was sealed: the head of the "
            "chain of seals, which answers for every row up to the position in it."
        ),
        parameters=[
            OpenApiParameter("type", enum=["events", "rollups"], description="Default: events."),
            OpenApiParameter("project"),
            SCOPE_PARAMETER,
            OpenApiParameter("from"),
            OpenApiParameter("to"),
            OpenApiParameter("event_name", description="Events only."),
            *EVENT_STATE_PARAMETERS,
            OpenApiParameter("metric", description="Rollups only, and needed there."),
            OpenApiParameter("granularity", enum=["hour", "day", "month"], description="Rollups only."),
        ],
        responses={(200, "text/csv"): OpenApiTypes.BINARY, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request) -> HttpResponseBase:
        head = None
        wants_rollups = request.query_params.get("type") == "rollups"
        query = Query(
            request.query_params,
            known=(*_COMMON, *(_FOR_ROLLUPS if wants_rollups else EVENT_PARAMETERS)),
            with_labels=not wants_rollups,
        )
        query.choice("type", ("events", "rollups"))
        ensure_may_export(kind_named("usage_rollups" if wants_rollups else "usage_events"), request, self)
        principal = principal_of_request(request)
        position: int | None = None
        zone = query.zone()
        start, end = query.instant("from", zone=zone), query.instant("to", zone=zone)
        catalogue = current()
        if wants_rollups:
            meaning, scope = metric_and_scope(query, principal, catalogue)
            granularity = query.choice("granularity", ("hour", "day", "month")) or "hour"
            position = query.position()
            stream = rollups_csv(
                meaning, scope=scope, granularity=granularity, start=start, end=end, as_of=position
            )
            filename = f"rollups-{meaning.key}-{granularity}.csv"
        else:
            wanted = event_filter_of(query, principal, catalogue)
            head = sealed_head()
            stream = events_csv(wanted)
            filename = "usage-events.csv"
            position = wanted.position
        response = StreamingHttpResponse(stream, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{filename}"'
        if position is not None:
            response[POSITION_HEADER] = str(position)
        if head is not None:
            response[SEAL_HEADER] = head
        return response
