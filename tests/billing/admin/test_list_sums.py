"""A number that leads to a list is what the rows of the list come to."""

from decimal import Decimal

import pytest
from django.test import Client

from billing.invoicing.draft_edits import ManualLine, add_discount, begin_credit_note, begin_invoice
from billing.invoicing.issuing import issue
from billing.models import BillingAccount, InvoiceLine
from billing.reporting.month_revenue import days_so_far, month_revenue
from metering.models import MetricDefinition
from tests.factories import at

from .reading import text_of
from .staff import a_billed_customer, superuser, url

pytestmark = pytest.mark.django_db

IN_APRIL = at("2026-04-20T00:00:00Z")


@pytest.fixture
def client() -> Client:
    """70.00 net, issued on 2 April; 5.00 of its usage credited."""
    _acme, _account, invoice = a_billed_customer(tax_rates=[{"name": "VAT", "percent": "10"}])
    usage = invoice.lines.get(kind="usage")
    note = begin_credit_note(
        invoice,
        lines=[ManualLine("Sorry", Decimal(5), credits=usage)],
        reason="Delay.",
        edited_by="fin",
    )
    issue(note, now=at("2026-04-10T00:00:00Z"), issued_by="fin")
    return superuser()


def sums(client: Client, address: str) -> list[tuple[str, str, list[tuple[str, str]]]]:
    found = client.get(address).context["cl"].sums
    return [(one.currency, one.count, [(str(title), text) for title, text in one.sums]) for one in found]


def test_documents_add_up_net_and_with_tax(client: Client) -> None:
    narrowed = url("invoice", "changelist") + "?currency__exact=EUR&issued_on__gte=2026-04-01"

    assert sums(client, narrowed) == [("EUR", "2", [("Net", "65.00"), ("Total, with tax", "71.50")])]
    assert sums(client, url("invoice", "changelist")) == []
    assert "Net, all 2 rows 65.00 EUR" in text_of(client.get(narrowed))


def test_lines_add_up_after_discounts(client: Client) -> None:
    draft = begin_invoice(
        BillingAccount.objects.get(), lines=[ManualLine("Work", Decimal(30))], edited_by="fin"
    )
    add_discount(draft, name="Loyal", reason="A year.", percent=Decimal(10), added_by="fin")
    narrowed = url("invoiceline", "changelist") + "?invoice__number__isnull=1"

    [(_currency, _count, found)] = sums(client, narrowed)

    assert found == [("Amount", "30.00"), ("Discount", "−3.00"), ("Net", "27.00")]


def test_what_is_credited_of_a_metric_is_less_of_its_revenue(client: Client) -> None:
    metric = MetricDefinition.objects.get()
    days = days_so_far(IN_APRIL.date())

    [revenue] = month_revenue(days, count=5)

    by_metric = {part.row_id: part.revenue.now for part in revenue.metrics}
    assert by_metric == {metric.pk: Decimal(5), None: Decimal(60)}
    assert revenue.whole.now == 65
    of_metric = url("invoiceline", "changelist") + f"?metric__id__exact={metric.pk}"
    [(_currency, count, found)] = sums(client, of_metric)
    assert (count, found[-1]) == ("2", ("Net", "5.00"))
    assert InvoiceLine.objects.get(kind="manual").metric_key == metric.key
