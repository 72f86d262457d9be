"""Making, checking and revoking API keys. A key reads `mbk_<key id>.<secret>`; only an HMAC is stored."""

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from django.conf import settings
from django.db import connection
from django.utils import timezone

from .errors import Invalid
from .models import ApiKey, Project
from .prepared import first_row
from .principal import Principal

KEY_PREFIX = "mbk_"
KEY_ID_LENGTH = 12
SECRET_BYTES = 32
KEY_MAX_LENGTH = 200  # what is longer can't be a key of ours and is not hashed
LAST_USED_PRECISION_SECONDS = 60
_KEY_ID_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # nothing that reads like something else

_FIND_KEY = """
    SELECT k.id, k.name, k.digest, k.pepper_number, k.permissions, k.project_id, p.path,
           k.last_used_at IS NULL OR k.last_used_at < clock_timestamp() - make_interval(secs => %s)
      FROM metering_apikey k
      JOIN metering_project p ON p.id = k.project_id
     WHERE k.key_id = %s
       AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
"""


def _digest(secret: str, *, pepper_number: int) -> bytes:
    pepper = settings.API_KEY_PEPPERS[pepper_number]
    return hmac.new(pepper.encode(), secret.encode(), hashlib.sha256).digest()


def create_api_key(
    *,
    project: Project,
    name: str,
    permissions: Iterable[str],
    expires_at: dt.datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key. Returns the row and the full key, which can't be shown again.

    Raises `Invalid` for unknown or no permissions and for an expiry in the past.
    """
    wanted = list(dict.fromkeys(permissions))
    unknown = sorted(set(wanted) - set(ApiKey.Permission.values))
    if unknown:
        raise Invalid(f"Unknown permission: {', '.join(unknown)}.", field="permissions")
    if not wanted:
        raise Invalid("A key needs at least one permission.", field="permissions")
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid("The expiry lies in the past.", field="expires_at")
    key_id = "".join(secrets.choice(_KEY_ID_ALPHABET) for _ in range(KEY_ID_LENGTH))
    secret = secrets.token_urlsafe(SECRET_BYTES)
    pepper_number = max(settings.API_KEY_PEPPERS)
    row = ApiKey.objects.create(
        project=project,
        name=name,
        key_id=key_id,
        digest=_digest(secret, pepper_number=pepper_number),
        pepper_number=pepper_number,
        permissions=wanted,
        expires_at=expires_at,
    )
    return row, f"{KEY_PREFIX}{key_id}.{secret}"


def principal_of(key: str) -> Principal | None:
    """Who holds `key`; None when it is malformed, unknown, expired or revoked, without saying which.

    Asks the database every time, so that a revoked key is dead at once in every process. Notes the use, to
    the minute.
    """
    if len(key) > KEY_MAX_LENGTH or not key.isascii() or not key.startswith(KEY_PREFIX) or "\x00" in key:
        return None
    key_id, _, secret = key.removeprefix(KEY_PREFIX).partition(".")
    row = first_row(_FIND_KEY, [LAST_USED_PRECISION_SECONDS, key_id])
    if row is None:
        return None
    row_id, name, digest, pepper_number, permissions, project_id, path, is_use_unnoted = row
    if pepper_number not in settings.API_KEY_PEPPERS:
        return None
    if not hmac.compare_digest(_digest(secret, pepper_number=pepper_number), bytes(digest)):
        return None
    if is_use_unnoted:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE metering_apikey SET last_used_at = clock_timestamp() WHERE id = %s", [row_id]
            )
    return Principal(name=name, permissions=frozenset(permissions), project_id=project_id, project_path=path)


def revoke_api_key(key: ApiKey, *, revoked_at: dt.datetime) -> None:
    """End a key for good, from the next request on. Revoking again keeps the first instant."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=revoked_at)
    key.refresh_from_db(fields=["revoked_at"])
