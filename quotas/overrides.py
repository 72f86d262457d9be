"""Giving a quota another limit for a while, by the database's clock. Obeyed by every process at once."""

import datetime as dt
from decimal import Decimal
from typing import cast

import psycopg
from django.db import IntegrityError

from metering.clock import database_now
from metering.errors import Conflict, Invalid

from .enforcement import changing_quotas, held_quota, limit_from
from .models import REASON_MAX_LENGTH, ProjectQuota, QuotaOverride

WITHOUT_OVERLAP = "override_without_overlap"


def override_quota(
    quota: ProjectQuota,
    *,
    limit: Decimal | int | str,
    effective_until: dt.datetime,
    reason: str,
    actor: str,
    effective_from: dt.datetime | None = None,
) -> QuotaOverride:
    """Let a quota have another limit until an instant, from now on or from a later one.

    Raises `Invalid` naming the field: for a limit that is negative or not exact, an end that is over, a
    beginning that lies before now (what was decided stays decided) or not before the end, a reason that is
    missing; `Conflict` when another override holds in between, `NotFound` when the quota was removed.
    """
    override = QuotaOverride(
        quota=quota, limit=limit_from(limit), reason=_stated(reason), created_by=actor[:300]
    )
    try:
        with changing_quotas(quota.counting) as changed:
            changed.append(held_quota(quota))
            now = database_now()
            if effective_from is not None and effective_from < now:
                raise Invalid(
                    "It can't begin before now; leave the beginning out for at once.", field="effective_from"
                )
            if effective_until <= now:
                raise Invalid("It would be over already.", field="effective_until")
            override.effective_from = effective_from or now
            override.effective_until = effective_until
            if override.effective_from >= effective_until:
                raise Invalid("It must end after it begins.", field="effective_until")
            override.save(force_insert=True)
    except IntegrityError as error:
        cause = cast(psycopg.Error | None, error.__cause__)
        if cause is None or cause.diag.constraint_name != WITHOUT_OVERLAP:
            raise
        raise Conflict(
            "The quota has another temporary limit within this time; end that one first.",
            field="effective_from",
        ) from None
    override.refresh_from_db(fields=["created_at"])
    return override


def end_override(override: QuotaOverride, *, actor: str) -> QuotaOverride:
    """End a temporary limit now; one that hasn't begun never will. One that is over stays as it was."""
    with changing_quotas(override.quota.counting) as changed:
        changed.append(held_quota(override.quota))
        stored = QuotaOverride.objects.select_for_update().get(pk=override.pk)
        now = database_now()
        if stored.effective_until > now:
            stored.effective_until = max(now, stored.effective_from)
            stored.ended_by = actor[:300]
            stored.save(update_fields=["effective_until", "ended_by"])
    override.refresh_from_db(fields=["effective_until", "ended_by"])
    return override


def _stated(reason: str) -> str:
    reason = reason.strip() if isinstance(reason, str) else ""
    if not reason:
        raise Invalid("A temporary limit needs a reason.", field="reason", code="missing_field")
    if len(reason) > REASON_MAX_LENGTH:
        raise Invalid("A reason has at most {most} characters.", most=REASON_MAX_LENGTH, field="reason")
    if any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in reason):
        raise Invalid("A reason is text; this holds characters that can't be kept.", field="reason")
    return reason
