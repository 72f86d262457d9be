"""Any mix of quotas, periods and events is judged as a naive reading of the contract judges it."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from metering import catalogue
from metering.attributing.scope_tree import attribute
from metering.rolling_up.rollups import roll_up
from tests.factories import a_metric, a_project, an_event, at, recorded

from .factories import a_quota

pytestmark = pytest.mark.django_db

# project: (its payer, its time zone)
TREE = {
    "acme": ("acme", "Europe/Berlin"),
    "paid": ("acme", "UTC"),
    "free": ("free", "Asia/Kolkata"),
}
# name: how it is defined; all listen to the same events.
METRICS = {
    "count": {"aggregation": "COUNT"},
    "sum": {"aggregation": "SUM"},
    "max": {"aggregation": "MAX"},
    "latest": {"aggregation": "LATEST"},
    "distinct": {"aggregation": "UNIQUE_COUNT"},
    "changes": {"aggregation": "SUM", "is_incremental": False},
}
INSTANTS = (
    "2024-02-29T22:59:59.999999Z",
    "2024-02-29T23:00:00Z",
    "2024-03-30T18:29:59Z",
    "2024-03-30T18:30:00Z",
    "2024-03-31T00:59:59Z",
    "2024-03-31T01:00:00Z",
    "2024-03-31T21:59:59Z",
    "2024-03-31T22:00:00Z",
    "2024-10-27T00:30:00Z",
    "2024-10-27T01:30:00Z",
    "2024-12-31T23:00:00Z",
)
PERIOD_NAMES = {
    "hour": "%Y-%m-%d %H %z",
    "day": "%Y-%m-%d",
    "week": "%G-%V",
    "month": "%Y-%m",
    "year": "%Y",
    "never": "always",
}

quotas = st.lists(
    st.tuples(
        st.sampled_from(list(TREE)),
        st.sampled_from(list(METRICS)),
        st.sampled_from(list(PERIOD_NAMES)),
        st.sampled_from(["0", "1", "2.5", "4", "10"]),
        st.sampled_from(["hard", "hard", "soft", "monitor"]),
        st.sampled_from(["rollups", "ledger"]),
    ),
    max_size=6,
    unique_by=lambda quota: quota[:3],
)
events = st.tuples(
    st.sampled_from(list(TREE)),
    st.sampled_from(["-2", "0", "0.5", "1", "2", "3", "11"]),
    st.sampled_from(INSTANTS),
)


def name_of_period(instant, period, project):
    return at(instant).astimezone(ZoneInfo(TREE[project][1])).strftime(PERIOD_NAMES[period])


def value_of(metric, uses, counts):
    """The metric's value over the uses that count; those of other periods matter for changes only."""
    order = sorted(range(len(uses)), key=lambda place: (at(uses[place][2]), place))
    if metric == "changes":
        total, latest = Decimal(0), {}
        for place in order:
            project, quantity, _ = uses[place]
            if project in latest and counts(uses[place]):
                total += Decimal(quantity) - latest[project]
            latest[project] = Decimal(quantity)
        return total
    readings = [Decimal(uses[place][1]) for place in order if counts(uses[place])]
    if metric == "count":
        return Decimal(len(readings))
    if metric == "sum":
        return sum(readings, Decimal(0))
    if metric == "distinct":
        return Decimal(len(set(readings)))
    if not readings:
        return Decimal(0)
    return max(readings) if metric == "max" else readings[-1]


def breaks(quota, event, uses):
    """Whether one quota is broken by one event, given all that was used before it."""
    project, metric, period, limit, *_ = quota

    def counts(use):
        return project in (use[0], TREE[use[0]][0]) and name_of_period(
            use[2], period, project
        ) == name_of_period(event[2], period, project)

    if not counts(event):
        return False
    used, then = value_of(metric, uses, counts), value_of(metric, [*uses, event], counts)
    if limit == "0":
        return not (used > 0 and then < used)
    return then > Decimal(limit) and then > used


def judged(quotas, before, batch):
    admitted, verdicts = [], []
    for event in batch:
        broken = [quota for quota in quotas if breaks(quota, event, [*before, *admitted])]
        if any(quota[4] == "hard" for quota in broken):
            verdicts.append(("rejected", set()))
            continue
        admitted.append(event)
        verdicts.append(("created", {quota[:2] for quota in broken if quota[4] == "soft"}))
    return verdicts


def usage(event):
    project, quantity, instant = event
    return an_event(project, quantity=quantity, occurred_at=instant, event_name="use")


@settings(max_examples=60)
@given(
    quotas=quotas,
    before=st.lists(events, max_size=6),
    batch=st.lists(events, max_size=8),
    ticks=st.booleans(),
)
def test_quotas_judge_like_the_contract(quotas, before, batch, ticks):
    catalogue.forget()
    with transaction.atomic():
        projects = {"acme": a_project("acme", timezone=TREE["acme"][1])}
        for key in ("paid", "free"):
            projects[key] = a_project(key, parent=projects["acme"], timezone=TREE[key][1])
        attribute(projects["paid"], payer=projects["acme"])
        metrics = {
            name: a_metric(name, meter_type="gauge", event_name="use", **definition)
            for name, definition in METRICS.items()
        }
        for project, metric, period, limit, mode, counting in quotas:
            a_quota(
                projects[project],
                metrics[metric],
                period=period,
                limit=limit,
                mode=mode,
                counting=counting,
            )
        recorded(*map(usage, before), enforce=False)
        if ticks:
            roll_up()

        results = recorded(*map(usage, batch), on_error="skip")

        found = []
        for result in results:
            warned = {(warning["project"], warning["metric"]) for warning in result.warnings}
            found.append((result.outcome, warned))
        assert found == judged(quotas, before, batch)
        transaction.set_rollback(True)
    catalogue.forget()
