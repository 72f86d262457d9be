"""Holds under rivals: never more than the limit, one ending each."""

from decimal import Decimal

import pytest

from metering.attributing.scope_tree import attribute
from metering.clock import database_now
from metering.errors import Conflict
from metering.models import Project, UsageEvent
from quotas import hold_judging, holds
from quotas.errors import QuotaExceeded
from quotas.holds import commit, release, reserve
from quotas.models import QuotaHold, QuotaHoldEnding
from quotas.utilisation import utilisations_of
from tests.factories import a_metric, a_project, an_event, at, recorded, total_of
from tests.quotas.factories import a_quota

from .rivals import race

pytestmark = pytest.mark.django_db(transaction=True)

NOON = "2024-05-15T12:00:00Z"
RIVALS = 16


def a_hold(project: Project, quantity: int = 1, **overrides) -> QuotaHold:
    given = {"expires_in": 600, "members": {"occurred_at": NOON}, **overrides}
    return reserve(project, metric_key="tokens", quantity=quantity, **given).hold


def tried(job):
    """What the job returned, or the refusal it met."""
    try:
        return job()
    except (QuotaExceeded, Conflict) as refusal:
        return refusal


def granted() -> Decimal:
    return sum((hold.granted for hold in QuotaHold.objects.all()), Decimal(0))


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


@pytest.mark.parametrize("counting", ["rollups", "ledger"])
def test_reservers_never_overshoot(acme, counting):
    a_quota(acme, a_metric(), limit="10", counting=counting)

    results = race(*(lambda: tried(lambda: a_hold(acme)) for _ in range(RIVALS)))

    assert granted() == 10
    assert sum(isinstance(result, QuotaExceeded) for result in results) == RIVALS - 10


def test_reservers_without_the_locks_overshoot(acme, monkeypatch):
    """The negative control: each sees what the others had committed before it began."""
    monkeypatch.setattr(hold_judging, "hold_quotas", lambda quota_ids: None)
    a_quota(acme, a_metric(), limit="1")

    for _ in range(5):
        race(*(lambda: tried(lambda: a_hold(acme)) for _ in range(RIVALS)))

    assert granted() > 1


def test_reservers_of_two_projects_never_overshoot_their_payer(acme):
    tokens = a_metric()
    for key in ("one", "two"):
        attribute(a_project(key, parent=acme), payer=acme)
        a_quota(Project.objects.get(key=key), tokens, limit="100")
    a_quota(acme, tokens, limit="7")
    projects = [Project.objects.get(key=key) for key in ("one", "two")]

    race(*(lambda n=n: tried(lambda: a_hold(projects[n % 2])) for n in range(RIVALS)))

    assert granted() == 7


def test_reservers_and_recorders_never_overshoot_an_exact_quota(acme):
    a_quota(acme, a_metric(), limit="10", counting="ledger")

    def record():
        return recorded(an_event("acme", quantity=1))

    race(*(lambda n=n: tried((lambda: a_hold(acme)) if n % 2 else record) for n in range(RIVALS)))

    assert granted() + (total_of("tokens") or 0) == 10


def test_one_of_commit_and_release_wins(acme):
    quota = a_quota(acme, a_metric(), limit="100")
    for _ in range(6):
        hold = a_hold(acme, 5)

        results = race(
            lambda hold=hold: tried(lambda: commit(hold)), lambda hold=hold: tried(lambda: release(hold))
        )

        assert sum(isinstance(result, Conflict) for result in results) == 1
        assert QuotaHoldEnding.objects.filter(hold=hold).count() == 1
    used = 5 * QuotaHoldEnding.objects.filter(kind="committed").count()
    standing = utilisations_of([quota], now=at(NOON))[quota.pk]
    assert (standing.used, standing.held) == (used, 0)


def test_commit_many_times_at_once_records_once(acme):
    a_quota(acme, a_metric(), limit="100")
    hold = a_hold(acme, 5)

    results = race(*(lambda: commit(hold) for _ in range(8)))

    assert sorted(result.outcome for result in results) == ["created"] + ["exists"] * 7
    assert {result.ending.event for result in results} == {UsageEvent.objects.get().pk}


def test_commits_without_the_holds_lock_collide(acme, monkeypatch):
    """The negative control: only the constraint is left, and it fails the others."""
    monkeypatch.setattr(holds, "hold_ending", lambda hold_id: None)
    a_metric()

    def end(hold):
        try:
            return commit(hold)
        except Exception as error:
            return error

    results = []
    for _ in range(5):
        hold = a_hold(acme, 5)
        results += race(*(lambda hold=hold: end(hold) for _ in range(8)))

    assert any(isinstance(result, Exception) for result in results)
    assert QuotaHoldEnding.objects.count() == UsageEvent.objects.count() == 5


def test_same_key_at_once_makes_one_hold(acme):
    a_metric()

    made = race(*(lambda: a_hold(acme, 5, idempotency_key="job").pk for _ in range(8)))

    assert len(set(made)) == QuotaHold.objects.count() == 1


def test_commit_beside_expiry_never_overshoots(acme):
    """Whoever commits late and whoever takes the room that an expiry leaves: both within the limit."""
    quota = a_quota(acme, a_metric(), limit="10", counting="ledger")
    late = [a_hold(acme, 2, expires_in=1) for _ in range(5)]

    def record_until_full():
        for _ in range(200):
            tried(lambda: recorded(an_event("acme", quantity=1)))
            if utilisations_of([quota], now=at(NOON))[quota.pk].taken >= 10:
                return

    def commit_late(hold):
        with_row = QuotaHold.objects.get(pk=hold.pk)
        while not tried(lambda: _expired(with_row)):
            pass
        return tried(lambda: commit(with_row))

    race(*(lambda hold=hold: commit_late(hold) for hold in late), *[record_until_full] * 3)

    standing = utilisations_of([quota], now=at(NOON))[quota.pk]
    assert standing.held == 0
    assert standing.used <= 10


def _expired(hold: QuotaHold) -> bool:
    return database_now() >= hold.expires_at


def test_reader_between_ending_and_event_counts_once(acme):
    """Who reads while a hold is used sees the amount once: held before, used after."""
    quota = a_quota(acme, a_metric(), limit="100")
    pending = [a_hold(acme, 1) for _ in range(20)]
    seen = []

    def watch():
        while QuotaHoldEnding.objects.count() < 20:
            seen.append(utilisations_of([quota], now=at(NOON))[quota.pk].taken)

    race(lambda: [commit(hold) for hold in pending], watch, watch)

    assert set(seen) == {Decimal(20)}
