"""What browsers are told: scripts from here only, and only those that this answer knows."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

TEMPLATES = sorted((settings.BASE_DIR / "templates").rglob("*.html"))


@pytest.fixture
def policy(client: Client, db: None) -> dict[str, str]:
    client.force_login(User.objects.create_user("kim", is_staff=True, is_superuser=True))
    header = client.get("/admin/account/")["Content-Security-Policy"]
    return dict(part.strip().split(" ", 1) for part in header.split(";"))


def test_pages_run_no_script_from_elsewhere(policy: dict[str, str]) -> None:
    assert policy["default-src"] == "'self'"
    assert "unsafe-inline" not in policy["script-src"]
    assert "http" not in policy["script-src"]
    assert policy["frame-ancestors"] == "'none'"


def test_each_answer_has_its_own_nonce(client: Client, db: None) -> None:
    first, second = (client.get("/admin/login/")["Content-Security-Policy"] for _ in range(2))

    assert re.search(r"'nonce-([\w-]{22})'", first)
    assert first != second


def test_answers_of_the_api_are_data(client: Client, db: None) -> None:
    answer = client.get("/api/v1/metrics/")

    assert answer["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer["Referrer-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]


@pytest.mark.parametrize("path", ["/api/docs/", "/api/redoc/"])
def test_documentation_may_run_its_own_script(client: Client, db: None, path: str) -> None:
    assert "script-src 'self' 'unsafe-inline'" in client.get(path)["Content-Security-Policy"]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(settings.BASE_DIR)))
def test_scripts_in_templates_carry_the_nonce(template: Path) -> None:
    text = template.read_text()

    scripts = re.findall(r"<script\b[^>]*>", text)

    assert [
        tag for tag in scripts if "src=" not in tag and "csp_nonce" not in tag and "json" not in tag
    ] == []
    assert re.findall(r"\son(?:change|click|submit|input|load)=", text) == []
