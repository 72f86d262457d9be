"""`/surfaces/`: apps and connectors installed into projects."""

import datetime as dt
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.attributing.scope_tree import install_surface, rename_surface, uninstall_surface
from metering.catalogue import Catalogue, current
from metering.clock import database_now
from metering.errors import Invalid, NotFound
from metering.models import Project, SurfaceInstallation
from metering.texts.cursors import LARGEST_ID
from metering.texts.timestamps import iso

from .documents import ProblemDocument, SurfaceDocument, SurfaceNameDocument, SurfacePage
from .pagination import KeyCursorPagination
from .parsing import Query, members_of, text_of
from .visibility import principal_of_request, visible_project

_MEMBERS = ("project", "key", "name")
_ALIASES = {"project_id": "project", "org_id": "project"}


class SurfacesView(APIView):
    """What is installed in the projects that the caller sees."""

    permissions = {"GET": "read", "POST": "manage"}
    staff_rights = {"GET": "metering.view_surfaceinstallation", "POST": "metering.add_surfaceinstallation"}

    @extend_schema(
        operation_id="surfaces_list",
        summary="List surfaces",
        parameters=[
            OpenApiParameter("project", description="Only those installed in this project."),
            OpenApiParameter("kind", enum=Project.Kind.values, description="Of projects of this kind."),
            OpenApiParameter("key", description="Only those of this key, in whatever project."),
            OpenApiParameter("limit", int),
            OpenApiParameter("cursor"),
        ],
        responses={200: SurfacePage, 404: ProblemDocument},
    )
    def get(self, request: Request) -> Response:
        query = Query(request.query_params, known=("project", "kind", "key", "limit", "cursor"))
        principal = principal_of_request(request)
        surfaces = SurfaceInstallation.objects.select_related("project")
        if principal.project_path is not None:
            surfaces = surfaces.filter(project__path__startswith=principal.project_path)
        project_key = query.text("project")
        if project_key is not None:
            surfaces = surfaces.filter(project=visible_project(principal, project_key))
        kind = query.choice("kind", Project.Kind.values)
        if kind is not None:
            surfaces = surfaces.filter(project__kind=kind)
        key = query.text("key")
        if key is not None:
            surfaces = surfaces.filter(key=key)
        pages = KeyCursorPagination()
        page: list[SurfaceInstallation] = pages.paginate_queryset(surfaces, request, view=self) or []
        catalogue, now = current(), database_now()
        return pages.get_paginated_response([_shown(surface, catalogue, now) for surface in page])

    @extend_schema(
        operation_id="surfaces_install",
        summary="Install a surface into a project",
        description="Its usage is paid like its project's, until an attribution rule for it says otherwise.",
        request=SurfaceDocument,
        responses={201: SurfaceDocument, 404: ProblemDocument, 409: ProblemDocument, 422: ProblemDocument},
    )
    def post(self, request: Request) -> Response:
        principal = principal_of_request(request)
        members = members_of(
            request.data, known=("project", "key", "name"), aliases={"project_id": "project"}
        )
        for name in ("key", "name"):
            if members.get(name) is None:
                raise Invalid("This member is needed.", field=name, code="missing_field")
        project_key = text_of(members, "project")
        if project_key is not None:
            project = visible_project(principal, project_key)
        elif principal.project_id is not None:
            project = Project.objects.get(pk=principal.project_id)
        else:
            raise Invalid("This member is needed.", field="project", code="missing_field")
        surface = install_surface(
            project=project, key=text_of(members, "key") or "", name=text_of(members, "name") or ""
        )
        surface.refresh_from_db()
        return Response(_shown(surface, current(), database_now()), status=201)


class SurfaceView(APIView):
    permissions = {"GET": "read", "PATCH": "manage", "DELETE": "manage"}
    staff_rights = {
        "GET": "metering.view_surfaceinstallation",
        "PATCH": "metering.change_surfaceinstallation",
        "DELETE": "metering.delete_surfaceinstallation",
    }

    @extend_schema(
        operation_id="surfaces_get",
        summary="One surface",
        responses={200: SurfaceDocument, 404: ProblemDocument},
    )
    def get(self, request: Request, surface_id: int) -> Response:
        return Response(_shown(_surface(request, surface_id), current(), database_now()))

    @extend_schema(
        operation_id="surfaces_rename",
        summary="Change a surface's name",
        request=SurfaceNameDocument,
        responses={200: SurfaceDocument, 404: ProblemDocument, 422: ProblemDocument},
    )
    def patch(self, request: Request, surface_id: int) -> Response:
        surface = _surface(request, surface_id)
        name = text_of(members_of(request.data, known=("name",)), "name")
        if name is not None:
            surface = rename_surface(surface, name=name)
        return Response(_shown(surface, current(), database_now()))

    @extend_schema(
        operation_id="surfaces_uninstall",
        summary="Uninstall a surface that has no usage and no rules",
        description="One that has stays, because both keep naming it: 409, which says what holds it.",
        responses={204: None, 404: ProblemDocument, 409: ProblemDocument, 503: ProblemDocument},
    )
    def delete(self, request: Request, surface_id: int) -> Response:
        uninstall_surface(_surface(request, surface_id))
        return Response(status=204)


def _surface(request: Request, surface_id: int) -> SurfaceInstallation:
    """Raises `NotFound`, also where it is installed in a project that the caller doesn't see."""
    principal = principal_of_request(request)
    surface = None
    if surface_id <= LARGEST_ID:
        surface = SurfaceInstallation.objects.select_related("project").filter(pk=surface_id).first()
    if surface is None or not principal.sees(surface.project.path):
        raise NotFound(f"There is no surface {surface_id}.")
    return surface


def _shown(surface: SurfaceInstallation, catalogue: Catalogue, now: dt.datetime) -> dict[str, Any]:
    payer_id = catalogue.payer_at(surface.project_id, now, surface_id=surface.pk)
    return {
        "id": surface.pk,
        "project": surface.project.key,
        "key": surface.key,
        "name": surface.name,
        "billing_scope": catalogue.project_by_id(payer_id).key,
        "installed_at": iso(surface.installed_at),
    }
