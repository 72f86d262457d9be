"""A client of the API that holds one key."""

import json

from django.test import Client

from metering.keys import create_api_key
from metering.models import Project

ALL = ("ingest", "read", "manage", "backfill")


class Caller:
    def __init__(self, project: Project, *permissions: str) -> None:
        _, key = create_api_key(project=project, name="test", permissions=permissions or ALL)
        self._client = Client(headers={"authorization": f"Bearer {key}"})

    def __call__(self, method: str, path: str, body: object = None):
        if body is None:
            return self._client.generic(method, f"/api/v1{path}")
        return self._client.generic(
            method, f"/api/v1{path}", json.dumps(body), content_type="application/json"
        )
