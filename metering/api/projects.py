"""`/projects/` and who pays for them."""

import datetime as dt
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.catalogue import Catalogue, current
from metering.errors import Invalid
from metering.models import AttributionRule, Project, SurfaceInstallation
from metering.scope_tree import attribute, change_project, create_project
from metering.timestamps import NotAnInstant, instant_from, iso

from .documents import AttributionDocument, AttributionList, ProblemDocument, ProjectDocument, ProjectPage
from .pagination import KeyCursorPagination
from .parsing import Query, choice_of, members_of, text_of
from .visibility import principal_of_request, visible_project

_MEMBERS = ("key", "name", "kind", "parent", "timezone")
_RULE_MEMBERS = ("billing_attribution_project", "surface", "effective_from", "effective_until")


class ProjectsView(APIView):
    """The part of the scope tree that the caller sees."""

    permissions = {"GET": "read", "POST": "manage"}

    @extend_schema(
        operation_id="projects_list",
        summary="List projects",
        parameters=[
            OpenApiParameter("parent", description="Only the children of this project."),
            OpenApiParameter("kind", enum=Project.Kind.values),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor"),
        ],
        responses={200: ProjectPage, 404: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("parent", "kind", "limit", "cursor"))
        principal = principal_of_request(request)
        projects = Project.objects.select_related("parent")
        if principal.project_path is not None:
            projects = projects.filter(path__startswith=principal.project_path)
        parent = query.text("parent")
        if parent is not None:
            projects = projects.filter(parent=visible_project(principal, parent))
        kind = query.choice("kind", Project.Kind.values)
        if kind is not None:
            projects = projects.filter(kind=kind)
        pages = KeyCursorPagination()
        page = pages.paginate_queryset(projects, request, view=self) or []
        catalogue, now = current(), timezone.now()
        return pages.get_paginated_response([_shown(project, catalogue, now) for project in page])

    @extend_schema(
        operation_id="projects_create",
        summary="Add a project",
        request=ProjectDocument,
        responses={201: ProjectDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
    )
    def post(self, request: Request) -> Response:
        principal = principal_of_request(request)
        members = members_of(request.data, known=_MEMBERS, aliases={"parent_id": "parent"})
        for name in ("key", "name"):
            if members.get(name) is None:
                raise Invalid("This member is needed.", field=name, code="missing_field")
        parent_key = text_of(members, "parent")
        if parent_key is not None:
            parent: Project | None = visible_project(principal, parent_key)
        elif principal.project_id is not None:
            parent = Project.objects.get(pk=principal.project_id)  # a key adds below its own project only
        else:
            parent = None
        project = create_project(
            key=text_of(members, "key") or "",
            name=text_of(members, "name", max_length=200) or "",
            kind=choice_of(members, "kind", Project.Kind.values) or Project.Kind.PROJECT,
            parent=parent,
            timezone=text_of(members, "timezone") or "UTC",
        )
        project.refresh_from_db()
        return Response(_shown(project, current(), timezone.now()), status=201)


class ProjectView(APIView):
    permissions = {"GET": "read", "PATCH": "manage"}

    @extend_schema(
        operation_id="projects_get",
        summary="One project",
        responses={200: ProjectDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, key: str) -> Response:
        project = visible_project(principal_of_request(request), key)
        return Response(_shown(project, current(), timezone.now()))

    @extend_schema(
        operation_id="projects_change",
        summary="Change name, kind or time zone",
        request=ProjectDocument,
        responses={200: ProjectDocument, 404: ProblemDocument, 422: ProblemDocument},
    )
    def patch(self, request: Request, key: str) -> Response:
        project = visible_project(principal_of_request(request), key)
        members = members_of(request.data, known=("name", "kind", "timezone"))
        project = change_project(
            project,
            name=text_of(members, "name", max_length=200),
            kind=choice_of(members, "kind", Project.Kind.values),
            timezone=text_of(members, "timezone"),
        )
        return Response(_shown(project, current(), timezone.now()))


class AttributionView(APIView):
    """Who pays for a project, since when."""

    permissions = {"GET": "read", "POST": "manage"}

    @extend_schema(
        operation_id="attribution_list",
        summary="Who pays for a project since when",
        responses={200: AttributionList, 404: ProblemDocument},
    )
    def get(self, request: Request, key: str) -> Response:
        project = visible_project(principal_of_request(request), key)
        rules = AttributionRule.objects.filter(project=project).select_related(
            "surface", "billing_attribution_project"
        )
        return Response({"results": [_shown_rule(rule) for rule in rules], "next": None, "previous": None})

    @extend_schema(
        operation_id="attribution_create",
        summary="Let another project pay from an instant on",
        description="An open rule in force ends where the new one begins. Recorded events keep their payer.",
        request=AttributionDocument,
        responses={
            201: AttributionDocument,
            404: ProblemDocument,
            409: ProblemDocument,
            422: ProblemDocument,
        },
    )
    def post(self, request: Request, key: str) -> Response:
        principal = principal_of_request(request)
        project = visible_project(principal, key)
        members = members_of(
            request.data,
            known=_RULE_MEMBERS,
            aliases={
                "billing_attribution_project_id": "billing_attribution_project",
                "payer": "billing_attribution_project",
            },
        )
        payer_key = text_of(members, "billing_attribution_project")
        if payer_key is None:
            raise Invalid("This member is needed.", field="billing_attribution_project", code="missing_field")
        surface_key = text_of(members, "surface")
        surface = None
        if surface_key is not None:
            surface = SurfaceInstallation.objects.filter(project=project, key=surface_key).first()
            if surface is None:
                raise Invalid("No such surface is installed in this project.", field="surface")
        rule = attribute(
            project,
            payer=visible_project(principal, payer_key),
            surface=surface,
            effective_from=_instant(members, "effective_from"),
            effective_until=_instant(members, "effective_until"),
        )
        return Response(_shown_rule(rule), status=201)


def _instant(members: dict[str, Any], name: str) -> dt.datetime | None:
    text = text_of(members, name)
    if text is None:
        return None
    try:
        return instant_from(text)
    except NotAnInstant as error:
        raise Invalid(f"{str(error)[:1].upper()}{str(error)[1:]}.", field=name) from None


def _shown(project: Project, catalogue: Catalogue, now: dt.datetime) -> dict[str, Any]:
    payer_id = catalogue.payer_at(project.pk, now)
    return {
        "key": project.key,
        "name": project.name,
        "kind": project.kind,
        "parent": project.parent.key if project.parent else None,
        "timezone": project.timezone,
        "billing_scope": project.key if payer_id == project.pk else catalogue.project_by_id(payer_id).key,
        "created_at": iso(project.created_at),
    }


def _shown_rule(rule: AttributionRule) -> dict[str, Any]:
    return {
        "billing_attribution_project": rule.billing_attribution_project.key,
        "surface": rule.surface.key if rule.surface else None,
        "effective_from": iso(rule.effective_from) if rule.effective_from else None,
        "effective_until": iso(rule.effective_until) if rule.effective_until else None,
    }
