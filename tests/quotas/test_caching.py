import datetime as dt
from decimal import Decimal

import pytest

from metering.measuring.aggregations import Aggregate
from quotas import caching
from quotas.caching import UsageCache
from quotas.periods import Period
from quotas.recorded import Place
from quotas.tallies import Asked
from tests.factories import a_metric, at, meaning_of

pytestmark = pytest.mark.django_db

MAY = Period(at("2024-05-01T00:00:00Z"), at("2024-06-01T00:00:00Z"))
NOON = at("2024-05-15T12:00:00Z")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> UsageCache:
    return UsageCache(ttl=15, clock=clock)


@pytest.fixture
def place() -> Place:
    return Place(1, MAY, 7, meaning_of(a_metric()))


def another(place: Place, *, quota_id: int = 2, project_id: int = 8) -> Place:
    return Place(quota_id, MAY, project_id, place.meaning)


def used(quantity: int | str) -> Aggregate:
    return Aggregate(record_count=1, value_sum=Decimal(quantity))


def filled(cache: UsageCache, *places: Place, quantity: int = 5) -> None:
    with cache.filling() as fill:
        cache.store(fill, dict.fromkeys(places, used(quantity)))


def known(cache: UsageCache, place: Place, **options: float) -> Decimal | None:
    found = cache.aggregate_of(place, **options)
    return None if found is None else found[0].value_sum


def test_reading_is_believed_until_its_time_is_over(cache, clock, place):
    filled(cache, place)

    clock.now += 14.9
    assert cache.aggregate_of(place) == (used(5), pytest.approx(14.9))
    assert known(cache, place, max_age=1) is None
    clock.now += 0.1

    assert known(cache, place) is None


def test_age_counts_from_when_reading_began(cache, clock, place):
    with cache.filling() as fill:
        clock.now += 10
        cache.store(fill, {place: used(5)})
    clock.now += 5

    assert known(cache, place) is None


def test_what_was_recorded_here_counts_at_once(cache, place):
    filled(cache, place)

    cache.add([(place, [Asked(Decimal(2), NOON, 0), Asked(Decimal("0.5"), NOON, 1)])])
    cache.add([(another(place), [Asked(Decimal(9), NOON)])])

    assert cache.aggregate_of(place)[0] == Aggregate(record_count=3, value_sum=Decimal("7.5"))
    assert known(cache, another(place)) is None


def test_latest_reading_stays_the_latest(cache, clock):
    place = Place(1, MAY, 7, meaning_of(a_metric("level", aggregation="LATEST", meter_type="gauge")))
    with cache.filling() as fill:
        cache.store(fill, {place: Aggregate(record_count=1, last_value=Decimal(5), last_at=NOON)})

    cache.add([(place, [Asked(Decimal(9), NOON - dt.timedelta(seconds=1))])])
    assert cache.aggregate_of(place)[0].last_value == 5
    cache.add([(place, [Asked(Decimal(6), NOON)])])

    assert cache.aggregate_of(place)[0].last_value == 6


def test_what_is_recorded_while_usage_is_read_is_added_to_what_was_read(cache, place):
    with cache.filling() as fill:
        cache.add([(place, [Asked(Decimal(2), NOON)])])
        cache.store(fill, {place: used(5)})

    assert known(cache, place) == 7


def test_fill_that_began_before_something_was_forgotten_is_not_stored(cache, place):
    with cache.filling() as fill:
        cache.forget({(place.meaning.metric_id, place.project_id)})
        cache.store(fill, {place: used(5)})

    assert known(cache, place) is None


@pytest.mark.parametrize("topics", ["metric and project", None])
def test_only_what_is_named_is_forgotten(cache, place, topics):
    other = another(place)
    filled(cache, place, other)

    cache.forget({(place.meaning.metric_id, place.project_id), (99, 99)} if topics else None)

    assert known(cache, place) is None
    assert known(cache, other) == (5 if topics else None)


def test_cache_does_not_grow_beyond_its_bound(cache, place, monkeypatch):
    monkeypatch.setattr(caching, "MAX_PLACES", 2)
    others = [another(place, quota_id=number, project_id=number) for number in range(10, 13)]

    filled(cache, place)
    filled(cache, place)
    filled(cache, others[0])
    assert (known(cache, place), known(cache, others[0])) == (5, 5) or known(cache, place) is None
    filled(cache, others[1])

    assert known(cache, others[1]) == 5
    assert known(cache, place) is None
