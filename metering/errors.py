"""What can be wrong, in the kernel's own words. No HTTP here; `config/problems.py` maps kinds to statuses."""

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from metering.texts.timestamps import iso


@dataclass(frozen=True, slots=True)
class Figure:
    """A number within a message: as it is to programs; people read it as their language writes numbers.

    `number` is a plain decimal, with as many decimals as are to be shown.
    """

    number: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.number} {self.unit}" if self.unit else self.number


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant within a message: in UTC to programs; people read it on their own clocks."""

    instant: dt.datetime

    def __str__(self) -> str:
        return iso(self.instant)


class Worded(Exception):
    """Something to tell people. The message is a template that names its values,
    `Invalid("At most {most} steps.", most=20)`: its text is English, and an edge that speaks other languages
    finds the sentence by its template."""

    def __init__(self, template: str, **values: object) -> None:
        super().__init__(template.format(**values) if values else template)
        self.template = template
        self.values: dict[str, Any] = values


class MeterbookError(Worded):
    """A state of affairs that stops a verb. `code` is stable.

    `decision` is the reference of the account that the admission policy keeps of it, if it does.
    """

    code = "error"
    decision: str | None = None

    @property
    def facts(self) -> dict[str, object]:
        """Further members of the problem document."""
        return {}


class NotFound(MeterbookError):
    """The thing named doesn't exist, or the caller may not know that it does."""

    code = "not_found"


class Invalid(MeterbookError):
    """The request can't be carried out as worded. `field` names the member at fault."""

    code = "invalid_field"

    def __init__(
        self, template: str, *, field: str | None = None, code: str | None = None, **values: object
    ) -> None:
        super().__init__(template, **values)
        self.field = field
        if code is not None:
            self.code = code


class Conflict(MeterbookError):
    """The request contradicts what is there already."""

    code = "conflict"

    def __init__(self, template: str, *, field: str | None = None, **values: object) -> None:
        super().__init__(template, **values)
        self.field = field


class Refused(MeterbookError):
    """A rule of the house forbids it: a limit is reached, a right is missing.

    `index` is the position of the event at which it was met, where a batch was sent.
    """

    code = "refused"
    index: int | None = None


class Unavailable(MeterbookError):
    """The question can't be answered now; the same request may succeed later."""

    code = "unavailable"


@dataclass(frozen=True, slots=True)
class EventError:
    """What is wrong with one event (or one Meter) of a list. `code` is a reason code of the contract."""

    index: int
    code: str
    field: str | None
    detail: str

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class EventsRejected(Invalid):
    """Some events of an all-or-nothing batch can't be recorded; nothing was."""

    code = "rejected"

    def __init__(self, errors: list[EventError]) -> None:
        count, why = len(errors), errors[0].detail
        if count == 1:
            super().__init__("1 event can't be recorded, and nothing was: {why}.", why=why)
        elif any(error.detail != why for error in errors):
            super().__init__(
                "{count} events can't be recorded, and nothing was; the first: {why}.", count=count, why=why
            )
        else:
            super().__init__(
                "{count} events can't be recorded, and nothing was: {why}.", count=count, why=why
            )
        self.errors = errors


class EventsConflict(Conflict):
    """Some events of an all-or-nothing batch reuse an id with other content; nothing was recorded."""

    def __init__(self, errors: list[EventError]) -> None:
        count = len(errors)
        if count == 1:
            super().__init__(
                "1 event reuses an id that the ledger holds with other content. Nothing was recorded."
            )
        else:
            super().__init__(
                "{count} events reuse ids that the ledger holds with other content. Nothing was recorded.",
                count=count,
            )
        self.errors = errors


class MetersRejected(Invalid):
    """Some Meters of a list can't become metrics; none did."""

    code = "rejected"

    def __init__(self, errors: list[EventError]) -> None:
        first = errors[0]
        place = f"Meter {first.index}" + (f", {first.field}" if first.field else "")
        super().__init__("Nothing was imported. {place}: {why}", place=place, why=first.detail)
        self.errors = errors


class MetersConflict(Conflict):
    """Some Meters of a list have names that are taken; none was imported."""

    def __init__(self, errors: list[EventError]) -> None:
        first = errors[0]
        super().__init__("Nothing was imported. Meter {index}: {why}", index=first.index, why=first.detail)
        self.errors = errors


class Inexpressible(Conflict):
    """Another system's format can't say what some metrics mean. Each error names the metric's field."""

    code = "inexpressible"

    def __init__(self, errors: list[EventError], *, format_name: str) -> None:
        reasons = " ".join(error.detail for error in errors)
        super().__init__(
            "{format_name} can't express this: {reasons}", format_name=format_name, reasons=reasons
        )
        self.errors = errors


class RebuildUnderWay(Conflict):
    """Another process rebuilds the rollups of this metric."""

    code = "rebuild_under_way"

    def __init__(self, metric_key: str) -> None:
        super().__init__("The rollups of '{metric_key}' are being rebuilt already.", metric_key=metric_key)


class PreviewTooSlow(Unavailable):
    """Too many events to look at in the time that a preview may take."""

    code = "preview_too_slow"

    def __init__(self) -> None:
        super().__init__("Too much to read in the time that a preview has; ask for fewer days.")


class UsageTooSlow(Unavailable):
    """Too much usage to read in the time that a question may take."""

    code = "usage_too_slow"

    def __init__(self) -> None:
        super().__init__(
            "Reading this takes longer than a question may; ask for a shorter interval, larger windows or"
            " fewer groups, or export it."
        )


class DefinitionsMoving(Unavailable):
    """Definitions changed again and again while a question was being answered."""

    code = "definitions_moving"

    def __init__(self) -> None:
        super().__init__("Definitions are being changed one after the other; ask again in a few seconds.")


class DefinitionsBusy(Unavailable):
    """Long recorders hold the ledger; a change of definitions waits for them and gave up for now."""

    code = "definitions_busy"

    def __init__(self) -> None:
        super().__init__("Usage is being recorded by a long import; try the change again in a few seconds.")
