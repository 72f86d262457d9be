"""When metrics were last used, by whom it is asked."""

from typing import Any

from metering.answering.last_uses import last_uses_of
from metering.attributing.scope_tree import attribute
from metering.measuring.slices import Scope
from metering.rolling_up.rollups import roll_up
from tests.factories import a_metric, a_project, an_event, at, recorded


def test_last_use_is_the_day_that_is_stored_or_the_hour_that_is_pending(
    db: None, django_assert_num_queries: Any
) -> None:
    payer = a_project("payer")
    paid = a_project("paid", parent=payer)
    attribute(paid, payer=payer)
    tokens, calls, idle = a_metric("tokens"), a_metric("calls"), a_metric("idle")
    recorded(an_event(paid, occurred_at="2024-05-01T12:00:00Z"))
    recorded(an_event(paid, event_name="calls", occurred_at="2024-05-02T12:00:00Z"))
    roll_up()
    recorded(an_event(paid, occurred_at="2024-05-03T13:30:00Z"))
    ids = [tokens.pk, calls.pk, idle.pk]

    with django_assert_num_queries(1):
        own = last_uses_of(ids, scope=Scope([paid.pk]))
    billed = last_uses_of(ids, scope=Scope(payer_id=payer.pk))

    assert own == {tokens.pk: at("2024-05-03T13:00:00Z"), calls.pk: at("2024-05-02T00:00:00Z")}
    assert billed == own
    assert last_uses_of(ids, scope=Scope([payer.pk])) == {}
    assert last_uses_of([], scope=Scope()) == {}
