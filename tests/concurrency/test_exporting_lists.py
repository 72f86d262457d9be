"""A worker that is killed at the file of a list."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.utils import timezone

from metering.admin.list_exports import request_list
from metering.exporting.exports import file_of, run_due_exports
from metering.models import ExportPiece, UsageEvent
from tests.concurrency.rivals import start_process, wait_until
from tests.factories import a_metric, a_project, an_event, recorded

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS = 4000


def test_worker_that_is_killed_leaves_the_same_file_to_the_next() -> None:
    acme, person = a_project("acme"), User.objects.create_superuser("root")
    a_metric()
    recorded(*(an_event(acme, id=f"e-{number}", subject_id="x" * 100) for number in range(EVENTS)))
    model_admin = admin.site._registry[UsageEvent]
    export = request_list(model_admin, "", person)
    process = start_process(
        "import time\n"
        "from metering.exporting import exports\n"
        "exports.PIECE_BYTES = 1\n"
        "exports.run_due_exports(on_progress=lambda export: time.sleep(0.5))"
    )
    wait_until(lambda: ExportPiece.objects.count() >= 2, seconds=60)
    process.kill()
    process.wait()
    export.refresh_from_db()
    assert (export.state, 0 < export.row_count < EVENTS) == ("running", True)

    wait_until(lambda: run_due_exports() == 1, seconds=20)  # the server notices that it is gone
    undisturbed = request_list(model_admin, "", person)
    run_due_exports()

    export.refresh_from_db()
    undisturbed.refresh_from_db()
    assert b"".join(file_of(export, at=timezone.now())) == b"".join(file_of(undisturbed, at=timezone.now()))
    assert (export.row_count, export.attempt_count, undisturbed.attempt_count) == (EVENTS, 2, 1)
