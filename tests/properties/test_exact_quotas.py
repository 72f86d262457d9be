"""Whatever is recorded, voided, amended, rolled up or limited anew: exact quotas decide as naive sums do."""

from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from metering import catalogue
from metering.answering.scope_totals import ScopeInterval, scope_totals
from metering.answering.usage import Scope, Slice, usage_in
from metering.attributing.scope_tree import attribute
from metering.correcting.corrections import amend_event, void_events
from metering.rolling_up.rollups import roll_up
from quotas.enforcement import change_quota
from quotas.errors import QuotaExceeded
from tests.factories import a_metric, a_project, an_event, at, meaning_of, outcomes, recorded
from tests.quotas.factories import a_quota

pytestmark = pytest.mark.django_db

PROJECTS = {"acme": "acme", "paid": "acme", "free": "free"}  # project: its payer
METRICS = {
    "sum": {"aggregation": "SUM"},
    "count": {"aggregation": "COUNT"},
    "highest": {"aggregation": "MAX"},
    "distinct": {"aggregation": "UNIQUE_COUNT"},
    "meter": {"aggregation": "SUM", "is_incremental": False},  # an absolute counter, with restarts
    "total": {"aggregation": "SUM", "reporting_method": "total", "reset_period": "daily"},
}
INSTANTS = (
    "2024-05-01T00:00:00Z",
    "2024-05-01T10:30:00Z",
    "2024-05-15T12:00:00Z",
    "2024-05-15T12:00:01Z",
    "2024-05-31T23:59:59.999999Z",
    "2024-06-01T00:00:00Z",
)

uses = st.tuples(
    st.sampled_from(list(PROJECTS)), st.sampled_from(["0", "1", "2", "3", "5"]), st.sampled_from(INSTANTS)
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.lists(uses, min_size=1, max_size=3)),
        st.tuples(st.just("replay"), st.integers(0, 20)),
        st.tuples(st.just("void"), st.integers(0, 20)),
        st.tuples(st.just("amend"), st.tuples(st.integers(0, 20), st.sampled_from(["0", "1", "4"]))),
        st.tuples(st.just("limit"), st.sampled_from(["0", "1", "3", "6"])),
        st.tuples(st.just("tick"), st.none()),
    ),
    max_size=10,
)


def value_of(metric: str, events: list[tuple], month: str) -> Decimal:
    """The metric's value for acme's month: what acme used or paid for. Events in the order recorded."""
    own = [event for event in events if "acme" in (event[0], PROJECTS[event[0]])]
    order = sorted(range(len(own)), key=lambda place: (at(own[place][2]), place))
    inside = [Decimal(own[place][1]) for place in order if own[place][2][:7] == month]
    if metric == "sum":
        return sum(inside, Decimal(0))
    if metric == "count":
        return Decimal(len(inside))
    if metric == "highest":
        return max(inside, default=Decimal(0))
    if metric == "distinct":
        return Decimal(len(set(inside)))
    total, latest = Decimal(0), {}
    for place in order:
        project, quantity, instant = own[place]
        reading = Decimal(quantity)
        before = latest.get(project)
        latest[project] = (reading, instant[:10])
        if metric == "meter":
            step = Decimal(0) if before is None else reading - before[0] if reading >= before[0] else reading
        else:
            step = reading if before is None or before[1] != instant[:10] else reading - before[0]
        if instant[:7] == month:
            total += step
    return total


class Oracle:
    def __init__(self, metric: str, limit: str) -> None:
        self.metric = metric
        self.limit = Decimal(limit)
        self.events: list[tuple] = []

    def admits(self, event: tuple) -> bool:
        if "acme" not in (event[0], PROJECTS[event[0]]):
            return True
        month = event[2][:7]
        used = value_of(self.metric, self.events, month)
        then = value_of(self.metric, [*self.events, event], month)
        if not self.limit:
            return used > 0 and then < used
        return then <= self.limit or then <= used


