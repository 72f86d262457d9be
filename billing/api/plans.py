"""`/plans/`: what is sold, in versions."""

from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.models import Plan, Price
from billing.selling.plans import (
    DRAFT_FIELDS,
    archive_plan,
    change_draft,
    clone_plan,
    define_plan,
    publish_plan,
    remove_draft,
)
from billing.selling.price_lists import MEMBERS, PriceDraft, drafts_from, included_quantity
from metering.api.documents import ProblemDocument
from metering.api.pagination import KeyCursorPagination
from metering.api.parsing import Query, choice_of, members_of, snake_case, text_of
from metering.api.visibility import principal_of_request, visible_project
from metering.catalogue import current
from metering.errors import Invalid, NotFound
from metering.models import MetricDefinition, Project
from metering.principal import Principal
from metering.texts.timestamps import iso

from .catalogue_documents import (
    PlanChangeDocument,
    PlanCloneDocument,
    PlanDocument,
    PlanPage,
    PlanRequestDocument,
)
from .visible import plan_named, visible_plans

_ALIASES = {"project_id": "project", "org_id": "project", "code": "key", "period": "interval"}
_INTERVALS = {
    **{name: (name, None) for name in Plan.Interval.values},
    "daily": ("day", None),
    "weekly": ("week", None),
    "monthly": ("month", None),
    "quarterly": ("month", 3),
    "quarter": ("month", 3),
    "yearly": ("year", None),
}
VERSION = OpenApiParameter(
    "version", int, description="Default: the latest published one, else the latest there is."
)
WHOSE = OpenApiParameter("project", description="Where several projects have a plan of this key.")


