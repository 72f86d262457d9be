"""What a verification checks. Apps add checks of their own by naming them in VERIFICATION_CHECKS."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from metering.errors import Invalid, NotFound
from metering.guards import GUARDED_TABLES, guard_breaches, right_breaches
from metering.models import MetricDefinition
from metering.sealing.seal_checking import seal_breaches, unsealed

from .verification_findings import BREACHES_KEPT, Breach, Outcome, Tell, counted
from .verification_ledger import payer_outcome, pending_outcome, position_outcome, void_outcome
from .verification_rollups import rollup_outcome


@dataclass(frozen=True, slots=True)
class Asked:
    """How to check: `head` is a published head of the seals, `metrics` keys (empty: all), `limit` how many
    breaches of a step are kept with their words; all are counted."""

    head: str | None = None
    metrics: Sequence[str] = ()
    limit: int = BREACHES_KEPT


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a check that is done at once: it reads one snapshot, or several that don't depend on each
    other. `run` is told how far it is, in rows where it knows."""

    run: Callable[[Tell], Outcome]
    subject: str = ""


class Check(Protocol):
    """One promise and how it is checked. `by_metric`: its steps are metrics, and can be chosen by key."""

    name: str
    title: Any
    promise: Any
    by_metric: bool

    def steps(self, asked: Asked) -> Iterable[Step]: ...


@dataclass(frozen=True, slots=True)
class SimpleCheck:
    """A check of one step, for which a function is enough: (limit=) -> Outcome."""

    name: str
    title: Any
    promise: Any
    outcome: Callable[..., Outcome]
    by_metric: bool = field(default=False)

    def steps(self, asked: Asked) -> Iterable[Step]:
        return [Step(lambda tell: self.outcome(limit=asked.limit))]


class SealCheck:
    name = "seals"
    title = _("Seals")
    promise = _("Every row that was sealed still is exactly what it was, and none was added or removed.")
    by_metric = False

    def steps(self, asked: Asked) -> Iterable[Step]:
        return [Step(lambda tell: self._outcome(asked, tell))]

    def _outcome(self, asked: Asked, tell: Tell) -> Outcome:
        checked = 0

        def count(rows: int) -> None:
            nonlocal checked
            checked = rows
            tell(rows)

        kept: list[Breach] = []
        breach_count = 0
        for breach in seal_breaches(head=asked.head, on_progress=count):
            breach_count += 1
            if len(kept) < asked.limit:
                kept.append(Breach(breach.code, str(breach)))
        open_end = unsealed()
        notes = []
        if open_end.row_count:
            notes.append(
                f"{counted(open_end.row_count, 'row')} recorded since the last seal: no seal answers for"
                " them yet."
            )
        if asked.head is None:
            notes.append("Without a published head nobody can tell that the end was cut off.")
        return Outcome(
            checked=f"{counted(checked, 'sealed row')}",
            breaches=kept,
            breach_count=breach_count,
            notes=notes,
        )


class RollupCheck:
    name = "rollups"
    title = _("Rollups")
    promise = _(
        "For every metric, what is stored and pending in every hour, day, month and total is what the ledger "
        "gives when it is read anew."
    )
    by_metric = True

    def steps(self, asked: Asked) -> Iterable[Step]:
        metrics = MetricDefinition.objects.order_by("key", "id").select_related("project")
        if asked.metrics:
            metrics = metrics.filter(key__in=asked.metrics)
        for metric in metrics:
            owner = f" ({metric.project.key})" if metric.project else ""

            def run(tell: Tell, metric_id: int = metric.pk) -> Outcome:
                return rollup_outcome(metric_id, limit=asked.limit)

            yield Step(run, subject=f"{metric.key}{owner}")


def guard_outcome(*, limit: int) -> Outcome:
    """The triggers that refuse changes. What the application's role may do besides is a warning: it is a
    way to break a promise, not a broken one."""
    breaches = [Breach("guard_missing", f"{one.what} {one.hint}") for one in guard_breaches()]
    warnings = [Breach("role_may_too_much", f"{one.what} {one.hint}") for one in right_breaches(_role())]
    return Outcome(
        checked=f"{counted(len(GUARDED_TABLES), 'append-only table')}",
        breaches=breaches[:limit],
        breach_count=len(breaches),
        warnings=warnings[:limit],
    )


def _role() -> str:
    """The role that web and workers connect as."""
    name = urlsplit(settings.DATABASE_URL).username
    return unquote(name) if name else str(settings.APPLICATION_ROLE)


SEALS = SealCheck()
ROLLUPS = RollupCheck()
GUARDS = SimpleCheck(
    name="guards",
    title=_("Guards"),
    promise=_("The database refuses to change or remove what is append-only."),
    outcome=guard_outcome,
)
PENDING = SimpleCheck(
    name="pending",
    title=_("Pending contributions"),
    promise=_("What was recorded reaches the rollups in minutes, and nothing was set aside."),
    outcome=pending_outcome,
)
VOIDS = SimpleCheck(
    name="voids",
    title=_("Cancelled events"),
    promise=_("Each void cancels one earlier event, says the same of it, and has a reason on record."),
    outcome=void_outcome,
)
PAYERS = SimpleCheck(
    name="payers",
    title=_("Payers"),
    promise=_("Each event is billed to a project of its own tree."),
    outcome=payer_outcome,
)
POSITIONS = SimpleCheck(
    name="positions",
    title=_("Positions"),
    promise=_(
        "Fences, seals and metrics name positions that the ledger has reached, and nothing was added below a "
        "fence after it was made."
    ),
    outcome=position_outcome,
)


def registered_checks() -> list[Check]:
    """All checks, in the order of the settings."""
    return [cast(Check, import_string(path)) for path in settings.VERIFICATION_CHECKS]


def planned_steps(names: Sequence[str], asked: Asked) -> list[tuple[Check, Step]]:
    """The steps of the named checks, of all without names; with metrics of those that go by metric.

    Raises `Invalid` (field "checks") for a name that no check has, `NotFound` for a metric that isn't there.
    """
    checks = registered_checks()
    known = [check.name for check in checks]
    for name in names:
        if name not in known:
            raise Invalid(
                "There is no check '{name}'; there are {known}.",
                name=name,
                known=", ".join(known),
                field="checks",
            )
    for key in asked.metrics:
        if not MetricDefinition.objects.filter(key=key).exists():
            raise NotFound("There is no metric '{key}'.", key=key)
    if names:
        checks = [check for check in checks if check.name in names]
    elif asked.metrics:
        checks = [check for check in checks if check.by_metric]
    asked = replace(asked, metrics=tuple(asked.metrics))
    return [(check, step) for check in checks for step in check.steps(asked)]
