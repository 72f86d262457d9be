"""Signing secrets and signatures, after Standard Webhooks.

A secret is made from a salt in the database and a key of the settings: neither of them alone signs anything.
"""

import base64
import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping

from django.conf import settings
from standardwebhooks import Webhook

from metering.models import WebhookSecret

SECRET_PREFIX = "whsec_"  # noqa: S105 (a prefix)
SALT_BYTES = 32
_PURPOSE = b"meterbook webhook secret\0"


def new_salt() -> tuple[bytes, int]:
    """(salt, number of the key) of a new secret."""
    return secrets.token_bytes(SALT_BYTES), max(settings.WEBHOOK_KEYS)


def secret_text(secret: WebhookSecret) -> str:
    """The secret as its holder has it, `whsec_…`. Raises `KeyError` where the settings have lost its key."""
    key = settings.WEBHOOK_KEYS[secret.key_number].encode()
    digest = hmac.new(key, _PURPOSE + bytes(secret.salt), hashlib.sha256).digest()
    return SECRET_PREFIX + base64.b64encode(digest).decode()


def signed_headers(
    body: bytes, *, message_id: str, sent_at: dt.datetime, signing_secrets: Iterable[WebhookSecret]
) -> Mapping[str, str]:
    """The three headers of Standard Webhooks, with a signature by each secret."""
    signatures = [
        Webhook(secret_text(secret)).sign(message_id, sent_at.astimezone(dt.UTC), body.decode())
        for secret in signing_secrets
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
