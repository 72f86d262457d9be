"""Verifying: recomputing from the ledger what everything else should be, and remembering what was found.

A run is a row. Asked for in the admin or by the schedule it waits in the database until a worker takes it,
does steps for a while and puts it back; every step reads a snapshot of its own, so nothing is lost in
between. Who runs it holds an advisory lock of the session: a run without a holder has lost its process.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from metering.answering.fences import last_position
from metering.errors import Conflict, MeterbookError
from metering.models import Heartbeat, VerificationRun
from metering.sealing.seal_chain import Head

from .verification_checks import Asked, Check, Step, planned_steps
from .verification_findings import BREACHES_KEPT, Breach, Finding, Outcome, counted, status_of

logger = logging.getLogger(__name__)

HEARTBEAT = "verify"
SLICE_SECONDS = 60.0  # then the worker is free for other jobs
LOCK_CLASS = 77_002  # (class, number of the run): beside those of metering/locks.py, waited for by nobody

State, Trigger = VerificationRun.State, VerificationRun.Trigger

_HELD_RUNS = """
    SELECT objid::bigint
      FROM pg_locks
     WHERE locktype = 'advisory'
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND classid = %s
       AND objsubid = 2
       AND granted
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: steps done of all, the step under way, and rows that it has read where it tells."""

    done: int
    total: int
    step: str
    row_count: int = 0


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What a finished run says. `position`: everything recorded up to it was looked at, and perhaps more."""

    run_id: int
    state: str
    position: int
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def has_passed(self) -> bool:
        return self.state == State.PASSED

    @property
    def breaches(self) -> list[Breach]:
        """The first of each step, in words."""
        return [breach for finding in self.findings for breach in finding.breaches]

    @property
    def breach_count(self) -> int:
        return sum(finding.breach_count for finding in self.findings)


def verify(
    *,
    checks: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    head: str | None = None,
    limit: int = BREACHES_KEPT,
    trigger: str = Trigger.CODE,
    requested_by: str = "",
    on_progress: OnProgress | None = None,
) -> Report:
    """Check everything, or the named checks and metrics, beside writers and ticks; nothing is changed.

    Stores a `VerificationRun` and returns what was found: all breaches are counted, `limit` of each step are
    kept in words. Ended from outside it leaves the run marked as interrupted. Raises `Invalid` for an unknown
    check or a `head` that is none, `NotFound` for an unknown metric.
    """
    end_lost_runs()
    asked = Asked(head=head, metrics=tuple(metrics or ()), limit=limit)
    if head is not None:
        Head.from_text(head)
    planned_steps(checks or (), asked)
    with transaction.atomic():
        run = VerificationRun.objects.create(
            trigger=trigger,
            requested_by=requested_by[:150],
            state=State.RUNNING,
            checks=list(checks or ()),
            metrics=list(asked.metrics),
            head=head or "",
            breach_limit=limit,
            started_at=Now(),
        )
        _hold(run)
    _work_on(run, deadline=None, on_progress=on_progress)
    return report_of(run)


def request_verification(*, trigger: str, requested_by: str = "", head: str = "") -> VerificationRun:
    """Let a worker verify everything. Raises `Conflict` while a whole verification waits or runs already,
    `Invalid` (field "head") for a text that is no head."""
    if head:
        Head.from_text(head)
    end_lost_runs()
    under_way = VerificationRun.objects.filter(state=State.RUNNING, checks=[], metrics=[])
    if under_way.exists():
        raise Conflict("A verification is running already.")
    try:
        with transaction.atomic():
            run = VerificationRun.objects.create(
                trigger=trigger, requested_by=requested_by[:150], state=State.QUEUED, head=head
            )
    except IntegrityError:
        raise Conflict("A verification is waiting already.") from None
    run.refresh_from_db()
    return run


def verify_requested(*, slice_seconds: float = SLICE_SECONDS) -> bool:
    """Work on the run that waits until the slice is over; whether something is left to go on with."""
    end_lost_runs()
    run = _claimed()
    if run is None:
        return False
    _work_on(run, deadline=time.monotonic() + slice_seconds, on_progress=None)
    return run.state == State.QUEUED


def end_lost_runs() -> int:
    """Mark runs whose process is gone as interrupted; returns how many."""
    running = list(VerificationRun.objects.filter(state=State.RUNNING).values_list("pk", flat=True))
    if not running:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_HELD_RUNS, [LOCK_CLASS])
        held = {run_id for (run_id,) in cursor.fetchall()}
    return VerificationRun.objects.filter(
        state=State.RUNNING, pk__in=[pk for pk in running if pk not in held]
    ).update(
        state=State.INTERRUPTED,
        finished_at=Now(),
        current_step="",
        summary="Its process ended before it was done.",
    )


def last_verification() -> VerificationRun | None:
    """The last run of everything that came to an end."""
    ended = Q(state__in=[State.PASSED, State.FAILED]) & Q(checks=[], metrics=[])
    return VerificationRun.objects.filter(ended).defer("findings").order_by("-finished_at", "-id").first()


def findings_of(run: VerificationRun) -> list[Finding]:
    return [Finding.from_dict(stored) for stored in run.findings]


