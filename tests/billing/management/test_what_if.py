"""`manage.py what_if`: what it says, what it writes to a file, and what it refuses."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from metering.clock import ledger_end
from tests.billing.billed import used
from tests.billing.factories import a_draft, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project

pytestmark = pytest.mark.django_db

DAYS = ("--from", "2026-03-01", "--until", "2026-04-01")


@pytest.fixture(autouse=True)
def _positions_are_final(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fence would wait for the very transaction that the test runs in."""
    monkeypatch.setattr("billing.management.commands.what_if.final_position", ledger_end)


def said(*arguments: Any) -> str:
    out = io.StringIO()
    call_command("what_if", *arguments, stdout=out, no_color=True)
    return out.getvalue()


def test_command_says_who_would_have_paid_what_and_writes_rows(tmp_path: Path) -> None:
    tokens, calls = a_metric("tokens"), a_metric("calls", event_name="tokens", aggregation="COUNT")
    plan = a_plan(a_usage_price(tokens), a_usage_price(calls))
    accounts = []
    for key, quantity in (("acme", "100"), ("globex", "10")):
        project = a_project(key)
        accounts.append(an_account(project))
        a_subscription(accounts[-1], plan)
        used(project, quantity)
    other = {"model": "package", "package_size": "100", "package_amount": "5"}
    a_draft(a_usage_price(tokens, other), key="pro")
    file = tmp_path / "differences.csv"

    words = said("--plan", "pro", *DAYS, "--csv", file)

    assert words.splitlines() == [
        "2 accounts from 2026-03-01 until 2026-04-01: 11.20 EUR as it was, 10.00 on pro v1, difference -1.20"
        " (-10.7 %).",
        "1 would have paid less, 1 more, 0 the same.",
        "No price for 'calls': 2 events of 2 accounts would not be billed.",
        "          3.90  globex  Globex Ltd",
        "         -5.10  acme  Acme Ltd",
        f"Written to {file}.",
    ]
    with file.open(newline="") as stored:
        rows = list(csv.DictReader(stored))
    assert [(row["account"], row["current"], row["hypothetical"]) for row in rows] == [
        (str(accounts[1].pk), "1.10", "5.00"),
        (str(accounts[0].pk), "10.10", "5.00"),
    ]
    one = said("--plan", "pro", "--plan-version", "1", *DAYS, "--account", accounts[0].pk)
    assert one.startswith("1 accounts from")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--plan", "nothing", *DAYS), "There is no plan 'nothing'."),
        (("--plan", "pro", "--plan-version", "9", *DAYS), "There is no plan 'pro' of version 9."),
        (("--plan", "pro", *DAYS, "--account", "999999999"), "There is no billing account 999999999."),
        (("--plan", "pro", "--from", "2026-03-01", "--until", "2026-03-01"), "Must be after the first day."),
        (("--plan", "pro", "--from", "March", "--until", "2026-04-01"), "invalid date value: 'March'"),
    ],
)
def test_command_refuses_in_words(arguments: tuple[str, ...], words: str) -> None:
    a_draft(key="pro")

    with pytest.raises(CommandError) as refusal:
        said(*arguments)

    assert words in str(refusal.value)
