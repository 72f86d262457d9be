"""Promising a mail: a row in the transaction that causes it. `mailing.py` keeps the promise."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction

from metering.models import MAIL_KEY_MAX_LENGTH, SUBJECT_MAX_LENGTH, MailAttachment, OutgoingMail

# A header is one line. Whatever would end it, or hides in it, is a blank.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\s]+")
_NUL = "\x00"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a mail."""

    file_name: str
    content_type: str
    content: bytes


def post_mail(
    *,
    recipients: Sequence[str],
    subject: str,
    text: str,
    html: str | None,
    key: str,
    project_id: int | None = None,
    attachments: Sequence[Attachment] = (),
) -> int:
    """Promise a mail, committed with the surrounding transaction. Returns the id of the `OutgoingMail`.

    `key` says what the mail is about and is taken once: a second call changes nothing and returns the id of
    the first. It is sent at least once to each recipient, always with the same Message-ID. Whatever stands in
    subject or names, a header stays one line. An address that is none doesn't fail the caller: it is reported
    with the mail. Raises `ValueError` for no recipients and for a key that is empty or too long.
    """
    if not recipients:
        raise ValueError("A mail needs a recipient.")
    if not 0 < len(key) <= MAIL_KEY_MAX_LENGTH:
        raise ValueError(f"The key of a mail has 1 to {MAIL_KEY_MAX_LENGTH} characters.")
    mail = OutgoingMail(
        key=key,
        project_id=project_id,
        recipients=list(dict.fromkeys(one_line(recipient)[:320] for recipient in recipients)),
        subject=one_line(subject)[:SUBJECT_MAX_LENGTH],
        text=text.replace(_NUL, ""),
        html=(html or "").replace(_NUL, ""),
        message_id=message_id_of(key),
    )
    try:
        with transaction.atomic():
            mail.save(force_insert=True)
            MailAttachment.objects.bulk_create(
                MailAttachment(
                    mail=mail,
                    file_name=one_line(attachment.file_name)[:200],
                    content_type=attachment.content_type,
                    content=attachment.content,
                )
                for attachment in attachments
            )
    except IntegrityError:  # promised already; the insert waited for a rival that was promising it
        return OutgoingMail.objects.values_list("id", flat=True).get(key=key)
    return mail.pk


def message_id_of(key: str) -> str:
    """The Message-ID of the mail with that key: the same however often it is made."""
    host = urlsplit(settings.PUBLIC_URL).hostname or "localhost"
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{host}>"


def one_line(text: str) -> str:
    """`text` without line breaks and other control characters, for a header."""
    return _UNPRINTABLE.sub(" ", text).strip()
