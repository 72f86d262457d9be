"""Making, checking and revoking API keys. A key reads `mbk_<key id>.<secret>`; only an HMAC is stored."""

import datetime as dt
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.utils import timezone

from .errors import Invalid
from .models import ApiKey, Project
from .prepared import first_row
from .principal import Principal

KEY_PREFIX = "mbk_"
_SIGNED = re.compile(r"\(mbk_(?P<key_id>[a-z0-9]+)…\)$")  # the end of a key's signature
KEY_ID_LENGTH = 12
SECRET_BYTES = 32
KEY_MAX_LENGTH = 200  # what is longer can't be a key of ours and is not hashed
LAST_USED_PRECISION_SECONDS = 60
MAX_PRESUMED = 10_000
_KEY_ID_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # nothing that reads like something else

_FIND_KEY = """
    SELECT k.id, k.name, k.digest, k.pepper_number, k.permissions, k.project_id, p.path,
           k.may_bill, k.expires_at, v.version,
           k.last_used_at IS NULL OR k.last_used_at < clock_timestamp() - make_interval(secs => %s)
      FROM metering_apikey k
      JOIN metering_project p ON p.id = k.project_id
     CROSS JOIN metering_catalogueversion v
     WHERE k.key_id = %s
       AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
"""


_NOTE_USE = "UPDATE metering_apikey SET last_used_at = clock_timestamp() WHERE id = %s"


def _digest(secret: str, *, pepper_number: int) -> bytes:
    pepper = settings.API_KEY_PEPPERS[pepper_number]
    return hmac.new(pepper.encode(), secret.encode(), hashlib.sha256).digest()


def create_api_key(
    *,
    project: Project,
    name: str,
    permissions: Iterable[str],
    expires_at: dt.datetime | None = None,
    may_bill: bool = True,
    created_by: str = "",
) -> tuple[ApiKey, str]:
    """Make a key. Returns the row and the full key, which can't be shown again.

    `may_bill`: whether one that manages also writes bills. `created_by`: the person who has it, where one
    has; what is done with it counts as theirs where two persons are needed.

    Raises `Invalid` for unknown or no permissions and for an expiry in the past.
    """
    wanted = list(dict.fromkeys(permissions))
    unknown = sorted(set(wanted) - set(ApiKey.Permission.values))
    if unknown:
        raise Invalid("Unknown permission: {unknown}.", unknown=", ".join(unknown), field="permissions")
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
        may_bill=may_bill,
        created_by=created_by,
    )
    return row, f"{KEY_PREFIX}{key_id}.{secret}"


def principal_of(key: str) -> Principal | None:
    """Who holds `key`; None when it is malformed, unknown, expired or revoked, without saying which.

    Asks the database every time, so that a revoked key is dead at once in every process. Notes the use, to
    the minute.
    """
    presumed = _looked_up(key)
    return None if presumed is None else presumed.principal


def presumed_holder(key: str) -> "PresumedHolder | None":
    """Who holds `key` as far as this process knows, to be confirmed by the recording transaction.

    Costs no round trip where the key was seen within the last minute. None as from `principal_of`.
    """
    known = _presumed.get(key)
    if known is not None and time.monotonic() < known.noted_at + LAST_USED_PRECISION_SECONDS:
        return known
    return _looked_up(key)


@dataclass(frozen=True, slots=True)
class PresumedHolder:
    """The holder of a key at a version of the catalogue: whatever changes a key moves the version."""

    key: str
    principal: Principal
    version: int
    expires_at: dt.datetime | None
    noted_at: float

    def holds_at(self, version: int, now: dt.datetime) -> bool:
        """Whether it still is, by what a transaction has just read; asks the database where that moved."""
        if self.expires_at is not None and self.expires_at <= now:
            return False
        return self.version == version or principal_of(self.key) == self.principal


# Full keys in memory, never logged: the process sees them with every request anyway.
_presumed: dict[str, PresumedHolder] = {}


def _looked_up(key: str) -> PresumedHolder | None:
    _presumed.pop(key, None)
    if len(key) > KEY_MAX_LENGTH or not key.isascii() or not key.startswith(KEY_PREFIX) or "\x00" in key:
        return None
    key_id, _, secret = key.removeprefix(KEY_PREFIX).partition(".")
    row = first_row(_FIND_KEY, [LAST_USED_PRECISION_SECONDS, key_id])
    if row is None:
        return None
    (
        row_id,
        name,
        digest,
        pepper_number,
        permissions,
        project_id,
        path,
        may_bill,
        expires_at,
        version,
        is_use_unnoted,
    ) = row
    if pepper_number not in settings.API_KEY_PEPPERS:
        return None
    if not hmac.compare_digest(_digest(secret, pepper_number=pepper_number), bytes(digest)):
        return None
    if is_use_unnoted:
        with connection.cursor() as cursor:
            cursor.execute(_NOTE_USE, [row_id])
    if len(_presumed) >= MAX_PRESUMED:
        _presumed.clear()
    principal = Principal(
        name=name,
        permissions=frozenset(
            [*permissions, "bill"] if may_bill and "manage" in permissions else permissions
        ),
        project_id=project_id,
        project_path=path,
        key_id=key_id,
    )
    holder = PresumedHolder(key, principal, version, expires_at, time.monotonic())
    _presumed[key] = holder
    return holder


def persons_of(names: Iterable[str]) -> set[str]:
    """Who stands behind signatures: themselves, and of keys those who made them. One statement at most."""
    found = {name for name in names if name}
    key_ids = [match["key_id"] for match in map(_SIGNED.search, found) if match]
    if key_ids:
        makers = ApiKey.objects.filter(key_id__in=key_ids).exclude(created_by="")
        found.update(makers.values_list("created_by", flat=True))
    return found


def forget_holders() -> None:
    """Drop what this process presumes: for tests whose rollbacks take keys back."""
    _presumed.clear()


def revoke_api_key(key: ApiKey, *, revoked_at: dt.datetime) -> None:
    """End a key for good, from the next request on. Revoking again keeps the first instant."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=revoked_at)
    key.refresh_from_db(fields=["revoked_at"])
