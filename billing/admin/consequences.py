"""What other terms of a customer, a subscription or credit do at once: said before they are saved."""

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing.models import BillingAccount, CreditGrant, Invoice
from billing.selling.change_previews import preview_of_beginning
from billing.settling.credits import credit_available
from metering import numerals
from metering.admin.cells import grouped
from metering.admin.consequences import Consequence
from metering.catalogue import current
from metering.clock import database_now
from metering.measuring.windows import zone_named
from metering.models import AttributionRule

from .document_words import in_words
from .subscription_words import LocalTimes, period_in_words

_COMPUTED_FROM = ("tax_rates", "currency", "timezone", "payment_terms_days")

# By field: what another value means for documents to come.
_TEXTS = {
    "currency": gettext_lazy("Its documents are in %(after)s from now on, no longer in %(before)s."),
    "timezone": gettext_lazy(
        "Billing periods begin at midnight of %(after)s, no longer of %(before)s, from the next boundary on."
    ),
    "payment_terms_days": gettext_lazy(
        "Invoices issued from now on are due after %(after)s days instead of %(before)s."
    ),
    "issue_grace_days": gettext_lazy(
        "Drafts wait %(after)s days for late usage instead of %(before)s, those that wait now as well."
    ),
}
_LIMIT_TEXTS = {
    "approval_above": gettext_lazy(
        "Credit notes and lines added by hand need a second person's approval above: %(after)s. Until now: "
        "%(before)s."
    ),
    "approve_corrections_above": gettext_lazy(
        "Corrections of invoiced periods need a second person's approval above: %(after)s. Until now: "
        "%(before)s."
    ),
    "write_off_below": gettext_lazy(
        "Corrections of invoiced periods are written off below: %(after)s. Until now: %(before)s."
    ),
}


def of_account(account: BillingAccount, given: Mapping[str, Any]) -> list[Consequence]:
    """Of terms that decide about money, where `given` has others than the account; its address has none."""
    changed = {name: value for name, value in given.items() if _differs(getattr(account, name), value)}
    found = [
        Consequence(f"account-{name}", sentence) for name, sentence in _sentences(account, changed).items()
    ]
    draft_count = Invoice.objects.filter(account=account, issued_at=None).count() if found else 0
    if draft_count:
        words = ngettext(
            "%(count)s draft of this customer is out of date and has to be computed again before it can be "
            "issued; issued documents stay as they are.",
            "%(count)s drafts of this customer are out of date and have to be computed again before they can "
            "be issued; issued documents stay as they are.",
            draft_count,
        )
        found.append(Consequence("account-drafts", words % {"count": grouped(draft_count)}))
    elif set(changed) & set(_COMPUTED_FROM):
        found.append(Consequence("account-documents", _("Issued documents stay as they are.")))
    return found


def _differs(stored: Any, given: Any) -> bool:
    if isinstance(stored, list) and stored and isinstance(stored[0], dict) and isinstance(given, list):
        return [_rate_words(rate) for rate in stored] != [_rate_words(rate) for rate in given]
    return bool(stored != given)


def _rate_words(rate: Mapping[str, str]) -> str:
    percent = rate["percent"]
    with suppress(ArithmeticError):  # the verb refuses it
        percent = numerals.exact(Decimal(percent))
    return f"{rate['name']} {numerals.with_percent_sign(percent)}"


def _sentences(account: BillingAccount, changed: Mapping[str, Any]) -> dict[str, str]:
    """By field, of those that changed and decide about money."""
    found = {}
    for name, text in _TEXTS.items():
        if name in changed:
            found[name] = text % {"before": getattr(account, name), "after": changed[name]}
    for name, text in _LIMIT_TEXTS.items():
        if name in changed:
            before, after = (_limit_words(account, one) for one in (getattr(account, name), changed[name]))
            found[name] = text % {"before": before, "after": after}
    if "tax_rates" in changed:
        before, after = (rates_words(one) for one in (account.tax_rates, changed["tax_rates"]))
        words = _("Documents computed from now on are taxed by %(after)s instead of %(before)s.")
        found["tax_rates"] = words % {"before": before, "after": after}
    if "issues_automatically" in changed:
        found["issues_automatically"] = (
            _(
                "Billing runs issue its drafts by themselves once their days of grace are over, those that "
                "wait now as well. Nobody is asked."
            )
            if changed["issues_automatically"]
            else _("Drafts wait in the review queue until somebody issues them.")
        )
    return found


