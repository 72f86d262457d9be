"""Sending the mails that were promised. The database is the queue, and any number of senders may run.

A mail is leased (its next attempt is put off), handed to the mail server recipient by recipient, and each who
has it is noted at once. Mark-then-send would lose mails; this repeats at most the one recipient that a killed
sender was at, with the Message-ID by which mailboxes and people can tell.
"""

import logging
import random
import smtplib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import F, Func, Value
from django.db.models.functions import Now

from metering.clock import database_now
from metering.errors import Conflict
from metering.models import Heartbeat, MailAttachment, OutgoingMail

from .patience import MAX_ATTEMPTS, wait_after

HEARTBEAT = "send_mail"
LEASE_SECONDS = 300  # well above what the mail server may take for all recipients: each has EMAIL_TIMEOUT
ERROR_MAX_LENGTH = 1000

Status = OutgoingMail.Status

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mails:
    """What a run did, in mails."""

    sent_count: int
    failed_count: int  # attempts after which somebody is still without
    seconds: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a recipient doesn't have the mail yet. `is_final`: and never will unless somebody acts."""

    recipient: str
    reason: str
    is_final: bool


class _Unreachable(Exception):
    """The mail server isn't there, or stopped answering; nobody else's mail would fare better now."""


def send_due(*, patience_seconds: float = 50.0, on_progress: Callable[[int], None] | None = None) -> Mails:
    """Send what is due, for a while. A mail server that can't be reached ends the run."""
    started = time.monotonic()
    sent_count = failed_count = 0
    backend: BaseEmailBackend | None = None
    try:
        while time.monotonic() - started < patience_seconds:
            mail = lease_next()
            if mail is None:
                break
            try:
                if backend is None:
                    backend = _opened()
                troubles = hand_over(mail, backend)
            except _Unreachable as error:
                note_failure(mail, [Trouble("", str(error), is_final=False)])
                failed_count += 1
                break
            if troubles:
                note_failure(mail, troubles)
                failed_count += 1
            else:
                note_sent(mail)
                sent_count += 1
            if on_progress:
                on_progress(sent_count + failed_count)
    finally:
        if backend is not None:
            backend.close()
    mails = Mails(sent_count, failed_count, time.monotonic() - started)
    Heartbeat.objects.update_or_create(
        job=HEARTBEAT,
        defaults={"finished_at": database_now(), "facts": {"sent": sent_count, "failed": failed_count}},
    )
    return mails


def lease_next() -> OutgoingMail | None:
    """Take the next due mail for `LEASE_SECONDS`; None: nothing is due. Index: mail_due.

    Those that so many senders died of are given up.
    """
    while (due := _next_due()) is not None:
        if due.status == Status.PENDING:
            return due
    return None


def _next_due() -> OutgoingMail | None:
    """The next mail: pending and leased, or failed because it was given up."""
    with transaction.atomic():
        due = (
            OutgoingMail.objects.select_for_update(skip_locked=True)
            .filter(status=Status.PENDING, next_attempt_at__lte=Now())
            .order_by("next_attempt_at", "id")
            .first()
        )
        if due is None:
            return None
        row = OutgoingMail.objects.filter(pk=due.pk)
        due.attempt_count += 1
        if due.attempt_count - due.earlier_attempt_count > MAX_ATTEMPTS:
            due.status = Status.FAILED
            row.update(status=due.status, error=due.error or "Given up: its last sender was interrupted.")
        else:
            row.update(
                attempt_count=due.attempt_count, next_attempt_at=Now() + timedelta(seconds=LEASE_SECONDS)
            )
    return due


def hand_over(mail: OutgoingMail, backend: BaseEmailBackend) -> list[Trouble]:
    """Give the mail to the server for each who doesn't have it yet, and note each at once.

    One by one, because a server may take it for some and refuse others. Returns those who are left without.
    """
    attachments = list(mail.attachments.all())
    troubles = []
    for recipient in mail.open_recipients:
        if not _is_address(recipient):
            troubles.append(Trouble(recipient, "This is no e-mail address.", is_final=True))
            continue
        try:
            message_of(mail, recipient, backend=backend, attachments=attachments).send()
        except smtplib.SMTPServerDisconnected as error:
            raise _Unreachable(f"{recipient}: the mail server hung up ({error}).") from error
        except smtplib.SMTPRecipientsRefused as error:
            code, reply = next(iter(error.recipients.values()))
            troubles.append(_refused(recipient, code, reply))
        except smtplib.SMTPResponseException as error:
            troubles.append(_refused(recipient, error.smtp_code, error.smtp_error))
        except OSError as error:
            raise _Unreachable(f"{recipient}: {_in_words(error)}") from error
        except (
            smtplib.SMTPException,
            ValueError,
        ) as error:  # what the server can't do, what no header may hold
            troubles.append(Trouble(recipient, str(error), is_final=True))
        else:
            _note_recipient(mail, recipient)
    return troubles


