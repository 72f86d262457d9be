"""The schema, the docs, health, and answers outside of all routes."""

import re

import pytest
from django.db import connection
from django.test import Client

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
        "/api/",
        "/api/v1/",
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


def test_unknown_page_elsewhere_is_a_page(client):
    answer = client.get("/nowhere")

    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


def test_host_that_is_not_ours_is_refused(client):
    answer = client.get("/api/v1/usage-events/", HTTP_HOST="evil.example")

    assert answer.status_code == 400