def rates_words(rates: Sequence[Mapping[str, str]]) -> str:
    """“VAT 23 %”; all of them, or that there are none."""
    return ", ".join(_rate_words(rate) for rate in rates) or _("none")


def _limit_words(account: BillingAccount, limit: Decimal | None) -> str:
    return _("none") if limit is None else in_words(limit, account.currency)


def of_credit(
    account: BillingAccount,
    amount: Decimal,
    *,
    kind: str,
    expires_at: dt.datetime | None = None,
    now: dt.datetime,
) -> list[Consequence]:
    """Of credit that is given: always said, because it is money."""
    available = credit_available(account, at=now)
    facts = {
        "amount": in_words(amount, account.currency),
        "customer": account.legal_name,
        "before": in_words(available, account.currency),
        "after": in_words(available + amount, account.currency),
    }
    words = _(
        "%(customer)s is given %(amount)s. Its credit grows from %(before)s to %(after)s, and invoices "
        "issued from now on draw on it."
    )
    found = [Consequence("credit", words % facts)]
    if expires_at is not None:
        until = LocalTimes(zone_named(account.timezone)).last(expires_at)
        found.append(Consequence("credit-until", _("It is valid until %s.") % until))
    if kind == CreditGrant.Kind.PAID:
        found.append(Consequence("credit-paid", _("Make sure that the money has been received.")))
    return found


def of_payer(request: HttpRequest, rule: AttributionRule) -> list[Consequence]:
    """Of a rule of attribution as it will be, to who may see accounts: whether anybody is billed for what is
    recorded by it. Nothing where nobody is billed at all: then usage is only measured."""
    if not request.user.has_perm("billing.view_billingaccount"):
        return []
    now = database_now()
    begins = max(rule.effective_from or now, now)  # what is recorded already keeps its payer
    payer_id = rule.billing_attribution_project_id
    if rule.surface_id is not None or payer_id != rule.project_id:  # whoever pays may be paid for in turn
        payer_id = current().payer_at(payer_id, begins)
    accounts = BillingAccount.objects.all()
    account = accounts.filter(project=payer_id).first()
    facts = {"payer": current().project_by_id(payer_id).key}
    if account is None and accounts.exists():
        words = _("%(payer)s has no billing account: as long as that is so, this usage is on no invoice.")
        return [Consequence("payer-without-account", words % facts)]
    if account is not None and not account.subscriptions.unended(begins).exists():
        words = _("%(payer)s is on no plan: as long as that is so, this usage is on no invoice.")
        return [Consequence("payer-without-plan", words % facts)]
    return []


def of_subscription(
    account: BillingAccount, terms: Mapping[str, Any], *, now: dt.datetime
) -> list[Consequence]:
    """Of an account that is put on a plan: always said, because it is money. Raises what `subscribe` does."""
    preview = preview_of_beginning(account, now=now, **terms)
    times = LocalTimes(zone_named(account.timezone))
    until = terms["effective_until"]
    facts = {
        "customer": account.legal_name,
        "plan": f"{terms['plan'].name} ({terms['plan']})",
        "since": times.short(preview.at),
        "until": times.last(until, empty=_("further notice")),
    }
    found = [
        Consequence("subscription", _("%(customer)s is on %(plan)s from %(since)s until %(until)s.") % facts)
    ]
    if preview.first is not None:
        words = _("The first billing period: %(period)s.") % {"period": period_in_words(preview.first)}
        found.append(Consequence("subscription-period", words))
    for line in preview.lines:
        amounts = {
            "name": line.name,
            "amount": in_words(line.amount, preview.currency),
            "days": grouped(line.days),
            "all": grouped(line.of_days),
        }
        text = (
            _("%(name)s in advance: %(amount)s for %(days)s of %(all)s days, on the next draft.")
            if line.due == "now"
            else _("%(name)s in arrears: %(amount)s for %(days)s of %(all)s days, when the period is over.")
        )
        found.append(Consequence(f"subscription-fee-{line.name}".replace(" ", "-"), text % amounts))
    if preview.at < now and preview.first != preview.running:
        words = _("It begins in the past: periods that are over come onto the next draft, usage included.")
        found.append(Consequence("subscription-past", words))
    elif preview.at < now:
        words = _("It begins in the past: usage since then counts.")
        found.append(Consequence("subscription-since", words))
    return found
