"""`/billing-runs/`: billing what is due now, for the accounts that the caller sees."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.invoicing.runs import run_billing
from billing.models import BillingRun
from metering.api.documents import ProblemDocument
from metering.api.pagination import KeyCursorPagination
from metering.api.parsing import Query, members_of
from metering.api.visibility import principal_of_request
from metering.clock import database_now
from metering.errors import Invalid
from metering.principal import Principal
from metering.texts.timestamps import iso

from . import positions
from .invoice_answers import iso_or_none
from .invoices import ALIASES, PROBLEMS, NewestFirst
from .member_values import instant_of
from .visible import billable_account, visible_accounts
from .visible_documents import actor_of, visible_runs

MAX_ACCOUNTS = 100  # what one request bills; a run of more has its own process


class ParkedAccountDocument(serializers.Serializer):
    account = serializers.IntegerField()
    code = serializers.CharField()
    reason = serializers.CharField()


class BillingRunDocument(serializers.Serializer):
    id = serializers.IntegerField()
    as_of = serializers.DateTimeField(help_text="Billed up to.")
    position = serializers.IntegerField(help_text="Ledger position that everything was read at.")
    state = serializers.ChoiceField(choices=BillingRun.State.choices)
    trigger = serializers.ChoiceField(choices=BillingRun.Trigger.choices)
    requested_by = serializers.CharField()
    account_count = serializers.IntegerField()
    done_count = serializers.IntegerField()
    drafted_count = serializers.IntegerField()
    issued_count = serializers.IntegerField()
    parked_count = serializers.IntegerField()
    parked = ParkedAccountDocument(many=True, help_text="Accounts that couldn't be billed, while they can't.")
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class BillingRunPage(serializers.Serializer):
    results = BillingRunDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class BillingRunRequestDocument(serializers.Serializer):
    as_of = serializers.DateTimeField(required=False, help_text="Bill up to then. Default: now.")
    account = serializers.IntegerField(required=False, help_text="Only this billing account.")
    project = serializers.CharField(required=False, help_text="Only this project's account.")


class BillingRunsView(APIView):
    permissions = {"GET": "read", "POST": "bill"}
    staff_rights = {"GET": "billing.view_billingrun", "POST": "billing.start_billingrun"}

    @extend_schema(
        operation_id="billing_runs_list",
        summary="List billing runs, the newest first",
        description="Staff see all, a key those that it asked for.",
        parameters=[OpenApiParameter("limit", int, description="Runs per page."), OpenApiParameter("cursor")],
        responses={200: BillingRunPage, 422: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        Query(request.query_params, known=("limit", "cursor"))
        pages: KeyCursorPagination = NewestFirst()
        runs = visible_runs(principal_of_request(request))
        page: list[BillingRun] = pages.paginate_queryset(runs, request, view=self) or []
        return pages.get_paginated_response([shown(run) for run in page])

    @extend_schema(
        operation_id="billing_runs_start",
        summary="Bill what is due",
        description=(
            f"For the accounts that the caller sees, at most {MAX_ACCOUNTS}, or for one; answers when it is "
            "done. What is drafted already is computed again; accounts that can't be billed are named."
        ),
        request=BillingRunRequestDocument,
        responses={201: BillingRunDocument, 503: ProblemDocument, **PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        principal, now = principal_of_request(request), database_now()
        members = members_of(request.data or {}, known=("as_of", "account", "project"), aliases=ALIASES)
        as_of = instant_of(members, "as_of") or now
        run = run_billing(
            as_of=as_of,
            now=now,
            requested_by=actor_of(principal),
            accounts=_account_ids(members, principal),
            position=positions.final_position(),
        )
        return Response(shown(run), status=201)


def _account_ids(members: Mapping[str, Any], principal: Principal) -> list[int]:
    if members.get("account") is not None or members.get("project") is not None:
        return [billable_account(members, principal).pk]
    accounts = visible_accounts(principal).exclude(
        project__path=principal.project_path, project__parent__isnull=False
    )
    ids = list(accounts.order_by("id").values_list("id", flat=True)[: MAX_ACCOUNTS + 1])
    if len(ids) > MAX_ACCOUNTS:
        raise Invalid(
            f"More than {MAX_ACCOUNTS} accounts are billed by the command run_billing; name one here.",
            field="account",
        )
    return ids


def shown(run: BillingRun) -> dict[str, Any]:
    return {
        "id": run.pk,
        "as_of": iso(run.as_of),
        "position": run.position,
        "state": run.state,
        "trigger": run.trigger,
        "requested_by": run.requested_by,
        "account_count": run.account_count,
        "done_count": run.done_count,
        "drafted_count": run.drafted_count,
        "issued_count": run.issued_count,
        "parked_count": run.parked_count,
        "parked": [
            {"account": parked.account_id, "code": parked.code, "reason": parked.reason}
            for parked in run.parked_accounts.all()
        ],
        "started_at": iso(run.started_at),
        "finished_at": iso_or_none(run.finished_at),
    }
