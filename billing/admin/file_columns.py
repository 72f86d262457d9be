"""What the files of the lists of billing hold, where it isn't simply every field.

Amounts have the decimals of their currency, which has a column of its own.
"""

import datetime as dt
from decimal import Decimal
from typing import Any

from django.db.models import F, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce

from billing.invoicing.standing import Status, credited_amount
from billing.models import Invoice
from billing.money import scale_of
from metering.admin.list_columns import FileColumns, ListColumn, RowColumn, as_data, column
from metering.texts.numbers import EXACT

from .subscription_words import state_of


def in_decimals(amount: Decimal | None, currency: str) -> Decimal | None:
    """With the decimals of the currency; one that has more keeps them."""
    if amount is None:
        return None
    rounded = round(amount, scale_of(currency))
    exact: Any = as_data(amount)
    return rounded if rounded == amount else exact


def money(name: str, source: str | None = None, *, currency: str = "currency") -> ListColumn:
    return ListColumn(name, (source or name, currency), in_decimals)


def _open(amount: Decimal, currency: str, kind: str, issued_at: dt.datetime | None, is_void: bool) -> Any:
    """What is still owed: of invoices that were issued and aren't void, else nothing."""
    is_owed = kind == Invoice.Kind.INVOICE and issued_at is not None and not is_void
    return in_decimals(amount if is_owed else Decimal(0), currency)


def _received(paid: Decimal, credited: Decimal, currency: str) -> Any:
    """Payments alone, as in the register: `paid_amount` is what credit notes settled, too."""
    return in_decimals(EXACT.subtract(paid, credited), currency)


def account_columns(prefix: str = "account") -> tuple[ListColumn, ...]:
    """Whose it is: the number of the account, the project that pays, and the customer's name."""
    return (
        column("account", prefix),
        column("project", f"{prefix}__project__key"),
        column("customer", f"{prefix}__legal_name"),
    )


def _as_on_document(name: str, member: str, now: str, *, prefix: str = "") -> ListColumn:
    """Of the customer, as an issued document says it; of a draft as it is `now`."""
    stored = KeyTextTransform(member, f"{prefix}customer")
    return column(name, Coalesce(stored, F(f"{prefix}{now}"), output_field=TextField()))


INVOICES: FileColumns = (
    "id",
    "number",
    "kind",
    "origin",
    RowColumn("standing", lambda row: str(Status(row.status).value)),
    column("account"),
    _as_on_document("project", "project_key", "account__project__key"),
    _as_on_document("customer", "legal_name", "account__legal_name"),
    "currency",
    money("subtotal"),
    money("discount_total"),
    money("tax_total"),
    money("total"),
    money("credit_drawn"),
    money("amount_due"),
    ListColumn("paid", ("paid_amount", credited_amount(), "currency"), _received),
    ListColumn("credited", (credited_amount(), "currency"), in_decimals),
    ListColumn("open", ("open_amount", "currency", "kind", "issued_at", "is_void"), _open),
    "issued_on",
    "due_on",
    "credits",
    "period_start",
    "period_end",
    "as_of",
    "reason",
    "notes",
    "created_at",
    "edited_by",
    "issued_at",
    "issued_by",
)
LINES: FileColumns = (
    "id",
    column("document", "invoice__number"),
    column("document_id", "invoice"),
    column("document_kind", "invoice__kind"),
    column("account", "invoice__account"),
    _as_on_document("paying_project", "project_key", "account__project__key", prefix="invoice__"),
    _as_on_document("customer", "legal_name", "account__legal_name", prefix="invoice__"),
    "position",
    "kind",
    "is_adjustment",
    "name",
    "plan_name",
    column("metric", "metric_key"),
    "unit",
    column("project", "project_key"),
    "group",
    "period_start",
    "period_end",
    "service_start_on",
    "service_end_on",
    "quantity",
    column("currency", "invoice__currency"),
    money("amount", currency="invoice__currency"),
    money("discount_amount", currency="invoice__currency"),
    money("tax_amount", currency="invoice__currency"),
    "event_count",
    "reason",
    "added_by",
)
CREDIT_ENTRIES: FileColumns = (
    "id",
    "entered_at",
    *account_columns(),
    column("grant"),
    column("grant_name", "grant__name"),
    "kind",
    column("currency", "grant__currency"),
    money("amount", currency="grant__currency"),
    column("document", "invoice__number"),
    "reason",
    "entered_by",
)
CREDIT_GRANTS: FileColumns = (
    "id",
    *account_columns(),
    "kind",
    "name",
    "currency",
    money("amount"),
    money("balance"),
    "priority",
    "expires_at",
    "credit_note",
    "reason",
    "granted_by",
    "granted_at",
)
CORRECTIONS: FileColumns = (
    "id",
    *account_columns(),
    column("subscription", "billed_period__subscription"),
    column("plan", "billed_period__subscription__plan__key"),
    column("metric", "billed_period__price__metric__key"),
    column("period_start", "billed_period__period_start"),
    "period_end",
    column("currency", "account__currency"),
    money("billed_amount", currency="account__currency"),
    money("rated_amount", currency="account__currency"),
    money("difference", currency="account__currency"),
    "state",
    column("document", "invoice__number"),
    "found_at",
    "decided_at",
    "decided_by",
    "reason",
)
SUBSCRIPTIONS: FileColumns = (
    "id",
    *account_columns(),
    column("plan", "plan__key"),
    column("plan_version", "plan__version"),
    column("plan_name", "plan__name"),
    RowColumn("state", lambda row: state_of(row, now=row.now)),
    "currency",
    "effective_from",
    "effective_until",
    "trial_until",
    "cancelled_at",
    "replaces",
    "created_at",
)
PARKED: FileColumns = ("id", *account_columns(), "code", "reason", "since", "run")
SUBSCRIBERS: FileColumns = (RowColumn("subscribers", lambda row: int(row.active_count)),)
ACCOUNTS: FileColumns = (
    "id",
    "project",
    "legal_name",
    "address_lines",
    "country",
    "tax_id",
    "tax_rates",
    "currency",
    "timezone",
    "payment_terms_days",
    "invoice_emails",
    "issue_grace_days",
    "issues_automatically",
    money("approval_above"),
    money("approve_corrections_above"),
    money("write_off_below"),
    "next_due_at",
    "created_at",
    RowColumn("plans", lambda row: ", ".join(one.plan.key for one in row.running)),
)
