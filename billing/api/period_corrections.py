"""`/period-corrections/`: invoiced periods that are worth something else by now, and deciding about them."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.invoicing.corrections import approve_correction, write_off_correction
from billing.models import PeriodCorrection
from metering.api.documents import ProblemDocument
from metering.api.pagination import KeyCursorPagination
from metering.api.parsing import Query, members_of
from metering.api.visibility import principal_of_request
from metering.clock import database_now
from metering.texts.timestamps import iso

from .invoice_answers import amounts_in, iso_or_none
from .invoice_documents import BillingReasonDocument, money
from .invoices import PROBLEMS, NewestFirst
from .member_values import reason_of
from .visible_documents import actor_of, narrowed, visible_correction, visible_corrections


class PeriodCorrectionDocument(serializers.Serializer):
    """What is still to be billed of an invoiced period, or given back, before discounts and tax."""

    id = serializers.IntegerField()
    account = serializers.IntegerField()
    project = serializers.CharField()
    subscription = serializers.IntegerField()
    price = serializers.CharField(help_text="Name of the price.")
    metric = serializers.CharField(allow_null=True)
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    currency = serializers.CharField()
    billed_amount = money("What was billed for the period.")
    rated_amount = money("What it is worth now.")
    difference = money("Less what was written off before.")
    state = serializers.ChoiceField(choices=PeriodCorrection.State.choices)
    invoice = serializers.IntegerField(allow_null=True, help_text="The document that it is on.")
    position = serializers.IntegerField(help_text="Ledger position of the reading.")
    found_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    decided_by = serializers.CharField()
    reason = serializers.CharField()


class PeriodCorrectionPage(serializers.Serializer):
    results = PeriodCorrectionDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class CorrectionApprovalDocument(serializers.Serializer):
    reason = serializers.CharField(required=False)


class PeriodCorrectionsView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "billing.view_periodcorrection"}

    @extend_schema(
        operation_id="period_corrections_list",
        summary="List corrections of invoiced periods, the newest first",
        parameters=[
            OpenApiParameter("account", int, description="Only those of this billing account."),
            OpenApiParameter("project", description="Only those of this project's account."),
            OpenApiParameter("state", enum=PeriodCorrection.State.values),
            OpenApiParameter("limit", int, description="Corrections per page."),
            OpenApiParameter("cursor"),
        ],
        responses={200: PeriodCorrectionPage, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("account", "project", "state", "limit", "cursor"))
        principal = principal_of_request(request)
        corrections = narrowed(visible_corrections(principal), query, principal)
        state = query.choice("state", PeriodCorrection.State.values)
        if state is not None:
            corrections = corrections.filter(state=state)
        pages: KeyCursorPagination = NewestFirst()
        page: list[PeriodCorrection] = pages.paginate_queryset(corrections, request, view=self) or []
        return pages.get_paginated_response([shown(correction) for correction in page])


class CorrectionApproveView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.decide_periodcorrection"}

    @extend_schema(
        operation_id="period_corrections_approve",
        summary="Let a correction that waits be billed",
        description="The account's next draft puts it on, unless the difference has changed by then.",
        request=CorrectionApprovalDocument,
        responses={200: PeriodCorrectionDocument, **PROBLEMS},
    )
    def post(self, request: Request, correction_id: int) -> Response:
        correction = visible_correction(request, correction_id)
        approve_correction(
            correction,
            decided_by=actor_of(principal_of_request(request)),
            reason=reason_of(members_of(request.data or {}, known=("reason",))),
            now=database_now(),
        )
        return Response(shown(visible_correction(request, correction_id)))


class CorrectionWriteOffView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.decide_periodcorrection"}

    @extend_schema(
        operation_id="period_corrections_write_off",
        summary="Never bill a difference",
        description=(
            "409 `correction_decided` for one that was booked or written off, `correction_outdated` where "
            "documents of the period changed since it was found. A draft that it is on goes out of date."
        ),
        request=BillingReasonDocument,
        responses={200: PeriodCorrectionDocument, **PROBLEMS},
    )
    def post(self, request: Request, correction_id: int) -> Response:
        correction = visible_correction(request, correction_id)
        write_off_correction(
            correction,
            decided_by=actor_of(principal_of_request(request)),
            reason=reason_of(members_of(request.data or {}, known=("reason",))),
            now=database_now(),
        )
        return Response(shown(visible_correction(request, correction_id)))


def shown(correction: PeriodCorrection) -> dict[str, Any]:
    billed, account = correction.billed_period, correction.account
    text = amounts_in(account.currency)
    return {
        "id": correction.pk,
        "account": account.pk,
        "project": account.project.key,
        "subscription": billed.subscription_id,
        "price": billed.price.name,
        "metric": billed.price.metric.key if billed.price.metric else None,
        "period_start": iso(billed.period_start),
        "period_end": iso(correction.period_end),
        "currency": account.currency,
        "billed_amount": text(correction.billed_amount),
        "rated_amount": text(correction.rated_amount),
        "difference": text(correction.difference),
        "state": correction.state,
        "invoice": correction.invoice_id,
        "position": correction.position,
        "found_at": iso(correction.found_at),
        "decided_at": iso_or_none(correction.decided_at),
        "decided_by": correction.decided_by,
        "reason": correction.reason,
    }
