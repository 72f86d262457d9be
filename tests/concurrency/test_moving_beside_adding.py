"""A project is added below another that moves at the same moment."""

import threading

import pytest
from django.db import transaction

from metering.attributing.scope_tree import create_project, move_project
from metering.models import Project
from tests.concurrency.rivals import PATIENCE_SECONDS, Rival
from tests.factories import a_project

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_project_added_below_a_moving_one_lies_below_it_afterwards() -> None:
    tenant, other = a_project("tenant"), a_project("other")
    moving = a_project("moving", parent=tenant)
    inner = a_project("inner", parent=moving)
    has_added, may_commit = threading.Event(), threading.Event()

    def add() -> None:
        with transaction.atomic():
            create_project(key="child", name="Child", parent=inner)
            has_added.set()
            assert may_commit.wait(PATIENCE_SECONDS)

    adder = Rival(add)
    assert has_added.wait(PATIENCE_SECONDS)
    mover = Rival(lambda: move_project(moving, parent=other))
    waited = mover.is_still_waiting_after(1)
    may_commit.set()
    adder.join()
    mover.join()

    inner.refresh_from_db()
    child = Project.objects.get(key="child")
    assert child.path == f"{inner.path}{child.pk}/"
    assert inner.path.startswith(other.path)
    assert waited