def report_of(run: VerificationRun) -> Report:
    return Report(run.pk, run.state, run.position or 0, run.seconds, tuple(findings_of(run)))


def _hold(run: VerificationRun) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK_CLASS, run.pk])


def _let_go(run: VerificationRun) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_CLASS, run.pk])


def _claimed() -> VerificationRun | None:
    with transaction.atomic():
        run = (
            VerificationRun.objects.select_for_update(skip_locked=True)
            .filter(state=State.QUEUED)
            .order_by("id")
            .first()
        )
        if run is None:
            return None
        _hold(run)
        VerificationRun.objects.filter(pk=run.pk).update(
            state=State.RUNNING, started_at=Coalesce(F("started_at"), Now())
        )
    run.refresh_from_db()
    return run


def _work_on(run: VerificationRun, *, deadline: float | None, on_progress: OnProgress | None) -> None:
    """Do the steps that aren't done. Leaves the run ended, or queued again where the deadline was reached."""
    try:
        _do_steps(run, deadline=deadline, tell=on_progress or (lambda _progress: None))
    except BaseException as error:
        # The connection may be what was lost: then the next run finds this one without a holder.
        if not isinstance(error, OperationalError | InterfaceError):
            _end(run, State.INTERRUPTED, summary="It was stopped before it was done.")
            _let_go(run)
        raise
    _let_go(run)


def _do_steps(run: VerificationRun, *, deadline: float | None, tell: OnProgress) -> None:
    began, seconds_before = time.monotonic(), run.seconds
    if run.position is None:
        run.position = last_position()
    asked = Asked(head=run.head or None, metrics=tuple(run.metrics), limit=run.breach_limit)
    steps = planned_steps(run.checks, asked)
    done = {(stored["check"], stored["subject"]) for stored in run.findings}
    left = [(check, step) for check, step in steps if (check.name, step.subject) not in done]
    run.step_count = len(steps)
    for number, (check, step) in enumerate(left):
        run.done_count = len(steps) - len(left) + number
        run.current_step = f"{check.title}: {step.subject}" if step.subject else str(check.title)
        run.seconds = seconds_before + time.monotonic() - began
        if number and deadline is not None and time.monotonic() >= deadline and _put_back(run):
            return
        run.save()
        tell(Progress(run.done_count, len(steps), run.current_step))
        run.findings.append(_finding(run, check, step, tell).as_dict())
    run.done_count = len(steps)
    run.seconds = seconds_before + time.monotonic() - began
    findings = findings_of(run)
    has_failed = any(finding.status == "failed" for finding in findings)
    _end(run, State.FAILED if has_failed else State.PASSED, summary=_summary(findings))
    Heartbeat.objects.update_or_create(
        job=HEARTBEAT,
        defaults={
            "finished_at": timezone.now(),
            "facts": {"steps": len(steps), "breaches": run.breach_count, "seconds": round(run.seconds, 3)},
        },
    )


def _put_back(run: VerificationRun) -> bool:
    """Let the run wait for its next slice; False where another one waits already: then this one goes on."""
    run.state = State.QUEUED
    try:
        with transaction.atomic():
            run.save()
    except IntegrityError:
        run.state = State.RUNNING
        return False
    return True


def _finding(run: VerificationRun, check: Check, step: Step, tell: OnProgress) -> Finding:
    began = time.monotonic()

    def read(rows: int) -> None:
        tell(Progress(run.done_count, run.step_count, run.current_step, rows))

    try:
        outcome = step.run(read)
    except (OperationalError, InterfaceError):
        raise  # the database's trouble says nothing about what it holds
    except Exception as error:
        logger.exception("Check %s of %s failed itself", check.name, step.subject or "everything")
        what = str(error) if isinstance(error, MeterbookError) else f"{type(error).__name__}: {error}"
        outcome = Outcome(
            checked="nothing",
            breaches=[Breach("check_failed", f"The check itself failed: {what[:500]}")],
            breach_count=1,
        )
    return Finding(
        check=check.name,
        subject=step.subject,
        title=str(check.title),
        status=status_of(outcome),
        checked=outcome.checked,
        breach_count=outcome.breach_count,
        breaches=list(outcome.breaches),
        warnings=list(outcome.warnings),
        notes=list(outcome.notes),
        seconds=round(time.monotonic() - began, 3),
    )


def _end(run: VerificationRun, state: str, *, summary: str) -> None:
    run.state, run.summary, run.current_step = state, summary, ""
    run.breach_count = sum(stored["breach_count"] for stored in run.findings)
    run.finished_at = timezone.now()
    run.save()


def _summary(findings: Sequence[Finding]) -> str:
    failed = [finding for finding in findings if finding.breaches]
    if failed:
        first = failed[0]
        return f"{first.title}{f' of {first.subject}' if first.subject else ''}: {first.breaches[0].what}"
    warnings = [warning for finding in findings for warning in finding.warnings]
    praise = f"{counted(len(findings), 'step')} without a breach"
    return f"{praise}. {warnings[0].what}" if warnings else f"{praise}."
