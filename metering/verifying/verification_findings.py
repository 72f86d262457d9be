"""What a verification says: findings of steps, and the breaches in them. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["passed", "warning", "failed"]
Tell = Callable[[int], None]

BREACHES_KEPT = 20


@dataclass(frozen=True, slots=True)
class Breach:
    """One contradiction, in words that name its place. `code` is stable."""

    code: str
    what: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step found. Counts are whole, `breaches` and `warnings` the first of them.

    `checked`: what was looked at, in words ("1,200 buckets"). `notes`: what else a reader should know, such
    as what couldn't be judged yet.
    """

    checked: str
    breaches: Sequence[Breach] = ()
    breach_count: int = 0
    warnings: Sequence[Breach] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One step of one check: `subject` is what it was about, empty where the check has one step."""

    check: str
    subject: str
    title: str
    status: Status
    checked: str
    breach_count: int = 0
    breaches: list[Breach] = field(default_factory=list)
    warnings: list[Breach] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Finding":
        lists = {name: [Breach(**one) for one in stored[name]] for name in ("breaches", "warnings")}
        return cls(**{**stored, **lists})


def status_of(outcome: Outcome) -> Status:
    if outcome.breach_count:
        return "failed"
    return "warning" if outcome.warnings else "passed"


def counted(count: int, noun: str, plural: str = "") -> str:
    """ "1 bucket", "1,200 buckets"."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
