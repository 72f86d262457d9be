"""Whoever calls the API in a test: the holder of a key, or a member of staff."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.test import Client
from django.test.client import ClientHandler

from config.short_way import ShortWay
from metering.keys import create_api_key
from metering.models import PendingContribution, Project, UsageEvent

ALL = ("ingest", "read", "manage", "backfill")
PROBLEM_JSON = "application/problem+json"


class ShortWayHandler(ShortWay, ClientHandler):
    """The test client's, by the way that requests with a key take through a web process."""


class Caller:
    """A client of /api/v1/ that holds one key. A crash is an answer of 500, as it is on a server."""

    def __init__(self, project: Project, *permissions: str, key: str | None = None) -> None:
        self.row = None
        if key is None:
            self.row, key = create_api_key(project=project, name="test", permissions=permissions or ALL)
        self.key = key
        self._client = Client(headers={"authorization": f"Bearer {key}"}, raise_request_exception=False)
        self._client.handler = ShortWayHandler(enforce_csrf_checks=False)

    def get(self, path: str, **options: Any) -> Any:
        return self("GET", path, **options)

    def post(self, path: str, body: object, **options: Any) -> Any:
        return self("POST", path, body, **options)

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        **options: Any,
    ) -> Any:
        """`body` is sent as it is where it is text or bytes, else as JSON."""
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        if body is None:
            data, content_type = "", ""
        elif not data:
            options["CONTENT_TYPE"] = content_type  # which the client leaves out beside an empty body
        return self._client.generic(
            method, f"/api/v1{path}", data, content_type=content_type, query_params=query, **options
        )


def a_member_of_staff(*rights: str, is_staff: bool = True) -> User:
    """Somebody who signs in; `rights` are codenames of the metering app."""
    user = User.objects.create_user("ada", is_staff=is_staff)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    return user


def fields_of(answer: Any) -> list[tuple[str, str | None]]:
    """(code, field) of each error in a problem document, which the answer must be."""
    assert answer["Content-Type"] == PROBLEM_JSON
    return [(error["code"], error["field"]) for error in answer.json()["errors"]]


def assert_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The answer is a problem document of that status and code. Returns the document."""
    assert (answer.status_code, answer["Content-Type"]) == (status, PROBLEM_JSON), answer.content[:500]
    document: dict[str, Any] = answer.json()
    assert (document["status"], document["code"]) == (status, code), document
    assert document["type"] == f"/problems/{code.replace('_', '-')}"
    assert document["title"]
    assert document["detail"]
    return document


@contextmanager
def nothing_stays() -> Iterator[None]:
    """What happens within is rolled back, a failure of the database included."""
    with transaction.atomic():
        try:
            yield
        finally:
            transaction.set_rollback(True)


def row_counts() -> tuple[int, int]:
    """How many rows the ledger and the pending contributions hold."""
    return UsageEvent.objects.count(), PendingContribution.objects.count()
