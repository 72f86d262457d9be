"""Sending made-up events through the HTTP API, as an application would."""

import datetime as dt
import http.client
import itertools
import json
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import urlsplit

from metering.errors import Invalid

from .traffic import PROFILES, Event, call

SOURCE = "simulated-live"
ANSWER_SECONDS = 30.0
SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
# What a limit refuses is dropped, as an application would drop it; anything else that is rejected is a
# mistake of ours or of the set-up, and going on would only repeat it.
LIMIT_CODES = frozenset({"quota_exceeded", "threshold_blocked"})
_LIMIT_TYPES = ("/quota-exceeded", "/threshold-blocked")
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said: a status (0 where it said nothing), the body, and how long it asks to wait."""

    status: int
    body: dict[str, Any]
    retry_after: float | None = None

    @property
    def is_passing(self) -> bool:
        """Whether the very same request may succeed later."""
        return self.status == 0 or self.status >= 500 or (self.status == 429 and not self.is_limit)

    @property
    def is_limit(self) -> bool:
        """Whether a quota or threshold refused the request: later is as good as never."""
        return self.status == 429 and str(self.body.get("type", "")).endswith(_LIMIT_TYPES)

    @property
    def detail(self) -> str:
        return str(self.body.get("detail") or self.body.get("title") or "no reason given")


class Sender:
    """Posts batches with one key. Never raises for what the network or the server does."""

    def __init__(self, url: str, key: str) -> None:
        """Raises `Invalid` for an address that isn't http or https."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Invalid(f"'{url}' is no http or https address.", field="url")
        self._endpoint = f"{url.rstrip('/')}/api/v1/usage-events/?on_error=skip"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        # A proxy of the environment can't reach this machine's own addresses.
        proxies = [urllib.request.ProxyHandler({})] if parts.hostname in _THIS_MACHINE else []
        self._opener = urllib.request.build_opener(*proxies)

    def post(self, events: list[Event]) -> Answer:
        request = urllib.request.Request(  # noqa: S310 (the scheme was looked at above)
            self._endpoint, data=json.dumps(events).encode(), headers=self._headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS) as response:
                return Answer(response.status, _object_in(response.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(
                    error.code, _object_in(error.read()), _seconds(error.headers.get("Retry-After"))
                )
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            return Answer(0, {"detail": str(reason)})


def keep_sending(
    sender: Sender,
    *,
    rate: float,
    seconds: float | None,
    say: Callable[[str], None],
    tally: Counter[str],
    on_progress: Callable[[int], None],
) -> None:
    """Send about `rate` events a second, in a batch each second, for `seconds` (None: until interrupted).

    `tally` counts outcomes while it goes. A batch that met a passing fault is sent again under the same ids,
    after pauses that double, so it is recorded once. Raises `Invalid` where going on is pointless.
    """
    rng = Random()  # noqa: S311 (no secret depends on it)
    run = uuid.uuid4().hex
    deadline = None if seconds is None else time.monotonic() + seconds
    due = 0.0
    for second in itertools.count():
        began = time.monotonic()
        if deadline is not None and began >= deadline:
            return
        due += rate
        batch = [_event(rng, f"{run}-{second}-{number}") for number in range(int(due))]
        due -= len(batch)
        if batch:
            _deliver(sender, batch, say=say, tally=tally)
            on_progress(tally["created"])
        time.sleep(max(0.0, began + 1 - time.monotonic()))


def _event(rng: Random, event_id: str) -> Event:
    profile = rng.choice(PROFILES)
    return call(profile, rng, event_id=event_id, source=SOURCE, occurred_at=dt.datetime.now(dt.UTC))


def _deliver(sender: Sender, batch: list[Event], *, say: Callable[[str], None], tally: Counter[str]) -> None:
    pause = SHORTEST_PAUSE
    while (answer := sender.post(batch)).is_passing:
        wait = answer.retry_after if answer.retry_after is not None else pause
        status = f"status {answer.status}" if answer.status else "no answer"
        say(f"{status} ({answer.detail}); sending {len(batch)} events again in {wait:.0f} s.")
        tally["repeated batches"] += 1
        time.sleep(wait)
        pause = min(LONGEST_PAUSE, pause * 2)
    if answer.is_limit:
        tally["refused"] += len(batch)
        say(f"refused: {answer.detail}")
        return
    if answer.status not in {200, 201}:
        raise Invalid(f"The API answered {answer.status}: {answer.detail}")
    refusals: Counter[str] = Counter()
    for result in answer.body.get("results", []):
        if result.get("outcome") != "rejected":
            tally[result.get("outcome", "unknown")] += 1
        elif result.get("code") in LIMIT_CODES:
            tally["refused"] += 1
            refusals[result["code"]] += 1
        else:
            raise Invalid(
                f"The API rejected an event ({result.get('code')}): {result.get('detail')}."
                " Run simulate_usage without --live first: it defines the projects and metrics."
            )
    for code, count in refusals.items():
        say(f"refused: {count} events ({code}).")


def _object_in(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {"detail": body[:200].decode("utf-8", "replace")}
    return found if isinstance(found, dict) else {}


def _seconds(text: str | None) -> float | None:
    return min(LONGEST_PAUSE, float(text)) if text and text.isdecimal() else None
