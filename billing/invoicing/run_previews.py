"""What a billing run would do, account by account, each tried in a transaction that is rolled back."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import Error as DatabaseError
from django.db import transaction

from billing.errors import ApprovalMissing, GraceNotOver, SellerUnknown
from billing.models import BillingAccount
from metering.answering.fences import raise_fence
from metering.errors import Invalid, MeterbookError

from .drafting import draft
from .issuing import issue
from .late_usage import watch_late_usage

BY_PREVIEW = "preview"


@dataclass(frozen=True, slots=True)
class AccountPreview:
    """What a run would make of one account. `parked_for` is why it could not be billed."""

    account: BillingAccount
    kind: str = ""  # of the document; "" where nothing is due
    line_count: int = 0
    total: Decimal = Decimal(0)
    is_issued: bool = False
    parked_for: str = ""


def preview_of_run(
    *,
    as_of: dt.datetime,
    now: dt.datetime,
    accounts: Sequence[int] | None = None,
    position: int | None = None,
) -> Iterator[AccountPreview]:
    """What `run_billing` would draft and issue, one account after the other; nothing of it stays.

    That the ledger learned of invoiced periods is noted, as any run does. Numbers are drawn and put back;
    each account is held for an instant. Raises `Invalid` for an `as_of` in the future.
    """
    if as_of > now:
        raise Invalid("Lies in the future; what is running can be previewed.", field="as_of")
    if position is None:
        position = raise_fence().position
    watch_late_usage(position)
    chosen = BillingAccount.objects.order_by("id")
    if accounts is not None:
        chosen = chosen.filter(pk__in=accounts)
    for account in chosen.iterator(chunk_size=500):
        yield _preview_of(account, as_of=as_of, now=now, position=position)


def _preview_of(
    account: BillingAccount, *, as_of: dt.datetime, now: dt.datetime, position: int
) -> AccountPreview:
    try:
        with transaction.atomic():
            found = _tried(account, as_of=as_of, now=now, position=position)
            transaction.set_rollback(True)
    except (MeterbookError, DatabaseError, ArithmeticError, ValueError, AssertionError) as error:
        return AccountPreview(account, parked_for=str(error) or type(error).__name__)
    return found


def _tried(account: BillingAccount, *, as_of: dt.datetime, now: dt.datetime, position: int) -> AccountPreview:
    invoice = draft(account, as_of=as_of, position=position)
    if invoice is None:
        return AccountPreview(account)
    is_issued, parked_for = False, ""
    if account.issues_automatically:
        try:
            issue(invoice, now=now, issued_by=BY_PREVIEW)
            is_issued = True
        except (GraceNotOver, ApprovalMissing):
            pass  # it would wait
        except SellerUnknown as error:
            parked_for = str(error)
    return AccountPreview(
        account,
        kind=invoice.kind,
        line_count=invoice.lines.count(),
        total=invoice.total,
        is_issued=is_issued,
        parked_for=parked_for,
    )
