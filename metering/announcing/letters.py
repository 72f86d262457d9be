"""Mails as people read them: a template in HTML and its twin in text, in the frame that all mails share."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import gettext

from metering.house_language import in_house_language

from .mail import post_mail

_BLANK_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail in both forms, ready for `post_mail`."""

    subject: str
    text: str
    html: str


@in_house_language()
def letter(name: str, *, subject: str, context: Mapping[str, Any]) -> Letter:
    """Render `mail/<name>.html` and `mail/<name>.txt`, which extend mail/frame.html and mail/frame.txt.

    In the house's language.

    Templates find their `context`, and `letter` with subject, url and host.
    """
    url = settings.PUBLIC_URL.rstrip("/")
    whole = {**context, "letter": {"subject": subject, "url": url, "host": urlsplit(url).hostname or url}}
    text = render_to_string(f"mail/{name}.txt", whole)
    return Letter(
        subject=subject,
        text=_BLANK_LINES.sub("\n\n", text).strip() + "\n",
        html=render_to_string(f"mail/{name}.html", whole),
    )


@in_house_language()
def post_trial(*, recipient: str, requested_by: str) -> int:
    """Post a mail that says nothing but that mails arrive. Returns the id of the `OutgoingMail`."""
    trial = letter(
        "trial",
        subject=gettext("A test of Meterbook's mails"),
        context={
            "requested_by": requested_by,
            "facts": [
                (gettext("Asked for by"), requested_by),
                (gettext("Sent to"), recipient),
                (gettext("From"), settings.DEFAULT_FROM_EMAIL),
            ],
            "url": f"{settings.PUBLIC_URL.rstrip('/')}/admin/",
            "button": gettext("Open Meterbook"),
        },
    )
    return post_mail(
        recipients=[recipient],
        subject=trial.subject,
        text=trial.text,
        html=trial.html,
        key=f"trial:{uuid.uuid4().hex}",
    )
