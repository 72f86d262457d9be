import pytest

from metering.models import Project
from tests.factories import a_project


@pytest.fixture
def acme(db: None) -> Project:
    return a_project("acme")
