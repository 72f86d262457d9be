"""What an account pays for: usage by project, metric and day, and the documents that it was billed on.

Days are those of the account's clocks. Values are what the metric says of the day alone, so those of a metric
that doesn't add up (a maximum, an average, distinct values) don't sum to the quantity that was billed.
"""

import datetime as dt
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from billing.models import BillingAccount, Invoice, InvoiceLine
from metering.answering.answers import one_snapshot
from metering.answering.usage import usage_in
from metering.catalogue import Catalogue
from metering.errors import Invalid
from metering.exporting.export_kinds import Asked, Column, ExportKind, Filter, Shape
from metering.measuring.meaning import Meaning
from metering.measuring.slices import Scope, Slice
from metering.measuring.windows import first_instant, zone_named
from metering.models import UsageEvent
from metering.texts.csv_blocks import Block, Value, csv_blocks

from .asked_documents import ACCOUNT, CURRENCY, RIGHT, asked_accounts, ensure_accounts, quantity

MAX_DAYS = 366
COLUMNS = (
    Column("account", _("Number of the billing account.")),
    Column("customer", _("Legal name of the billing account, as it is now.")),
    Column("paying_project", _("Key of the project that pays.")),
    Column("project", _("Key of the project whose usage it is.")),
    Column("metric", _("Key of the metric.")),
    Column("day", _("On the account's clocks.")),
    Column("quantity", _("The metric's value of the day; empty where it has none.")),
    Column("unit", _("Of the quantity.")),
    Column("event_count", _("How many events it is made of.")),
    Column("billed_on", _("Numbers of the documents that bill the day now, voided ones left out.")),
)


@dataclass(frozen=True, slots=True)
class _Billing:
    """Which document bills a metric from one instant to another; of one project, where its lines are."""

    start: dt.datetime
    end: dt.datetime
    project_key: str
    number: str

    def covers(self, start: dt.datetime, end: dt.datetime, project_key: str | None) -> bool:
        return self.start < end and start < self.end and self.project_key in {"", project_key}


def _ensure(asked: Asked) -> None:
    ensure_accounts(asked)
    if (asked["until"] - asked["from"]).days > MAX_DAYS:
        raise Invalid("At most {most} days.", most=MAX_DAYS, field="filters.until")


def _blocks(asked: Asked) -> Generator[Block, None, None]:
    with one_snapshot() as catalogue:
        yield from csv_blocks([column.name for column in COLUMNS], _rows(asked, catalogue))


def _rows(asked: Asked, catalogue: Catalogue) -> Iterator[tuple[Value, ...]]:
    """By account, metric, day and project; memory holds one metric of one account."""
    days = [
        asked["from"] + dt.timedelta(days=number)
        for number in range((asked["until"] - asked["from"]).days + 1)
    ]
    for account in asked_accounts(asked):
        zone = zone_named(account.timezone)
        for meaning in _metrics_of(account, catalogue):
            yield from _rows_of(account, meaning, days, zone)


def _metrics_of(account: BillingAccount, catalogue: Catalogue) -> list[Meaning]:
    """Metrics of which the account pays for anything at all, by key. Index: usage_event_by_payer."""
    paid = UsageEvent.objects.filter(billing_scope=account.project_id)
    names = [name for name in catalogue.event_names() if paid.filter(event_name=name).exists()]
    found = [meaning for meaning in catalogue.meanings.values() if meaning.event_name in names]
    return sorted(found, key=lambda meaning: (meaning.key, meaning.metric_id))


def _rows_of(
    account: BillingAccount, meaning: Meaning, days: list[dt.date], zone: ZoneInfo
) -> Iterator[tuple[Value, ...]]:
    windows = list(pairwise(first_instant(day, zone) for day in days))
    if not windows:
        return
    slice = Slice(scope=Scope(payer_id=account.project_id), group_by=("project",))
    billings = _billings_of(account, meaning, windows[0][0], windows[-1][1])
    for usage in usage_in(meaning, windows, slice=slice):
        project_key = usage.group["project"]
        start, end = windows[usage.window]
        numbers = {one.number for one in billings if one.covers(start, end, project_key)}
        yield (
            account.pk,
            account.legal_name,
            account.project.key,
            project_key,
            meaning.key,
            days[usage.window],
            quantity(usage.value),
            meaning.unit,
            usage.aggregate.record_count,
            "; ".join(sorted(numbers)),
        )


def _billings_of(
    account: BillingAccount, meaning: Meaning, first: dt.datetime, last: dt.datetime
) -> list[_Billing]:
    """The documents whose lines for usage of the metric still count: no issued line takes them back."""
    taken_back = InvoiceLine.objects.filter(reverses=OuterRef("pk"), invoice__issued_at__isnull=False)
    lines = InvoiceLine.objects.filter(
        ~Exists(taken_back),
        invoice__account=account,
        invoice__in=Invoice.objects.issued(),
        kind__in=(InvoiceLine.Kind.USAGE, InvoiceLine.Kind.TRUE_UP),
        reverses=None,
        metric_id=meaning.metric_id,
        period_start__lt=last,
        period_end__gt=first,
    )
    found = lines.values_list("period_start", "period_end", "project_key", "invoice__number")
    return [
        _Billing(start, end, project_key, number)
        for start, end, project_key, number in found
        if start is not None and end is not None and number is not None
    ]


USAGE_STATEMENT = ExportKind(
    name="usage_statement",
    title=_("Usage statement"),
    description=_("What accounts pay for: usage by project, metric and day, and the documents that bill it."),
    right=RIGHT,
    columns=COLUMNS,
    filters=[
        Filter("from", _("From"), Shape.DAY, help_text=_("The first day of use."), is_required=True),
        Filter(
            "until",
            _("Until"),
            Shape.DAY,
            help_text=_("Up to this day of use, it not included; at most 366 days."),
            is_required=True,
        ),
        ACCOUNT,
        CURRENCY,
    ],
    blocks=_blocks,
    ensure=_ensure,
    expected_count=lambda asked: None,
)
