"""What billing asks of finance staff."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from billing.models import PeriodCorrection
from billing.reporting.approvals_waiting import drafts_to_approve
from billing.reporting.receivables import Amount
from billing.reporting.waiting import Heap, what_waits
from metering.admin.matters import Matter

from .billing_links import documents_url, listed
from .document_words import in_words
from .money_words import signed


def billing_matters(request: HttpRequest, *, now: dt.datetime) -> Iterator[Matter]:
    """What waits in money, for those who may see it: two statements, and none for those who may not."""
    may = request.user.has_perm
    sees_documents = may("billing.view_invoice")
    if sees_documents or may("billing.view_periodcorrection") or may("billing.view_parkedaccount"):
        waiting = what_waits(on=now.date())
    else:
        return
    if may("billing.view_parkedaccount"):
        yield from _matter(
            waiting.parked,
            title=_("Parked accounts"),
            acting=(
                "billing.start_billingrun",
                "billing.change_billingaccount",
            ),
            sentence=_("The last run couldn't bill them. Each says what to put right; then try it again."),
            url=listed("parkedaccount"),
            is_urgent=True,
        )
    if sees_documents:
        yield from _matter(
            waiting.unsent,
            title=_("Documents that couldn't be sent"),
            acting=("billing.issue_invoice",),
            sentence=_("They are issued, and their customers have no mail. Each can be sent again."),
            url=documents_url(standing="unsent"),
            is_urgent=True,
        )
        yield from _matter(
            waiting.overdue,
            title=_("Overdue invoices"),
            acting=("billing.add_payment",),
            sentence=_("Their due day is over and something is still owed."),
            url=documents_url(standing="overdue"),
            is_urgent=True,
        )
        if may("billing.approve_invoice"):
            yield from _approvals(request)
        yield from _matter(
            waiting.drafts,
            title=_("Drafts to review"),
            acting=(
                "billing.issue_invoice",
                "billing.change_invoice",
            ),
            sentence=_("Nothing goes out before somebody issues it."),
            url=reverse("admin:billing_review"),
        )
    if may("billing.view_periodcorrection"):
        yield from _matter(
            waiting.corrections,
            title=_("Corrections to decide"),
            acting=("billing.decide_periodcorrection",),
            sentence=_(
                "Invoiced periods are worth something else by now: approve the difference or write it off."
            ),
            url=listed("periodcorrection", state__exact=PeriodCorrection.State.WAITING.value),
            is_difference=True,
        )


def _approvals(request: HttpRequest) -> Iterator[Matter]:
    """Those that this person may agree to, which leaves out what they worked on themselves."""
    found = drafts_to_approve(by=request.user.get_username())
    drafts = [draft for draft in found if not draft.is_own]
    amounts: dict[str, Amount] = {}
    for draft in drafts:
        amounts[draft.currency] = amounts.get(draft.currency, Amount()) + Amount(1, draft.total)
    yield from _matter(
        Heap(dict(sorted(amounts.items())), min((draft.since for draft in drafts), default=None)),
        title=_("Approvals waiting for you"),
        sentence=_("Colleagues added amounts above the account's limit; it takes a second person."),
        url=documents_url(standing="to_approve"),
    )


def _matter(heap: Heap, *, is_difference: bool = False, **options: Any) -> Iterator[Matter]:
    """The matter, with its amounts where it is of money; nothing where nothing waits."""
    if not heap.count:
        return
    worded = signed if is_difference else in_words
    yield Matter(
        count=heap.count,
        amounts=[worded(each.amount, currency) for currency, each in heap.by_currency.items() if currency],
        since=heap.since,
        **options,
    )
