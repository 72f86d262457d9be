"""Rows as CSV: what is read back is what was written, and nothing acts as a formula."""

import csv
import datetime as dt
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.texts.csv_blocks import csv_blocks
from metering.texts.csv_cells import BLANKS, OPENINGS, original

NASTY = ["=1+1", "+1", "-1", "@A1", "\tx", "\rx", "'q", '"', "a\nb", "a\rb", ",", "é😀", " ", "\ufeffx"]


def read_back(rows):
    data = b"".join(block.data for block in csv_blocks(["a", "b"], rows))
    return list(csv.reader(io.StringIO(data.decode(), newline="")))[1:]


def test_values_are_written_as_they_are():
    rows = [
        (1, Decimal("-41.50")),
        (Decimal("1E+3"), Decimal("-0.00")),
        (dt.date(2026, 3, 31), dt.datetime(2026, 3, 31, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))),
        (None, ""),
    ]

    [block] = csv_blocks(["a", "b"], rows)

    assert block.data.decode() == "a,b\n1,-41.50\n1000,0.00\n2026-03-31,2026-03-31T10:00:00Z\n,\n"
    assert block.row_count == 4


@pytest.mark.parametrize("text", NASTY)
def test_text_is_no_formula_and_comes_back(text):
    [[cell, _]] = read_back([(text, "x")])

    assert cell.lstrip(BLANKS)[:1] not in set(OPENINGS)
    assert original(cell) == text


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.integers()), max_size=20))
def test_any_rows_come_back(rows):
    found = read_back(rows)

    assert [(original(text), int(number)) for text, number in found] == rows


def test_many_rows_come_in_blocks_that_end_with_a_row():
    blocks = list(csv_blocks(["a"], (("x" * 1000,) for _ in range(1000))))

    assert len(blocks) > 10
    assert all(block.data.endswith(b"\n") for block in blocks)
    assert sum(block.row_count for block in blocks) == 1000


def test_no_rows_are_a_header():
    assert [(block.data, block.row_count) for block in csv_blocks(["a", "b"], [])] == [(b"a,b\n", 0)]
