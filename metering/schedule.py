"""The recurring jobs, as rows that staff may edit. Re-created after each migrate where they are missing."""

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
)


def seed_schedule(apps: Any = installed_apps) -> None:
    """Add the jobs that are missing; an edited or disabled one stays as staff left it."""
    interval_model = apps.get_model("django_celery_beat", "IntervalSchedule")
    task_model = apps.get_model("django_celery_beat", "PeriodicTask")
    for job in JOBS:
        if task_model.objects.filter(name=job["name"]).exists():
            continue
        interval = interval_model.objects.filter(every=job["seconds"], period="seconds").first()
        if interval is None:
            interval = interval_model.objects.create(every=job["seconds"], period="seconds")
        task_model.objects.create(
            name=job["name"],
            task=job["task"],
            interval=interval,
            description=job["description"],
            # A tick that waited a minute, or as long as its pace, is overtaken by the next.
            expire_seconds=max(60, job["seconds"]),
        )
