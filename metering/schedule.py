"""The recurring jobs, as rows that staff may edit. Re-created after each migrate where they are missing."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.apps import apps as installed_apps

JOBS: tuple[dict[str, Any], ...] = (
    {
        "name": "Roll up usage",
        "task": "metering.roll_up",
        "seconds": 5,
        "description": "Merges what was recorded since the last tick into hourly, daily and monthly rollups.",
    },
    {
        "name": "Rebuild rollups",
        "task": "metering.rebuild_rollups",
        "seconds": 15,
        "description": "Works rollups out again from the ledger where staff asked for it.",
    },
    {
        "name": "Fence the ledger",
        "task": "metering.raise_fence",
        "seconds": 60,
        "description": "Stores a ledger position up to which everything is committed and final.",
    },
    {
        "name": "Seal the ledger",
        "task": "metering.seal_ledger",
        "seconds": 3600,
        "description": "Seals what was recorded since the last seal, so that a later change is found.",
    },
    {
        "name": "Mail the head of the seals",
        "task": "metering.mail_sealed_head",
        "seconds": 1800,
        "description": "Mails the last seal to SEAL_HEAD_RECIPIENTS, once a day; tries until it is sent.",
    },
    {
        "name": "Import uploaded files",
        "task": "metering.import_files",
        "seconds": 10,
        "description": "Records the events of files that staff uploaded, and goes on with interrupted ones.",
    },
    {
        "name": "Remove old uploads",
        "task": "metering.remove_old_uploads",
        "seconds": 3600,
        "description": "Drops uploaded files that were neither started nor retried for seven days.",
    },
    {
        "name": "Make exports",
        "task": "metering.run_exports",
        "seconds": 5,
        "description": "Writes the files that were asked for, and begins anew where a worker was lost.",
    },
    {
        "name": "Remove old exports",
        "task": "metering.remove_old_exports",
        "seconds": 3600,
        "description": "Drops exported files EXPORT_KEPT_DAYS after they were made.",
    },
    {
        "name": "Deliver webhooks",
        "task": "metering.deliver_webhooks",
        "seconds": 5,
        "description": "Sends domain events to the endpoints that subscribe, and retries what failed.",
    },
    {
        "name": "Send mails",
        "task": "metering.send_mail",
        "seconds": 5,
        "description": "Hands mails to the mail server, and retries what it didn't take.",
    },
    {
        "name": "Remove old domain events",
        "task": "metering.remove_old_events",
        "seconds": 3600,
        "description": "Drops domain events that everybody was told of, after DOMAIN_EVENT_DAYS.",
    },
    {
        "name": "Verify everything",
        "task": "metering.verify_everything",
        "daily_at": (2, 30),
        "description": "Checks ledger, seals and rollups against each other every night, at 2:30 UTC.",
    },
    {
        "name": "Go on verifying",
        "task": "metering.go_on_verifying",
        "seconds": 30,
        "description": "Takes up verifications that staff asked for, and those that need more than a slice.",
    },
)


def seed_schedule(apps: Any = installed_apps, *, jobs: Sequence[Mapping[str, Any]] = JOBS) -> None:
    """Add the jobs that are missing; an edited or disabled one stays as staff left it."""
    task_model = apps.get_model("django_celery_beat", "PeriodicTask")
    for job in jobs:
        if task_model.objects.filter(name=job["name"]).exists():
            continue
        seconds = job.get("seconds")
        task_model.objects.create(
            name=job["name"],
            task=job["task"],
            **({"interval": _interval(apps, seconds)} if seconds else {"crontab": _daily(apps, job)}),
            description=job["description"],
            # A tick that waited a minute, or as long as its pace, is overtaken by the next.
            expire_seconds=max(60, seconds or 12 * 3600),
        )


def _interval(apps: Any, seconds: int) -> Any:
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule").objects
    pace = {"every": seconds, "period": "seconds"}
    return intervals.filter(**pace).first() or intervals.create(**pace)


def _daily(apps: Any, job: Mapping[str, Any]) -> Any:
    crontabs = apps.get_model("django_celery_beat", "CrontabSchedule").objects
    hour, minute = job["daily_at"]
    time = {"hour": str(hour), "minute": str(minute), "timezone": "UTC"}
    every = {"day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}
    return crontabs.filter(**time, **every).first() or crontabs.create(**time, **every)
