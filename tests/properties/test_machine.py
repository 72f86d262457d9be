"""A ledger that is used at random, against a list of events kept beside it: equal after every step.

Everything commits; each run has a house of its own in one database. A failing run prints its steps.
"""

import datetime as dt
import itertools
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from metering.answering.fences import raise_fence
from metering.correcting.corrections import amend_event
from metering.models import Project
from metering.rolling_up.rebuilding import rebuild_rollups
from metering.rolling_up.rollups import roll_up
from metering.sealing.seals import seal_ledger
from metering.verifying.verification import verify
from quotas.enforcement import change_quota, set_quota
from quotas.errors import QuotaExceeded
from quotas.models import ProjectQuota

from .test_every_aggregation import (
    DEFINITIONS,
    Again,
    DrainSome,
    Event,
    House,
    Question,
    Record,
    Tick,
    Void,
    questions,
    sent_events,
)

_numbers = itertools.count(1)


class Crash(Exception):
    pass


class Ledger(RuleBasedStateMachine):
    """The steps. `positions` holds fences to come back to, with what stood then."""

    positions = Bundle("positions")

    @initialize()
    def build(self) -> None:
        self.house = House(f"h{next(_numbers)}-")
        self.limit: Decimal | None = None
        self.quota: ProjectQuota | None = None

    def _would_exceed(self, events: list[Event]) -> bool:
        """Whether a batch breaks the monthly limit of what `acme` uses and pays for, event by event."""
        if self.limit is None:
            return False
        used: dict[tuple[int, int], Decimal] = {}
        for event in self.house.events():
            if "acme" in (event.project, event.payer):
                month = (event.at.year, event.at.month)
                used[month] = used.get(month, Decimal(0)) + event.quantity
        for event in events:
            if "acme" not in (event.project, event.payer):
                continue
            month = (event.at.year, event.at.month)
            before = used.get(month, Decimal(0))
            if event.quantity and before + event.quantity > self.limit:
                return True
            used[month] = before + event.quantity
        return False

    @rule(events=st.lists(sent_events, min_size=1, max_size=4))
    def record(self, events: list[Event]) -> None:
        if self._would_exceed(events):
            with pytest.raises(QuotaExceeded):
                self.house.act(Record(events))
        else:
            self.house.act(Record(events))

    @rule(picks=st.lists(st.integers(0, 30), min_size=1, max_size=3))
    def record_again(self, picks: list[int]) -> None:
        self.house.act(Again(picks))

    @rule(picks=st.lists(st.integers(0, 30), min_size=1, max_size=2))
    def void(self, picks: list[int]) -> None:
        self.house.act(Void(picks))

    @rule(pick=st.integers(0, 30), quantity=st.integers(0, 9).map(Decimal))
    def amend(self, pick: int, quantity: Decimal) -> None:
        standing = [event for event in self.house.events() if event.id not in self.house.voids]
        if not standing:
            return
        event = standing[pick % len(standing)]
        amended = amend_event(
            event.id, {"quantity": str(quantity)}, reason="wrong", actor="tests", enforce=False
        )
        assert (amended.void.outcome, amended.event.outcome) == ("created", "created")
        assert amended.event.id is not None
        self.house.voids[event.id] = amended.void.id
        self.house.sent.append(
            (
                Event(**{**event.__dict__, "quantity": quantity, "id": amended.event.id}),
                f"amended:{event.id}",
            )
        )

    @rule(limit=st.integers(5, 60).map(Decimal))
    def limit_acme(self, limit: Decimal) -> None:
        if self.quota is None:
            acme = Project.objects.get(key=f"{self.house.prefix}acme")
            metric = self.house.definition("sum")
            self.quota = set_quota(acme, metric=metric, limit=limit, mode="hard", period="month")
        else:
            change_quota(self.quota, limit=limit)
        self.limit = limit

    @rule(chunk=st.sampled_from([1, 5, 1000]))
    def tick(self, chunk: int) -> None:
        self.house.act(Tick(chunk))

    @rule()
    def tick_half_way(self) -> None:
        self.house.act(DrainSome())

    @rule()
    def tick_and_crash(self) -> None:
        def crashing() -> None:
            with transaction.atomic():
                roll_up()
                raise Crash

        with pytest.raises(Crash):
            crashing()

    @rule(kind=st.sampled_from(sorted(DEFINITIONS)))
    def rebuild(self, kind: str) -> None:
        assert rebuild_rollups(self.house.definition(kind)).wrong_count == 0

    @rule()
    def seal(self) -> None:
        seal_ledger()

    @rule(target=positions)
    def fence(self) -> tuple[int, list[Event]]:
        return raise_fence().position, self.house.events()

    @rule(question=questions)
    def ask(self, question: Question) -> None:
        self.house.check(question)

    @rule(question=questions, fenced=positions)
    def ask_at_a_position(self, question: Question, fenced: tuple[int, list[Event]]) -> None:
        position, stood = fenced
        assert self.house.events(position) == stood
        self.house.check(question, as_of=position)

    @invariant()
    def the_whole_is_right(self) -> None:
        if hasattr(self, "house"):
            self.house.check(EVERYTHING)

    def teardown(self) -> None:
        roll_up()
        self.house.check(EVERYTHING)
        seal_ledger()
        report = verify(
            checks=["rollups", "voids", "payers", "positions", "pending", "seals"],
            metrics=[f"{self.house.prefix}{kind}" for kind in DEFINITIONS],
        )
        assert report.breaches == []
        assert report.has_passed


EVERYTHING = Question(
    unit="month",
    zone="UTC",
    start=dt.datetime(2024, 3, 1, tzinfo=dt.UTC),
    end=dt.datetime(2024, 5, 31, tzinfo=dt.UTC),
    group_by=("project",),
    projects=None,
    payer=None,
    subject_id=None,
)


@pytest.mark.django_db(transaction=True)
def test_any_sequence_of_steps_leaves_a_ledger_that_answers_like_a_list() -> None:
    test = Ledger.TestCase()
    test.settings = settings(max_examples=6, stateful_step_count=15)
    test.runTest()
