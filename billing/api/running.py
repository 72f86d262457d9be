"""`/billing-accounts/{id}/running/`: what the account would be billed were its running periods over now."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.models import Invoice, InvoiceLine
from billing.money import amount_text, exact_text
from billing.periods import BillingPeriod
from billing.reporting.final_positions import final_position
from billing.reporting.projection import elapsed_fraction
from billing.reporting.running_period import Charge, Preview, preview_of_running
from metering.answering.answers import answer
from metering.api.documents import ProblemDocument
from metering.api.parsing import Query
from metering.api.visibility import principal_of_request
from metering.clock import database_now
from metering.texts.numbers import plain
from metering.texts.timestamps import iso

from .report_documents import RunningDocument
from .visible import visible_account


class BillingAccountRunningView(APIView):
    permissions = {"GET": "read"}
    staff_rights = {"GET": "billing.view_billingaccount"}

    @extend_schema(
        operation_id="billing_accounts_running",
        summary="What an account would be billed now",
        description=(
            "The lines that a billing run would draft were the running periods over now: usage so far, fees, "
            "minimum and maximum of the whole period, corrections of what was billed before, tax, and what "
            "credit would pay. Fees in advance that were invoiced already aren't among them, nor are lines "
            "and discounts that were added to a draft by hand. Nothing is stored."
        ),
        responses={200: RunningDocument, 404: ProblemDocument, 503: ProblemDocument},
    )
    def get(self, request: Request, account_id: int) -> Response:
        Query(request.query_params, known=())
        account = visible_account(principal_of_request(request), account_id)
        position, now = final_position(), database_now()
        preview = answer(lambda catalogue: preview_of_running(account, now=now, position=position))
        return Response(shown(preview))


def shown(preview: Preview) -> dict[str, Any]:
    account, document = preview.account, preview.document
    currency = account.currency

    def amount(value: Any) -> str:
        return amount_text(value, currency)

    running_lines = {id(line) for charge in preview.running for line in charge.lines}
    return {
        "account": account.pk,
        "project": account.project.key,
        "currency": currency,
        "at": iso(preview.at),
        "position": preview.position,
        "running_amount": amount(preview.running_amount),
        "periods": [_period(period, preview) for period in preview.running_periods],
        "charges": [_charge(charge, currency) for charge in preview.running],
        "lines": [_line(line, currency, is_running=id(line) in running_lines) for line in preview.lines],
        "subtotal": amount(document.subtotal),
        "taxes": document.taxes,
        "tax_total": amount(document.tax_total),
        "total": amount(document.total),
        "credit_available": amount(preview.credit_available),
        "credit_drawn": amount(document.credit_drawn),
        "amount_due": amount(document.amount_due),
        "projection": _projection(preview.projected, currency),
    }


def _period(period: BillingPeriod, preview: Preview) -> dict[str, Any]:
    return {
        "start": iso(period.start),
        "end": iso(period.end),
        "first_day": period.service.start.isoformat(),
        "days": period.service.count,
        "of_days": period.full.count,
        "elapsed_fraction": exact_text(elapsed_fraction(period, now=preview.at)),
    }


def _charge(charge: Charge, currency: str) -> dict[str, Any]:
    price, projected = charge.priced.price, charge.projected_amount
    quantity = charge.usage.quantity if charge.usage is not None else None
    return {
        "name": price.name,
        "plan": charge.priced.subscription.plan.name,
        "metric": price.metric.key if price.metric is not None else None,
        "period_end": iso(charge.priced.period.end),
        "quantity": None if quantity is None else plain(quantity),
        "amount": amount_text(charge.amount, currency),
        "projected_amount": None if projected is None else amount_text(projected, currency),
    }


def _line(line: InvoiceLine, currency: str, *, is_running: bool) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "name": line.name,
        "plan": line.plan_name,
        "metric": line.metric_key or None,
        "unit": line.unit,
        "project": line.project_key or None,
        "labels": line.group,
        "period_start": None if line.period_start is None else iso(line.period_start),
        "period_end": None if line.period_end is None else iso(line.period_end),
        "quantity": None if line.quantity is None else plain(line.quantity),
        "days": line.day_count,
        "amount": amount_text(line.amount, currency),
        "tax_amount": amount_text(line.tax_amount, currency),
        "is_correction": line.is_adjustment,
        "is_running": is_running,
    }


def _projection(projected: Invoice | None, currency: str) -> dict[str, Any] | None:
    if projected is None:
        return None
    names = ("subtotal", "tax_total", "total", "credit_drawn", "amount_due")
    return {"method": "linear", **{name: amount_text(getattr(projected, name), currency) for name in names}}
