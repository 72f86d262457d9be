"""How long senders wait before they try again."""

import datetime as dt

import pytest

from metering.delivering.patience import (
    MAX_ATTEMPTS,
    rest_after,
    seconds_of_retry_after,
    wait_after,
)

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


def test_waits_grow_fourfold_up_to_sixteen_hours_and_last_three_days_in_all() -> None:
    waits = [wait_after(count, chance=0.5) for count in range(1, MAX_ATTEMPTS)]

    assert waits[:6] == pytest.approx([20, 80, 320, 1280, 5120, 20480])
    assert set(waits[6:]) == {16 * 3600}
    assert sum(waits) / 86_400 == pytest.approx(2.98, abs=0.01)


def test_jitter_stays_within_a_fifth() -> None:
    assert wait_after(1, chance=0.0) == pytest.approx(16)
    assert wait_after(1, chance=1.0) == pytest.approx(24)


def test_what_a_receiver_asks_for_counts_within_bounds() -> None:
    assert wait_after(1, chance=0.5, retry_after=300) == 300
    assert wait_after(1, chance=0.5, retry_after=1) == 20
    assert wait_after(1, chance=0.5, retry_after=1e9) == 6 * 3600
    assert rest_after(1, retry_after=1e9) == 6 * 3600


def test_rests_double_up_to_ten_minutes() -> None:
    assert [rest_after(count) for count in (1, 2, 3, 8, 9, 10**9)] == [5, 10, 20, 600, 600, 600]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        (" 30 ", 30),
        ("Sun, 22 Nov 2026 12:01:00 GMT", 60),
        ("Sun, 22 Nov 2026 12:01:00", 60),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("", None),
        (None, None),
        ("1.5", None),
        ("１２", None),
        ("9" * 400, None),
        ("Sun, 99 Nov 2026 12:01:00 GMT", None),
    ],
)
def test_retry_after_in_seconds_or_by_date(text: str | None, seconds: float | None) -> None:
    assert seconds_of_retry_after(text, now=NOW) == seconds
