"""Which quotas count which requests, in which of their periods: what there is to judge."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from metering.admission import Asking, Verdicts
from metering.answering.step_neighbours import StreamPlace
from metering.errors import EventError
from metering.texts.timestamps import iso

from .book import HARD, Quota, QuotaBook
from .causes import Judged, quota_as_cause
from .models import QuotaDecision
from .recorded import Place, Question
from .tallies import Asked


@dataclass(slots=True)
class Docket:
    """The requests that quotas count, each with its claims; and what is asked about each quota and period."""

    requests: list[tuple[Asking, list[tuple[Place, Asked]]]] = field(default_factory=list)
    quotas: dict[Place, Quota] = field(default_factory=dict)
    questions: dict[Place, Question] = field(default_factory=dict)

    def enter(self, quota: Quota, place: Place, asked: Asked, stream_place: StreamPlace | None) -> None:
        question = self.questions.get(place)
        if question is None:
            self.quotas[place] = quota
            question = self.questions[place] = Question()
        if not place.is_foldable:
            question.asked.append(asked)
            if stream_place is not None:
                question.stream_places[asked] = stream_place


def docket_of(
    requests: Sequence[Asking],
    book: QuotaBook,
    *,
    now: dt.datetime,
    may_backfill: bool,
    verdicts: Verdicts,
    last_places: dict[int, Place],
) -> Docket:
    """The requests that quotas count, with their claims; those in closed periods are rejected.

    `last_places` is kept from one request to the next: the place of each quota that was judged last.
    """
    docket = Docket()
    for request in requests:
        claims: list[tuple[Quota, Place, Asked, StreamPlace | None]] = []
        for quota, number in counted(request, book):
            meaning, reading = request.readings[number]
            # Neighbours mostly share the period; finding it costs more than comparing.
            place = last_places.get(quota.id)
            if place is None or not place.period.holds(request.occurred_at):
                period = quota.period_holding(request.occurred_at)
                place = last_places[quota.id] = Place(quota.id, period, quota.project_id, meaning)
            if quota.mode == HARD and not may_backfill and place.period.is_closed(at=now):
                verdicts.rejected[request.index] = _period_closed(request, quota, place)
                outcome = QuotaDecision.Outcome.CLOSED_PERIOD
                verdicts.notes[request.index] = [
                    Judged(quota_as_cause(quota), place.period, meaning.key, outcome)
                ]
                break
            stream_place = _stream_place(request, number) if meaning.is_stepped else None
            asked = Asked(
                reading,
                request.occurred_at,
                request.index,
                request.value_keys[number] if meaning.keeps_values and request.value_keys else None,
                None if stream_place is None else stream_place.stream,
            )
            claims.append((quota, place, asked, stream_place))
        else:
            for claim in claims:
                docket.enter(*claim)
            if claims:
                docket.requests.append((request, [(place, asked) for _, place, asked, _ in claims]))
    return docket


def _stream_place(request: Asking, number: int) -> StreamPlace:
    return StreamPlace(
        request.project_id,
        request.billing_scope_id,
        request.subject_type,
        request.subject_id,
        tuple(request.groups[number]) if request.groups else (),
        request.occurred_at,
    )


def counted(request: Asking, book: QuotaBook) -> Iterator[tuple[Quota, int]]:
    """The quotas that count a request, and which of its readings: those of its project, then those of its
    payer, each once."""
    for number, (meaning, _) in enumerate(request.readings):
        for quota in book.get((request.project_id, meaning.metric_id), ()):
            yield quota, number
        if request.billing_scope_id != request.project_id:
            for quota in book.get((request.billing_scope_id, meaning.metric_id), ()):
                yield quota, number


def _period_closed(request: Asking, quota: Quota, place: Place) -> EventError:
    end = "" if place.period.end is None else f" ended at {iso(place.period.end)} and"
    return EventError(
        request.index,
        "quota_period_closed",
        "occurred_at",
        f"the {quota.period} of the quota on '{place.meaning.key}' in '{quota.project_key}'{end} takes no"
        " more usage without the permission 'backfill'",
    )
