"""The projects, payers and metrics of the demo. Everything is added where it is missing, nothing changed."""

from typing import Any

from metering.attributing.scope_tree import attribute, create_project
from metering.defining.definitions import define_metric
from metering.models import AttributionRule, MetricDefinition, Project

from . import azure_input, traffic

TENANT = "platform"
# organisation key: (name, whether it pays for its projects, its projects)
ORGANISATIONS: dict[str, tuple[str, bool, dict[str, str]]] = {
    "alder": (
        "Alder",
        True,
        {
            "alder-chat": "Alder Chat",
            "alder-search": "Alder Search",
            "alder-support": "Alder Support Desk",
        },
    ),
    "birch": (
        "Birch",
        False,
        {"birch-assistant": "Birch Assistant", "birch-notes": "Birch Meeting Notes"},
    ),
}
_INT = MetricDefinition.DataType.INT
_GAUGE = MetricDefinition.MeterType.GAUGE
LLM_METRICS: dict[str, dict[str, Any]] = {
    "llm_requests": {
        "display_name": "LLM requests",
        "description": "Requests answered by a language model.",
        "unit": "request",
        "aggregation": "COUNT",
    },
    "prompt_tokens": {
        "display_name": "Prompt tokens",
        "description": "Tokens that were sent to a language model.",
        "unit": "token",
        "aggregation": "SUM",
        "value_property": "prompt_tokens",
    },
    "generated_tokens": {
        "display_name": "Generated tokens",
        "description": "Tokens that a language model wrote.",
        "unit": "token",
        "aggregation": "SUM",
        "value_property": "generated_tokens",
    },
}
_OF_LLM_REQUESTS = {
    "event_name": azure_input.EVENT_NAME,
    "data_type": _INT,
    "primary_labels": ["model", "region"],
}
_OF_API_REQUESTS = {
    "event_name": traffic.API_REQUEST,
    "data_type": _INT,
    "primary_labels": ["endpoint"],
}
SIMULATED_METRICS: dict[str, dict[str, Any]] = {
    "api_calls": {
        **_OF_API_REQUESTS,
        "display_name": "API calls",
        "description": "Calls of the simulated applications' interfaces.",
        "unit": "call",
        "aggregation": "COUNT",
    },
    "egress_bytes": {
        **_OF_API_REQUESTS,
        "display_name": "Egress",
        "description": "Bytes sent in answers.",
        "unit": "byte",
        "aggregation": "SUM",
        "value_property": "bytes",
    },
    "response_ms": {
        **_OF_API_REQUESTS,
        "display_name": "Response time",
        "description": "Milliseconds until a call was answered, on average.",
        "unit": "ms",
        "aggregation": "AVG",
        "meter_type": _GAUGE,
        "value_property": "response_ms",
    },
    "active_seats": {
        "event_name": traffic.SEATS_READING,
        "display_name": "Active seats",
        "description": "The most people signed in at once.",
        "unit": "seat",
        "data_type": _INT,
        "aggregation": "MAX",
        "meter_type": _GAUGE,
    },
    "stored_gb": {
        "event_name": traffic.STORAGE_READING,
        "display_name": "Stored data",
        "description": "Gigabytes stored, as last read.",
        "unit": "GB",
        "aggregation": "LATEST",
        "meter_type": _GAUGE,
    },
}


def ensure_demo_tree() -> Project:
    """The tenant, with two organisations, their projects and payers, and the metrics of LLM requests."""
    tenant = _ensure_tenant()
    for key, (name, pays, projects) in ORGANISATIONS.items():
        organisation = _ensure_project(key, name, kind=Project.Kind.ORGANISATION, parent=tenant)
        for project_key, project_name in projects.items():
            project = _ensure_project(project_key, project_name, parent=organisation)
            if pays and not AttributionRule.objects.filter(project=project, surface=None).exists():
                attribute(project, payer=organisation)
    for key, fields in LLM_METRICS.items():
        _ensure_metric(key, tenant, {**_OF_LLM_REQUESTS, **fields})
    return tenant


def ensure_simulated_projects() -> None:
    """Two projects directly under the tenant, and the metrics of their traffic."""
    tenant = _ensure_tenant()
    for profile in traffic.PROFILES:
        _ensure_project(profile.project, profile.name, parent=tenant)
    for key, fields in SIMULATED_METRICS.items():
        _ensure_metric(key, tenant, fields)


def _ensure_tenant() -> Project:
    return _ensure_project(TENANT, "Example Platform", kind=Project.Kind.TENANT)


def _ensure_project(
    key: str, name: str, *, kind: str = Project.Kind.PROJECT, parent: Project | None = None
) -> Project:
    found = Project.objects.filter(key=key).first()
    return found or create_project(key=key, name=name, kind=kind, parent=parent)


def _ensure_metric(key: str, owner: Project, fields: dict[str, Any]) -> None:
    if not MetricDefinition.objects.filter(project=owner, key=key).exists():
        define_metric(key=key, project=owner, **fields)
