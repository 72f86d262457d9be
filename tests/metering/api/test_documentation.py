"""The schema, the docs, health, and answers outside of all routes."""

import re

import pytest
from django.db import connection
from django.test import Client
from jsonschema import Draft4Validator

from config.openapi.examples import BODIES
from config.problem_kinds import kinds
from tests.factories import an_event
from tests.metering.api.callers import assert_problem
from tests.metering.api.test_tenancy import routes

pytestmark = pytest.mark.django_db


def test_schema_names_every_route_and_method(client):
    answer = client.get("/api/schema/?format=json")

    assert answer.status_code == 200
    documented = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path.removeprefix("/api/v1")))
        for path, methods in answer.json()["paths"].items()
        for method in methods
        if method != "parameters"
    }
    existing = {
        (method, re.sub(r"<[^>]+>", "{}", route)) for route, methods in routes() for method in methods
    }
    assert existing - documented == set()
    assert documented - existing == set()


def test_schema_names_its_security_and_each_operation_once(client):
    schema = client.get("/api/schema/?format=json").json()

    assert {"ApiKey", "StaffSession"} <= set(schema["components"]["securitySchemes"])
    operations = [op["operationId"] for path in schema["paths"].values() for op in path.values()]
    assert len(set(operations)) == len(operations)


@pytest.mark.parametrize("path", ["/api/docs/", "/api/redoc/", "/api/schema/"])
def test_documentation_answers(client, path):
    assert client.get(path).status_code == 200


def test_process_is_alive_and_ready(client):
    assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (200, {"status": "ok"})
    assert client.get("/readyz").json() == {"status": "ok", "database": "ok", "migrations": "ok"}
    assert client.post("/healthz").status_code == 405


def test_missing_migration_is_not_ready(client):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'quotas'")

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nowhere/",
        "/api/v2/usage/",
        "/api/v1/usage/x/",
        "/api/v1/nowhere",
        "/api/<script>",
    ],
)
def test_unknown_route_of_the_api_is_a_problem_document(path):
    answer = Client().get(path)

    assert_problem(answer, 404, "not_found")
    assert "<script>" not in answer.content.decode()


@pytest.mark.parametrize("path", ["/api/", "/api/v1/"])
def test_whoever_asks_without_a_route_is_led_to_the_documentation(path):
    answer = Client().get(path)

    assert answer.status_code == 200
    assert answer.json() == {
        "name": "Meterbook",
        "routes": "http://testserver/api/v1/",
        "documentation": "http://testserver/api/docs/",
        "schema": "http://testserver/api/schema/",
        "authentication": "Authorization: Bearer <key>",
    }


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_route_without_its_slash_is_told_where_it_is(method):
    answer = getattr(Client(), method)("/api/v1/usage-events")

    document = assert_problem(answer, 404, "not_found")
    assert document["detail"] == (
        "There is no such route. There is /api/v1/usage-events/, with a slash at its end."
    )


def test_kind_of_a_problem_is_explained_at_its_address(client):
    refused = client.get("/api/v1/projects/")
    kind = refused.json()["type"]

    assert client.get(kind).json() == {
        "type": kind,
        "title": "Not authenticated",
        "status": 401,
        "meaning": "Authentication credentials were not provided.",
    }
    assert client.get("/problems/quota-exceeded").json()["status"] == 429
    assert client.get("/problems/nothing-of-ours").status_code == 404


def test_every_kind_of_problem_has_a_meaning():
    assert {"conflict", "not-found", "quota-exceeded", "threshold-blocked", "quota-unavailable"} <= set(
        kinds()
    )
    assert [kind for kind, (status, meaning) in kinds().items() if not meaning or status < 400] == []


def test_unknown_page_elsewhere_is_a_page(client):
    answer = client.get("/nowhere")

    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


def test_host_that_is_not_ours_is_refused(client):
    answer = client.get("/api/v1/usage-events/", HTTP_HOST="evil.example")

    assert answer.status_code == 400


def operations(client) -> dict[str, dict]:
    paths = client.get("/api/schema/?format=json").json()["paths"]
    return {each["operationId"]: each for path in paths.values() for each in path.values()}


def test_every_operation_says_what_it_does_and_takes(client):
    found = operations(client)

    assert len(found) > 130
    assert [
        name for name, each in found.items() if not each.get("summary") or not each.get("description")
    ] == []
    assert [
        (name, parameter["name"])
        for name, each in found.items()
        for parameter in each.get("parameters", ())
        if not parameter.get("description")
    ] == []
    assert [
        (name, media_type)
        for name, each in found.items()
        for media_type, body in each.get("requestBody", {}).get("content", {}).items()
        if not body.get("examples")
    ] == []
    assert {parameter["name"] for parameter in found["usage_get"]["parameters"]} >= {"labels", "from", "to"}


def test_every_refusal_is_a_problem_document(client):
    problems = {"$ref": "#/components/schemas/ProblemDocument"}
    limits = {"$ref": "#/components/schemas/LimitProblemDocument"}

    for name, each in operations(client).items():
        answers = each["responses"]
        assert {"401", "403"} <= set(answers), name
        assert {status: answer["content"] for status, answer in answers.items() if status >= "400"} == {
            status: {"application/problem+json": {"schema": limits if status == "429" else problems}}
            for status in answers
            if status >= "400"
        }, name


def as_sent(schema):
    """The schema for requests: what is only read is neither needed nor taken, and nothing else is taken."""
    if isinstance(schema, list):
        return [as_sent(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("nullable") is True:
        return {"anyOf": [{"enum": [None]}, as_sent({**schema, "nullable": False})]}
    kept = {name: as_sent(inner) for name, inner in schema.items()}
    members = schema.get("properties")
    if isinstance(members, dict) and schema.get("type") == "object":
        sent = {name for name, member in members.items() if not member.get("readOnly")}
        kept["properties"] = {name: kept["properties"][name] for name in sent}
        kept["required"] = [name for name in schema.get("required", []) if name in sent]
        kept["additionalProperties"] = kept.get("additionalProperties", False)
    return kept


def test_example_of_each_body_is_what_its_schema_says(client):
    components = {"components": as_sent(client.get("/api/schema/?format=json").json()["components"])}
    found = operations(client)

    assert [
        (name, media_type, error.message)
        for name, each in found.items()
        for media_type, body in each.get("requestBody", {}).get("content", {}).items()
        for example in body["examples"].values()
        for error in Draft4Validator(body["schema"] | components).iter_errors(example["value"])
    ] == []
    assert set(BODIES) <= set(found)


def test_facts_of_a_limit_are_in_the_schema(acme, api, client):
    api.post(
        "/quotas/", {"project": "acme", "metric": "tokens", "limit": "1", "mode": "hard", "period": "month"}
    )
    refusal = api.post("/usage-events/", an_event(acme, quantity="2"))

    document = client.get("/api/schema/?format=json").json()["components"]["schemas"]["LimitProblemDocument"]
    facts = set(document["allOf"][1]["properties"])
    assert refusal.status_code == 429
    assert set(refusal.json()) - facts == {"type", "title", "status", "detail", "code", "errors", "decision"}


def test_documentation_can_be_searched(client):
    assert '"filter": true' in client.get("/api/docs/").content.decode()
