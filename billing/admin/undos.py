"""How customers, the seller and drafts of plans are put back as they were: by their verbs."""

from typing import Any

from billing.invoicing.sellers import change_seller
from billing.models import BillingAccount, Plan, Seller
from billing.selling.accounts import FIELDS, change_account, loosened
from billing.selling.plans import DRAFT_FIELDS, change_draft
from metering.admin.undoing import Undo, Values
from metering.clock import database_now

from .consequences import of_account
from .seller import FIELDS as SELLER_FIELDS


def _account(row: BillingAccount, values: Values) -> None:
    change_account(row, values, now=database_now(), may_loosen=True)  # `_may_account` was asked


def _account_warnings(row: BillingAccount | None, values: Values) -> list[Any]:
    return [] if row is None else [one.words for one in of_account(row, values)]


def _seller(row: Seller, values: Values) -> None:
    change_seller(values)


def _plan(row: Plan, values: Values) -> None:
    change_draft(row, values)


def _is_draft(row: Values) -> bool:
    return row.get("state") == Plan.State.DRAFT


def _may_account(user: Any, row: Values, values: Values) -> bool:
    """Limits of approval aren't raised or removed this way either."""
    return not loosened(row, values) or user.has_perm("billing.loosen_approval")


ACCOUNTS = Undo(FIELDS, _account, warnings=_account_warnings, may=_may_account)
SELLERS = Undo(SELLER_FIELDS, _seller)
PLANS = Undo(DRAFT_FIELDS, _plan, is_open=_is_draft)
