"""Recording usage: the one verb that writes the ledger.

One transaction: the shared recording lock as its first statement; the version row and fresh ids; admission,
where limits apply; the rows, sorted by their unique key, by COPY; their contributions to the rollups. A new
key is the common case, so the rows are written first and keys are looked up only when one turns out to exist
(or when a limit would stop an event that may be there already): a unique violation rolls back and goes the
careful way, which adds only what is absent and can't meet another. Admission that took all events for new was
right where all of them were written.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import localcontext
from typing import Any, Literal

import msgspec
import psycopg
from django.db import IntegrityError, transaction

from .admission import Conclusion, Verdicts, admission_policy
from .announcing.recorded import announce_recorded
from .catalogue import Catalogue, catalogue_at
from .errors import (
    EventError,
    EventsConflict,
    EventsRejected,
    Invalid,
    MeterbookError,
    Refused,
    Unavailable,
)
from .principal import EVERYBODY_INSIDE, Principal
from .recording.intake import MAX_EVENTS, Item, events_from
from .recording.resolving import Candidate, Resolver
from .recording.writing import Page, recording
from .texts.numbers import EXACT

RECORDED_ONCE = "usage_event_recorded_once"
CONFLICT = "the ledger holds this id with other content"


class Outcome(msgspec.Struct, omit_defaults=True):
    """What became of one event; `code` says why it was not recorded, `facts` what a limit knows of it.

    `id` is the ledger's, None where there is no row; `event_id` the producer's or the one given to it.
    `decision` refers to the account of a refusal or warning.
    """

    id: int | None
    event_id: str | None
    outcome: Literal["created", "exists", "conflict", "rejected"]
    code: str | None = None
    field: str | None = None
    detail: str | None = None
    warnings: Sequence[Mapping[str, object]] = ()
    facts: Mapping[str, object] | None = None
    decision: str | None = None


def record_events(
    events: Iterable[Mapping[str, Any]],
    *,
    principal: Principal = EVERYBODY_INSIDE,
    source: str = "api",
    on_error: Literal["reject", "skip"] = "reject",
    enforce: bool = True,
) -> list[Outcome]:
    """Record usage from within Python: mappings with the members that the API takes.

    Returns one outcome per event in the order given; they are committed with the surrounding transaction, or
    at once without one. All or nothing, unless `on_error="skip"`. Raises `Invalid` (also for over 10,000
    events), `EventsRejected`, `EventsConflict` and whatever the admission policy refuses with; then nothing
    was recorded.
    """
    try:
        items = events_from(events)
    except ValueError as error:
        raise Invalid(str(error) or f"At most {MAX_EVENTS} events at a time.") from None
    return record_items(items, principal=principal, source=source, on_error=on_error, enforce=enforce)


def record_items(
    items: Sequence[Item],
    *,
    principal: Principal,
    source: str = "api",
    on_error: Literal["reject", "skip"] = "reject",
    enforce: bool = True,
    may_contain_nul: bool = True,
    may_reserve: bool = False,
    confirm: Callable[[int, dt.datetime], None] | None = None,
) -> list[Outcome]:
    """`record_events` for parsed items.

    With `may_reserve` the events may have a source that is reserved for ours. `confirm` is called with the
    catalogue's version and the database's time as the transaction sees them; what it raises ends it.
    """

    def attempt(*, looks_first: bool) -> list[Outcome]:
        batch = _Batch(
            items,
            principal=principal,
            source=source,
            skips=on_error == "skip",
            enforce=enforce,
            may_reserve=may_reserve,
        )
        try:
            with recording(draws=len(items)) as page:
                if confirm is not None:
                    confirm(page.version, page.now)
                batch.record(page, looks_first=looks_first, may_contain_nul=may_contain_nul)
        except MeterbookError as refusal:
            batch.conclude(refusal)
            raise
        batch.conclude(None)
        if batch.on_commit is not None:
            transaction.on_commit(batch.on_commit)
        return batch.outcomes()

    with localcontext(EXACT):
        try:
            return attempt(looks_first=False)
        except IntegrityError as error:
            if _violated(error) != RECORDED_ONCE:
                raise
        return attempt(looks_first=True)


def _violated(error: IntegrityError) -> str | None:
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None


class _Batch:
    """One attempt at recording one request."""

    def __init__(
        self,
        items: Sequence[Item],
        *,
        principal: Principal,
        source: str,
        skips: bool,
        enforce: bool,
        may_reserve: bool,
    ) -> None:
        self._may_reserve = may_reserve
        self._items = items
        self._principal = principal
        self._source = source
        self._skips = skips
        self._enforce = enforce
        self._outcomes: list[Outcome | None] = [None] * len(items)
        self._conflicts: list[EventError] = []
        self._warnings: Mapping[int, Sequence[Mapping[str, object]]] = {}
        self._asked: list[Candidate] = []
        self._verdicts = Verdicts()
        self._seen: tuple[Catalogue, dt.datetime] | None = None
        self.on_commit: Callable[[], None] | None = None

    def outcomes(self) -> list[Outcome]:
        return [outcome for outcome in self._outcomes if outcome is not None]

    def record(self, page: Page, *, looks_first: bool, may_contain_nul: bool) -> None:
        """Judge each event and write those that are new: 422 goes before 429, and that before 409."""
        catalogue, now = catalogue_at(page.version), page.now
        self._seen = catalogue, now
        resolver = Resolver(
            catalogue,
            principal=self._principal,
            now=now,
            default_source=self._source,
            may_contain_nul=may_contain_nul,
            may_reserve=self._may_reserve,
        )
        candidates = self._candidates(resolver)
        firsts = {candidate.key: candidate for candidate in reversed(candidates)}
        new = [candidate for candidate in candidates if firsts[candidate.key] is candidate]
        if self._enforce:
            self._asked = new
        is_limited = self._enforce and admission_policy().concerns(new, catalogue=catalogue)
        if is_limited:
            # Before keys and usage are read: whoever held the locks has committed both by then.
            admission_policy().hold(new, catalogue=catalogue)
        existing: dict[tuple[int, str, str], tuple[int, bytes]] = {}
        if looks_first:
            existing = page.existing(new)
            new = [candidate for candidate in new if candidate.key not in existing]
        if is_limited and new:
            verdicts = self._judged(new, catalogue=catalogue, now=now)
            if verdicts.stop_any and not looks_first:
                # What was recorded already asks for nothing, whatever is full by now.
                existing = page.existing(new)
                if existing:
                    new = [candidate for candidate in new if candidate.key not in existing]
                    verdicts = self._judged(new, catalogue=catalogue, now=now)
            new = self._admitted(new, verdicts)
        row_ids = {candidate.key: page.ids[candidate.index] for candidate in new}
        if looks_first and new:
            # Rivals are at the same keys: what they commit while we wait for them exists, and isn't ours.
            written = page.write_absent(new, row_ids)
            lost = [candidate for candidate in new if candidate.key not in written]
            if lost:
                existing.update(page.existing(lost))
                row_ids = {key: row_ids[key] for key in written}
        self._settle(candidates, firsts, existing, row_ids)
        if self._conflicts and not self._skips:
            raise EventsConflict(self._conflicts)
        announce_recorded(new, row_ids, catalogue=catalogue)  # before the rows, with which a page may commit
        if new and not looks_first:
            page.write(new, row_ids)

    def conclude(self, refusal: MeterbookError | None) -> None:
        """Let the policy know how it ended, once the transaction is over; refusals get their references."""
        verdicts, asked = self._verdicts, self._asked
        is_noteworthy = verdicts.refused or verdicts.rejected or verdicts.warnings
        if not asked or not (is_noteworthy or isinstance(refusal, Unavailable)) or self._seen is None:
            return
        conclusion = Conclusion(asked, verdicts, self._principal, *self._seen, refusal=refusal)
        admission_policy().conclude(conclusion)
        references = conclusion.references
        if refusal is not None:
            place = refusal.index if isinstance(refusal, Refused) else None
            refusal.decision = references.get(asked[0].index if place is None else place)
        for index, reference in references.items():
            outcome = self._outcomes[index]
            if outcome is not None:
                outcome.decision = reference

    def _candidates(self, resolver: Resolver) -> list[Candidate]:
        """The events that can be recorded as worded. Raises `EventsRejected` unless misfits are skipped."""
        candidates: list[Candidate] = []
        errors: list[EventError] = []
        for index, item in enumerate(self._items):
            if isinstance(item, EventError):
                errors.append(item)
                continue
            candidate = resolver.candidate(index, item)
            if isinstance(candidate, EventError):
                errors.append(candidate)
            else:
                candidates.append(candidate)
        self._reject(errors)
        return candidates

    def _reject(self, errors: list[EventError]) -> None:
        if errors and not self._skips:
            raise EventsRejected(sorted(errors, key=lambda error: error.index))
        for error in errors:
            item = self._items[error.index]
            self._outcomes[error.index] = Outcome(
                None,
                None if isinstance(item, EventError) else item.id,
                "rejected",
                code=error.code,
                field=error.field,
                detail=error.detail,
            )

    def _judged(self, new: list[Candidate], *, catalogue: Catalogue, now: dt.datetime) -> Verdicts:
        self._asked = new
        verdicts = self._verdicts = admission_policy().judge(
            new,
            catalogue=catalogue,
            now=now,
            may_backfill=self._principal.may("backfill"),
        )
        return verdicts

    def _admitted(self, new: list[Candidate], verdicts: Verdicts) -> list[Candidate]:
        """The new events that the policy admits; raises its refusal unless refusals are skipped."""
        self._reject(list(verdicts.rejected.values()))
        if verdicts.refused and not self._skips:
            first = min(verdicts.refused)
            refusal = verdicts.refused[first]
            if isinstance(refusal, Refused):
                refusal.index = first
            raise refusal
        for candidate in new:
            refused: MeterbookError | None = verdicts.refused.get(candidate.index)
            if refused is not None:
                self._outcomes[candidate.index] = Outcome(
                    None,
                    candidate.event_id,
                    "rejected",
                    code=refused.code,
                    detail=str(refused),
                    facts=refused.facts,
                )
        self._warnings = verdicts.warnings
        self.on_commit = verdicts.on_commit
        return [
            candidate
            for candidate in new
            if candidate.index not in verdicts.refused and candidate.index not in verdicts.rejected
        ]

    def _settle(
        self,
        candidates: list[Candidate],
        firsts: Mapping[tuple[int, str, str], Candidate],
        existing: Mapping[tuple[int, str, str], tuple[int, bytes]],
        row_ids: Mapping[tuple[int, str, str], int],
    ) -> None:
        """Say what becomes of each event; a repeat in the batch follows the first of its key."""
        for candidate in candidates:
            if self._outcomes[candidate.index] is not None:
                continue
            first = firsts[candidate.key]
            found = existing.get(candidate.key)
            if found is not None:
                row_id, digest = found
            else:
                drawn = row_ids.get(candidate.key)
                if drawn is None:  # the first of this key was refused, and so is its repeat
                    self._outcomes[candidate.index] = self._outcomes[first.index]
                    continue
                row_id, digest = drawn, first.digest
            if candidate.digest != digest:
                self._conflicts.append(EventError(candidate.index, "conflict", "id", CONFLICT))
                self._outcomes[candidate.index] = Outcome(
                    row_id, candidate.event_id, "conflict", code="conflict", field="id", detail=CONFLICT
                )
            elif found is None and candidate is first:
                self._outcomes[candidate.index] = Outcome(
                    row_id, candidate.event_id, "created", warnings=self._warnings.get(candidate.index, ())
                )
            else:
                self._outcomes[candidate.index] = Outcome(row_id, candidate.event_id, "exists")
