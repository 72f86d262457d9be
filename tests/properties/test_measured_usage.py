"""What prices take over a period, at any position, is what a naive reading of the list of events gives: how
much, how many events, and which ones, by a digest that hashlib gives as well."""

import datetime as dt
import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.invoicing import measured_usage
from billing.invoicing.measured_usage import UsageAsk, events_sql, match_text, meaning_of, measured
from metering import catalogue
from metering.measuring.label_filter import Params
from tests.factories import a_metric, a_project, a_void_of, an_event, at, ledger_rows, recorded
from tests.properties.test_every_aggregation import (
    DEFINITIONS,
    LEVELS,
    MICROSECOND,
    Event,
    House,
    actions,
    expected,
    moments,
)

# -- the oracle -------------------------------------------------------------------------------------------

LEAF = 2  # ids to a leaf, so that a handful of events has several
Match = dict[str, Any]
MATCHES: list[tuple[Match, Callable[[Event], bool]]] = [
    ({"region": "eu"}, lambda event: event.region == "eu"),
    ({"size": ["s", "l"]}, lambda event: event.size in {"s", "l"}),
    ({"region": {"$exists": False}}, lambda event: event.region is None),
    ({"region": "eu", "size": "xl"}, lambda event: event.region == "eu" and event.size == "xl"),
]


def digest_of(ids: Iterable[int]) -> bytes:
    """SHA-256 over the digests of `LEAF` ids each, in ascending order."""
    in_order = sorted(ids)
    leaves = [in_order[start : start + LEAF] for start in range(0, len(in_order), LEAF)]
    digests = [hashlib.sha256(b"".join(each.to_bytes(8, "big") for each in leaf)).digest() for leaf in leaves]
    return hashlib.sha256(b"".join(digests)).digest()


def taken_by(prices: list[tuple[Match, Callable[[Event], bool]]], number: int | None) -> Callable[..., bool]:
    """Whether a price takes an event: the first in order that matches; None is the one for the rest."""

    def takes(event: Event) -> bool:
        first = next((place for place, (_match, holds) in enumerate(prices) if holds(event)), None)
        return first == number

    return takes


def ask_for(
    prices: list[tuple[Match, Callable[[Event], bool]]],
    number: int | None,
    *,
    metric_id: int,
    payer_id: int,
    start: dt.datetime,
    end: dt.datetime,
    group_by: tuple[str, ...],
) -> UsageAsk:
    texts = [match_text(match) for match, _holds in prices]
    return UsageAsk(
        metric_id=metric_id,
        payer_id=payer_id,
        start=start,
        end=end,
        match="{}" if number is None else texts[number],
        excluding=tuple(texts if number is None else texts[:number]),
        group_by=group_by,
    )


def listed(ask: UsageAsk, position: int) -> list[int]:
    """The ids that `events_sql` selects, which is what an explanation shows."""
    params, now = Params(), catalogue.current()
    condition = events_sql(ask, meaning_of(ask, now), params, now, position=position)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT e.id FROM metering_usageevent e WHERE {condition} ORDER BY e.id", params)
        return [event_id for (event_id,) in cursor.fetchall()]


# -- the properties ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_prices_take_what_a_naive_reading_gives_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured_usage, "LEAF_EVENTS", LEAF)
    house = House()

    @settings(max_examples=60)
    @given(
        happened=actions,
        first=moments,
        second=moments,
        group_by=st.sampled_from(
            [(), ("project",), ("labels.region",), ("labels.size",), ("labels.region", "project")]
        ),
        prices=st.lists(st.sampled_from(MATCHES), max_size=3, unique_by=lambda pair: match_text(pair[0])),
        metrics=st.lists(st.sampled_from([*DEFINITIONS]), min_size=2, max_size=2, unique=True),
        back=st.integers(0, 6),
    )
    def check(
        happened: list[Any],
        first: dt.datetime,
        second: dt.datetime,
        group_by: tuple[str, ...],
        prices: list[Any],
        metrics: list[str],
        back: int,
    ) -> None:
        with transaction.atomic():
            house.start()
            positions = [house.end()]
            for action in happened:
                house.act(action)
                positions.append(house.end())
            position = positions[-1 - min(back, len(positions) - 1)]
            start, end = min(first, second), max(first, second) + MICROSECOND
            for metric in metrics:
                if metric in LEVELS and "labels.size" in group_by:
                    continue  # a level is its stream's
                compare(house, metric, prices, start, end, group_by, position)
            transaction.set_rollback(True)

    check()


