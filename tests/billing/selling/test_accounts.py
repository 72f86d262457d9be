import pytest

from billing.models import BillingAccount
from billing.selling.accounts import change_account, open_account
from billing.selling.plans import remove_draft
from metering.attributing.scope_tree import remove_project
from metering.errors import Conflict, Invalid, NotFound
from metering.models import Project
from tests.billing.factories import MARCH, a_draft, a_plan, a_subscription, an_account
from tests.factories import a_project


@pytest.mark.django_db
def test_account_begins_with_the_zone_of_its_project():
    acme = a_project("acme", timezone="Asia/Tokyo")

    account = open_account(acme, {"legal_name": " Acme Ltd ", "currency": "jpy"})

    assert (account.legal_name, account.currency, account.timezone) == ("Acme Ltd", "JPY", "Asia/Tokyo")
    assert (account.payment_terms_days, account.issue_grace_days, account.tax_rates) == (30, 1, [])
    assert account.created_at is not None


@pytest.mark.django_db
def test_a_project_has_one_account():
    acme = a_project("acme")
    an_account(acme)

    with pytest.raises(Conflict, match="has a billing account already") as refusal:
        an_account(acme)

    assert refusal.value.field == "project"
    assert BillingAccount.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"legal_name": ""}, "legal_name"),
        ({"legal_name": "Two\nlines"}, "legal_name"),
        ({"legal_name": "a\x00b"}, "legal_name"),
        ({"legal_name": "x" * 201}, "legal_name"),
        ({"currency": "EURO"}, "currency"),
        ({"currency": None}, "currency"),
        ({"timezone": "Nowhere"}, "timezone"),
        ({"country": "D1"}, "country"),
        ({"tax_id": 5}, "tax_id"),
        ({"address_lines": "one"}, "address_lines"),
        ({"address_lines": ["x"] * 7}, "address_lines"),
        ({"address_lines": ["a\r\nb"]}, "address_lines[0]"),
        ({"tax_rates": {}}, "tax_rates"),
        ({"tax_rates": [{"name": "VAT"}]}, "tax_rates[0].percent"),
        ({"tax_rates": [{"name": " ", "percent": "1"}]}, "tax_rates[0].name"),
        ({"tax_rates": [{"name": "VAT", "percent": "-1"}]}, "tax_rates[0].percent"),
        ({"tax_rates": [{"name": "VAT", "percent": 0.1}]}, "tax_rates[0].percent"),
        ({"payment_terms_days": 366}, "payment_terms_days"),
        ({"payment_terms_days": True}, "payment_terms_days"),
        ({"issue_grace_days": -1}, "issue_grace_days"),
        ({"invoice_emails": ["a@b.test\nBcc: c@d.test"]}, "invoice_emails[0]"),
        ({"invoice_emails": [None]}, "invoice_emails[0]"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_account_that_makes_no_sense_is_refused_with_its_field(wrong, field):
    with pytest.raises(Invalid) as refusal:
        an_account(a_project("acme"), **wrong)

    assert refusal.value.field == field
    assert not BillingAccount.objects.exists()


@pytest.mark.django_db
def test_currency_changes_until_there_is_a_subscription():
    account = an_account(a_project("acme"))

    change_account(account, {"currency": "usd"}, now=MARCH)
    a_subscription(account, a_plan(currency="USD"))
    change_account(account, {"currency": "USD", "legal_name": "Acme AG"}, now=MARCH)

    assert (account.currency, account.legal_name) == ("USD", "Acme AG")
    with pytest.raises(Conflict):
        change_account(account, {"currency": "EUR", "legal_name": "Other"}, now=MARCH)
    account.refresh_from_db()
    assert (account.currency, account.legal_name) == ("USD", "Acme AG")


@pytest.mark.django_db(transaction=True)
def test_project_with_an_account_or_a_plan_stays():
    billed, seller = a_project("billed"), a_project("seller")
    an_account(billed)
    draft = a_draft(project=seller)

    with pytest.raises(Conflict, match="it still has billing accounts"):
        remove_project(billed)
    with pytest.raises(Conflict, match="it still has plans"):
        remove_project(seller)

    remove_draft(draft)
    remove_project(seller)
    assert list(Project.objects.values_list("key", flat=True)) == ["billed"]
    with pytest.raises(NotFound):
        an_account(seller)
