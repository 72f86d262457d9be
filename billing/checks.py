"""System checks of billing's settings."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from .reporting.ledger_accounts import mistakes_in


@register
def journal_accounts_are_known(**_: Any) -> list[CheckMessage]:
    """Fails when JOURNAL_ACCOUNTS names an account that no posting goes to, or gives no code."""
    return [
        Error(f"JOURNAL_ACCOUNTS: {mistake}", id="billing.E001")
        for mistake in mistakes_in(settings.JOURNAL_ACCOUNTS)
    ]