def compare(
    house: House,
    metric: str,
    prices: list[Any],
    start: dt.datetime,
    end: dt.datetime,
    group_by: tuple[str, ...],
    position: int,
) -> None:
    """Every price and both payers in one question; then each of its groups alone."""
    asks = {
        (payer, number): ask_for(
            prices,
            number,
            metric_id=house.meanings[metric].metric_id,
            payer_id=house.ids[payer],
            start=start,
            end=end,
            group_by=group_by,
        )
        for payer, number in itertools.product(house.ids, [*range(len(prices)), None])
    }
    found = measured(asks.values(), position=position)
    for (payer, number), ask in asks.items():
        takes = taken_by(prices, number)
        events = [event for event in house.events(position) if takes(event)]

        def of_payer(event: Event, payer: str = payer) -> bool:
            return event.payer == payer

        ids: dict[Any, list[int]] = defaultdict(list)
        for event in events:
            if of_payer(event) and start <= event.at < end:
                ids[tuple(event.dimension(name) for name in group_by)].append(event.id)
        every = [event_id for group in ids.values() for event_id in group]
        whole = expected(metric, events, [(start, end)], (), of_payer).get((0, ()), (None, 0))
        answer = found[ask]

        assert (answer.quantity, answer.event_count) == whole, (metric, ask)
        assert answer.digest == digest_of(every)
        assert listed(ask, position) == sorted(every)

        groups = {
            group: value
            for (_, group), value in expected(metric, events, [(start, end)], group_by, of_payer).items()
        }
        if group_by:
            assert {
                group: (part.quantity, part.event_count) for group, part in answer.groups.items()
            } == groups, (metric, ask)
        for group in groups if group_by else ():
            alone = ask.narrowed_to(dict(zip(group_by, group, strict=True)))
            [part] = measured([alone], position=position).values()
            assert (part.quantity, part.event_count) == groups[group]
            assert part.digest == answer.groups[group].digest == digest_of(ids[group])
            assert listed(alone, position) == sorted(ids[group])
            stored = json.loads(json.dumps(alone.predicate(position)))
            assert UsageAsk.from_predicate(stored) == alone


ABSENT = object()
values = st.sampled_from([1, "1", 1.5, True, "true", "", "eu", None, ABSENT])
operands = st.sampled_from([1, "1", True, "true", "", "eu"])


def text_of(value: Any) -> str | None:
    """A label as groups name it: absent and null are one, a number and its text too."""
    if value is ABSENT or value is None:
        return None
    return value if isinstance(value, str) else json.dumps(value)


def first_equal(label: Any, matched: list[Any]) -> int | None:
    """Which of the operands the label equals; a number is not its text, and true is not 1."""
    for number, operand in enumerate(matched):
        if type(operand) is type(label) and operand == label:
            return number
    return None


@pytest.mark.django_db
def test_each_event_is_taken_by_one_price_whatever_its_label_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured_usage, "LEAF_EVENTS", LEAF)
    acme, tokens = a_project("acme"), a_metric("tokens")
    start, end = at("2024-05-01T00:00:00Z"), at("2024-06-01T00:00:00Z")

    @settings(max_examples=60)
    @given(
        labels=st.lists(values, min_size=1, max_size=8),
        matched=st.lists(operands, max_size=3, unique_by=lambda value: (type(value), value)),
        voided=st.sets(st.integers(0, 7), max_size=3),
        after=st.integers(0, 8),
    )
    def check(labels: list[Any], matched: list[Any], voided: set[int], after: int) -> None:
        with transaction.atomic():
            catalogue.forget()
            sent = [{} if value is ABSENT else {"k": value} for value in labels]
            ids = [
                outcome.id
                for outcome in recorded(*(an_event(acme, quantity="2", labels=label) for label in sent))
            ]
            for number in sorted(voided):
                if number < len(ids):
                    a_void_of(ids[number])
            rows = [event_id for (event_id,) in ledger_rows("id")]
            position = rows[min(len(ids) - 1 + after, len(rows) - 1)]
            standing = {
                event_id: label
                for event_id, label in zip(ids, labels, strict=True)
                if not any(
                    voids == event_id and void_id <= position for void_id, voids in ledger_rows("id", "voids")
                )
            }
            prices: list[Any] = [({"k": operand}, None) for operand in matched]
            taken: dict[int, int | None] = {}
            for number in [*range(len(prices)), None]:
                ask = ask_for(
                    prices,
                    number,
                    metric_id=tokens.pk,
                    payer_id=acme.pk,
                    start=start,
                    end=end,
                    group_by=("labels.k",),
                )
                answer = measured([ask], position=position)[ask]
                mine = {
                    event_id: label
                    for event_id, label in standing.items()
                    if first_equal(label, matched) == number
                }
                by_text: dict[Any, list[int]] = defaultdict(list)
                for event_id, label in mine.items():
                    by_text[(text_of(label),)].append(event_id)

                assert answer.quantity == (2 * len(mine) if mine else None)
                assert answer.digest == digest_of(mine)
                assert {group: (part.quantity, part.digest) for group, part in answer.groups.items()} == {
                    group: (2 * len(of_one), digest_of(of_one)) for group, of_one in by_text.items()
                }
                taken |= dict.fromkeys(listed(ask, position), number)
            assert set(taken) == set(standing)
            transaction.set_rollback(True)

    check()


@pytest.mark.django_db
def test_digest_is_of_leaves_of_a_thousand_ids() -> None:
    """As it is stored: 2,500 events are leaves of 1,000, 1,000 and 500."""
    acme, tokens = a_project("acme"), a_metric("tokens")
    ids = [
        outcome.id
        for outcome in recorded(*(an_event(acme, quantity="1") for _number in range(2_500)))
        if outcome.id is not None
    ]
    ask = UsageAsk(tokens.pk, acme.pk, at("2024-05-01T00:00:00Z"), at("2024-06-01T00:00:00Z"))

    answer = measured([ask], position=ids[-1])[ask]

    leaves = [ids[:1000], ids[1000:2000], ids[2000:]]
    digests = [hashlib.sha256(b"".join(each.to_bytes(8, "big") for each in leaf)).digest() for leaf in leaves]
    assert (answer.quantity, answer.event_count) == (2500, 2500)
    assert answer.digest == hashlib.sha256(b"".join(digests)).digest()
    assert measured_usage.NOTHING.digest == hashlib.sha256(b"").digest()
