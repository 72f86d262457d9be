"""`/pricing/what-if/`: what recorded usage would have cost under another plan."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.models import BillingAccount, Plan
from billing.money import amount_text, exact_text
from billing.reporting.distribution import distribution
from billing.reporting.final_positions import final_position
from billing.reporting.hypothetical import Days
from billing.reporting.what_if import (
    Amounts,
    Comparison,
    Subject,
    Unpriced,
    WhatIf,
    accounts_on_plans,
    ensure_days,
    what_if,
)
from billing.reporting.what_if_csv import csv_name, csv_text
from metering.answering.answers import answer
from metering.api.documents import ProblemDocument
from metering.api.parsing import members_of, text_of
from metering.api.usage import CSVRenderer
from metering.api.visibility import principal_of_request, visible_project
from metering.clock import database_now
from metering.errors import Invalid, NotFound
from metering.principal import Principal
from metering.texts.numbers import plain

from .report_documents import WhatIfDocument, WhatIfRequestDocument
from .visible import MAX_ID, plan_named, visible_accounts, visible_plans

MAX_ACCOUNTS = 100  # of one request; more take the command
_MEMBERS = ("plan", "version", "project", "from", "until", "accounts", "on_plan")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class WhatIfView(APIView):
    permissions = {"POST": "read"}
    staff_rights = {"POST": "billing.view_billingaccount"}
    renderer_classes = [JSONRenderer, CSVRenderer]

    @extend_schema(
        operation_id="pricing_what_if",
        summary="What past usage would have cost under another plan",
        description=(
            "Rates the recorded usage of past days under the plans that accounts were on and under another, "
            "which may be a draft, and says who would have paid more and who less. Nothing is stored. "
            f"Amounts are before discounts and tax. At most {MAX_ACCOUNTS} accounts; `manage.py what_if` "
            "takes any number. `Accept: text/csv` gives a row for each account."
        ),
        request=WhatIfRequestDocument,
        responses={
            (200, "application/json"): WhatIfDocument,
            404: ProblemDocument,
            422: ProblemDocument,
            503: ProblemDocument,
        },
    )
    def post(self, request: Request) -> HttpResponse:
        members = members_of(request.data, known=_MEMBERS, aliases={"to": "until", "plan_version": "version"})
        principal, now = principal_of_request(request), database_now()
        plan = _plan(members, principal)
        days = Days(_day(members, "from"), _day(members, "until"))
        ensure_days(days, now=now)
        accounts = _accounts(members, principal, plan=plan, days=days)
        position = final_position()
        found = answer(lambda catalogue: what_if(plan, accounts, days=days, now=now, position=position))
        if request.accepted_renderer.format == "csv":
            return _csv_of(found)
        return Response(shown(found))


def _csv_of(found: WhatIf) -> HttpResponse:
    response = HttpResponse(csv_text(found), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{csv_name(found)}"'
    return response


def _plan(members: Mapping[str, Any], principal: Principal) -> Plan:
    key, owner = text_of(members, "plan"), text_of(members, "project")
    if not key:
        raise Invalid("This member is needed.", field="plan", code="missing_field")
    version = members.get("version")
    if version is not None and (isinstance(version, bool) or not isinstance(version, int)):
        raise Invalid("Must be a whole number.", field="version")
    plans = visible_plans(principal)
    if owner is not None:
        plans = plans.filter(project=visible_project(principal, owner))
    return plan_named(plans, key, version=version, draft_first=True)


def _day(members: Mapping[str, Any], name: str) -> dt.date:
    text = text_of(members, name)
    if text is None:
        raise Invalid("This member is needed.", field=name, code="missing_field")
    try:
        if _DAY.fullmatch(text):
            return dt.date.fromisoformat(text)
    except ValueError:
        pass
    raise Invalid("Must be a date, such as 2026-03-01.", field=name)


def _accounts(
    members: Mapping[str, Any], principal: Principal, *, plan: Plan, days: Days
) -> list[BillingAccount]:
    """Those named, or all that fit. Raises `NotFound` for one that the caller may not see."""
    named = members.get("accounts")
    on_plan = text_of(members, "on_plan")
    visible = visible_accounts(principal)
    if named is None:
        found = list(accounts_on_plans(visible, plan=plan, days=days, on_plan=on_plan)[: MAX_ACCOUNTS + 1])
        if len(found) > MAX_ACCOUNTS:
            raise Invalid(
                f"More than {MAX_ACCOUNTS} accounts fit; name some, or run `manage.py what_if`.",
                field="accounts",
                code="too_many_accounts",
            )
        return found
    if on_plan is not None:
        raise Invalid("Either names accounts or their plan, not both.", field="on_plan")
    ids = _ids(named)
    found = list(visible.filter(pk__in=ids).order_by("pk"))
    missing = set(ids) - {account.pk for account in found}
    if missing:
        raise NotFound(f"There is no billing account {min(missing)}.")
    return found


def _ids(named: Any) -> list[int]:
    if not isinstance(named, list) or not named:
        raise Invalid("Must be a list of ids.", field="accounts")
    if len(named) > MAX_ACCOUNTS:
        raise Invalid(f"At most {MAX_ACCOUNTS} accounts.", field="accounts", code="too_many_accounts")
    for index, one in enumerate(named):
        if isinstance(one, bool) or not isinstance(one, int) or not 0 < one <= MAX_ID:
            raise Invalid("Must be the id of a billing account.", field=f"accounts[{index}]")
    return sorted(set(named))


def shown(found: WhatIf) -> dict[str, Any]:
    currency = found.plan.currency
    return {
        "plan": found.plan.key,
        "version": found.plan.version,
        "is_draft": found.plan.is_draft,
        "currency": currency,
        "from": found.days.first_on.isoformat(),
        "until": found.days.until_on.isoformat(),
        "position": found.position,
        "totals": _amounts(found.totals, currency),
        "cheaper_count": found.winners,
        "dearer_count": found.losers,
        "unchanged_count": found.unchanged,
        "without_plan_count": found.without_plan,
        "by_subject": _by_subject(found.by_subject, currency),
        "buckets": [
            {
                "above": None if bucket.above is None else exact_text(bucket.above),
                "below": None if bucket.below is None else exact_text(bucket.below),
                "is_new": bucket.is_new,
                "count": bucket.count,
            }
            for bucket in distribution(found.fractions)
        ],
        "unpriced": [{**_unpriced(one), "account_count": count} for one, count in found.unpriced],
        "accounts": [_comparison(one, currency) for one in found.sorted_by_difference()],
    }


def _amounts(amounts: Amounts, currency: str) -> dict[str, Any]:
    fraction = amounts.fraction
    return {
        "current": amount_text(amounts.current, currency),
        "hypothetical": amount_text(amounts.hypothetical, currency),
        "difference": amount_text(amounts.difference, currency),
        "fraction": None if fraction is None else exact_text(fraction),
    }


def _by_subject(by_subject: Mapping[Subject, Amounts], currency: str) -> list[dict[str, Any]]:
    return [
        {"kind": subject.kind, "name": subject.name, **_amounts(amounts, currency)}
        for subject, amounts in by_subject.items()
    ]


def _unpriced(one: Unpriced) -> dict[str, Any]:
    return {
        "metric": one.metric_key,
        "unit": one.unit,
        "event_count": one.event_count,
        "quantity": None if one.quantity is None else plain(one.quantity),
    }


def _comparison(one: Comparison, currency: str) -> dict[str, Any]:
    return {
        "account": one.account.pk,
        "project": one.account.project.key,
        "legal_name": one.account.legal_name,
        "plans": list(one.plans),
        "is_prorated": one.is_prorated,
        **_amounts(one.amounts, currency),
        "by_subject": _by_subject(one.by_subject, currency),
        "unpriced": [_unpriced(each) for each in one.unpriced],
    }
