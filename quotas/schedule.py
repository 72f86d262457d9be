"""The recurring jobs of quotas, as rows that staff may edit. Re-created after each migrate where missing."""

from typing import Any

JOBS: tuple[dict[str, Any], ...] = (
    {
        "name": "Remove old quota decisions",
        "task": "quotas.remove_old_decisions",
        "daily_at": (3, 40),
        "description": "Drops the account of denials and warnings after QUOTA_DECISIONS_KEPT_DAYS days.",
    },
    {
        "name": "Evaluate thresholds",
        "task": "quotas.evaluate_thresholds",
        "seconds": 60,
        "description": "Looks again at the running periods of all thresholds; ticks look at what they touch.",
    },
    {
        "name": "Post alerts",
        "task": "quotas.post_alerts",
        "seconds": 5,
        "description": "Posts the mails about thresholds that were neared or reached, "
        "many at once as a digest.",
    },
)
