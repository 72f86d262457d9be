import csv
import gzip
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from billing.demo.books import keep_books
from billing.models import Invoice
from metering.demo import azure_input
from metering.demo.loading import load_azure_input
from metering.demo.tree import ensure_demo_tree, ensure_simulated_projects
from tests.factories import at

pytestmark = pytest.mark.django_db


def tokens_of_alder() -> tuple[int, int, int, int]:
    """Requests, prompt tokens, generated tokens of the large model and of the other, from the file itself."""
    requests = prompt = large = small = 0
    with gzip.open(Path(azure_input.__file__).parent / "azure_llm_conv.csv.gz", "rt", newline="") as file:
        for index, row in enumerate(csv.DictReader(file)):
            if index % 5 > 2:
                continue
            requests += 1
            prompt += int(row["ContextTokens"])
            if index % 2:
                small += int(row["GeneratedTokens"])
            else:
                large += int(row["GeneratedTokens"])
    return requests, prompt, large, small


@pytest.mark.django_db(transaction=True)
def test_alder_is_billed_what_the_file_adds_up_to():
    ensure_demo_tree()
    ensure_simulated_projects()
    load_azure_input()

    books = keep_books(now=at("2026-11-23T03:00:00Z"))

    assert (books.account_count, books.issued_count, books.run.parked_count) == (5, 2, 0)
    invoice = Invoice.objects.with_open_amount().get(account__project__key="alder")
    by_name: dict[str, Decimal] = {}
    for line in invoice.lines.all():
        by_name[line.name] = by_name.get(line.name, Decimal(0)) + line.amount
    requests, prompt, large, small = tokens_of_alder()
    thousands = Decimal(prompt) / 1000
    cent = Decimal("0.01")
    assert requests == 11_620
    assert by_name == {
        "Support, business hours": Decimal("49"),
        "Prompt tokens": (5000 * Decimal("0.0030") + (thousands - 5000) * Decimal("0.0024")).quantize(cent),
        "Generated tokens, large model": (Decimal(large) / 1000 * Decimal("0.012")).quantize(cent),
        "Generated tokens": (Decimal(small) / 1000 * Decimal("0.004")).quantize(cent),
        "Requests": Decimal("15.00"),  # 9,620 beyond the free ones are ten packages
    }
    assert (invoice.number, invoice.open_amount) == ("INV-000001", 0)

    again = keep_books(now=at("2026-11-23T04:00:00Z"))
    assert (again.account_count, again.issued_count) == (5, 2)


def test_without_the_demo_there_is_nothing_to_bill():
    with pytest.raises(CommandError, match="run load_demo and simulate_usage first"):
        call_command("load_demo_bills")
