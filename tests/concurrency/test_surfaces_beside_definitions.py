"""Installing a surface records usage: it takes the recording lock first, or it could deadlock."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import OperationalError

from metering.attributing import scope_tree
from metering.attributing.scope_tree import install_surface
from metering.catalogue import move_version
from metering.defining.definitions import draft_of, put_in_force
from metering.defining.ready_made import add_ready_made
from metering.locks import no_recorder_running
from metering.models import SurfaceInstallation
from tests.concurrency.rivals import Rival, backends_waiting_for_a_lock, wait_until
from tests.factories import a_project, ledger_rows, total_of

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def an_installation_during_a_change() -> Iterator[Rival]:
    acme = a_project("acme")
    add_ready_made(["surface-installations"])
    with no_recorder_running():
        put_in_force(draft_of(key="new"))
        rival = Rival(lambda: install_surface(project=acme, key="bot", name="Bot"))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        move_version()
    yield rival


def test_surface_waits_for_a_change_and_is_recorded_after_it() -> None:
    with an_installation_during_a_change() as rival:
        surface = rival.result

    assert ledger_rows("event_id") == [(f"surface:{surface.pk}",)]
    assert total_of("surface-installations") == 1


def test_without_the_lock_first_the_two_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control."""
    monkeypatch.setattr(scope_tree, "hold_recording", lambda: None)

    with pytest.raises(OperationalError) as caught, an_installation_during_a_change() as rival:
        _ = rival.result

    assert "deadlock detected" in str(caught.value)
    assert SurfaceInstallation.objects.count() <= 1
