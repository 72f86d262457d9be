"""`/subscriptions/`: who is on which plan, changing that, and what a change would mean."""

import datetime as dt
import itertools
from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.models import BillingAccount, BillingCycle, Plan, Subscription
from billing.selling.billing_cycles import periods_until
from billing.selling.change_previews import preview_of_cancellation, preview_of_change
from billing.selling.subscriptions import (
    LATEST,
    cancel,
    change_plan,
    move_anchor,
    subscribe,
    withdraw_cancellation,
    withdraw_change,
)
from metering.api.documents import ProblemDocument
from metering.api.pagination import KeyCursorPagination
from metering.api.parsing import Query, choice_of, members_of, text_of
from metering.api.visibility import principal_of_request, visible_project
from metering.clock import database_now
from metering.errors import Invalid
from metering.principal import Principal

from .catalogue_documents import (
    ChangePreviewDocument,
    PeriodsDocument,
    PlanChangeOrderDocument,
    SubscriptionAnchorDocument,
    SubscriptionDocument,
    SubscriptionPage,
    SubscriptionRequestDocument,
    WhenDocument,
)
from .member_values import day_of, instant_of, whole_number_of
from .subscription_answers import shown, shown_period, shown_preview
from .visible import (
    billable_account,
    changeable_subscription,
    plan_named,
    visible_account,
    visible_plans,
    visible_subscription,
    visible_subscriptions,
)

MAX_PERIODS = 1000
_STATES = ("scheduled", "active", "ended")
_ALIASES = {
    "project_id": "project",
    "org_id": "project",
    "account_id": "account",
    "billing_account": "account",
    "billing_account_id": "account",
    "plan_key": "plan",
    "start": "effective_from",
    "end": "effective_until",
    "trial_end": "trial_until",
}
_MEMBERS = (
    "account",
    "project",
    "plan",
    "plan_version",
    "effective_from",
    "effective_until",
    "trial_until",
    "anchor",
    "anchor_on",
)
_CHANGED = {
    200: SubscriptionDocument,
    404: ProblemDocument,
    409: ProblemDocument,
    422: ProblemDocument,
}


