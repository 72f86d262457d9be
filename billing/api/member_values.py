"""Values of members as the routes of billing take them: amounts, days, instants, ids. Raises `Invalid`."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from billing.invoicing.approvals import digest_from
from billing.rating.members import exact_number
from metering.api.parsing import text_of
from metering.errors import Invalid
from metering.texts.timestamps import NotAnInstant, instant_from

REASON_LENGTH = 2000


def needed(members: Mapping[str, Any], name: str) -> Any:
    """The raw value. Raises `Invalid` where it is absent or null."""
    value = members.get(name)
    if value is None:
        raise Invalid("This member is needed.", field=name, code="missing_field")
    return value


def number_of(members: Mapping[str, Any], name: str) -> Decimal | None:
    """A decimal string, or None where it is absent."""
    value = members.get(name)
    return None if value is None else exact_number(value, name)


def reason_of(members: Mapping[str, Any], name: str = "reason") -> str:
    """Why; empty where nobody says. Whether it is needed the verb knows."""
    return text_of(members, name, max_length=REASON_LENGTH) or ""


def seen_of(members: Mapping[str, Any]) -> bytes | None:
    """`digest`: that of the draft which the caller has looked at. Raises `DraftChangedSince` for what is
    none."""
    text = text_of(members, "digest", max_length=64)
    return None if text is None else digest_from(text)


def flag_of(members: Mapping[str, Any], name: str) -> bool:
    """True or false; false where it is absent."""
    value = members.get(name)
    if value is not None and not isinstance(value, bool):
        raise Invalid("Must be true or false.", field=name)
    return bool(value)


def whole_number_of(members: Mapping[str, Any], name: str) -> int | None:
    value = members.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise Invalid("Must be a whole number.", field=name)
    return value


def instant_of(members: Mapping[str, Any], name: str) -> dt.datetime | None:
    """An RFC 3339 time with offset, or None where it is absent."""
    text = text_of(members, name)
    if text is None:
        return None
    try:
        return instant_from(text)
    except NotAnInstant as error:
        raise Invalid(f"{str(error)[:1].upper()}{str(error)[1:]}.", field=name) from None


def day_of(members: Mapping[str, Any], name: str) -> dt.date | None:
    """A date such as 2026-01-31, or None where it is absent."""
    text = text_of(members, name)
    if text is None:
        return None
    try:
        if len(text) != len("2026-01-31"):
            raise ValueError
        return dt.date.fromisoformat(text)
    except ValueError:
        raise Invalid("Must be a date, such as 2026-01-31.", field=name) from None
