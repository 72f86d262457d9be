"""After any sequence of records, voids and ticks there are the crossings that a naive reading of it gives."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from metering import catalogue
from metering.attributing.scope_tree import attribute
from metering.rolling_up.rollups import roll_up
from quotas.models import Alert, ThresholdCrossing
from tests.factories import a_metric, a_project, a_void_of, an_event, at, recorded

from .factories import a_threshold
from .test_admission_against_oracle import INSTANTS, PERIOD_NAMES, TREE

pytestmark = pytest.mark.django_db

METRICS = ("COUNT", "SUM", "AVG", "MIN", "MAX", "LATEST", "UNIQUE_COUNT")
SUBJECTS = [("", ""), ("customer", "kim"), ("user", "kim"), ("customer", "ada")]
# Whose usage: (subject type, subject id) as a threshold says it.
SELECTORS = [("", ""), ("customer", ""), ("", "*"), ("customer", "*"), ("", "kim"), ("customer", "kim")]

thresholds = st.lists(
    st.tuples(
        st.sampled_from(list(TREE)),
        st.sampled_from(METRICS),
        st.sampled_from(list(PERIOD_NAMES)),
        st.sampled_from(SELECTORS),
        st.sampled_from(["0", "1", "2", "4"]),
        st.sampled_from([None, "0.5", "1"]),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda threshold: threshold[:5],
)
uses = st.tuples(
    st.just("record"),
    st.sampled_from(list(TREE)),
    st.sampled_from(SUBJECTS),
    st.sampled_from(["-2", "0", "0.5", "1", "2", "3"]),
    st.sampled_from(INSTANTS),
)
steps = st.lists(
    st.one_of(uses, uses, st.tuples(st.just("void"), st.integers(0, 20)), st.just(("tick",))), max_size=14
)


def value_of(aggregation, counted):
    """The value of uses, in the order recorded; None where there is none."""
    readings = [Decimal(use[3]) for use in counted]
    if not readings:
        return None
    if aggregation == "COUNT":
        return Decimal(len(readings))
    if aggregation == "SUM":
        return sum(readings, Decimal(0))
    if aggregation == "AVG":
        return (sum(readings, Decimal(0)) / len(readings)).quantize(Decimal("1e-12"))
    if aggregation == "UNIQUE_COUNT":
        return Decimal(len({use[3] for use in counted}))
    if aggregation == "LATEST":
        return readings[max(range(len(counted)), key=lambda place: (at(counted[place][4]), place))]
    return min(readings) if aggregation == "MIN" else max(readings)


def watched(threshold, use):
    """(period, subject) in which a threshold counts a use; None where it doesn't."""
    project, _, period, (subject_type, subject_id), *_ = threshold
    if project not in (use[1], TREE[use[1]][0]):
        return None
    if subject_type and subject_type != use[2][0]:
        return None
    local = at(use[4]).astimezone(ZoneInfo(TREE[project][1]))
    if subject_id == "":
        return local.strftime(PERIOD_NAMES[period]), use[2]
    if subject_id == "*" or subject_id == use[2][1]:
        return local.strftime(PERIOD_NAMES[period]), (subject_type, subject_id)
    return None


def expected(all_thresholds, history):
    """{(threshold, kind, period, subject): the value when a tick first saw it}"""
    ledger, crossings = [], {}
    for step in [*history, ("tick",)]:
        if step[0] == "record":
            ledger.append(step)
        elif step[0] == "void" and ledger:
            ledger[step[1] % len(ledger)] = None
        elif step[0] == "tick":
            for number, threshold in enumerate(all_thresholds):
                places = {}
                for use in filter(None, ledger):
                    places.setdefault(watched(threshold, use), []).append(use)
                places.pop(None, None)
                for place, counted in places.items():
                    value, level = value_of(threshold[1], counted), Decimal(threshold[4])
                    near = threshold[5] is not None and value >= level * Decimal(threshold[5])
                    for kind, is_so in (("approaching", near), ("exceeded", value >= level)):
                        if is_so:
                            crossings.setdefault((number, kind, *place), value)
    return crossings


@settings(max_examples=40)
@given(thresholds, steps)
def test_crossings_are_those_of_a_naive_reading(all_thresholds, history):
    with transaction.atomic():
        try:
            _play(all_thresholds, history)
        finally:
            transaction.set_rollback(True)
            catalogue.forget()


def _play(all_thresholds, history):
    projects = {key: a_project(key, timezone=zone) for key, (_, zone) in TREE.items() if key != "paid"}
    projects["paid"] = a_project("paid", parent=projects["acme"], timezone=TREE["paid"][1])
    attribute(projects["paid"], payer=projects["acme"])
    metrics = {
        name: a_metric(
            name.lower().replace("_", "-"),
            event_name="use",
            aggregation=name,
            meter_type="gauge",
            **({"value_property": "value", "data_type": "STRING"} if name == "UNIQUE_COUNT" else {}),
        )
        for name in METRICS
    }
    rows = [
        a_threshold(
            projects[project],
            metrics[metric],
            period=period,
            subject_type=subject_type,
            subject_id=subject_id,
            amount=amount,
            approach_fraction=fraction,
        )
        for project, metric, period, (subject_type, subject_id), amount, fraction in all_thresholds
    ]

    ids = []
    for step in [*history, ("tick",)]:
        if step[0] == "record":
            _, project, (subject_type, subject_id), quantity, instant = step
            event = an_event(
                project,
                event_name="use",
                quantity=quantity,
                labels={"value": quantity},
                subject_type=subject_type or None,
                subject_id=subject_id or None,
                occurred_at=instant,
            )
            ids.append(recorded(event)[0].id)
        elif step[0] == "void" and ids:
            a_void_of(ids[step[1] % len(ids)])
        elif step[0] == "tick":
            roll_up()

    assert recorded_crossings(all_thresholds, rows) == expected(all_thresholds, history)
    outdone = ThresholdCrossing.objects.filter(kind="approaching").exclude(alert=None)
    assert not [crossing for crossing in outdone if crossing.value >= crossing.level]
    reached = ThresholdCrossing.objects.filter(kind="exceeded")
    assert Alert.objects.filter(crossing__in=reached).count() == reached.count()


def recorded_crossings(all_thresholds, rows):
    numbers = {row.pk: number for number, row in enumerate(rows)}
    found = {}
    for crossing in ThresholdCrossing.objects.all():
        number = numbers[crossing.threshold_id]
        project, _, period, *_ = all_thresholds[number]
        name = PERIOD_NAMES[period]
        if crossing.period_start is not None:
            name = crossing.period_start.astimezone(ZoneInfo(TREE[project][1])).strftime(name)
        subject = (crossing.subject_type, crossing.subject_id)
        found[number, crossing.kind, name, subject] = crossing.value
    return found
