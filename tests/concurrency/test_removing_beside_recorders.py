"""A project is removed while somebody records into it, or adds to it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from metering.attributing import scope_tree
from metering.attributing.scope_tree import create_project, install_surface, remove_project
from metering.errors import Conflict, EventsRejected, NotFound
from metering.keys import create_api_key
from metering.models import ApiKey, Project, UsageEvent
from tests.concurrency.rivals import Held, Rival, race
from tests.factories import a_metric, a_project, an_event, recorded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mistake() -> Project:
    a_metric()
    return a_project("mistake", parent=a_project("tenant"))


def record() -> Any:
    return recorded(an_event("mistake", quantity=1))[0].outcome


def attempt(job: Callable[[], Any]) -> Any:
    try:
        return job()
    except Exception as error:
        return type(error)


def test_removing_waits_for_a_recorder_and_is_refused_by_what_it_wrote(mistake: Project) -> None:
    with Held(record) as recorder:
        remover = Rival(lambda: remove_project(mistake))
        waited = remover.is_still_waiting_after(1)
        recorder.commit()

    assert waited
    assert isinstance(remover.error, Conflict)
    assert (
        str(remover.error) == "'mistake' can't be removed: it still has usage (its own or what it pays for)."
    )
    assert UsageEvent.objects.get().project_id == mistake.pk


def test_recorder_that_waited_for_the_removal_finds_no_project(mistake: Project) -> None:
    before = recorded(an_event("tenant", quantity=1))  # this process knows the project from now on
    with Held(lambda: remove_project(mistake)) as remover:
        recorder = Rival(record)
        waited = recorder.is_still_waiting_after(0.5)
        remover.commit()

    assert before[0].outcome == "created"
    assert waited
    assert isinstance(recorder.error, EventsRejected)
    assert [error.code for error in recorder.error.errors] == ["unknown_project"]
    assert not Project.objects.filter(key="mistake").exists()


def test_one_of_recording_and_removing_wins_whatever_the_order(mistake: Project) -> None:
    for number in range(10):
        project = mistake if number == 0 else a_project("mistake", parent=mistake.parent)
        result = race(
            lambda: attempt(record), lambda project=project: attempt(lambda: remove_project(project))
        )

        is_there = Project.objects.filter(key="mistake").exists()
        assert result == (["created", Conflict] if is_there else [EventsRejected, None])
        if is_there:
            break


def test_without_the_lock_the_recorder_would_fail_at_its_commit(
    mistake: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the foreign key alone keeps the ledger sound, but the producer gets a crash."""
    monkeypatch.setattr(scope_tree, "no_recorder_running", transaction.atomic)
    with Held(record) as recorder:
        remover = Rival(lambda: remove_project(mistake))
        remover.join()
        with pytest.raises(IntegrityError):
            recorder.commit()

    assert remover.error is None
    assert not UsageEvent.objects.exists()


def test_project_added_below_one_that_is_being_removed_is_not_found(mistake: Project) -> None:
    with Held(lambda: remove_project(mistake)) as remover:
        adder = Rival(lambda: create_project(key="child", name="Child", parent=mistake))
        installer = Rival(lambda: install_surface(project=mistake, key="bot", name="Bot"))
        waited = adder.is_still_waiting_after(0.5)
        remover.commit()

    assert waited
    assert isinstance(adder.error, NotFound)
    assert isinstance(installer.error, NotFound)


def test_key_made_for_a_project_that_is_being_removed_is_refused(mistake: Project) -> None:
    with Held(lambda: remove_project(mistake)) as remover:
        maker = Rival(lambda: create_api_key(project=mistake, name="late", permissions=["read"]))
        waited = maker.is_still_waiting_after(0.5)
        remover.commit()

    assert waited
    assert isinstance(maker.error, IntegrityError)
    assert not ApiKey.objects.exists()
