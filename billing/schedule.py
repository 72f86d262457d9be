"""The recurring jobs of billing, as rows that staff may edit. Re-created after each migrate where missing."""

from typing import Any

JOBS: tuple[dict[str, Any], ...] = (
    {
        "name": "Start requested billing runs",
        "task": "billing.run_requested",
        "seconds": 15,
        "description": "Carries out the billing runs that staff asked for.",
    },
    {
        "name": "Run billing",
        "task": "billing.run_billing",
        "seconds": 3600,
        "description": "Drafts what is due, issues where accounts want that done, and expires credit.",
    },
    {
        "name": "Send invoices",
        "task": "billing.send_invoices",
        "seconds": 10,
        "description": "Posts the mails of issued invoices and credit notes, and tries again what failed.",
    },
    {
        "name": "Announce overdue invoices",
        "task": "billing.announce_overdue",
        "daily_at": (6, 0),
        "description": "Says of each invoice once that it is overdue, every day at 6:00 UTC.",
    },
)
