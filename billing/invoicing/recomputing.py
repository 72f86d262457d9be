"""Computing the draft of one account anew, outside of any run."""

import datetime as dt

from billing.models import BillingAccount, Invoice
from metering.answering.fences import raise_fence

from .drafting import draft
from .late_usage import watch_late_usage


def recompute(account: BillingAccount, *, as_of: dt.datetime, position: int | None = None) -> Invoice | None:
    """The account's draft of what is due at `as_of`, with all that the ledger knows by now.

    None where nothing is due. `position` is a final position of the ledger, a new one unless given.
    """
    if position is None:
        position = raise_fence().position
    watch_late_usage(position)
    return draft(account, as_of=as_of, position=position)
