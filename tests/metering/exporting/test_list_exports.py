"""Lists as files in the background: the same rows, with the rights of who asked."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.utils import timezone

from metering.admin.list_exports import request_list
from metering.admin.list_files import whole_list
from metering.errors import Invalid, Refused
from metering.exporting.exports import file_of, run_due_exports
from metering.models import Export, Project, UsageEvent
from tests.factories import a_metric, a_project, an_event, recorded

# The file is written on a connection of its own, which sees what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def acme() -> Project:
    acme = a_project("acme")
    a_metric()
    recorded(*(an_event(acme, id=f"e-{number}", quantity=number) for number in range(1, 6)))
    return acme


@pytest.fixture
def clerk() -> User:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["export_data", "view_usageevent"]))
    return clerk


def list_admin(model: type[Model]) -> Any:
    return admin.site._registry[model]


def asked(person: User, query: str = "") -> Export:
    return request_list(list_admin(UsageEvent), query, person)


def content_of(export: Export) -> str:
    export.refresh_from_db()
    return b"".join(file_of(export, at=timezone.now())).decode()


def failure_of(export: Export) -> tuple[str, str]:
    export.refresh_from_db()
    return export.state, export.failure


@pytest.mark.parametrize("query", ["", "occurred_at_from=2024-05-01&q=e-3", "cancellation=voided"])
def test_file_is_what_the_direct_download_gives(clerk: User, query: str) -> None:
    export = asked(clerk, query)

    assert run_due_exports() == 1

    found = whole_list(list_admin(UsageEvent), query, User.objects.get(pk=clerk.pk))
    direct = b"".join(block.data for block in found.blocks()).decode()
    assert content_of(export) == direct
    assert (export.state, export.row_count) == ("finished", direct.count("\n") - 1)
    assert export.expected_count is not None


@pytest.mark.parametrize("codename", ["export_data", "view_usageevent"])
def test_right_that_was_withdrawn_meanwhile_fails_it(clerk: User, codename: str) -> None:
    export = asked(clerk)
    clerk.user_permissions.remove(Permission.objects.get(codename=codename))

    run_due_exports()

    assert failure_of(export) == ("failed", "clerk may not see “usage events”, or may not export.")


def test_account_that_was_closed_meanwhile_fails_it(clerk: User) -> None:
    export, gone = asked(clerk), asked(User.objects.create_superuser("gone"))
    User.objects.filter(pk=clerk.pk).update(is_active=False)
    User.objects.filter(username="gone").delete()

    run_due_exports()

    assert failure_of(export)[1] == "clerk may not see “usage events”, or may not export."
    assert failure_of(gone)[1] == "Who asked for it has no account any more."


def test_list_that_is_no_more_fails_it(clerk: User) -> None:
    export = asked(clerk)
    Export.objects.update(kind="list:metering.nothing")

    run_due_exports()

    assert failure_of(export) == ("failed", "There is no list 'metering.nothing'.")


def test_nobody_asks_for_what_they_may_not_see(clerk: User) -> None:
    with pytest.raises(Refused):
        request_list(list_admin(Project), "", clerk)
    with pytest.raises(Invalid):
        asked(clerk, "unknown=1")

    assert not Export.objects.exists()
