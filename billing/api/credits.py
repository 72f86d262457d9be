"""`/credit-grants/` and the credit of an account: what it may pay invoices with."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.models import CreditEntry, CreditGrant
from billing.settling.credits import (
    DEFAULT_PRIORITY,
    MAX_PRIORITY,
    credit_available,
    grant_credit,
    usable_grants,
    withdraw_credit,
)
from metering.api.documents import ProblemDocument
from metering.api.pagination import KeyCursorPagination
from metering.api.parsing import Query, choice_of, members_of, text_of
from metering.api.visibility import principal_of_request
from metering.clock import database_now
from metering.errors import Invalid
from metering.texts.timestamps import iso

from .invoice_answers import AmountText, amounts_in, iso_or_none
from .invoice_documents import BillingReasonDocument, money
from .invoice_verbs import key_of
from .invoices import ALIASES, PROBLEMS, NewestFirst
from .member_values import instant_of, needed, number_of, reason_of, whole_number_of
from .visible import billable_account, visible_account
from .visible_documents import actor_of, narrowed, visible_grant, visible_grants

OUR_KEYS = ("payment:", "credit-note:")  # what payments and credit notes grant begins so
GIVEN_KINDS = (CreditGrant.Kind.PAID, CreditGrant.Kind.PROMOTIONAL)  # the third is of credit notes alone
_MEMBERS = (
    "account",
    "project",
    "amount",
    "kind",
    "name",
    "priority",
    "expires_at",
    "key",
    "reason",
)


class CreditGrantRequestDocument(serializers.Serializer):
    account = serializers.IntegerField(required=False, help_text="Id; or name the project.")
    project = serializers.CharField(required=False, help_text="Key of the project that pays.")
    amount = money("In the account's currency.")
    kind = serializers.ChoiceField(choices=GIVEN_KINDS)
    name = serializers.CharField(required=False, help_text="What the customer reads.")
    priority = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MAX_PRIORITY,
        help_text=f"Smaller ones are drawn first; {DEFAULT_PRIORITY} where absent.",
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    key = serializers.CharField(
        required=False, help_text="The same one of an account grants once. Also: Idempotency-Key."
    )
    reason = serializers.CharField(required=False, help_text="For colleagues and auditors.")


class CreditGrantSummaryDocument(serializers.Serializer):
    """Credit that an account may pay invoices with: drawn by priority, then expiry, then age."""

    id = serializers.IntegerField()
    account = serializers.IntegerField()
    project = serializers.CharField()
    kind = serializers.ChoiceField(choices=CreditGrant.Kind.choices)
    name = serializers.CharField()
    currency = serializers.CharField()
    amount = money()
    balance = money("What is left of it.")
    priority = serializers.IntegerField()
    expires_at = serializers.DateTimeField(allow_null=True)
    key = serializers.CharField(allow_null=True)
    credit_note = serializers.CharField(allow_null=True, help_text="Number of the one that it comes from.")
    reason = serializers.CharField()
    granted_by = serializers.CharField()
    granted_at = serializers.DateTimeField()


class CreditEntryDocument(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=CreditEntry.Kind.choices)
    amount = money("Negative where it takes away from the balance.")
    invoice = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField()
    entered_by = serializers.CharField()
    entered_at = serializers.DateTimeField()


class CreditGrantDocument(CreditGrantSummaryDocument):
    entries = CreditEntryDocument(many=True, help_text="The balance is their sum.")


class CreditGrantPage(serializers.Serializer):
    results = CreditGrantSummaryDocument(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class AccountCreditDocument(serializers.Serializer):
    account = serializers.IntegerField()
    project = serializers.CharField()
    currency = serializers.CharField()
    available = money("What can be drawn now.")
    grants = CreditGrantSummaryDocument(many=True, help_text="In the order in which they are drawn.")


class CreditGrantsView(APIView):
    permissions = {"GET": "read", "POST": "bill"}
    staff_rights = {"GET": "billing.view_creditgrant", "POST": "billing.add_creditgrant"}

    @extend_schema(
        operation_id="credit_grants_list",
        summary="List credit grants, the newest first",
        parameters=[
            OpenApiParameter("account", int, description="Only those of this billing account."),
            OpenApiParameter("project", description="Only those of this project's account."),
            OpenApiParameter("limit", int, description="Grants per page."),
            OpenApiParameter("cursor"),
        ],
        responses={200: CreditGrantPage, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("account", "project", "limit", "cursor"))
        principal = principal_of_request(request)
        pages: KeyCursorPagination = NewestFirst()
        grants = narrowed(visible_grants(principal), query, principal)
        page: list[CreditGrant] = pages.paginate_queryset(grants, request, view=self) or []
        return pages.get_paginated_response([shown(grant) for grant in page])

    @extend_schema(
        operation_id="credit_grants_grant",
        summary="Give an account credit",
        description="201; 200 where the key was used for the same grant already.",
        request=CreditGrantRequestDocument,
        responses={200: CreditGrantDocument, 201: CreditGrantDocument, **PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        principal = principal_of_request(request)
        members = members_of(request.data, known=_MEMBERS, aliases={**ALIASES, "idempotency_key": "key"})
        account = billable_account(members, principal)
        for name in ("amount", "kind"):
            needed(members, name)
        amount, priority = number_of(members, "amount"), whole_number_of(members, "priority")
        assert amount is not None
        granted = grant_credit(
            account,
            amount=amount,
            kind=choice_of(members, "kind", GIVEN_KINDS) or "",
            name=text_of(members, "name", max_length=200) or "",
            priority=DEFAULT_PRIORITY if priority is None else priority,
            expires_at=instant_of(members, "expires_at"),
            key=_key(request, members),
            reason=reason_of(members),
            granted_by=actor_of(principal),
            now=database_now(),
        )
        grant = visible_grant(request, granted.grant.pk)
        return Response(shown_in_full(grant), status=201 if granted.is_new else 200)


class CreditGrantView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "billing.view_creditgrant"}

    @extend_schema(
        operation_id="credit_grants_get",
        summary="One credit grant with its entries",
        responses={200: CreditGrantDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, grant_id: int) -> Response:
        return Response(shown_in_full(visible_grant(request, grant_id)))


class CreditWithdrawView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.change_creditgrant"}

    @extend_schema(
        operation_id="credit_grants_withdraw",
        summary="Take back what is left of a grant",
        request=BillingReasonDocument,
        responses={200: CreditGrantDocument, **PROBLEMS},
    )
    def post(self, request: Request, grant_id: int) -> Response:
        grant = visible_grant(request, grant_id)
        withdraw_credit(
            grant,
            reason=reason_of(members_of(request.data or {}, known=("reason",))),
            entered_by=actor_of(principal_of_request(request)),
        )
        return Response(shown_in_full(visible_grant(request, grant_id)))


class AccountCreditView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "billing.view_creditgrant"}

    @extend_schema(
        operation_id="billing_accounts_credit",
        summary="What an account can pay with credit now",
        responses={200: AccountCreditDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, account_id: int) -> Response:
        account, now = visible_account(principal_of_request(request), account_id), database_now()
        grants = usable_grants(account.pk, at=now).select_related("account__project", "credit_note")
        return Response(
            {
                "account": account.pk,
                "project": account.project.key,
                "currency": account.currency,
                "available": amounts_in(account.currency)(credit_available(account, at=now)),
                "grants": [shown(grant) for grant in grants],
            }
        )


def _key(request: Request, members: dict[str, Any]) -> str:
    key = key_of(request, members)
    if key.startswith(OUR_KEYS):
        raise Invalid(f"Keys that begin with {' or '.join(OUR_KEYS)} are ours.", field="key")
    return key


def shown(grant: CreditGrant) -> dict[str, Any]:
    """A grant loaded with its `balance`."""
    loaded: Any = grant
    text = amounts_in(grant.currency)
    return {
        "id": grant.pk,
        "account": grant.account_id,
        "project": grant.account.project.key,
        "kind": grant.kind,
        "name": grant.name,
        "currency": grant.currency,
        "amount": text(grant.amount),
        "balance": text(loaded.balance),
        "priority": grant.priority,
        "expires_at": iso_or_none(grant.expires_at),
        "key": grant.key or None,
        "credit_note": grant.credit_note.number if grant.credit_note else None,
        "reason": grant.reason,
        "granted_by": grant.granted_by,
        "granted_at": iso(grant.granted_at),
    }


def shown_in_full(grant: CreditGrant) -> dict[str, Any]:
    text = amounts_in(grant.currency)
    entries = grant.entries.order_by("id")
    return {**shown(grant), "entries": [_shown_entry(entry, text) for entry in entries]}


def _shown_entry(entry: CreditEntry, text: AmountText) -> dict[str, Any]:
    return {
        "id": entry.pk,
        "kind": entry.kind,
        "amount": text(entry.amount),
        "invoice": entry.invoice_id,
        "reason": entry.reason,
        "entered_by": entry.entered_by,
        "entered_at": iso(entry.entered_at),
    }
