"""Refusing further usage where a threshold that blocks was reached. Asked within the recording transaction.

A block is a crossing of the threshold's version, and usage that still is at its level: it ends with the
period, when the threshold is raised, disabled or removed, and when voids take usage below the level again.
It is obeyed by the next event in every process, because recorders look for crossings themselves; only who
has no such threshold at all is told apart in memory, at the catalogue's version.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import Error
from django.db.models import F, Q, QuerySet

from metering.admission import Asking, Verdicts
from metering.answering.owner_usage import Asked, usage_of_owners
from metering.catalogue import Catalogue
from metering.measuring.meaning import Meaning
from metering.measuring.windows import zone_named
from metering.texts.numbers import plain
from metering.texts.timestamps import iso

from .causes import Judged, threshold_as_cause
from .errors import QuotaUnavailable, ThresholdBlocked
from .evaluation import asked_of
from .models import EVERY_SUBJECT_TOGETHER, QuotaDecision, ThresholdCrossing, UsageThreshold
from .periods import Period, period_holding

Pair = tuple[int, int]  # project, metric


@dataclass(frozen=True, slots=True)
class _Block:
    """A crossing of a threshold that blocks, for the period and subject that it was about."""

    threshold: UsageThreshold
    period_start: dt.datetime | None
    subject: tuple[str, str]
    asked: Asked

    def covers(self, request: Asking, zone_name: str) -> bool:
        """Whether the request is usage that the threshold counts, in the period that was crossed."""
        threshold, (subject_type, subject_id) = self.threshold, self.subject
        if threshold.is_for_each_subject:
            is_about = (request.subject_type, request.subject_id) == self.subject
        else:
            is_about = subject_type in {"", request.subject_type} and subject_id in {
                EVERY_SUBJECT_TOGETHER,
                request.subject_id,
            }
        if not is_about:
            return False
        period = period_holding(request.occurred_at, kind=threshold.period, zone=zone_named(zone_name))
        return period.start == self.period_start


class Blocks:
    """Which requests a reached threshold blocks. Holds for whom there are such thresholds, by catalogue."""

    def __init__(self) -> None:
        self._held: tuple[Catalogue, frozenset[Pair]] | None = None

    def concern(self, requests: Sequence[Asking], *, catalogue: Catalogue) -> bool:
        """Whether any request could be blocked. No query while the catalogue is the same."""
        pairs = self._pairs(catalogue)
        return bool(pairs) and any(pair in pairs for request in requests for pair in _pairs_of(request))

    def without_blocked(
        self, requests: Sequence[Asking], *, catalogue: Catalogue, verdicts: Verdicts
    ) -> Sequence[Asking]:
        """The requests that no threshold blocks; the others are refused in `verdicts`, and noted.

        Raises `QuotaUnavailable` when it can't be found out.
        """
        pairs = self._pairs(catalogue)
        concerned = [request for request in requests if any(pair in pairs for pair in _pairs_of(request))]
        if not concerned:
            return requests
        try:
            blocks = _standing_blocks(catalogue, concerned, pairs)
        except Error as error:
            raise QuotaUnavailable from error
        for request in concerned:
            judged = _first_block(catalogue, request, blocks)
            if judged is not None:
                verdicts.refused[request.index] = ThresholdBlocked(judged.facts)
                verdicts.notes[request.index] = [judged]
        return [request for request in requests if request.index not in verdicts.refused]

    def _pairs(self, catalogue: Catalogue) -> frozenset[Pair]:
        """Projects and metrics with thresholds that block. Setting one moves the catalogue's version."""
        held = self._held
        if held is None or held[0] is not catalogue:
            rows = _blocking().order_by().values_list("project_id", "metric_id").distinct()
            try:
                held = self._held = (catalogue, frozenset(rows))
            except Error as error:
                raise QuotaUnavailable from error
        return held[1]


def _blocking() -> QuerySet[UsageThreshold]:
    return UsageThreshold.objects.in_force().filter(action=UsageThreshold.Action.BLOCK)


