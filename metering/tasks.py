"""Celery's side of the recurring jobs. No payload: each drains what the database holds, and may run twice."""

from contextlib import suppress
from typing import Any

from celery import shared_task
from kombu.exceptions import OperationalError as BrokerError

from .answering import fences
from .delivering import delivering, mailing, retention
from .errors import Conflict
from .exporting import exports
from .importing import event_uploads
from .locks import MAIL_LOCK, WEBHOOK_LOCK, alone_at
from .rolling_up import rebuild_requests, rollups
from .sealing import seal_mail, seals
from .verifying import verification

# A large metric outlasts the usual limit; still under the broker's visibility timeout.
REBUILDING_SECONDS = 840
# A step of a verification reads the whole ledger and can't be put down half-way. A message that is delivered
# again meanwhile finds nothing to do.
VERIFYING_LIMIT_SECONDS = 6 * 3600
# A tick that counts the history of a metric; others go on meanwhile.
COUNTING_HISTORY_LIMIT_SECONDS = 6 * 3600
# A file of a large ledger is read in one snapshot, hence in one go. A message that is delivered again finds
# nothing to do.
EXPORTING_LIMIT_SECONDS = 6 * 3600
SEALING_SECONDS = 120.0  # under the hard time limit with room for the segment that is under way


@shared_task(name="metering.roll_up", time_limit=COUNTING_HISTORY_LIMIT_SECONDS)
def roll_up() -> None:
    """Twin of `manage.py roll_up`."""
    rollups.roll_up()
    if delivering.endpoints_with_due():
        _wake(deliver_webhooks)


@shared_task(name="metering.rebuild_rollups", time_limit=REBUILDING_SECONDS)
def rebuild_rollups() -> None:
    """Do the rebuilds that staff asked for."""
    rebuild_requests.rebuild_requested()


@shared_task(name="metering.raise_fence")
def raise_fence() -> None:
    """Store a fence, for reads at a position."""
    fences.raise_fence()


@shared_task(name="metering.seal_ledger")
def seal_ledger() -> None:
    """Twin of `manage.py seal_ledger`; leaves what it doesn't manage in time to the next run."""
    seals.seal_ledger(patience_seconds=SEALING_SECONDS)


@shared_task(name="metering.mail_sealed_head")
def mail_sealed_head() -> None:
    """Once a day; runs more often, so that a mail server's bad hour doesn't cost the day."""
    seal_mail.mail_sealed_head()


@shared_task(name="metering.import_files")
def import_files() -> None:
    """Import uploaded files for a while; what is left is taken up by another worker, or by the next sweep."""
    if event_uploads.import_due_files():
        import_files.delay()


@shared_task(name="metering.remove_old_uploads")
def remove_old_uploads() -> None:
    """Drop uploaded files that nobody started or retried."""
    event_uploads.remove_old_uploads()


@shared_task(name="metering.run_exports", time_limit=EXPORTING_LIMIT_SECONDS)
def run_exports() -> None:
    """Twin of `manage.py run_exports`."""
    exports.run_due_exports()


@shared_task(name="metering.remove_old_exports")
def remove_old_exports() -> None:
    """Drop exports that were kept for EXPORT_KEPT_DAYS, with their files."""
    exports.remove_old_exports()


@shared_task(name="metering.deliver_webhooks")
def deliver_webhooks() -> None:
    """Twin of `manage.py deliver_webhooks`. One at a time: receivers that hang must not take every worker."""
    with alone_at(WEBHOOK_LOCK) as is_alone:
        if is_alone:
            delivering.deliver_due()


@shared_task(name="metering.send_mail")
def send_mail() -> None:
    """Twin of `manage.py send_mail`. One at a time, as with webhooks."""
    with alone_at(MAIL_LOCK) as is_alone:
        if is_alone:
            mailing.send_due()


@shared_task(name="metering.remove_old_events")
def remove_old_events() -> None:
    """Drop domain events that everybody was told of long ago."""
    retention.remove_old_events()


@shared_task(name="metering.verify_everything")
def verify_everything() -> None:
    """The nightly verification: asks for one and begins with it. One that is under way already will do."""
    with suppress(Conflict):
        verification.request_verification(trigger=verification.Trigger.SCHEDULE)
    go_on_verifying.delay()


@shared_task(name="metering.go_on_verifying", time_limit=VERIFYING_LIMIT_SECONDS)
def go_on_verifying() -> None:
    """Work on the verification that waits, for a while; what is left is taken up again by whoever is free."""
    if verification.verify_requested():
        go_on_verifying.delay()


def _wake(task: Any) -> None:
    """Ask a worker to look now; should the message get lost, the next sweep is a few seconds away."""
    with suppress(BrokerError, OSError):
        task.apply_async(retry=False)
