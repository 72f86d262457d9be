"""Cells of CSV: no spreadsheet takes one for a formula, SQL writes the same, and nothing is lost."""

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from metering.texts.csv_cells import BLANKS, neutral, neutral_sql, original

NBSP, BOM = "\N{NO-BREAK SPACE}", "\N{ZERO WIDTH NO-BREAK SPACE}"


def written_by_sql(text: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {neutral_sql('t')} FROM (SELECT %s::text AS t) AS s", [text])
        (cell,) = cursor.fetchone()
    return str(cell)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text",
    [
        *(f"{sign}1+1" for sign in "=+-@|\t\r\n'＝＋－＠"),
        *(f"{blank}=1+1" for blank in (*BLANKS, f" {BOM}{NBSP}")),
        " -2",
        f"{BOM}＝cmd",
        "=",
    ],
)
def test_what_may_be_a_formula_gets_an_apostrophe(text: str) -> None:
    assert neutral(text) == written_by_sql(text) == f"'{text}"


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["a=1", "1-2", " a", " ", "\N{NO-BREAK SPACE}", "", "ä", " '", "．1"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert neutral(text) == written_by_sql(text) == text


signs = st.sampled_from([*"=+-@|\t\r\n'＝＋－＠ ab1", NBSP, BOM])
texts = st.text(signs, max_size=6) | st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=6
)


@pytest.mark.django_db
@given(text=texts)
def test_sql_writes_what_we_write_and_the_source_comes_back(text: str) -> None:
    cell = neutral(text)

    assert written_by_sql(text) == cell
    assert original(cell) == text
