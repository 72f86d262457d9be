"""What if: past usage under another plan, as a page with its differences, and as CSV."""

import datetime as dt
from fractions import Fraction
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelect2Widget

from billing.models import BillingAccount, Plan, Subscription
from billing.reporting.distribution import distribution
from billing.reporting.final_positions import final_position
from billing.reporting.hypothetical import Days
from billing.reporting.what_if import (
    Amounts,
    Comparison,
    WhatIf,
    accounts_on_plans,
    ensure_days,
    what_if,
)
from billing.reporting.what_if_csv import csv_name, csv_text, percent_text
from metering import numerals
from metering.admin import cells
from metering.admin.base import EditableAdmin
from metering.admin.day_fields import DayField
from metering.admin.refusals import worded
from metering.admin.row_ids import RowSelectMultiple
from metering.answering.answers import answer
from metering.clock import database_now
from metering.errors import MeterbookError
from metering.models import MetricDefinition

from .document_words import in_words
from .money_words import signed
from .price_words import Words
from .report_charts import distribution_chart, subject_in_words, subjects_chart

MAX_ACCOUNTS = 500  # of one page; more take the command
MAX_ROWS = 200
ONE_DAY = dt.timedelta(days=1)


class WhatIfForm(forms.Form):
    """Days are shown with the last one included, as people say them."""

    plan = forms.ModelChoiceField(
        label=_("Under which plan"),
        queryset=Plan.objects.order_by("key", "-version"),
        widget=UnfoldAdminSelect2Widget(),
        help_text=_("Drafts too: see what a price does before anybody pays it."),
    )
    first_on = DayField(label=_("First day"))
    last_on = DayField(
        label=_("Last day"),
        help_text=_("Whole billing periods compare best; what is cut is charged by days."),
    )
    on_plan = forms.ChoiceField(
        label=_("Accounts on"),
        required=False,
        widget=UnfoldAdminSelect2Widget(),
        help_text=_("Of the plan's currency, and on a plan in these days."),
    )
    accounts = forms.ModelMultipleChoiceField(
        label=_("Only these accounts"),
        queryset=BillingAccount.objects.all(),
        required=False,
        widget=RowSelectMultiple(
            Subscription._meta.get_field("account"),
            admin.site,
            attrs={"class": "unfold-admin-autocomplete", "data-theme": "admin-autocomplete"},
        ),
        help_text=_("Empty: all of them."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keys = Plan.objects.exclude(state=Plan.State.DRAFT).order_by("key").values_list("key", flat=True)
        self.fields["on_plan"].choices = [  # type: ignore[attr-defined]
            ("", _("any plan")),
            *((key, key) for key in keys.distinct()),
        ]
        self.fields["plan"].label_from_instance = plan_in_words  # type: ignore[attr-defined]

    @property
    def days(self) -> Days:
        """Raises `Invalid` for a day beyond the calendar, as `ensure_days` does for any far away."""
        last_on = self.cleaned_data["last_on"]
        return Days(self.cleaned_data["first_on"], min(last_on, dt.date.max - ONE_DAY) + ONE_DAY)


def state_words(plan: Plan) -> str:
    """How a plan stands, as it is said behind its version."""
    return {
        Plan.State.DRAFT: pgettext("of a plan", "draft"),
        Plan.State.PUBLISHED: pgettext("of a plan", "published"),
        Plan.State.ARCHIVED: pgettext("of a plan", "archived"),
    }[Plan.State(plan.state)]


def plan_in_words(plan: Plan) -> str:
    """“Pro, version 2 (draft), EUR”."""
    state = "" if plan.is_published else f" ({state_words(plan)})"
    version = gettext("%(name)s, version %(version)d") % {"name": plan.name, "version": plan.version}
    return f"{version}{state}, {plan.currency}"


class WhatIfPages(EditableAdmin):
    """A page beside the list of plans. It asks by GET: nothing is stored, and a link says what was asked."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.what_if_page)
        return [path("what-if/", view, name="billing_plan_what_if"), *super().get_urls()]

    def what_if_page(self, request: HttpRequest) -> HttpResponse:
        if not request.user.has_perms(["billing.view_plan", "billing.view_billingaccount"]):
            raise PermissionDenied
        now = database_now()
        is_asked = "first_on" in request.GET
        form = WhatIfForm(request.GET) if is_asked else WhatIfForm(initial=_first_guess(request, now))
        found = _answer(form, now=now) if is_asked and form.is_valid() else None
        if found is not None and request.GET.get("format") == "csv":
            response = HttpResponse(csv_text(found), content_type="text/csv; charset=utf-8")
            response["Content-Disposition"] = f'attachment; filename="{csv_name(found)}"'
            return response
        query = request.GET.copy()
        query["format"] = "csv"
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("What if"),
            "form": form,
            "media": self.media + form.media,
            "max_accounts": MAX_ACCOUNTS,
            "csv_url": f"?{query.urlencode()}",
            "result": what_if_card(found) if found is not None else None,
            "has_plans": Plan.objects.exists(),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/billing/plan/what_if.html", context)


def what_if_url(plan: Plan) -> str:
    """The page, with the plan chosen."""
    return reverse("admin:billing_plan_what_if") + "?" + urlencode({"plan": plan.pk})


def _first_guess(request: HttpRequest, now: dt.datetime) -> dict[str, Any]:
    """The last whole month, and the plan that a link named."""
    last_on = now.date().replace(day=1) - ONE_DAY
    return {
        "plan": request.GET.get("plan", ""),
        "first_on": last_on.replace(day=1).isoformat(),
        "last_on": last_on.isoformat(),
    }


def _answer(form: WhatIfForm, *, now: dt.datetime) -> WhatIf | None:
    """The comparison that the form asks for; None where it is refused, which the form then says."""
    plan, days = form.cleaned_data["plan"], form.days
    try:
        ensure_days(days, now=now)
        accounts = _accounts(form, plan, days)
        if len(accounts) > MAX_ACCOUNTS:
            form.add_error(None, _too_many(plan, days))
            return None
        position = final_position()
        return answer(lambda catalogue: what_if(plan, accounts, days=days, now=now, position=position))
    except MeterbookError as refusal:
        fields = {"from": "first_on", "until": "last_on", "accounts": "accounts", "plan": "plan"}
        form.add_error(fields.get(getattr(refusal, "field", None) or ""), worded(refusal))
        return None


def _accounts(form: WhatIfForm, plan: Plan, days: Days) -> list[BillingAccount]:
    named = form.cleaned_data["accounts"]
    if named:
        return list(named.select_related("project").order_by("pk")[: MAX_ACCOUNTS + 1])
    on_plan = form.cleaned_data["on_plan"] or None
    everybody = BillingAccount.objects.all()
    return list(accounts_on_plans(everybody, plan=plan, days=days, on_plan=on_plan)[: MAX_ACCOUNTS + 1])


def _too_many(plan: Plan, days: Days) -> str:
    command = (
        f"manage.py what_if --plan {plan.key} --plan-version {plan.version} --from {days.first_on} "
        f"--until {days.until_on} --csv differences.csv"
    )
    return gettext("More than %(count)d accounts. Choose some, or run: %(command)s") % {
        "count": MAX_ACCOUNTS,
        "command": command,
    }


def what_if_card(found: WhatIf) -> dict[str, Any]:
    """The comparison in words and amounts."""
    currency = found.plan.currency
    words, names = Words(currency), _metric_names(found)
    totals = found.totals
    rows = found.sorted_by_difference()
    shown = rows if len(rows) <= MAX_ROWS else [*rows[: MAX_ROWS // 2], *rows[-MAX_ROWS // 2 :]]
    return {
        "found": found,
        "currency": currency,
        "plan": plan_in_words(found.plan),
        "last_on": found.days.until_on - ONE_DAY,
        "figures": [
            (
                _("As it was"),
                in_words(totals.current, currency),
                gettext("%d accounts") % len(found.comparisons),
            ),
            (_("Under the other plan"), in_words(totals.hypothetical, currency), plan_in_words(found.plan)),
            (_("Difference"), signed(totals.difference, currency), _percent(totals) or cells.DASH),
            (
                _("Would have paid"),
                gettext("%(less)d less, %(more)d more") % {"less": found.winners, "more": found.losers},
                gettext("%d the same") % found.unchanged,
            ),
        ],
        "rows": [_row(one, words) for one in shown],
        "left_out": len(rows) - len(shown),
        "subjects": [
            {
                "name": subject_in_words(subject, names),
                "current": words.bare(Fraction(amounts.current)),
                "hypothetical": words.bare(Fraction(amounts.hypothetical)),
                "difference": _signed(words, amounts),
            }
            for subject, amounts in found.by_subject.items()
        ],
        "unpriced": [
            {
                "metric": names.get(one.metric_key, one.metric_key),
                "quantity": cells.DASH
                if one.quantity is None
                else numerals.with_unit(cells.readable(one.quantity), one.unit),
                "events": numerals.count(one.event_count),
                "accounts": numerals.count(count),
            }
            for one, count in found.unpriced
        ],
        "distribution": distribution_chart(distribution(found.fractions)) if len(rows) > 1 else None,
        "by_subject": subjects_chart(found, names) if rows else None,
        "has_prorated": any(one.is_prorated for one in rows),
    }


def _metric_names(found: WhatIf) -> dict[str, str]:
    """Display names by key, of what was used."""
    keys = {subject.name for subject in found.by_subject if subject.kind == "usage"}
    keys |= {one.metric_key for one, _count in found.unpriced}
    return dict(MetricDefinition.objects.filter(key__in=keys).values_list("key", "display_name"))


def _row(one: Comparison, words: Words) -> dict[str, Any]:
    return {
        "url": reverse("admin:billing_billingaccount_change", args=[one.account.pk]),
        "name": one.account.legal_name,
        "project": one.account.project.key,
        "plans": ", ".join(one.plans),
        "current": words.bare(Fraction(one.amounts.current)),
        "hypothetical": words.bare(Fraction(one.amounts.hypothetical)),
        "difference": _signed(words, one.amounts),
        "percent": _percent(one.amounts) or cells.DASH,
        "is_dearer": one.amounts.difference > 0,
        "is_cheaper": one.amounts.difference < 0,
        "is_prorated": one.is_prorated,
    }


def _signed(words: Words, amounts: Amounts) -> str:
    """“+12.00”, “−3.50”, “0.00”."""
    text = words.bare(Fraction(amounts.difference))
    return f"+{text}" if amounts.difference > 0 else text


def _percent(amounts: Amounts) -> str:
    """“+12.5%”; "" where nothing was paid."""
    text = percent_text(amounts.fraction)
    if not text:
        return ""
    sign = "+" if amounts.difference > 0 else ""
    return sign + numerals.with_percent_sign(numerals.written(text))
