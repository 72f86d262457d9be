"""What every quota would say of one event that isn't recorded yet: for checks and holds, read anew."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from django.db import Error

from metering.admission import Asking, Verdicts
from metering.catalogue import Catalogue
from metering.errors import EventError, EventsRejected, Invalid
from metering.principal import Principal
from metering.recording.intake import events_from
from metering.recording.resolving import Candidate, Resolver
from metering.texts.numbers import EXACT

from .book import QuotaBook
from .docket import docket_of
from .errors import QuotaUnavailable
from .held import settled
from .recorded import Place, tallies_of
from .standing import Standing
from .tallies import Asked


@dataclass(frozen=True, slots=True)
class Claim:
    """One quota that counts the event, how it stands, and the reading it would count."""

    place: Place
    standing: Standing
    asked: Asked

    @property
    def is_exceeded(self) -> bool:
        with localcontext(EXACT):
            return self.standing.is_exceeded_by(self.asked)

    @property
    def room(self) -> Decimal:
        """What is left, holds taken off; negative above the limit."""
        with localcontext(EXACT):
            return self.standing.limit - self.standing.tally.value - self.standing.held

    def facts(self) -> dict[str, object]:
        with localcontext(EXACT):
            return self.standing.facts(self.asked)


def candidate_of(
    members: Mapping[str, Any],
    *,
    catalogue: Catalogue,
    principal: Principal,
    now: dt.datetime,
    source: str,
    may_reserve: bool = False,
) -> Candidate:
    """The event as recording would understand it. Raises `EventsRejected` as recording does."""
    [item] = events_from([{name: value for name, value in members.items() if value is not None}])
    found: Candidate | EventError
    if isinstance(item, EventError):
        found = item
    else:
        resolver = Resolver(
            catalogue, principal=principal, now=now, default_source=source, may_reserve=may_reserve
        )
        found = resolver.candidate(0, item)
    if isinstance(found, EventError):
        raise EventsRejected([found])
    return found


def claims_on(
    request: Asking, book: QuotaBook, *, now: dt.datetime, may_backfill: bool, besides: int | None = None
) -> tuple[list[Claim], Verdicts]:
    """How each quota of the book that counts the event stands in its period, as the ledger is now.

    `besides`: the id of the hold that the event comes from, which isn't counted beside it. The verdicts hold
    the complaint about a closed period, if there is one; then there are no claims. Raises
    `QuotaUnavailable`.
    """
    verdicts = Verdicts()
    with localcontext(EXACT):
        docket = docket_of(
            [request], book, now=now, may_backfill=may_backfill, verdicts=verdicts, last_places={}
        )
        places = list(docket.questions)
        try:
            tallies, held = settled(places, lambda: tallies_of(docket.questions), besides=besides)
        except Error as error:
            raise QuotaUnavailable from error
        claims = [
            Claim(
                place,
                Standing(
                    docket.quotas[place],
                    place.period,
                    limit=docket.quotas[place].limit_at(now),
                    metric_key=place.meaning.key,
                    tally=tallies[place],
                    held=held.get(place, Decimal(0)),
                ),
                asked,
            )
            for _, of_request in docket.requests
            for place, asked in of_request
        ]
    return claims, verdicts


def ensure_period_open(verdicts: Verdicts) -> None:
    """Raises `Invalid` where a hard quota takes no more usage of that time."""
    for error in verdicts.rejected.values():
        raise Invalid(f"{error.detail[:1].upper()}{error.detail[1:]}.", field=error.field, code=error.code)


Claims = Sequence[Claim]