class SubscriptionsView(APIView):
    permissions = {"GET": "read", "POST": "bill"}
    staff_rights = {"GET": "billing.view_subscription", "POST": "billing.add_subscription"}

    @extend_schema(
        operation_id="subscriptions_list",
        summary="List subscriptions",
        parameters=[
            OpenApiParameter("account", int, description="Only those of this billing account."),
            OpenApiParameter("project", description="Only those of this project's account."),
            OpenApiParameter("plan", description="Only those on a version of this plan."),
            OpenApiParameter("state", enum=_STATES, description="As of now."),
            OpenApiParameter("limit", int, description="Subscriptions per page."),
            OpenApiParameter("cursor"),
        ],
        responses={200: SubscriptionPage, 404: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("account", "project", "plan", "state", "limit", "cursor"))
        principal, now = principal_of_request(request), database_now()
        subscriptions = visible_subscriptions(principal)
        account_id, project_key, plan_key = query.row_id("account"), query.text("project"), query.text("plan")
        if account_id is not None:
            subscriptions = subscriptions.filter(account=visible_account(principal, account_id))
        if project_key is not None:
            subscriptions = subscriptions.filter(account__project=visible_project(principal, project_key))
        if plan_key is not None:
            subscriptions = subscriptions.filter(plan__key=plan_key)
        state = query.choice("state", _STATES)
        if state == "active":
            subscriptions = subscriptions.at(now)  # type: ignore[attr-defined]
        elif state == "scheduled":
            subscriptions = subscriptions.lasting().filter(effective_from__gt=now)  # type: ignore[attr-defined]
        elif state == "ended":
            subscriptions = subscriptions.over(now)  # type: ignore[attr-defined]
        pages = KeyCursorPagination()
        page: list[Subscription] = pages.paginate_queryset(subscriptions, request, view=self) or []
        return pages.get_paginated_response([shown(each, now=now) for each in page])

    @extend_schema(
        operation_id="subscriptions_subscribe",
        summary="Subscribe an account to a plan",
        description=(
            "From any instant on. Periods follow the calendar of the account's time zone, or count from a "
            "day. Usage of a metric belongs to one subscription of the account at any instant: a second one "
            "is refused with 409."
        ),
        request=SubscriptionRequestDocument,
        responses={
            201: SubscriptionDocument,
            404: ProblemDocument,
            409: ProblemDocument,
            422: ProblemDocument,
        },
    )
    def post(self, request: Request) -> Response:
        principal, now = principal_of_request(request), database_now()
        members = members_of(request.data, known=_MEMBERS, aliases=_ALIASES)
        account = billable_account(members, principal)
        subscription = subscribe(
            account,
            plan=_plan(members, principal, account),
            effective_from=instant_of(members, "effective_from") or now,
            effective_until=instant_of(members, "effective_until"),
            trial_until=instant_of(members, "trial_until"),
            anchor=choice_of(members, "anchor", BillingCycle.Anchor.values) or BillingCycle.Anchor.CALENDAR,
            anchor_on=day_of(members, "anchor_on"),
        )
        return Response(shown(subscription, now=now), status=201)


class SubscriptionView(APIView):
    permissions = {"GET": "read", "PATCH": "bill"}
    staff_rights = {"GET": "billing.view_subscription", "PATCH": "billing.change_subscription"}

    @extend_schema(
        operation_id="subscriptions_get",
        summary="One subscription",
        responses={200: SubscriptionDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, subscription_id: int) -> Response:
        return Response(shown(visible_subscription(request, subscription_id), now=database_now()))

    @extend_schema(
        operation_id="subscriptions_move_anchor",
        summary="Begin periods on other days",
        description="From the next boundary on. Everything else changes by the routes below.",
        request=SubscriptionAnchorDocument,
        responses=_CHANGED,
    )
    def patch(self, request: Request, subscription_id: int) -> Response:
        subscription, now = changeable_subscription(request, subscription_id), database_now()
        members = members_of(request.data, known=("anchor", "anchor_on"))
        anchor = choice_of(members, "anchor", BillingCycle.Anchor.values)
        if anchor is None:
            raise Invalid("This member is needed.", field="anchor", code="missing_field")
        moved = move_anchor(subscription, anchor=anchor, anchor_on=day_of(members, "anchor_on"), now=now)
        return Response(shown(moved, now=now))


class SubscriptionPeriodsView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "billing.view_subscription"}

    @extend_schema(
        operation_id="subscriptions_periods",
        summary="Billing periods of a subscription",
        description=f"Those that begin before `until`, ascending; the first {MAX_PERIODS:,}.",
        parameters=[OpenApiParameter("until", dt.datetime, description="Default: now.")],
        responses={200: PeriodsDocument, 404: ProblemDocument, 422: ProblemDocument},
    )
    def get(self, request: Request, subscription_id: int) -> Response:
        query = Query(request.query_params, known=("until", "timezone"))
        until = query.instant("until", zone=query.zone()) or database_now()
        periods = periods_until(visible_subscription(request, subscription_id), min(until, LATEST))
        return Response(
            {"results": [shown_period(period) for period in itertools.islice(periods, MAX_PERIODS)]}
        )


class SubscriptionChangePlanView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.change_subscription"}

    @extend_schema(
        operation_id="subscriptions_change_plan",
        summary="Change the plan",
        description=(
            "The subscription ends and the one in the answer begins, at the end of the running period unless "
            "told otherwise. Usage changes plan at the exact instant, fixed fees by local days."
        ),
        request=PlanChangeOrderDocument,
        responses=_CHANGED,
    )
    def post(self, request: Request, subscription_id: int) -> Response:
        subscription, now = changeable_subscription(request, subscription_id), database_now()
        plan, at = _order(request, subscription, now=now)
        return Response(shown(change_plan(subscription, plan=plan, at=at, now=now), now=now))


class SubscriptionChangePlanPreviewView(APIView):
    permissions = {"POST": "read"}
    staff_rights = {"POST": "billing.view_subscription"}

    @extend_schema(
        operation_id="subscriptions_preview_change_plan",
        summary="What a change of plan would mean",
        description="Refuses what the change would refuse; changes nothing.",
        request=PlanChangeOrderDocument,
        responses={200: ChangePreviewDocument, **dict.fromkeys((404, 409, 422), ProblemDocument)},
    )
    def post(self, request: Request, subscription_id: int) -> Response:
        subscription, now = visible_subscription(request, subscription_id), database_now()
        plan, at = _order(request, subscription, now=now)
        return Response(shown_preview(preview_of_change(subscription, plan=plan, at=at, now=now)))


class SubscriptionWithdrawChangeView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.change_subscription"}

    @extend_schema(
        operation_id="subscriptions_withdraw_change",
        summary="Take back a change of plan that lies ahead",
        request=None,
        responses=_CHANGED,
    )
    def post(self, request: Request, subscription_id: int) -> Response:
        subscription, now = changeable_subscription(request, subscription_id), database_now()
        return Response(shown(withdraw_change(subscription, now=now), now=now))


class SubscriptionCancelView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.change_subscription"}

    @extend_schema(
        operation_id="subscriptions_cancel",
        summary="Cancel a subscription",
        description=(
            "At the end of the running period unless told otherwise. One that has yet to begin never does."
        ),
        request=WhenDocument,
        responses=_CHANGED,
    )
    def post(self, request: Request, subscription_id: int) -> Response:
        subscription, now = changeable_subscription(request, subscription_id), database_now()
        members = members_of(request.data or {}, known=("when", "at"))
        return Response(shown(cancel(subscription, at=_at(members, now=now), now=now), now=now))


class SubscriptionCancelPreviewView(APIView):
    permissions = {"POST": "read"}
    staff_rights = {"POST": "billing.view_subscription"}

    @extend_schema(
        operation_id="subscriptions_preview_cancel",
        summary="What a cancellation would mean",
        description="Refuses what the cancellation would refuse; changes nothing.",
        request=WhenDocument,
        responses={200: ChangePreviewDocument, **dict.fromkeys((404, 409, 422), ProblemDocument)},
    )
    def post(self, request: Request, subscription_id: int) -> Response:
        subscription, now = visible_subscription(request, subscription_id), database_now()
        members = members_of(request.data or {}, known=("when", "at"))
        preview = preview_of_cancellation(subscription, at=_at(members, now=now), now=now)
        return Response(shown_preview(preview))


class SubscriptionWithdrawCancellationView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.change_subscription"}

    @extend_schema(
        operation_id="subscriptions_withdraw_cancellation",
        summary="Let a cancelled subscription go on",
        description="While its end lies ahead.",
        request=None,
        responses=_CHANGED,
    )
    def post(self, request: Request, subscription_id: int) -> Response:
        subscription, now = changeable_subscription(request, subscription_id), database_now()
        return Response(shown(withdraw_cancellation(subscription, now=now), now=now))


def _plan(members: Mapping[str, Any], principal: Principal, account: BillingAccount) -> Plan:
    """The plan named, as the account's project sees it."""
    key = text_of(members, "plan")
    if key is None:
        raise Invalid("This member is needed.", field="plan", code="missing_field")
    version = whole_number_of(members, "plan_version")
    plans = visible_plans(principal).seen_from(account.project.path)  # type: ignore[attr-defined]
    return plan_named(plans, key, version=version)


def _order(
    request: Request, subscription: Subscription, *, now: dt.datetime
) -> tuple[Plan, dt.datetime | None]:
    members = members_of(request.data, known=("plan", "plan_version", "when", "at"), aliases=_ALIASES)
    plan = _plan(members, principal_of_request(request), subscription.account)
    return plan, _at(members, now=now)


def _at(members: Mapping[str, Any], *, now: dt.datetime) -> dt.datetime | None:
    """The instant asked for; None: the end of the running period."""
    when, at = choice_of(members, "when", ("now", "period_end")), instant_of(members, "at")
    if when is not None and at is not None:
        raise Invalid("Send either `when` or `at`.", field="at")
    return now if when == "now" else at