@settings(max_examples=40)
@given(metric=st.sampled_from(list(METRICS)), limit=st.sampled_from(["0", "2", "4", "8"]), steps=steps)
def test_exact_quota_decides_as_a_naive_sum_over_all_that_was_recorded(metric, limit, steps):
    catalogue.forget()
    with transaction.atomic():
        acme = a_project("acme")
        attribute(a_project("paid", parent=acme), payer=acme)
        a_project("free", parent=acme)
        quota = a_quota(
            acme, a_metric(metric, event_name="use", **METRICS[metric]), limit=limit, counting="ledger"
        )
        oracle = Oracle(metric, limit)
        sent: list[tuple[dict, tuple]] = []  # what was recorded, with its ledger id filled in
        ids: list[int] = []

        for kind, what in steps:
            if kind == "record":
                batch = [
                    an_event(project, quantity=quantity, occurred_at=instant, event_name="use")
                    for project, quantity, instant in what
                ]
                expected = []
                for use in what:
                    admitted = oracle.admits(use)
                    expected.append("created" if admitted else "rejected")
                    if admitted:
                        oracle.events.append(use)
                results = recorded(*batch, on_error="skip")
                assert outcomes(results) == expected
                for event, use, result in zip(batch, what, results, strict=True):
                    if result.outcome == "created":
                        sent.append((event, use))
                        ids.append(result.id)
            elif kind == "replay" and sent:
                assert outcomes(recorded(sent[what % len(sent)][0])) == ["exists"]
            elif kind == "void" and ids:
                place = what % len(ids)
                void_events([ids.pop(place)], reason="wrong", actor="tests")
                _, use = sent.pop(place)
                oracle.events.remove(use)
            elif kind == "amend" and ids:
                place = what[0] % len(ids)
                event, (project, quantity, instant) = sent[place]
                changed = (project, what[1], instant)
                if changed == (project, quantity, instant):
                    continue
                oracle.events.remove((project, quantity, instant))
                if oracle.admits(changed):
                    oracle.events.append(changed)
                    amended = amend_event(ids.pop(place), {"quantity": what[1]}, reason="r", actor="tests")
                    sent.pop(place)
                    ids.append(amended.event.id)
                    sent.append((event, changed))
                else:
                    oracle.events = [use for _, use in sent]
                    with pytest.raises(QuotaExceeded), transaction.atomic():
                        amend_event(ids[place], {"quantity": what[1]}, reason="r", actor="tests")
            elif kind == "limit":
                oracle.limit = Decimal(what)
                change_quota(quota, limit=what)
            elif kind == "tick":
                roll_up()
        transaction.set_rollback(True)
    catalogue.forget()


intervals = st.tuples(st.sampled_from([None, *INSTANTS[:3]]), st.sampled_from([*INSTANTS[3:], None]))


@settings(max_examples=40)
@given(
    metric=st.sampled_from(["sum", "count", "distinct"]),
    events=st.lists(uses, max_size=8),
    voided=st.integers(0, 3),
    ticks=st.booleans(),
    asked=st.lists(st.tuples(st.sampled_from(list(PROJECTS)), intervals), min_size=1, max_size=5),
)
def test_many_scopes_at_once_are_answered_as_one_by_one(metric, events, voided, ticks, asked):
    catalogue.forget()
    with transaction.atomic():
        acme = a_project("acme")
        projects = {"acme": acme} | {key: a_project(key, parent=acme) for key in ("paid", "free")}
        attribute(projects["paid"], payer=acme)
        meaning = meaning_of(a_metric(metric, event_name="use", **METRICS[metric]))
        results = recorded(
            *(
                an_event(project, quantity=quantity, occurred_at=instant, event_name="use")
                for project, quantity, instant in events
            )
        )
        if ticks:
            roll_up()
        if results[:voided]:
            void_events([result.id for result in results[:voided]], reason="wrong", actor="tests")
        bounds = [
            (projects[key].pk, *(None if text is None else at(text) for text in interval))
            for key, interval in asked
        ]
        keys = {quantity: meaning.value_key({}, Decimal(quantity)) for quantity in ("0", "1", "7")}

        found = scope_totals(
            meaning, [ScopeInterval(*bound) for bound in bounds], value_keys=list(keys.values())
        )

        for (project_id, start, end), total in zip(bounds, found, strict=True):
            scope = Scope(project_ids=[project_id], payer_id=project_id, either=True)
            usages = usage_in(meaning, [(start, end)], slice=Slice(scope=scope))
            expected = usages[0].value if usages else Decimal(0)
            assert meaning.aggregation.value(total.aggregate) == expected
            if metric == "distinct":
                left = events[min(voided, len(events)) :]
                occurring = {
                    quantity
                    for key, quantity, instant in left
                    if project_id in (projects[key].pk, projects[PROJECTS[key]].pk)
                    and (start is None or start <= at(instant))
                    and (end is None or at(instant) < end)
                }
                assert total.seen == {keys[quantity] for quantity in occurring & set(keys)}
        transaction.set_rollback(True)
    catalogue.forget()
