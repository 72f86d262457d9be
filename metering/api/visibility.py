"""From names in a request to what the caller may see; everything else is not found."""

from rest_framework.request import Request

from metering.catalogue import Catalogue, ProjectNode
from metering.errors import NotFound
from metering.models import Project
from metering.principal import Principal


def principal_of_request(request: Request) -> Principal:
    principal = request.auth
    assert isinstance(principal, Principal)
    return principal


def visible_project(principal: Principal, key: str) -> Project:
    """The project `key`. Raises `NotFound`, also where it exists but lies elsewhere."""
    project = None if "\x00" in key else Project.objects.filter(key=key).first()
    if project is None or not principal.sees(project.path):
        raise NotFound(f"There is no project '{key[:100]}'.")
    return project


def visible_node(principal: Principal, catalogue: Catalogue, key: str) -> ProjectNode:
    """`visible_project`, from the catalogue."""
    node = None if "\x00" in key else catalogue.project(key)
    if node is None or not principal.sees(node.path):
        raise NotFound(f"There is no project '{key[:100]}'.")
    return node


def visible_project_ids(principal: Principal) -> list[int] | None:
    """Ids of all projects that the caller sees; None: of all there are."""
    if principal.project_path is None:
        return None
    return list(Project.objects.filter(path__startswith=principal.project_path).values_list("id", flat=True))
