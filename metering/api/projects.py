"""`/projects/`: the scope tree."""

import datetime as dt
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.attributing.scope_tree import change_project, create_project, remove_project
from metering.catalogue import Catalogue, current
from metering.errors import Invalid
from metering.models import Project
from metering.texts.timestamps import iso

from .documents import ProblemDocument, ProjectDocument, ProjectPage
from .pagination import KeyCursorPagination
from .parsing import Query, choice_of, members_of, text_of
from .visibility import principal_of_request, visible_project

_MEMBERS = ("key", "name", "kind", "parent", "timezone")


class ProjectsView(APIView):
    """The part of the scope tree that the caller sees."""

    permissions = {"GET": "read", "POST": "manage"}
    staff_rights = {"GET": "metering.view_project", "POST": "metering.add_project"}

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
    permissions = {"GET": "read", "PATCH": "manage", "DELETE": "manage"}
    staff_rights = {
        "GET": "metering.view_project",
        "PATCH": "metering.change_project",
        "DELETE": "metering.delete_project",
    }

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

    @extend_schema(
        operation_id="projects_remove",
        summary="Remove a project that was added by mistake",
        description=(
            "Only one that nothing refers to: no usage, projects below it, metrics, keys, rules, surfaces, "
            "webhook endpoints or quotas. Else 409, which names what holds it."
        ),
        responses={204: None, 404: ProblemDocument, 409: ProblemDocument, 503: ProblemDocument},
    )
    def delete(self, request: Request, key: str) -> Response:
        remove_project(visible_project(principal_of_request(request), key))
        return Response(status=204)


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
