"""Any order of reserving, using, giving back, expiring and recording is judged like a naive reading of it."""

from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from metering import catalogue
from metering.attributing.scope_tree import attribute
from metering.errors import Conflict
from metering.rolling_up.rollups import roll_up
from quotas.errors import QuotaExceeded
from quotas.holds import commit, release, reserve
from quotas.utilisation import utilisations_of
from tests.factories import a_metric, a_project, an_event, at, recorded
from tests.quotas.factories import a_quota
from tests.quotas.test_holds import expire

pytestmark = pytest.mark.django_db

NOON = "2024-05-15T12:00:00Z"
amounts = st.sampled_from(["0.5", "1", "2", "3", "7"])
projects = st.sampled_from(["acme", "paid"])
places = st.integers(0, 7)
steps = st.one_of(
    st.tuples(st.just("reserve"), projects, amounts, st.sampled_from(["reject", "cap"])),
    st.tuples(st.just("record"), projects, amounts),
    st.tuples(st.just("commit"), places, amounts),
    st.tuples(st.just("release"), places),
    st.tuples(st.just("expire"), places),
    st.tuples(st.just("tick")),
)


class Oracle:
    """Twenty lines that know the rules: each quota counts its project's use, acme's also what it pays for."""

    def __init__(self, limits):
        self.limits = {project: Decimal(limit) for project, limit in limits.items()}
        self.used = dict.fromkeys(limits, Decimal(0))
        self.holds = []  # [project, granted, state]

    def owners(self, project):
        return ["acme"] if project == "acme" else ["paid", "acme"]

    def held(self, owner):
        return sum(g for p, g, state in self.holds if state == "open" and owner in self.owners(p))

    def room(self, project):
        return min(self.limits[o] - self.used[o] - self.held(o) for o in self.owners(project))

    def use(self, project, amount):
        for owner in self.owners(project):
            self.used[owner] += amount

    def reserve(self, project, amount, on_exceed):
        granted = min(amount, self.room(project)) if on_exceed == "cap" else amount
        if granted <= 0 or granted > self.room(project):
            return "refused"
        self.holds.append([project, granted, "open"])
        return granted

    def record(self, project, amount):
        if amount > self.room(project):
            return "refused"
        self.use(project, amount)
        return "created"

    def commit(self, place, amount):
        project, granted, state = hold = self.holds[place]
        if state in {"committed", "released"}:
            return "exists" if state == "committed" and hold[1] == amount else "conflict"
        excess = amount - granted if state == "open" else amount
        if excess > 0 and excess > self.room(project):
            return "refused"
        self.use(project, amount)
        hold[1:] = [amount, "committed"]
        return "created"

    def release(self, place):
        state = self.holds[place][2]
        if state == "committed":
            return "conflict"
        self.holds[place][2] = "released"
        return "exists" if state == "released" else "created"


def answered(verb, *args, **options):
    """What the verb returned, or which refusal it met."""
    try:
        return verb(*args, **options)
    except QuotaExceeded:
        return "refused"
    except Conflict:
        return "conflict"


@settings(max_examples=40)
@given(
    limits=st.fixed_dictionaries(
        {"acme": st.sampled_from(["3", "8", "15"]), "paid": st.sampled_from(["2", "9"])}
    ),
    counting=st.sampled_from(["rollups", "ledger"]),
    todo=st.lists(steps, max_size=14),
)
def test_holds_and_usage_are_judged_like_the_contract(limits, counting, todo):
    catalogue.forget()
    with transaction.atomic():
        rows = {"acme": a_project("acme")}
        rows["paid"] = a_project("paid", parent=rows["acme"])
        attribute(rows["paid"], payer=rows["acme"])
        tokens = a_metric()
        quotas = {
            key: a_quota(rows[key], tokens, limit=limit, counting=counting) for key, limit in limits.items()
        }
        oracle, holds = Oracle(limits), []

        for step, *given_ in todo:
            if step == "tick":
                roll_up()
                continue
            if step == "reserve":
                project, amount, on_exceed = given_
                found = answered(
                    reserve,
                    rows[project],
                    metric_key="tokens",
                    quantity=amount,
                    expires_in=600,
                    on_exceed=on_exceed,
                    members={"occurred_at": NOON},
                )
                said = oracle.reserve(project, Decimal(amount), on_exceed)
                if found != "refused":
                    holds.append(found.hold)
                    found = found.hold.granted
            elif step == "record":
                project, amount = given_
                found = answered(recorded, an_event(project, quantity=amount))
                found = found if found == "refused" else found[0].outcome
                said = oracle.record(project, Decimal(amount))
            else:
                place, *rest = given_
                if place >= len(holds):
                    continue
                hold = holds[place]
                if step == "expire":
                    if oracle.holds[place][2] == "open":
                        holds[place] = expire(hold)
                        oracle.holds[place][2] = "expired"
                    continue
                if step == "commit":
                    found = answered(commit, hold, quantity=rest[0])
                    said = oracle.commit(place, Decimal(rest[0]))
                else:
                    found = answered(release, hold)
                    said = oracle.release(place)
                found = getattr(found, "outcome", found)
            assert found == said, (step, given_)
            for key, standing in zip(quotas, _standings(quotas.values()), strict=True):
                assert (standing.used, standing.held) == (oracle.used[key], oracle.held(key)), (step, key)
        transaction.set_rollback(True)
    catalogue.forget()


def _standings(quotas):
    found = utilisations_of(quotas, now=at(NOON))
    return [found[quota.pk] for quota in quotas]
