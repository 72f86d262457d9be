"""Every page of the admin asks the database a few questions, however many rows there are.

The list of pages is the router's own, so that a new page is counted from its first day. Who asks holds every
right by a group, which is two statements more than a superuser's.
"""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from billing.invoicing.draft_edits import ManualLine, add_line
from billing.invoicing.issuing import issue
from billing.models import BillingAccount, Invoice, Plan
from billing.settling.credits import grant_credit
from billing.settling.payments import record_payment
from metering import catalogue
from metering.attributing.scope_tree import attribute, install_surface
from metering.catalogue import current
from metering.clock import ledger_end
from metering.delivering.endpoints import add_endpoint
from metering.importing.event_uploads import store_upload
from metering.keys import create_api_key
from metering.models import Export, Fence, MetricDefinition, Project
from metering.rolling_up.rollups import roll_up
from quotas.alerting import post_alerts
from quotas.enforcement import change_quota
from quotas.notebook import NOTEBOOK, Notebook
from quotas.thresholds import change_threshold
from tests.billing.billed import billed, used
from tests.billing.factories import a_subscription, an_account
from tests.factories import a_metric, a_project, a_void_of, an_event, recorded
from tests.quotas.factories import a_quota, a_threshold

from .admin_world import a_whole_world, pages

pytestmark = pytest.mark.django_db

MOST = 20
NOT_WALKED = {"logout"}  # it would end the walker's own session
# Usage over time asks about many metrics together: two statements for every 32 questions.
MAY_GROW_BY = {"metering_usage": 4}
# Bookkeeping of transactions: a page outside a test has none of it, or what no page can do without.
NOT_COUNTED = (
    "SELECT set_config('statement_timeout'",  # only within a surrounding transaction
    "SAVEPOINT",
    "RELEASE SAVEPOINT",
    "ROLLBACK TO SAVEPOINT",
    "SET TRANSACTION",
)


class Statements(Counter[str]):
    """What is asked while it wraps a connection's statements."""

    def __call__(self, execute: Callable[..., Any], sql: Any, *arguments: Any) -> Any:
        text = " ".join((sql if isinstance(sql, str) else sql.as_string()).split())
        if not text.startswith(NOT_COUNTED):
            self[text] += 1
        return execute(sql, *arguments)


@pytest.fixture(scope="module")
def walks(django_db_setup: None, django_db_blocker: Any) -> Iterator[tuple[dict[str, Statements], ...]]:
    """What each page asks in a small world, and in one with six times the rows."""
    patch = pytest.MonkeyPatch()
    for name, module in list(sys.modules.items()):
        if name.startswith(("metering.", "quotas.", "billing.")) and hasattr(module, "raise_fence"):
            patch.setattr(module, "raise_fence", _a_fence)
    logging.disable(logging.CRITICAL)
    # Its thread would take what this transaction says, and write it where none of it is to be seen.
    patch.setattr(Notebook, "_start", lambda self: None)
    catalogue.forget()
    NOTEBOOK.forget()
    with django_db_blocker.unblock(), transaction.atomic():
        a_whole_world()
        addresses = {page.name: page.url for page in pages() if page.name not in NOT_WALKED}
        client = _a_client()
        _with_more(3)
        small = {name: _asked(client, url) for name, url in addresses.items()}
        _with_more(15)
        yield small, {name: _asked(client, url) for name, url in addresses.items()}
        transaction.set_rollback(True)
    logging.disable(logging.NOTSET)
    patch.undo()


def _a_fence(**_: object) -> Fence:
    """The real one would wait for this very transaction."""
    return Fence(position=ledger_end(), fenced_at=timezone.now())


def _a_client() -> Client:
    everything = Group.objects.create(name="Everything")
    everything.permissions.set(Permission.objects.all())
    person = User.objects.create_user("walker", is_staff=True)
    person.groups.add(everything)
    client = Client()
    client.force_login(person)
    return client


