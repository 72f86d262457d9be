"""`/billing-accounts/`: who is billed, and how."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.models import BillingAccount
from billing.selling.accounts import FIELDS, LIMITS, change_account, open_account
from metering.api.authentication import may_as_staff
from metering.api.documents import ProblemDocument
from metering.api.pagination import KeyCursorPagination
from metering.api.parsing import Query, members_of
from metering.api.visibility import principal_of_request, visible_project
from metering.clock import database_now
from metering.texts.numbers import plain
from metering.texts.timestamps import iso

from .catalogue_documents import (
    BillingAccountChangeDocument,
    BillingAccountDocument,
    BillingAccountPage,
    BillingAccountRequestDocument,
)
from .visible import ensure_bills, is_billed, named_or_own_project, visible_account, visible_accounts

_ALIASES = {
    "project_id": "project",
    "org_id": "project",
    "name": "legal_name",
    "address": "address_lines",
    "payment_terms": "payment_terms_days",
    "emails": "invoice_emails",
}


class BillingAccountsView(APIView):
    permissions = {"GET": "read", "POST": "bill"}
    staff_rights = {"GET": "billing.view_billingaccount", "POST": "billing.add_billingaccount"}

    @extend_schema(
        operation_id="billing_accounts_list",
        summary="List billing accounts",
        parameters=[
            OpenApiParameter("project", description="Only the account of this project."),
            OpenApiParameter("currency"),
            OpenApiParameter("limit", int, description="Accounts per page."),
            OpenApiParameter("cursor"),
        ],
        responses={200: BillingAccountPage, 404: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("project", "currency", "limit", "cursor"))
        principal = principal_of_request(request)
        accounts = visible_accounts(principal)
        project_key, currency = query.text("project"), query.text("currency")
        if project_key is not None:
            accounts = accounts.filter(project=visible_project(principal, project_key))
        if currency is not None:
            accounts = accounts.filter(currency=currency.upper())
        pages = KeyCursorPagination()
        page: list[BillingAccount] = pages.paginate_queryset(accounts, request, view=self) or []
        return pages.get_paginated_response([shown(account) for account in page])

    @extend_schema(
        operation_id="billing_accounts_open",
        summary="Open a billing account",
        description="A project has one at most. It is billed for all usage that the project pays for.",
        request=BillingAccountRequestDocument,
        responses={
            201: BillingAccountDocument,
            404: ProblemDocument,
            409: ProblemDocument,
            422: ProblemDocument,
        },
    )
    def post(self, request: Request) -> Response:
        members = members_of(request.data, known=("project", *FIELDS), aliases=_ALIASES)
        principal = principal_of_request(request)
        project = named_or_own_project(members, principal)
        if is_billed(principal, project):
            raise PermissionDenied("This takes a key of a project above the one that is to be billed.")
        return Response(shown(open_account(project, _fields(members))), status=201)


class BillingAccountView(APIView):
    permissions = {"GET": "read", "PATCH": "bill"}
    staff_rights = {"GET": "billing.view_billingaccount", "PATCH": "billing.change_billingaccount"}

    @extend_schema(
        operation_id="billing_accounts_get",
        summary="One billing account",
        responses={200: BillingAccountDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, account_id: int) -> Response:
        return Response(shown(visible_account(principal_of_request(request), account_id)))

    @extend_schema(
        operation_id="billing_accounts_change",
        summary="Change a billing account",
        description="Issued documents stay as they are. Another time zone holds from the next period on.",
        request=BillingAccountChangeDocument,
        responses={
            200: BillingAccountDocument,
            404: ProblemDocument,
            409: ProblemDocument,
            422: ProblemDocument,
        },
    )
    def patch(self, request: Request, account_id: int) -> Response:
        account = visible_account(principal_of_request(request), account_id)
        ensure_bills(principal_of_request(request), account)
        fields = _fields(members_of(request.data, known=FIELDS, aliases=_ALIASES))
        may_loosen = may_as_staff(request, "billing.loosen_approval")
        return Response(shown(change_account(account, fields, now=database_now(), may_loosen=may_loosen)))


def _fields(members: dict[str, Any]) -> dict[str, Any]:
    """Null is absence, but for limits, where it says that there is none."""
    return {
        name: value
        for name, value in members.items()
        if name in FIELDS and (value is not None or name in LIMITS)
    }


def shown(account: BillingAccount) -> dict[str, Any]:
    return {
        "id": account.pk,
        "project": account.project.key,
        **{name: getattr(account, name) for name in FIELDS if name not in LIMITS},
        **{name: _limit_text(account, name) for name in LIMITS},
        "created_at": iso(account.created_at),
    }


def _limit_text(account: BillingAccount, name: str) -> str | None:
    limit = getattr(account, name)
    return None if limit is None else plain(limit)