def _pairs_of(request: Asking) -> Iterable[Pair]:
    """Whose thresholds count a request: its project's and its payer's."""
    for meaning, _ in request.readings:
        yield request.project_id, meaning.metric_id
        if request.billing_scope_id != request.project_id:
            yield request.billing_scope_id, meaning.metric_id


def _standing_blocks(
    catalogue: Catalogue, requests: Sequence[Asking], pairs: frozenset[Pair]
) -> Mapping[Pair, Sequence[tuple[_Block, str]]]:
    """The blocks on subjects of the requests at whose level usage still is, each with the usage as text.

    One query for the crossings; where there are some, what their usage is now.
    """
    asked_pairs = {pair for request in requests for pair in _pairs_of(request)} & pairs
    earliest = min(request.occurred_at for request in requests)
    latest = max(request.occurred_at for request in requests)
    subject_ids = {request.subject_id for request in requests} | {EVERY_SUBJECT_TOGETHER}
    crossings = (
        ThresholdCrossing.objects.filter(
            Q(period_end=None) | Q(period_end__gt=earliest),
            Q(period_start=None) | Q(period_start__lte=latest),
            threshold__in=_blocking().filter(
                project_id__in={project_id for project_id, _ in asked_pairs},
                metric_id__in={metric_id for _, metric_id in asked_pairs},
            ),
            version=F("threshold__version"),
            kind=ThresholdCrossing.Kind.EXCEEDED,
            subject_id__in=subject_ids,
        )
        .select_related("threshold")
        .order_by("threshold_id", "id")
    )
    by_meaning: dict[Meaning, list[_Block]] = defaultdict(list)
    for crossing in crossings:
        threshold = crossing.threshold
        meaning = catalogue.meanings.get(threshold.metric_id)
        if meaning is None or (threshold.project_id, threshold.metric_id) not in asked_pairs:
            continue
        asked = asked_of(
            meaning,
            threshold,
            Period(crossing.period_start, crossing.period_end),
            now=None,
            at_least=threshold.level,
        )
        if asked is not None:
            subject = (crossing.subject_type, crossing.subject_id)
            by_meaning[meaning].append(_Block(threshold, crossing.period_start, subject, asked))
    standing: dict[Pair, list[tuple[_Block, str]]] = defaultdict(list)
    for meaning, blocks in by_meaning.items():
        told = usage_of_owners(
            meaning,
            list(dict.fromkeys(block.asked for block in blocks)),
            subjects={block.subject for block in blocks},
        )
        values = {(one.asked, one.subject): one.value for one in told}
        for block in blocks:
            value = values.get((block.asked, block.subject if block.threshold.is_for_each_subject else None))
            if value is not None:
                pair = (block.threshold.project_id, block.threshold.metric_id)
                standing[pair].append((block, plain(value)))
    return standing


def _first_block(
    catalogue: Catalogue, request: Asking, blocks: Mapping[Pair, Sequence[tuple[_Block, str]]]
) -> Judged | None:
    """What the first block that covers the request says of it."""
    keys = {meaning.metric_id: meaning.key for meaning, _ in request.readings}
    for pair in _pairs_of(request):
        for block, value in blocks.get(pair, ()):
            node = catalogue.project_by_id(pair[0])
            if block.covers(request, node.timezone):
                period = Period(block.asked.start, block.asked.end)
                metric_key = keys[pair[1]]
                return Judged(
                    threshold_as_cause(block.threshold, project_key=node.key, subject=block.subject),
                    period,
                    metric_key,
                    QuotaDecision.Outcome.BLOCKED,
                    _facts(block, value, period, project_key=node.key, metric_key=metric_key),
                )
    return None


def _facts(
    block: _Block, value: str, period: Period, *, project_key: str, metric_key: str
) -> dict[str, object]:
    subject_type, subject_id = block.subject
    assert block.threshold.level is not None
    return {
        "metric": metric_key,
        "project": project_key,
        "threshold": plain(block.threshold.level),
        "threshold_id": block.threshold.pk,
        "used": value,
        "subject_type": subject_type or None,
        "subject_id": subject_id or None,
        "period_start": None if period.start is None else iso(period.start),
        "resets_at": None if period.end is None else iso(period.end),
    }
