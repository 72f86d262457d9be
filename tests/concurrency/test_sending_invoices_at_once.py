"""Several posters and runs at once, and posters killed at every step: each document is mailed once."""

import signal
from functools import partial

import pytest

from billing.documents.dispatching import post_due
from billing.invoicing import runs
from billing.models import Invoice, InvoiceDispatch
from metering.models import DomainEvent, MailAttachment, OutgoingMail
from tests.billing.billed import a_seller
from tests.billing.documents.documents import a_simple_invoice
from tests.billing.factories import a_fee, a_plan, a_subscription, an_account
from tests.concurrency.rivals import race, start_process
from tests.factories import a_project, at

pytestmark = pytest.mark.django_db(transaction=True)

NOW = at("2026-04-03T09:00:00Z")

KILLED = """
import os, signal
import datetime as dt

def dying_after(module, name):
    real = getattr(module, name)
    def last(*args, **options):
        real(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(module, name, last)

from billing.documents import dispatching
dying_after(dispatching, {name!r})
dispatching.post_due(now=dt.datetime(2026, 4, 3, 9, tzinfo=dt.UTC))
print("survived")
"""


@pytest.mark.parametrize("name", ["mail_about", "post_mail", "_post", "_post_one"])
def test_killed_at_any_step_ends_in_one_mail(name):
    invoice = a_simple_invoice()
    process = start_process(KILLED.format(name=name))
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (-signal.SIGKILL, "")

    post_due(now=NOW)

    mail = OutgoingMail.objects.get()
    assert mail.key == f"invoice:{invoice.pk}"
    assert MailAttachment.objects.filter(mail=mail).count() == 2
    dispatch = InvoiceDispatch.objects.get()
    assert (dispatch.state, dispatch.mail_id) == ("posted", mail.pk)


def test_four_posters_post_each_document_once():
    a_seller()
    plan = a_plan(a_fee("30"))
    for number in range(6):
        account = an_account(
            a_project(f"customer-{number}"),
            invoice_emails=["books@acme.example"],
            issues_automatically=True,
        )
        a_subscription(account, plan)
    runs.run_billing(as_of=NOW, now=NOW)

    posted = race(*[partial(post_due, now=NOW)] * 4)

    assert sum(one.posted_count for one in posted) == 6
    assert OutgoingMail.objects.count() == 6
    assert set(InvoiceDispatch.objects.values_list("state", flat=True)) == {"posted"}


def test_two_runs_at_once_issue_each_period_once():
    a_seller()
    plan = a_plan(a_fee("30"))
    for number in range(6):
        account = an_account(a_project(f"customer-{number}"), issues_automatically=True)
        a_subscription(account, plan)

    race(*[partial(runs.run_billing, as_of=NOW, now=NOW)] * 2)

    assert sorted(Invoice.objects.values_list("number", "total")) == [
        (f"INV-{number:06}", 60) for number in range(1, 7)
    ]
    assert DomainEvent.objects.filter(kind="invoice.issued").count() == 6
