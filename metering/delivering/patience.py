"""How long to wait before trying again, webhooks and mails alike: exponential, with jitter, about three days.

20 s, 80 s, 5 min, 21 min, 85 min, 6 h, then every 16 h: who is down for a minute hears within two, and a
weekend is survived. Jitter spreads what failed together.
"""

import datetime as dt
import email.utils
import re

MAX_ATTEMPTS = 11
FIRST_WAIT_SECONDS = 20.0
LONGEST_WAIT_SECONDS = 16 * 3600.0
FACTOR = 4
JITTER_FRACTION = 0.2
# What a receiver may ask for; more would be a way to be forgotten.
LONGEST_RETRY_AFTER_SECONDS = 6 * 3600.0

# All deliveries to an address that doesn't answer wait together.
FIRST_REST_SECONDS = 5.0
LONGEST_REST_SECONDS = 600.0


def wait_after(attempt_count: int, *, chance: float, retry_after: float | None = None) -> float:
    """Seconds to wait after the `attempt_count`th attempt failed; no less than was asked for, within bounds.

    `chance`, from 0 to 1, places it within the jitter.
    """
    exponent = min(attempt_count - 1, 20)  # far beyond the longest wait
    seconds = min(FIRST_WAIT_SECONDS * FACTOR**exponent, LONGEST_WAIT_SECONDS)
    seconds *= 1 - JITTER_FRACTION + 2 * JITTER_FRACTION * chance
    return max(seconds, min(retry_after or 0.0, LONGEST_RETRY_AFTER_SECONDS))


def rest_after(failure_count: int, *, retry_after: float | None = None) -> float:
    """Seconds for which nothing is sent to an address after so many failures in a row."""
    seconds = min(FIRST_REST_SECONDS * 2 ** min(failure_count - 1, 20), LONGEST_REST_SECONDS)
    return max(seconds, min(retry_after or 0.0, LONGEST_RETRY_AFTER_SECONDS))


def seconds_of_retry_after(text: str | None, *, now: dt.datetime) -> float | None:
    """What a `Retry-After` header asks for, in seconds or by a date. None where it makes no sense."""
    text = (text or "").strip()
    if re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        return float(text)
    try:
        instant = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=dt.UTC)
    return max(0.0, (instant - now).total_seconds())
