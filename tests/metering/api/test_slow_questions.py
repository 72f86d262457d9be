"""Questions about usage that take too long are given up with a problem document, and nothing else suffers."""

from typing import Any

import pytest
from django.db import connection

from .callers import PROBLEM_JSON, Caller

pytestmark = pytest.mark.django_db


def slow(*_args: Any, **_options: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(20)")


@pytest.fixture(autouse=True)
def _impatient(settings: Any) -> None:
    settings.USAGE_READ_TIMEOUT = 0.05


@pytest.mark.parametrize(
    ("path", "question"), [("/usage/", "usage_in"), ("/usage-summaries/", "summaries_page")]
)
def test_a_question_that_takes_too_long_is_told_what_to_do(
    api: Caller,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    question: str,
) -> None:
    monkeypatch.setattr(f"metering.api.usage.{question}", slow)

    response = api.get(f"{path}?metric=tokens")

    assert (response.status_code, response["Content-Type"]) == (503, PROBLEM_JSON)
    assert response.json()["code"] == "usage_too_slow"
    assert "shorter interval" in response.json()["detail"]
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)
