"""Why a line costs so much, as a finance clerk reads it in the admin."""

import csv
import io
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.invoicing.draft_edits import ManualLine, add_line, begin_invoice
from billing.models import BillingAccount, InvoiceLine
from tests.billing.billed import a_seller, billed, draft_of, issued, used
from tests.billing.factories import a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, a_void_of, at
from tests.metering.sealing.sealed_ledger import behind_the_guards

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> BillingAccount:
    acme, tokens = a_project("acme"), a_metric("tokens", display_name="Tokens", unit="tokens")
    account = an_account(acme)
    a_subscription(account, a_plan(a_usage_price(tokens)))
    return account


@pytest.fixture
def staff(client: Client) -> Client:
    """May do everything."""
    client.force_login(User.objects.create_superuser("root"))
    return client


def clerk(*rights: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


def the_line(account: BillingAccount) -> InvoiceLine:
    billed("2026-04-01T00:00:00Z")
    return draft_of(account).lines.get()


def url(line: InvoiceLine) -> str:
    return reverse("admin:billing_invoiceline_change", args=[line.pk])


def words(client: Client, address: str) -> str:
    page = client.get(address)
    assert page.status_code == 200
    return page.content.decode()


def test_page_answers_in_a_sentence_and_proves_it(staff: Client, acme: BillingAccount) -> None:
    [event_id] = used(acme.project, "1234.5", subject_type="user", subject_id="kim")

    page = words(staff, url(the_line(acme)))

    assert "123.45 EUR for 1,234.5 tokens, used from 2026-03-01 to 2026-03-31." in page
    assert "The price: 0.10 EUR per unit." in page
    assert "Reading the ledger again gives the same 1 event, and the same amount." in page
    assert "1,234.5 × 0.10 EUR" in page
    assert reverse("admin:metering_usageevent_change", args=[event_id]) in page
    assert "The ledger has learned more since" not in page


def test_altered_ledger_is_shown_in_red(staff: Client, acme: BillingAccount) -> None:
    [event_id] = used(acme.project, "100")
    line = the_line(acme)

    behind_the_guards(f"UPDATE metering_usageevent SET quantity = 1 WHERE id = {event_id}")
    page = words(staff, url(line))

    assert "Doesn&#x27;t match" in page
    assert "gives something else: the quantity, the amount." in page


def test_events_of_a_day_are_a_click_away(staff: Client, acme: BillingAccount) -> None:
    [other] = used(acme.project, "1", on="2026-03-10T12:00:00Z")
    [wanted] = used(acme.project, "2", on="2026-03-12T12:00:00Z")
    line = the_line(acme)

    whole = words(staff, url(line))
    day = words(staff, url(line) + "?from=2026-03-12T00%3A00%3A00%2B00%3A00")

    assert "?from=2026-03-12T00%3A00%3A00%2B00%3A00#events" in whole
    assert "Events of 2026-03-12" in day
    assert reverse("admin:metering_usageevent_change", args=[wanted]) in day
    assert reverse("admin:metering_usageevent_change", args=[other]) not in day


def test_what_was_learned_since_is_a_note_with_links(staff: Client, acme: BillingAccount) -> None:
    a_seller()
    first, _second = used(acme.project, "1", "2")
    billed("2026-04-01T00:00:00Z")
    line = issued(acme, "2026-04-01T01:00:00Z").lines.get()
    a_void_of(first)
    [late] = used(acme.project, "4")

    page = words(staff, url(line))
    later = words(staff, url(line) + "?which=later")

    assert "The ledger has learned more since" in page
    assert "cancelled since" in page
    assert "0.30 EUR for 3 tokens, used" in page
    assert reverse("admin:metering_usageevent_change", args=[late]) not in page
    assert reverse("admin:metering_usageevent_change", args=[late]) in later


def test_events_are_paged(staff: Client, acme: BillingAccount) -> None:
    ids = used(acme.project, *["1"] * 51)
    line = the_line(acme)
    last = reverse("admin:metering_usageevent_change", args=[ids[50]])

    first_page = staff.get(url(line))
    second_page = words(staff, url(line) + first_page.context["events"]["older_url"].removesuffix("#events"))

    assert last not in first_page.content.decode()
    assert last in second_page
    assert words(staff, url(line) + "?place=nonsense&which=nonsense&from=nonsense")


def test_minimum_without_usage_has_an_empty_state(staff: Client) -> None:
    acme, tokens = a_project("acme"), a_metric("tokens")
    account = an_account(acme)
    price = {"model": "per_unit", "unit_amount": "1", "min_amount": "50"}
    a_subscription(account, a_plan(a_usage_price(tokens, price)))

    page = words(staff, url(the_line(account)))

    assert "50.00 EUR more, because the usage from 2026-03-01 to 2026-03-31 came to 0.00 EUR" in page
    assert "No event: the amount is due without any usage." in page


def test_counter_says_what_its_readings_are_compared_with(staff: Client) -> None:
    account = an_account(a_project("acme"))
    price = {"model": "per_unit", "unit_amount": "1", "usage_discount": "31"}
    plan = a_plan(a_usage_price(a_metric("tokens", is_incremental=False), price))
    a_subscription(account, plan, at("2026-03-18T00:00:00Z"), anchor="calendar")
    used(account.project, "1000", on="2026-03-10T12:00:00Z")
    used(account.project, "1040", on="2026-03-20T12:00:00Z")

    page = words(staff, url(the_line(account)))

    assert "26.00 EUR for 40 tokens, used from 2026-03-18 to 2026-03-31." in page  # 31 x 14 / 31 included
    assert "The period is 14 of 31 days" in page
    assert "Each reading is compared with the one before it" in page


def test_fee_says_its_days(staff: Client) -> None:
    account = an_account(a_project("acme"))
    plan = a_plan(a_fee("31"))
    a_subscription(account, plan, at("2026-03-18T00:00:00Z"), anchor="calendar")
    billed("2026-03-20T00:00:00Z")

    page = words(staff, url(draft_of(account).lines.get()))

    assert "14.00 EUR: the fee for 14 of 31 days, from 2026-03-18 to 2026-03-31." in page
    assert "Counting the days again gives the same amount." in page


def test_line_by_hand_says_who_and_why(staff: Client) -> None:
    invoice = begin_invoice(an_account(a_project("acme")), edited_by="ada")
    line = add_line(
        invoice,
        ManualLine("<b>Setup</b>", amount=Decimal("100"), reason="<script>agreed</script>"),
        added_by="ada",
    )

    page = words(staff, url(line))

    assert "100.00 EUR, added by hand by ada." in page
    assert "Why: &lt;script&gt;agreed&lt;/script&gt;" in page
    assert "<b>Setup" not in page


def test_csv_is_downloaded(staff: Client, acme: BillingAccount) -> None:
    ids = used(acme.project, "1", "2")
    line = the_line(acme)

    answer = staff.get(reverse("admin:billing_invoiceline_events", args=[line.pk]))
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

    assert [int(row["id"]) for row in rows] == ids
    assert answer["Content-Disposition"] == f'attachment; filename="line-{line.pk}-events.csv"'


@pytest.mark.parametrize(
    ("right", "status"), [("view_invoiceline", 200), ("view_invoice", 200), ("view_plan", 403)]
)
def test_whoever_sees_lines_or_invoices_sees_why(acme: BillingAccount, right: str, status: int) -> None:
    used(acme.project, "1")
    line, client = the_line(acme), clerk(right)

    assert client.get(url(line)).status_code == status
    assert client.get(reverse("admin:billing_invoiceline_events", args=[line.pk])).status_code == status
    assert client.post(url(line), {}).status_code == 403


def test_unknown_line_is_not_found(staff: Client, db: None) -> None:
    for line_id in ("0", "abc", "9" * 18, "9" * 40):
        assert staff.get(f"/admin/billing/invoiceline/{line_id}/change/").status_code == 404


def test_lines_are_not_in_the_menu(staff: Client, db: None) -> None:
    assert reverse("admin:billing_invoiceline_changelist") not in words(staff, reverse("admin:index"))


def test_page_asks_no_more_for_more_events(staff: Client, acme: BillingAccount) -> None:
    used(acme.project, "1")
    line = the_line(acme)
    words(staff, url(line))
    with CaptureQueriesContext(connection) as few:
        words(staff, url(line))
    used(acme.project, *["1"] * 200, on="2026-03-20T12:00:00Z")
    line = the_line(acme)
    words(staff, url(line))

    with CaptureQueriesContext(connection) as many:
        words(staff, url(line))

    assert len(many) == len(few)
