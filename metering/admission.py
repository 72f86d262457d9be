"""The seam at which recording asks whether usage is allowed. `METERING_ADMISSION` names the policy."""

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol, cast

from django.conf import settings
from django.utils.module_loading import import_string

from .catalogue import Catalogue
from .errors import EventError, MeterbookError
from .measuring.meaning import Meaning
from .models import MetricDefinition
from .principal import Principal


class Asking(Protocol):
    """One new event that asks to be recorded, and what each metric would read from it."""

    @property
    def index(self) -> int: ...
    @property
    def project_id(self) -> int: ...
    @property
    def billing_scope_id(self) -> int: ...
    @property
    def event_id(self) -> str: ...
    @property
    def occurred_at(self) -> dt.datetime: ...
    @property
    def subject_type(self) -> str: ...
    @property
    def subject_id(self) -> str: ...
    @property
    def readings(self) -> Sequence[tuple[Meaning, Decimal]]: ...
    @property
    def groups(self) -> Sequence[tuple[str | None, ...]]:
        """The values of the primary labels, for each reading."""

    @property
    def value_keys(self) -> Sequence[uuid.UUID]:
        """The name of the distinct value, for each reading."""


@dataclass(frozen=True, slots=True)
class Request:
    """An event asking on paper: what a check is made of, where nothing will be recorded.

    Without groups and value keys, its readings are of no group and of values not seen before.
    """

    index: int
    project_id: int
    billing_scope_id: int
    occurred_at: dt.datetime
    readings: Sequence[tuple[Meaning, Decimal]]
    event_id: str = ""
    subject_type: str = ""
    subject_id: str = ""
    groups: Sequence[tuple[str | None, ...]] = ()
    value_keys: Sequence[uuid.UUID] = ()


@dataclass(slots=True)
class Verdicts:
    """What a policy decided, by index of the request; a request it doesn't mention is admitted.

    `notes` are the policy's own, of what it will want to know in `conclude`.
    """

    refused: dict[int, MeterbookError] = field(default_factory=dict)
    rejected: dict[int, EventError] = field(default_factory=dict)
    warnings: dict[int, list[dict[str, object]]] = field(default_factory=dict)
    notes: dict[int, list[Any]] = field(default_factory=dict)
    # Called once what was admitted is committed, for a policy that remembers it.
    on_commit: Callable[[], None] | None = None

    @property
    def stop_any(self) -> bool:
        """Whether some request isn't admitted."""
        return bool(self.refused or self.rejected)


@dataclass(slots=True)
class Conclusion:
    """How a recording ended that a policy had a word in.

    `asked` are the new events that were judged. `refusal` is what the caller is refused with; None where the
    transaction was committed. What a policy couldn't judge has no verdicts. The policy leaves here, by index
    of the request, the `references` under which its decisions are found.
    """

    asked: Sequence[Asking]
    verdicts: Verdicts
    principal: Principal
    catalogue: Catalogue
    decided_at: dt.datetime
    refusal: MeterbookError | None = None
    references: dict[int, str] = field(default_factory=dict)


class AdmissionPolicy(Protocol):
    """Decides inside the recording transaction. Must not write there."""

    def concerns(self, requests: Sequence[Asking], *, catalogue: Catalogue) -> bool:
        """Whether any limit applies, without asking the database when nothing changed."""

    def hold(self, requests: Sequence[Asking], *, catalogue: Catalogue) -> None:
        """Take what locks the limits need, until the transaction ends; before keys and usage are read.

        Raises `Unavailable` when they can't be had in time.
        """

    def judge(
        self,
        requests: Sequence[Asking],
        *,
        catalogue: Catalogue,
        now: dt.datetime,
        may_backfill: bool,
    ) -> Verdicts:
        """Admit or refuse in the order given; each admitted request counts for those after it.

        Reads and decides, and may be asked again. Raises `Unavailable` when a hard limit can't be evaluated.
        """

    def conclude(self, conclusion: Conclusion) -> None:
        """Take note of what was decided, after the transaction has ended. Never waits, never raises.

        Called once for each recording that was refused, or committed with refusals or warnings.
        """

    def ensure_can_judge(self, metric: MetricDefinition) -> None:
        """Raises `Conflict` where a limit in force couldn't be judged by the metric as it is to become."""


@lru_cache(maxsize=1)
def admission_policy() -> AdmissionPolicy:
    return cast(AdmissionPolicy, import_string(settings.METERING_ADMISSION)())
