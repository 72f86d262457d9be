"""What needs somebody today, a line per matter; settings name who tells: the kernel imports no app."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.http import HttpRequest
from django.utils.module_loading import import_string

EXPORTS = "metering.export_data"


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing that waits. `url` leads to its rows, as many as `count` says; None is a state, not a number.

    `since` is when the oldest of them began to wait. What is `urgent` goes wrong, or costs money, while
    nobody looks; the others wait for a decision. `acting` are the rights by any of which somebody sees to it;
    empty where it takes none of the admin's.
    """

    title: Any
    sentence: Any
    url: str
    count: int | None = None
    amounts: Sequence[str] = ()
    since: dt.datetime | None = None
    is_urgent: bool = False
    is_capped: bool = False  # there are more than `count`
    acting: Sequence[str] = ()


class MatterSource(Protocol):
    """Tells what waits for whoever asks: nothing that this person may not see, and nothing of count 0."""

    def __call__(self, request: HttpRequest, *, now: dt.datetime) -> Iterable[Matter]: ...


def matters_of(request: HttpRequest, *, now: dt.datetime) -> list[Matter]:
    """All that waits, urgent matters first, otherwise in the order of ADMIN_MATTERS.

    Whoever acts anywhere is told of what they may see to; whoever only looks, of all that they may see.
    """
    sources: list[MatterSource] = [import_string(name) for name in settings.ADMIN_MATTERS]
    found = [matter for source in sources for matter in source(request, now=now)]
    if not _only_looks(request.user):
        found = [one for one in found if not one.acting or any(map(request.user.has_perm, one.acting))]
    return sorted(found, key=lambda matter: not matter.is_urgent)


def _only_looks(user: Any) -> bool:
    """Whether none of somebody's rights changes anything."""
    rights = user.get_all_permissions()
    return not any(right != EXPORTS and not right.partition(".")[2].startswith("view_") for right in rights)
