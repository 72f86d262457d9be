"""The lines of a document as CSV: every column, plain numbers, no formulas."""

import csv
import io

import pytest

from billing.documents.lines_csv import COLUMNS, lines_csv
from billing.invoicing.draft_edits import ManualLine, add_line
from tests.billing.billed import draft_of, issued
from tests.billing.documents.documents import a_rich_draft, a_simple_invoice

pytestmark = pytest.mark.django_db


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def test_columns_stay():
    content = lines_csv(a_simple_invoice())

    assert content.startswith(b"\xef\xbb\xbfdocument,position,kind,correction,reverses,plan,name,metric,")
    assert COLUMNS == (
        "document",
        "position",
        "kind",
        "correction",
        "reverses",
        "plan",
        "name",
        "metric",
        "project",
        "project_name",
        "labels",
        "first_day",
        "last_day",
        "period_start",
        "period_end",
        "quantity",
        "unit",
        "days",
        "days_of_full_period",
        "currency",
        "amount",
        "discount",
        "net",
        "tax",
        "gross",
        "events",
    )


def test_line_of_usage_says_everything():
    rows = rows_of(lines_csv(a_simple_invoice()))

    assert len(rows) == 3
    assert rows[1] == {
        "document": "INV-000001",
        "position": "2",
        "kind": "usage",
        "correction": "false",
        "reverses": "",
        "plan": "Team",
        "name": "Tokens",
        "metric": "tokens",
        "project": "",
        "project_name": "",
        "labels": "",
        "first_day": "2026-03-01",
        "last_day": "2026-03-31",
        "period_start": "2026-03-01T00:00:00Z",
        "period_end": "2026-04-01T00:00:00Z",
        "quantity": "123423.5",
        "unit": "token",
        "days": "",
        "days_of_full_period": "31",
        "currency": "EUR",
        "amount": "12342.35",
        "discount": "0.00",
        "net": "12342.35",
        "tax": "2345.05",
        "gross": "14687.40",
        "events": "2",
    }


def test_corrections_name_the_line_that_they_take_back():
    rows = rows_of(lines_csv(issued(a_rich_draft().account, "2026-05-03T01:00:00Z")))

    assert [
        (row["kind"], row["correction"], row["reverses"], row["quantity"], row["amount"], row["discount"])
        for row in rows
    ] == [
        ("usage", "false", "", "23456", "1531.44", "-153.14"),
        ("fee", "false", "", "", "490.00", "-49.00"),
        ("usage", "true", "INV-000001/2", "-12345.5", "-948.14", "0.00"),
        ("usage", "true", "", "13145.5", "990.14", "0.00"),
        ("manual", "false", "", "3", "450.00", "-45.00"),
    ]


def test_texts_are_no_formulas():
    draft = a_rich_draft()
    add_line(draft, ManualLine('=HYPERLINK("http://x")\n', amount=draft.total), added_by="ada")

    row = rows_of(lines_csv(draft_of(draft.account)))[-1]

    assert (row["document"], row["name"]) == ("", '\'=HYPERLINK("http://x")')


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "12342"), ("KWD", "12342.350")])
def test_amounts_have_the_decimals_of_their_currency(currency, amount):
    rows = rows_of(lines_csv(a_simple_invoice(currency=currency, tax_rates=[])))

    assert (rows[1]["amount"], rows[1]["gross"]) == (amount, amount)
