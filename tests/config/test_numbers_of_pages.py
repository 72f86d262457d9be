"""Pages in German and French write numbers as their readers do; documents and files stay as they are."""

import re
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from billing.models import Invoice
from config.staff.preferences import Wishes, keep_wishes
from metering.attributing.scope_tree import attribute
from quotas.enforcement import set_quota
from quotas.thresholds import set_threshold
from tests.billing.billed import a_seller, billed, issued, used
from tests.billing.factories import a_draft, a_fee, a_plan, a_subscription, a_usage_price, an_account
from tests.factories import a_metric, a_project, an_event, at, recorded

pytestmark = pytest.mark.django_db
NNBSP, NBSP = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"
AMOUNTS = {"en": "2,469.00 EUR", "de": f"2.469,00{NBSP}EUR", "fr": f"2{NNBSP}469,00{NBSP}EUR"}
NUMBERS = {"en": "12,345.5", "de": "12.345,5", "fr": f"12{NNBSP}345,5"}
SHARES = {"en": "82.3%", "de": f"82,3{NBSP}%", "fr": f"82,3{NNBSP}%"}
languages = pytest.mark.parametrize("language", ["en", "de", "fr"])


@pytest.fixture(autouse=True)
def _in_june(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("metering.admin.home", "billing.admin.invoice_list", "billing.admin.review"):
        monkeypatch.setattr(f"{module}.database_now", lambda: at("2026-06-02T10:00:00Z"))


@pytest.fixture
def invoice() -> Invoice:
    """Acme pays 1234.45 a month and 0.10 a token; 12345.5 tokens were used in March, and in April."""
    acme = a_project("acme", name="Acme")
    account = an_account(acme)
    tokens = a_metric("tokens", display_name="Tokens", unit="tokens")
    a_seller()
    a_subscription(account, a_plan(a_fee("1234.45"), a_usage_price(tokens)))
    used(acme, "12345.5")
    billed("2026-04-01T00:00:00Z")
    document = issued(account, "2026-04-02T00:00:00Z")
    used(acme, "12345.5", on="2026-04-10T00:00:00Z")
    billed("2026-05-01T00:00:00Z")
    return document


def text_of(page: str, *args: object, language: str, **query: object) -> str:
    """What a superuser who chose the language reads there; breaking blanks are single ones."""
    user, _is_new = User.objects.get_or_create(username="root", is_staff=True, is_superuser=True)
    keep_wishes(user, Wishes("", language))
    client = Client()
    client.force_login(user)
    response = client.get(reverse(f"admin:{page}", args=args, query=query))
    assert response.status_code == 200
    content = response.content.decode()
    assert f'lang="{language}"' in content
    return re.sub(r"[ \n]+", " ", re.sub(r"<script.*?</script>|<[^>]+>", " ", content, flags=re.S))


@languages
def test_home_says_what_waits_in_the_readers_numbers(invoice: Invoice, language: str) -> None:
    assert AMOUNTS[language] in text_of("index", language=language)


@languages
def test_an_invoice_is_read_in_the_readers_numbers(invoice: Invoice, language: str) -> None:
    text = text_of("billing_invoice_change", invoice.pk, language=language)

    total = {"en": "3,703.45 EUR", "de": f"3.703,45{NBSP}EUR", "fr": f"3{NNBSP}703,45{NBSP}EUR"}
    assert total[language] in text
    assert NUMBERS[language] in text


@languages
def test_the_review_queue_is_read_in_the_readers_numbers(invoice: Invoice, language: str) -> None:
    text = text_of("billing_review", language=language)

    assert AMOUNTS[language] in text


@languages
def test_the_list_of_quotas_is_read_in_the_readers_numbers(language: str) -> None:
    acme, tokens = a_project("acme"), a_metric("tokens", unit="tokens")
    attribute(acme, payer=acme)
    set_quota(acme, metric=tokens, limit="15000.5", period="never")
    recorded(an_event(acme, quantity="12345.5"))

    text = text_of("quotas_projectquota_changelist", language=language)

    assert NUMBERS[language] in text
    assert SHARES[language] in text
    assert {"en": "15,000.5", "de": "15.000,5", "fr": f"15{NNBSP}000,5"}[language] in text


@languages
def test_shares_of_quotas_are_read_in_the_readers_percentages(language: str) -> None:
    acme, tokens = a_project("acme"), a_metric("tokens", unit="tokens")
    set_quota(acme, metric=tokens, limit="1000", period="month")
    set_threshold(acme, metric=tokens, quota_fraction=Decimal("0.895"), period="month")

    text = text_of("quotas_usagethreshold_changelist", language=language)

    shares = {
        "en": "89.5% of the quota",
        "de": f"89,5{NBSP}% des Kontingents",
        "fr": f"89,5{NNBSP}% du quota",
    }
    assert shares[language] in text


@languages
def test_what_if_is_read_in_the_readers_percentages(language: str) -> None:
    account = an_account(a_project("acme"))
    a_subscription(account, a_plan(a_fee("100"), key="basic"))
    draft = a_draft(a_fee("106.60"), key="pro")

    text = text_of(
        "billing_plan_what_if", plan=draft.pk, first_on="2026-03-01", last_on="2026-03-31", language=language
    )

    assert {"en": "+6.6%", "de": f"+6,6{NBSP}%", "fr": f"+6,6{NNBSP}%"}[language] in text
