"""The recurring jobs of billing, as rows that staff may edit. Re-created after each migrate where missing."""

from typing import Any

JOBS: tuple[dict[str, Any], ...] = (
    {
        "name": "Start requested billing runs",
        "task": "billing.run_requested",
        "seconds": 15,
        "description": "Carries out the billing runs that staff asked for.",
    },
)
