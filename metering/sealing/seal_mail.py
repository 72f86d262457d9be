"""Mailing the head of the chain of seals: kept elsewhere, it shows that a later ledger was cut short."""

import datetime as dt
import logging
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from metering.clock import database_now
from metering.models import Heartbeat, LedgerSeal
from metering.texts.timestamps import iso

HEARTBEAT = "mail_sealed_head"

logger = logging.getLogger(__name__)

_BODY = """\
This line stands for all usage that Meterbook at {url} has recorded up to position {position:,}:

{head}

Seal {number} was made at {sealed_at}. Please keep this mail, unchanged, where those who run the database \
can't reach it. When the ledger is verified with this line at hand, it shows whether anything before that \
position was changed or removed since, the end of the ledger included, which nothing else shows.

Nothing needs to be done today.
"""


def mail_sealed_head() -> str | None:
    """Mail the head to `SEAL_HEAD_RECIPIENTS`, once a day (UTC, the database's clock); returns it.

    None, and no mail: nobody wants it, nothing was sealed yet, or today's was sent. Sent first and noted
    afterwards, so that a mail is never lost; one that is sent twice carries the same Message-ID. A refusal of
    the mail server is raised, and the next call tries again.
    """
    day = database_now().date()
    seal = LedgerSeal.objects.order_by("-number").first()
    if not settings.SEAL_HEAD_RECIPIENTS or seal is None or _was_mailed_on(day):
        return None
    message_of(seal, day=day).send()
    Heartbeat.objects.update_or_create(
        job=HEARTBEAT,
        defaults={
            "finished_at": timezone.now(),
            "facts": {"day": day.isoformat(), "seal": seal.number},
        },
    )
    logger.info("The head of seal %d was mailed", seal.number)
    return seal.head


def message_of(seal: LedgerSeal, *, day: dt.date) -> EmailMessage:
    """The mail of that day about that seal: the same text and Message-ID however often it is made."""
    host = urlsplit(settings.PUBLIC_URL).hostname or "localhost"
    return EmailMessage(
        subject=f"Meterbook: seal {seal.number}, position {seal.position:,}, {day.isoformat()}",
        body=_BODY.format(
            url=settings.PUBLIC_URL,
            head=seal.head,
            number=seal.number,
            position=seal.position,
            sealed_at=iso(seal.sealed_at),
        ),
        to=settings.SEAL_HEAD_RECIPIENTS,
        headers={
            "Message-ID": f"<seal.{day.isoformat()}.{seal.number}.{bytes(seal.mac).hex()[:32]}@{host}>",
            "Auto-Submitted": "auto-generated",
        },
    )


def _was_mailed_on(day: dt.date) -> bool:
    return Heartbeat.objects.filter(job=HEARTBEAT, facts__day=day.isoformat()).exists()
