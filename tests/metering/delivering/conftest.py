from typing import Any

import pytest

from metering.delivering import posting
from metering.models import Project
from tests.factories import a_project


@pytest.fixture
def acme(db: None) -> Project:
    return a_project("acme")


@pytest.fixture
def local_receivers(settings: Any) -> None:
    """As in development: receivers on this machine, without TLS."""
    settings.WEBHOOK_ALLOW_HTTP = True
    settings.WEBHOOK_ALLOW_LOOPBACK = True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a post within less than a second."""
    monkeypatch.setattr(posting, "TOTAL_SECONDS", 0.7)