def message_of(
    mail: OutgoingMail,
    recipient: str,
    *,
    backend: BaseEmailBackend,
    attachments: Sequence[MailAttachment] = (),
) -> EmailMultiAlternatives:
    """The message for one of its recipients; all of them stand in it, and all get the same Message-ID."""
    message = EmailMultiAlternatives(
        subject=mail.subject,
        body=mail.text,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[recipient],
        headers={
            "To": ", ".join(one for one in mail.recipients if _is_address(one)),
            "Message-ID": mail.message_id,
            "Date": format_datetime(mail.created_at),
            "Auto-Submitted": "auto-generated",
        },
        connection=backend,
    )
    if mail.html:
        message.attach_alternative(mail.html, "text/html")
    for attachment in attachments:
        message.attach(attachment.file_name, bytes(attachment.content), attachment.content_type)
    return message


def note_sent(mail: OutgoingMail) -> None:
    OutgoingMail.objects.filter(pk=mail.pk, status=Status.PENDING).update(
        status=Status.SENT, sent_at=Now(), error=""
    )


def note_failure(mail: OutgoingMail, troubles: Sequence[Trouble]) -> None:
    """Put the mail off, or give it up where trying again is no use. A later attempt's result stands."""
    error = " ".join(f"{one.recipient}: {one.reason}" if one.recipient else one.reason for one in troubles)
    tried_count = mail.attempt_count - mail.earlier_attempt_count
    ours = OutgoingMail.objects.filter(pk=mail.pk, status=Status.PENDING, attempt_count=mail.attempt_count)
    if all(one.is_final for one in troubles) or tried_count >= MAX_ATTEMPTS:
        ours.update(status=Status.FAILED, error=error[:ERROR_MAX_LENGTH])
        logger.warning("Mail %d is given up: %s", mail.pk, error)
    else:
        seconds = wait_after(tried_count, chance=random.random())  # noqa: S311 (jitter)
        ours.update(next_attempt_at=Now() + timedelta(seconds=seconds), error=error[:ERROR_MAX_LENGTH])


def resend_mail(mail: OutgoingMail) -> None:
    """Try again now, with new patience, for those who don't have it. Raises `Conflict` once all do."""
    is_open = OutgoingMail.objects.filter(pk=mail.pk).exclude(status=Status.SENT)
    if not is_open.update(
        status=Status.PENDING, next_attempt_at=Now(), earlier_attempt_count=F("attempt_count"), error=""
    ):
        raise Conflict("Everybody has this mail already.")


def _opened() -> BaseEmailBackend:
    """A connection to the mail server. Whatever stops it there is no fault of a mail."""
    backend = get_connection()
    try:
        backend.open()
    except (smtplib.SMTPException, OSError) as error:
        raise _Unreachable(f"The mail server can't be used: {_in_words(error)}") from error
    return backend


def _note_recipient(mail: OutgoingMail, recipient: str) -> None:
    """Appended by the database: a rival whose lease ran out may have noted others. Prolongs the lease."""
    mail.sent_to = [*mail.sent_to, recipient]
    OutgoingMail.objects.filter(pk=mail.pk).exclude(sent_to__contains=[recipient]).update(
        sent_to=Func("sent_to", Value(recipient), function="array_append")
    )
    OutgoingMail.objects.filter(pk=mail.pk, status=Status.PENDING, attempt_count=mail.attempt_count).update(
        next_attempt_at=Now() + timedelta(seconds=LEASE_SECONDS)
    )


def _is_address(recipient: str) -> bool:
    try:
        validate_email(recipient)
    except ValidationError:
        return False
    return True


def _refused(recipient: str, code: int, reply: bytes | str) -> Trouble:
    """4xx is for later, anything else (5xx) for good."""
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)
    return Trouble(recipient, f"{code} {text}".replace("\x00", ""), is_final=not 400 <= code < 500)


def _in_words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {settings.EMAIL_TIMEOUT} seconds."
    return f"{error or type(error).__name__}."
