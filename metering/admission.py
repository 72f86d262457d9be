"""The seam at which recording asks whether usage is allowed. `METERING_ADMISSION` names the policy."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Protocol, cast

from django.conf import settings
from django.utils.module_loading import import_string

from .catalogue import Catalogue
from .errors import EventError, MeterbookError
from .measuring.meaning import Meaning


class Asking(Protocol):
    """One new event that asks to be recorded, and what each metric would read from it."""

    @property
    def index(self) -> int: ...
    @property
    def project_id(self) -> int: ...
    @property
    def billing_scope_id(self) -> int: ...
    @property
    def occurred_at(self) -> dt.datetime: ...
    @property
    def readings(self) -> Sequence[tuple[Meaning, Decimal]]: ...


@dataclass(frozen=True, slots=True)
class Request:
    """An event asking on paper: what a check is made of, where nothing will be recorded."""

    index: int
    project_id: int
    billing_scope_id: int
    occurred_at: dt.datetime
    readings: Sequence[tuple[Meaning, Decimal]]


@dataclass(slots=True)
class Verdicts:
    """What a policy decided, by index of the request; a request it doesn't mention is admitted."""

    refused: dict[int, MeterbookError] = field(default_factory=dict)
    rejected: dict[int, EventError] = field(default_factory=dict)
    warnings: dict[int, list[dict[str, object]]] = field(default_factory=dict)


class AdmissionPolicy(Protocol):
    """Decides inside the recording transaction. Must not write."""

    def concerns(self, requests: Sequence[Asking], *, catalogue: Catalogue) -> bool:
        """Whether any limit applies, without asking the database when nothing changed."""

    def judge(
        self,
        requests: Sequence[Asking],
        *,
        catalogue: Catalogue,
        now: dt.datetime,
        may_backfill: bool,
    ) -> Verdicts:
        """Admit or refuse in the order given; each admitted request counts for those after it.

        Raises `Unavailable` when a hard limit can't be evaluated.
        """


@lru_cache(maxsize=1)
def admission_policy() -> AdmissionPolicy:
    return cast(AdmissionPolicy, import_string(settings.METERING_ADMISSION)())