def _asked(client: Client, url: str) -> Statements:
    """The fewest of two: the first may fill what the process holds in memory."""
    current()
    rounds = []
    while not rounds or (len(rounds) < 2 and rounds[0].total() > MOST // 2):
        statements = Statements()
        with transaction.atomic():
            with connection.execute_wrapper(statements):
                response = client.get(url)
                if response.streaming:
                    b"".join(response)
            transaction.set_rollback(True)
        rounds.append(statements)
    return min(rounds, key=Statements.total)


def _with_more(count: int) -> None:
    """So many more rows of each kind, as verbs make them."""
    platform, acme = Project.objects.get(key="platform"), Project.objects.get(key="acme")
    tokens = MetricDefinition.objects.get(key="tokens")
    projects = [a_project(parent=platform) for _ in range(count)]
    for number, project in enumerate(projects):
        _metered(project, tokens, acme if number % 2 else None)
        _kept(number)
    for number in range(count):
        recorded(
            an_event("acme", event_name="calls", subject_id=f"{projects[0].key}-{number}"), on_error="skip"
        )
    NOTEBOOK.flush()
    _billed([project for number, project in enumerate(projects) if number % 2 == 0])
    _of_one_account(count)
    roll_up()
    post_alerts(at_once=True)


def _metered(project: Project, tokens: MetricDefinition, payer: Project | None) -> None:
    name = f"measured-{project.key}"
    a_metric(name, event_name=name, project=project)
    install_surface(project=project, key="search", name="Search")
    create_api_key(project=project, name="Backend", permissions=["ingest"])
    add_endpoint(project=project, url="https://198.51.99.7/hook")
    if payer is not None:
        attribute(project, payer=payer)
    change_quota(a_quota(project, tokens, limit="500"), limit="400")
    change_threshold(a_threshold(project, tokens, amount="50"), amount="5")
    used(project, "6", event_name=name)
    a_void_of(used(project, "7", "8")[0])


def _kept(number: int) -> None:
    Fence.objects.create(position=ledger_end() + number + 1, fenced_at=timezone.now())
    Export.objects.create(kind="usage_events", requested_by="auditor", state="failed")
    store_upload([b"time,event\n2026-03-01,tokens\n"], file_name="usage.csv", requested_by="operator")


def _billed(payers: list[Project]) -> None:
    """A third has paid, a third owes, a third has a draft; usage came late to all."""
    accounts = [an_account(project, approve_corrections_above=Decimal(0)) for project in payers]
    for account in accounts:
        a_subscription(account, Plan.objects.get(key="pro"))
    billed("2026-04-01T00:00:00Z")
    for number, account in enumerate(accounts):
        if number % 3 == 2:
            continue
        draft = Invoice.objects.get(account=account, issued_at=None)
        invoice = issue(draft, now=timezone.now(), issued_by="ada", is_early=True)
        if number % 3 == 0:
            today = timezone.now().date()
            record_payment(invoice, amount=invoice.amount_due, received_on=today, now=timezone.now())
    for account in accounts:
        used(account.project, "50")
    billed("2026-05-01T00:00:00Z")


def _of_one_account(count: int) -> None:
    """Lines, payments and credit of the account that the pages are about."""
    account = BillingAccount.objects.get(project__key="acme")
    draft = Invoice.objects.get(account=account, issued_at=None, origin=Invoice.Origin.MANUAL)
    invoice = Invoice.objects.get(account=account, issued_at__isnull=False)
    today = timezone.now().date()
    for number in range(count):
        add_line(draft, ManualLine(f"Work {number}", Decimal(5)), added_by="ada")
        record_payment(invoice, amount=Decimal("0.01"), received_on=today, now=timezone.now())
        grant_credit(account, amount=Decimal(20), kind="paid", name="Order", now=timezone.now())


def test_each_page_asks_at_most_twenty_statements(walks: tuple[dict[str, Statements], ...]) -> None:
    _small, large = walks

    over = {name: asked for name, asked in large.items() if asked.total() > MOST}
    assert _told(over) == ""


def test_no_page_asks_more_where_there_is_more(walks: tuple[dict[str, Statements], ...]) -> None:
    small, large = walks

    grown = {
        name: large[name] - small[name]
        for name in small
        if large[name].total() > small[name].total() + MAY_GROW_BY.get(name, 0)
    }
    assert _told(grown) == ""


def _told(pages: dict[str, Statements]) -> str:
    """What they ask, most often first."""
    lines = []
    for name, asked in pages.items():
        lines.append(f"{name}: {asked.total()}")
        lines += [f"    {times} x {sql[:300]}" for sql, times in asked.most_common(25)]
    return "\n".join(lines)