class PlansView(APIView):
    permissions = {"GET": "read", "POST": "bill"}
    staff_rights = {"GET": "billing.view_plan", "POST": "billing.add_plan"}

    @extend_schema(
        operation_id="plans_list",
        summary="List plans",
        description="All versions of plans of the caller's projects, of their ancestors, and of global ones.",
        parameters=[
            OpenApiParameter("project", description="Only what this project sees."),
            OpenApiParameter("key"),
            OpenApiParameter("state", enum=Plan.State.values),
            OpenApiParameter("currency"),
            OpenApiParameter("limit", int, description="Plans per page."),
            OpenApiParameter("cursor"),
        ],
        responses={200: PlanPage, 404: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("project", "key", "state", "currency", "limit", "cursor"))
        principal = principal_of_request(request)
        plans = visible_plans(principal)
        project_key = query.text("project")
        if project_key is not None:
            plans = plans.seen_from(visible_project(principal, project_key).path)  # type: ignore[attr-defined]
        for name, value in (
            ("key", query.text("key")),
            ("state", query.choice("state", Plan.State.values)),
            ("currency", (query.text("currency") or "").upper() or None),
        ):
            if value is not None:
                plans = plans.filter(**{name: value})
        pages = KeyCursorPagination()
        page: list[Plan] = pages.paginate_queryset(plans, request, view=self) or []
        return pages.get_paginated_response([shown(plan) for plan in page])

    @extend_schema(
        operation_id="plans_define",
        summary="Define a plan",
        description="Its first version, as a draft: publish it before accounts can subscribe.",
        request=PlanRequestDocument,
        responses={201: PlanDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
    )
    def post(self, request: Request) -> Response:
        principal = principal_of_request(request)
        members = members_of(
            request.data, known=("key", "project", "prices", *DRAFT_FIELDS), aliases=_ALIASES
        )
        for name in ("key", "currency"):
            if members.get(name) is None:
                raise Invalid("This member is needed.", field=name, code="missing_field")
        owner = _owner(members, principal)
        fields = {"name": "", **_fields(members)}
        plan = define_plan(
            key=text_of(members, "key", max_length=100) or "",
            project=owner,
            prices=_prices(members, owner) or (),
            **fields,
        )
        return Response(shown(plan), status=201)


class PlanView(APIView):
    permissions = {"GET": "read", "PATCH": "bill", "DELETE": "bill"}
    staff_rights = {
        "GET": "billing.view_plan",
        "PATCH": "billing.change_plan",
        "DELETE": "billing.change_plan",
    }

    @extend_schema(
        operation_id="plans_get",
        summary="One plan",
        parameters=[VERSION, WHOSE],
        responses={200: PlanDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, key: str) -> Response:
        return Response(shown(_plan(request, key)))

    @extend_schema(
        operation_id="plans_change",
        summary="Change a draft",
        description="Without a version the plan's draft. Published versions never change: clone them.",
        parameters=[VERSION, WHOSE],
        request=PlanChangeDocument,
        responses={200: PlanDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
    )
    def patch(self, request: Request, key: str) -> Response:
        plan = _plan(request, key, to_change=True)
        members = members_of(request.data, known=("prices", *DRAFT_FIELDS), aliases=_ALIASES)
        changed = change_draft(plan, _fields(members), prices=_prices(members, plan.project))
        return Response(shown(changed))

    @extend_schema(
        operation_id="plans_remove",
        summary="Remove a draft",
        description="Published versions stay; archive them.",
        parameters=[VERSION, WHOSE],
        responses={204: None, 404: ProblemDocument, 409: ProblemDocument},
    )
    def delete(self, request: Request, key: str) -> Response:
        remove_draft(_plan(request, key, to_change=True))
        return Response(status=204)


class PlanVerbView(APIView):
    """A verb without a body. The subclasses name it."""

    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.change_plan"}
    verb: Callable[[Plan], Plan]
    draft_first = False

    def post(self, request: Request, key: str) -> Response:
        members_of(request.data or {}, known=())
        plan = _plan(request, key, to_change=True, draft_first=self.draft_first)
        return Response(shown(type(self).verb(plan)))


class PlanPublishView(PlanVerbView):
    verb = staticmethod(publish_plan)
    draft_first = True

    @extend_schema(
        operation_id="plans_publish",
        summary="Publish a draft",
        description="From then on neither the plan nor its prices can change, and accounts can subscribe.",
        parameters=[VERSION, WHOSE],
        request=None,
        responses={200: PlanDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
    )
    def post(self, request: Request, key: str) -> Response:
        return super().post(request, key)


class PlanArchiveView(PlanVerbView):
    verb = staticmethod(archive_plan)

    @extend_schema(
        operation_id="plans_archive",
        summary="Archive a plan",
        description="Nobody can subscribe to this version any more; who is on it stays.",
        parameters=[VERSION, WHOSE],
        request=None,
        responses={200: PlanDocument, 404: ProblemDocument, 409: ProblemDocument},
    )
    def post(self, request: Request, key: str) -> Response:
        return super().post(request, key)


class PlanCloneView(APIView):
    permissions = {"POST": "bill"}
    staff_rights = {"POST": "billing.add_plan"}

    @extend_schema(
        operation_id="plans_clone",
        summary="Make a draft from a plan",
        description="The next version, to be changed and published; with another key, a plan of its own.",
        parameters=[VERSION, WHOSE],
        request=PlanCloneDocument,
        responses={201: PlanDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
    )
    def post(self, request: Request, key: str) -> Response:
        plan = _plan(request, key, to_change=True, draft_first=False)
        members = members_of(request.data or {}, known=("key", "name"), aliases=_ALIASES)
        clone = clone_plan(
            plan,
            key=text_of(members, "key", max_length=100),
            name=text_of(members, "name", max_length=200),
        )
        return Response(shown(clone), status=201)


def _plan(request: Request, key: str, *, to_change: bool = False, draft_first: bool | None = None) -> Plan:
    """The version asked for. To change it, its owner must lie within what the caller sees: else not found."""
    query = Query(request.query_params, known=("project", "version"))
    principal = principal_of_request(request)
    plans: QuerySet[Plan] = visible_plans(principal)
    project_key = query.text("project")
    if project_key is not None:
        plans = plans.seen_from(visible_project(principal, project_key).path)  # type: ignore[attr-defined]
    version = query.number("version", default=0, least=1, most=2**31 - 1) if query.text("version") else None
    plan = plan_named(
        plans, key, version=version, draft_first=to_change if draft_first is None else draft_first
    )
    if to_change and not principal.sees(plan.project.path if plan.project else ""):
        raise NotFound(f"There is no plan '{key[:100]}' that this key may change.")
    return plan


def _owner(members: Mapping[str, Any], principal: Principal) -> Project | None:
    key = text_of(members, "project")
    if key is not None:
        return visible_project(principal, key)
    return None if principal.project_id is None else Project.objects.get(pk=principal.project_id)


def _fields(members: Mapping[str, Any]) -> dict[str, Any]:
    """The plan's own fields that were sent. Raises `Invalid`."""
    fields: dict[str, Any] = {}
    for name in ("name", "description", "currency"):
        text = text_of(members, name, max_length=10_000 if name == "description" else 200)
        if text is not None:
            fields[name] = text
    interval = choice_of(members, "interval", _INTERVALS)
    if interval is not None:
        fields["interval"], count = _INTERVALS[interval]
        if count is not None:
            fields["interval_count"] = count
    count = members.get("interval_count")
    if count is not None and fields.setdefault("interval_count", count) != count:
        raise Invalid(f"'{interval}' has a number of its own.", field="interval_count")
    return fields


def _prices(members: Mapping[str, Any], owner: Project | None) -> list[PriceDraft] | None:
    """The prices that were sent, None where none were; metrics are named as the plan's owner sees them."""
    value = members.get("prices")
    if value is None:
        return None
    return drafts_from(_snake_cased_prices(value), metric_named=lambda key: metric_for_plan(key, owner))


def metric_for_plan(key: str, owner: Project | None) -> MetricDefinition:
    """The metric by key as the plan's owner sees it; a global plan names global ones. Raises `NotFound`."""
    catalogue = current()
    path = "" if owner is None else owner.path
    for meaning in catalogue.metrics_with_key(key):
        if path.startswith(meaning.owner_path):
            return MetricDefinition.objects.select_related("project").get(pk=meaning.metric_id)
    whose = f"Project '{owner.key}' sees" if owner is not None else "A global plan has"
    raise NotFound(f"{whose} no metric '{key[:100]}'.")


def _snake_cased_prices(value: Any) -> Any:
    """Entries and their prices by our names; what labels match keeps its spelling."""
    if not isinstance(value, list):
        return value
    return [_snake_cased_entry(entry, f"prices[{index}]") for index, entry in enumerate(value)]


def _snake_cased_entry(entry: Any, at: str) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    aliases = {"metric_key": "metric"}
    try:
        members = members_of(entry, known=MEMBERS, aliases=aliases)
    except Invalid as error:
        raise Invalid(str(error), field=f"{at}.{error.field}" if error.field else at) from None
    if "price" in members:
        members["price"] = _snake_cased(members["price"])
    return members


def _snake_cased(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {snake_case(name): _snake_cased(inner) for name, inner in value.items()}
    return [_snake_cased(inner) for inner in value] if isinstance(value, list) else value


def shown(plan: Plan) -> dict[str, Any]:
    return {
        "id": plan.pk,
        "key": plan.key,
        "version": plan.version,
        "project": plan.project.key if plan.project else None,
        "name": plan.name,
        "description": plan.description,
        "currency": plan.currency,
        "interval": plan.interval,
        "interval_count": plan.interval_count,
        "state": plan.state,
        "prices": [_shown_price(price) for price in plan.prices.all()],
        "created_at": iso(plan.created_at),
        "published_at": iso(plan.published_at) if plan.published_at else None,
        "archived_at": iso(plan.archived_at) if plan.archived_at else None,
    }


def _shown_price(price: Price) -> dict[str, Any]:
    return {
        "name": price.name,
        "kind": price.kind,
        "metric": price.metric.key if price.metric else None,
        "price": price.price,
        "included_quantity": included_quantity(price.parsed),
        "label_match": price.label_match,
        "per_project": price.per_project,
        "split_by": price.split_by,
        "charged": price.charged,
    }
