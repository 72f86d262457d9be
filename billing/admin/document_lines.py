"""The lines of a document as people read them: by plan and period, parts of one price together."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.documents.tier_views import rate_of, tiers_of
from billing.invoicing.totals import total
from billing.models import Invoice, InvoiceLine
from metering import numerals
from metering.admin import cells

from .document_words import bare, days_in_words

Kind = InvoiceLine.Kind
OPEN_PARTS = 6  # more parts of one price than these are folded


@dataclass(slots=True)
class Section:
    """Lines of one plan and period, or those by hand. `prices` are one row, or a sum with its parts."""

    title: str
    days: str
    url: str = ""
    prices: list[dict[str, Any]] = field(default_factory=list)
    amount: str = ""


@dataclass(frozen=True, slots=True)
class ShownLines:
    charges: Sequence[Section]
    corrections: Sequence[Section]
    projects: Sequence[tuple[str, str, str]]  # (key, name, amount), the largest first
    corrected: str  # what the corrections come to


def shown_lines(
    lines: Sequence[InvoiceLine], invoice: Invoice, *, remove_url: Callable[[InvoiceLine], str]
) -> ShownLines:
    """All lines of a document, loaded with their billed periods. `remove_url` is empty where one stays."""
    regular = [line for line in lines if not line.is_adjustment]
    adjustments = [line for line in lines if line.is_adjustment]
    return ShownLines(
        charges=_sections(regular, invoice, remove_url),
        corrections=_sections(adjustments, invoice, remove_url),
        projects=_by_project(lines, invoice.currency),
        corrected=bare(total(line.amount for line in adjustments), invoice.currency),
    )


def explain_url(line: InvoiceLine) -> str:
    """The page that says how a line came about, down to its very events."""
    return reverse("admin:billing_invoiceline_change", args=[line.pk])


def _sections(
    lines: Iterable[InvoiceLine], invoice: Invoice, remove_url: Callable[[InvoiceLine], str]
) -> list[Section]:
    groups: dict[Any, list[InvoiceLine]] = {}
    for line in lines:
        billed = line.billed_period
        subscription_id = billed.subscription_id if billed is not None else None
        key = (subscription_id, line.plan_name, line.service_start_on, line.service_end_on)
        groups.setdefault(key, []).append(line)
    return [_section(key, of_one, invoice, remove_url) for key, of_one in groups.items()]


def _section(
    key: Any, lines: Sequence[InvoiceLine], invoice: Invoice, remove_url: Callable[[InvoiceLine], str]
) -> Section:
    subscription_id, plan_name, first, end = key
    by_price: dict[Any, list[InvoiceLine]] = {}
    for line in lines:
        whole = (line.kind, line.billed_period_id, line.name, line.reverses_id is not None)
        by_price.setdefault(whole if line.kind != Kind.MANUAL else line.pk, []).append(line)
    return Section(
        title=plan_name or _("By hand"),
        days=days_in_words(first, end),
        url=reverse("admin:billing_subscription_change", args=[subscription_id]) if subscription_id else "",
        prices=[_price_row(of_price, invoice.currency, remove_url) for of_price in by_price.values()],
        amount=bare(total(line.amount for line in lines), invoice.currency),
    )


def _price_row(
    lines: Sequence[InvoiceLine], currency: str, remove_url: Callable[[InvoiceLine], str]
) -> dict[str, Any]:
    """One line as it is; several, which are parts of one rated whole, under their sum."""
    if len(lines) == 1:
        return {**_row(lines[0], currency, remove_url), "parts": []}
    first = lines[0]
    wholes = {line.rated_quantity for line in lines}
    is_one_whole = len(wholes) == 1
    row = _row(first, currency, remove_url) | {
        "quantity": cells.readable(first.rated_quantity) if is_one_whole and first.rated_quantity else "",
        "amount": bare(total(line.amount for line in lines), currency),
        "explain_url": "",
        "labels": [],
        "project": "",
        "count": ngettext("%d part", "%d parts", len(lines)) % len(lines),
        "is_open": len(lines) <= OPEN_PARTS,
    }
    parts = [_row(line, currency, remove_url) for line in lines]
    if is_one_whole:
        parts = [{**part, "detail": [], "rate": ""} for part in parts]
    else:
        row |= {"detail": [], "rate": ""}
    return {**row, "parts": parts}


def _row(line: InvoiceLine, currency: str, remove_url: Callable[[InvoiceLine], str]) -> dict[str, Any]:
    # As the customer reads it: beside the quantity stands a rate only where the two make the amount.
    rate = rate_of(line, currency, written=numerals.written)
    return {
        "name": line.name,
        "kind": _kind_words(line),
        "metric": line.metric_key,
        "metric_url": reverse("admin:metering_metricdefinition_change", args=[line.metric_id])
        if line.metric_id
        else "",
        "project": line.project_key,
        "project_name": line.project_name,
        "project_url": reverse("admin:metering_project_change", args=[line.project_id])
        if line.project_id
        else "",
        "labels": [(name, cells.DASH if text is None else text) for name, text in sorted(line.group.items())],
        "quantity": cells.readable(line.quantity) if line.quantity is not None else "",
        "unit": line.unit,
        "rate": rate,
        "detail": tiers_of(line, currency, written=numerals.written),
        "amount": bare(line.amount, currency),
        "is_negative": line.amount < 0,
        "reason": line.reason,
        "added_by": line.added_by,
        "explain_url": explain_url(line),
        "remove_url": remove_url(line),
    }


def _kind_words(line: InvoiceLine) -> str:
    """What the name doesn't say: why it is there, of how many days."""
    if line.reverses_id is not None:
        return _("takes back what was billed")
    days = {"days": abs(line.day_count or 0), "all": line.full_day_count}
    if line.kind == Kind.FEE_CREDIT:
        return _("%(days)d unused of %(all)d days given back") % days
    if line.kind == Kind.FEE and line.day_count is not None and line.day_count != line.full_day_count:
        return _("%(days)d of %(all)d days") % days
    if line.kind == Kind.TRUE_UP:
        return str(Kind.TRUE_UP.label)
    if line.is_adjustment and line.kind == Kind.USAGE:
        return _("as it is known now")
    if line.share and line.kind == Kind.USAGE:
        return _("%s of a full period") % line.share
    return ""


def _by_project(lines: Iterable[InvoiceLine], currency: str) -> list[tuple[str, str, str]]:
    """With what is of no single project in the end, so that the rows are the whole document."""
    amounts: dict[tuple[str, str], list[Decimal]] = {}
    others: list[Decimal] = []
    for line in lines:
        of_one = amounts.setdefault((line.project_key, line.project_name), []) if line.project_key else others
        of_one.append(line.amount)
    if not amounts:
        return []
    sums = {key: total(of_one) for key, of_one in amounts.items()}
    rows = [
        (key, name, bare(amount, currency))
        for (key, name), amount in sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    ]
    return [*rows, (_("Not of one project"), "", bare(total(others), currency))] if others else rows
