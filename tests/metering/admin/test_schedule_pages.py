"""Third-party tables on our pages: the beat schedule and staff accounts."""

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask


def test_job_is_switched_off_and_slowed_down(staff: Client) -> None:
    job = PeriodicTask.objects.get(name="Roll up usage")
    minute = IntervalSchedule.objects.get(every=60)

    response = staff.post(
        reverse("admin:django_celery_beat_periodictask_change", args=[job.pk]),
        {"name": job.name, "task": job.task, "description": "", "interval": minute.pk, "crontab": ""},
    )

    job.refresh_from_db()
    assert response.status_code == 302
    assert (job.enabled, job.interval_id) == (False, minute.pk)


def test_job_with_two_paces_is_refused(staff: Client) -> None:
    job = PeriodicTask.objects.get(name="Roll up usage")
    nightly = CrontabSchedule.objects.create(minute="0", hour="2")

    response = staff.post(
        reverse("admin:django_celery_beat_periodictask_change", args=[job.pk]),
        {"name": job.name, "task": job.task, "interval": job.interval_id, "crontab": nightly.pk},
    )

    assert response.status_code == 200
    assert response.context["adminform"].form.errors


def test_form_offers_the_tasks_that_workers_know(staff: Client) -> None:
    form = staff.get(reverse("admin:django_celery_beat_periodictask_add")).context["adminform"].form

    assert {"metering.raise_fence", "metering.roll_up"} <= {
        name for name, _label in form.fields["task"].choices
    }


def test_pace_in_use_is_not_deleted(staff: Client) -> None:
    pace = IntervalSchedule.objects.get(every=5)

    response = staff.post(
        reverse("admin:django_celery_beat_intervalschedule_delete", args=[pace.pk]), {"post": "yes"}
    )

    assert response.status_code == 403
    assert PeriodicTask.objects.filter(interval=pace).exists()


def test_account_is_made_with_a_password(staff: Client) -> None:
    response = staff.post(
        reverse("admin:auth_user_add"),
        {
            "username": "kim",
            "usable_password": "true",
            "password1": "correct horse staple",
            "password2": "correct horse staple",
        },
    )

    assert response.status_code == 302
    assert User.objects.get(username="kim").check_password("correct horse staple")


def test_pace_is_said_in_words(staff: Client) -> None:
    page = staff.get(reverse("admin:django_celery_beat_periodictask_changelist")).content.decode()

    assert "every 5 seconds" in page
    assert "every minute" in page  # stored as 60 seconds
    assert "every hour" in page  # as 3,600
