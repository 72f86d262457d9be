import pytest

from metering.models import Project
from tests.factories import a_metric, a_project
from tests.metering.api.callers import Caller


@pytest.fixture
def acme() -> Project:
    """An organisation with two projects below it, and a global metric that sums."""
    acme = a_project("acme", parent=a_project("tenant"))
    a_project("chat", parent=acme)
    a_project("search", parent=acme)
    a_metric("tokens")
    return acme


@pytest.fixture
def api(acme: Project) -> Caller:
    """The holder of a key of acme that may do everything."""
    return Caller(acme)
