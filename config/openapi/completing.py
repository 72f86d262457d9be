"""What holds for every operation, said in one place and not at each route: the last step of the schema.

Errors are problem documents, and who isn't known is answered 401; what a limit refuses comes with its facts.
"""

from collections.abc import Iterator
from typing import Any

from .examples import BODIES
from .words import OPERATIONS, PATHS, QUERIES

PROBLEM_JSON = "application/problem+json"
PROBLEM = {"$ref": "#/components/schemas/ProblemDocument"}
REFUSAL = {"$ref": "#/components/schemas/LimitProblemDocument"}
LIMITED = "LimitProblemDocument"

_TEXT = {"type": "string"}
_DECIMAL = {"type": "string", "description": "A decimal."}
_FACTS: dict[str, Any] = {
    "metric": {**_TEXT, "description": "Key of the metric."},
    "project": {**_TEXT, "description": "Key of the project that the limit is of."},
    "limit": {**_DECIMAL, "description": "Of a quota: what may be used."},
    "used": _DECIMAL,
    "held": {**_DECIMAL, "description": "Of a quota: set aside by holds."},
    "requested": {**_DECIMAL, "description": "Of a quota: what was asked for."},
    "remaining": {**_DECIMAL, "description": "Of a quota: what is left."},
    "mode": {"type": "string", "enum": ["hard", "soft", "monitor"]},
    "threshold": {**_DECIMAL, "description": "Of a threshold that blocks: its level."},
    "subject_type": {**_TEXT, "nullable": True},
    "subject_id": {**_TEXT, "nullable": True},
    "period_start": {"type": "string", "format": "date-time", "nullable": True},
    "resets_at": {
        "type": "string",
        "format": "date-time",
        "nullable": True,
        "description": "When counting starts anew; null where it never does.",
    },
}


def completed(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular: the schema with what its routes leave to us."""
    result["components"]["schemas"][LIMITED] = {
        "description": "What a limit refuses: the problem, and the facts that it was decided by.",
        "allOf": [PROBLEM, {"type": "object", "properties": _FACTS}],
    }
    for operation in _operations(result):
        name = operation["operationId"]
        operation.setdefault("description", OPERATIONS.get(name, ""))
        for parameter in operation.get("parameters", ()):
            if not parameter.get("description"):
                words = PATHS if parameter["in"] == "path" else QUERIES
                parameter["description"] = words.get(parameter["name"], "")
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is not None and name in BODIES and "examples" not in body:
            body["examples"] = {"Example": {"value": BODIES[name]}}
        _with_problems(operation)
    return result


def _operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in schema["paths"].values():
        yield from (operation for method, operation in path.items() if method != "parameters")


def _with_problems(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.setdefault(
        "401", {"description": "No key, or one that isn't known, has expired or was revoked."}
    )
    responses.setdefault("403", {"description": "The permission for this is missing."})
    for status, response in responses.items():
        if status >= "400":
            schema = REFUSAL if status == "429" else PROBLEM
            response["content"] = {PROBLEM_JSON: {"schema": schema}}
    operation["responses"] = dict(sorted(responses.items()))
