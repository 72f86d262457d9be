"""What needs somebody today, a line per matter; settings name who tells: the kernel imports no app."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing that waits. `url` leads to its rows, as many as `count` says; None is a state, not a number.

    `since` is when the oldest of them began to wait. What is `urgent` goes wrong, or costs money, while
    nobody looks; the others wait for a decision.
    """

    title: Any
    sentence: Any
    url: str
    count: int | None = None
    amounts: Sequence[str] = ()
    since: dt.datetime | None = None
    is_urgent: bool = False
    is_capped: bool = False  # there are more than `count`


class MatterSource(Protocol):
    """Tells what waits for whoever asks: nothing that this person may not see, and nothing of count 0."""

    def __call__(self, request: HttpRequest, *, now: dt.datetime) -> Iterable[Matter]: ...


def matters_of(request: HttpRequest, *, now: dt.datetime) -> list[Matter]:
    """All that waits, urgent matters first, otherwise in the order of ADMIN_MATTERS."""
    sources: list[MatterSource] = [import_string(name) for name in settings.ADMIN_MATTERS]
    found = [matter for source in sources for matter in source(request, now=now)]
    return sorted(found, key=lambda matter: not matter.is_urgent)
