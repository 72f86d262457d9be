"""`/ledger-seals/`: the chain of seals, as far as it is public."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.models import LedgerSeal
from metering.texts.timestamps import iso

from .documents import LedgerSealPage, ProblemDocument
from .pagination import KeyCursorPagination
from .parsing import Query


class NewestSealFirst(KeyCursorPagination):
    ordering = "-number"


class LedgerSealsView(APIView):
    """Any key that may read sees them: a head says nothing about anyone's usage, and is meant to be kept."""

    permissions = {"GET": "read"}
    staff_rights = {"GET": "metering.view_ledgerseal"}

    @extend_schema(
        operation_id="ledger_seals_list",
        summary="List seals of the ledger, the newest first",
        description=(
            "Each seal answers for all rows of the ledger up to its position, of every project. Keep `head` "
            "where those who run the database can't reach it: given to a verification later, it shows "
            "whether the ledger still contains what was sealed."
        ),
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("cursor")],
        responses={200: LedgerSealPage, 422: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        Query(request.query_params, known=("limit", "cursor"))
        pages = NewestSealFirst()
        page = pages.paginate_queryset(LedgerSeal.objects.all(), request, view=self) or []
        return pages.get_paginated_response([_shown(seal) for seal in page])


def _shown(seal: LedgerSeal) -> dict[str, Any]:
    return {
        "number": seal.number,
        "position": seal.position,
        "mac": bytes(seal.mac).hex(),
        "head": seal.head,
        "sealed_at": iso(seal.sealed_at),
    }
