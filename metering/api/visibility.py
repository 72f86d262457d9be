"""From names in a request to what the caller may see; everything else is not found."""

from rest_framework.request import Request

from metering.answering.usage import Scope
from metering.catalogue import Catalogue, ProjectNode, project_ids_below
from metering.errors import Invalid, NotFound
from metering.models import Project
from metering.principal import Principal

from .parsing import Query

SCOPES = ("own", "tree", "billed")


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


def scope_of_events(query: Query, principal: Principal, catalogue: Catalogue) -> Scope:
    """Whose events the parameters `project` and `scope` ask for, as `/usage/` understands them.

    Without a project: all that the caller sees, or what the key's own project pays for.
    """
    key = query.text("project")
    kind = query.choice("scope", SCOPES) or "own"
    if key is not None:
        node = visible_node(principal, catalogue, key)
    elif kind != "billed":
        return Scope(visible_project_ids(principal))
    elif principal.project_id is not None:
        node = catalogue.project_by_id(principal.project_id)
    else:
        raise Invalid("Name the project that pays.", field="project", code="missing_field")
    if kind == "billed":
        return Scope(payer_id=node.id)
    return Scope(project_ids_below([node.path]) if kind == "tree" else [node.id])
