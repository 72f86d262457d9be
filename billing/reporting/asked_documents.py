"""Which documents and accounts an export is about: the filters that all of finance's exports share."""

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from billing.models import BillingAccount, Invoice
from billing.money import scale_of
from metering.errors import Invalid, NotFound
from metering.exporting.export_kinds import Asked, Filter, Shape
from metering.texts.numbers import EXACT

RIGHT = "billing.view_invoice"
FROM = Filter("from", _("From"), Shape.DAY, help_text=_("The first day of issue."))
UNTIL = Filter("until", _("Until"), Shape.DAY, help_text=_("Up to this day of issue, it not included."))
OFFERED_ACCOUNTS = 500


def _offered_accounts() -> Iterable[tuple[str, str]]:
    names = BillingAccount.objects.order_by("legal_name").values_list("pk", "legal_name")[:OFFERED_ACCOUNTS]
    return [(str(number), name) for number, name in names]


def _offered_currencies() -> Iterable[tuple[str, str]]:
    codes = BillingAccount.objects.order_by("currency").values_list("currency", flat=True).distinct()
    return [(code, "") for code in codes]


ACCOUNT = Filter(
    "account",
    _("Billing account"),
    Shape.NUMBER,
    help_text=_("Its number; type a part of the name to find it."),
    offers=_offered_accounts,
)
CURRENCY = Filter(
    "currency", _("Currency"), help_text=_("Three letters, such as EUR."), offers=_offered_currencies
)
KIND = Filter("kind", _("Kind"), Shape.CHOICE, choices=Invoice.Kind.choices)


def ensure_accounts(asked: Asked) -> None:
    """Raises `NotFound` for an account that isn't there for whoever asks, `Invalid` for no currency."""
    currency = asked["currency"]
    if currency is not None:
        try:
            scale_of(currency.upper())
        except ValueError as error:
            raise Invalid(str(error), field="filters.currency") from None
    if asked["account"] is not None and not asked_accounts(asked).exists():
        raise NotFound("There is no billing account {asked}.", asked=asked["account"])


def asked_accounts(asked: Asked) -> QuerySet[BillingAccount]:
    """Accounts of projects at and below the asker's, by id; the one asked for, of the currency asked for."""
    accounts = BillingAccount.objects.select_related("project").order_by("id")
    if asked.project_path is not None:
        accounts = accounts.filter(project__path__startswith=asked.project_path)
    if asked["account"] is not None:
        accounts = accounts.filter(pk=asked["account"])
    if asked["currency"] is not None:
        accounts = accounts.filter(currency=asked["currency"].upper())
    return accounts


def asked_documents(asked: Asked) -> QuerySet[Invoice]:
    """Issued documents in the interval, of those accounts, in the order of issue. Index: invoice_by_day."""
    documents = Invoice.objects.issued()
    if asked.project_path is not None:
        documents = documents.filter(account__project__path__startswith=asked.project_path)
    for name, condition in (
        ("account", "account_id"),
        ("kind", "kind"),
        ("from", "issued_on__gte"),
        ("until", "issued_on__lt"),
    ):
        if asked[name] is not None:
            documents = documents.filter(**{condition: asked[name]})
    if asked["currency"] is not None:
        documents = documents.filter(currency=asked["currency"].upper())
    return documents.order_by("issued_on", "id")


def money(amount: Decimal, currency: str) -> Decimal:
    """With the decimals of its currency, as documents show it."""
    return amount.quantize(Decimal(1).scaleb(-scale_of(currency)), context=EXACT)


def quantity(value: Decimal | None) -> Decimal | None:
    """Without the zeros that the column pads it with."""
    return None if value is None else EXACT.normalize(value)


def last_day(end_on: dt.date | None) -> dt.date | None:
    """The day before the one that isn't included any more, as people read periods."""
    return None if end_on is None else end_on - dt.timedelta(days=1)
