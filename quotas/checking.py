"""Whether usage would be recorded now: asked, not done. Nothing is written and nothing is set aside."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from metering.admission import Verdicts
from metering.catalogue import Catalogue, current
from metering.clock import database_now
from metering.measuring.windows import zone_named
from metering.principal import Principal
from metering.recording.resolving import Candidate

from .appraisal import Claim, candidate_of, claims_on
from .blocking import Blocks
from .book import MONITORED_ONLY, Quota, QuotaBook
from .errors import QuotaExceeded, ThresholdBlocked
from .models import ProjectQuota
from .utilisation import limits_in_force

Answer = Literal["admitted", "denied", "warned", "observed"]


@dataclass(frozen=True, slots=True)
class Counted:
    """One quota that counts the event: what it would say, and the numbers it would say it by."""

    quota_id: int
    period: str
    counting: str
    answer: Answer
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Check:
    """What recording would answer. `code` and `detail` say why it would refuse."""

    candidate: Candidate
    checked_at: dt.datetime
    counted: Sequence[Counted]
    code: str | None = None
    detail: str | None = None
    facts: Mapping[str, object] | None = None

    @property
    def is_allowed(self) -> bool:
        return self.code is None

    @property
    def block(self) -> Mapping[str, object] | None:
        """The facts of the threshold that blocks it, if one does."""
        return self.facts if self.code == ThresholdBlocked.code else None

    @property
    def warnings(self) -> list[Mapping[str, object]]:
        """What recording would warn of, if it is allowed."""
        return [one.facts for one in self.counted if one.answer == "warned"] if self.is_allowed else []


def check_of(members: Mapping[str, Any], *, principal: Principal) -> Check:
    """What would become of an event with these members. Raises `EventsRejected` for one that couldn't be
    recorded whatever the limits, and `QuotaUnavailable`."""
    catalogue, now = current(), database_now()
    candidate = candidate_of(members, catalogue=catalogue, principal=principal, now=now, source="api")
    may_backfill = principal.may("backfill")
    claims, verdicts = claims_on(candidate, _book_of(candidate, at=now), now=now, may_backfill=may_backfill)
    counted = [_counted(claim) for claim in claims]
    blocked = _blocked(candidate, catalogue=catalogue)
    if blocked is not None:  # before any quota is asked, as in recording
        return Check(candidate, now, counted, blocked.code, str(blocked), blocked.facts)
    for error in verdicts.rejected.values():
        detail = f"{error.detail[:1].upper()}{error.detail[1:]}."
        return Check(candidate, now, counted, error.code, detail)
    for claim in claims:
        if claim.standing.is_hard and claim.is_exceeded:
            refusal = QuotaExceeded(claim.facts())
            return Check(candidate, now, counted, refusal.code, str(refusal), refusal.facts)
    return Check(candidate, now, counted)


def _blocked(candidate: Candidate, *, catalogue: Catalogue) -> ThresholdBlocked | None:
    """The refusal by a threshold that blocks, or None. Raises `QuotaUnavailable`."""
    verdicts = Verdicts()
    Blocks().without_blocked([candidate], catalogue=catalogue, verdicts=verdicts)
    return cast(ThresholdBlocked | None, verdicts.refused.get(candidate.index))


def _counted(claim: Claim) -> Counted:
    quota = claim.standing.quota
    answer: Answer = "admitted"
    if claim.is_exceeded:
        answer = "denied" if claim.standing.is_hard else "warned"
        if quota.mode == ProjectQuota.Mode.MONITOR:
            answer = "observed"
    return Counted(quota.id, quota.period, quota.counting, answer, claim.facts())


def _book_of(candidate: Candidate, *, at: dt.datetime) -> QuotaBook:
    """All quotas that count the event, monitored ones too; not those on values of which one more reading
    says nothing."""
    rows = list(
        ProjectQuota.objects.filter(
            project__in={candidate.project_id, candidate.billing_scope_id},
            metric__in=[meaning.metric_id for meaning, _ in candidate.readings],
        )
        .exclude(metric__aggregation__in=MONITORED_ONLY)
        .select_related("project")
        .order_by("pk")
    )
    limits = limits_in_force({row.pk: row.limit for row in rows}, at=at)
    book: dict[tuple[int, int], list[Quota]] = defaultdict(list)
    for row in rows:
        book[row.project_id, row.metric_id].append(
            Quota(
                id=row.pk,
                project_id=row.project_id,
                project_key=row.project.key,
                zone=zone_named(row.project.timezone),
                metric_id=row.metric_id,
                limit=limits[row.pk],
                mode=row.mode,
                period=row.period,
                anchor=row.anchor,
                counting=row.counting,
            )
        )
    return dict(book)
