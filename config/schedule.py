"""The recurring jobs that concern those who sign in."""

from typing import Any

JOBS: tuple[dict[str, Any], ...] = (
    {
        "name": "Forget old sign-ins",
        "task": "config.forget_old_sign_ins",
        "daily_at": (3, 40),
        "description": "Drops what is known of sign-ins after SIGN_IN_KEPT_DAYS, and sessions that are over.",
    },
)
