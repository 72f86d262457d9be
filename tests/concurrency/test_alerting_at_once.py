"""Many evaluators, posters and senders at once, each killed at every step: one alert, one mail, one id."""

import signal
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from metering.delivering.mailing import send_due
from metering.models import MetricDefinition, OutgoingMail, PendingContribution, Project
from metering.rolling_up.rollups import roll_up
from quotas import crossings
from quotas.alerting import post_alerts
from quotas.enforcement import change_quota
from quotas.evaluation import evaluate_thresholds
from quotas.models import Alert, ThresholdCrossing, UsageThreshold
from quotas.thresholds import change_threshold
from tests.concurrency.rivals import meanwhile, race, start_process, wait_until
from tests.factories import a_metric, a_project, an_event, recorded
from tests.metering.delivering.smtp_sink import SmtpSink
from tests.quotas.factories import a_quota, a_threshold, announced

pytestmark = pytest.mark.django_db(transaction=True)

OPS = "ops@example.com"
SUBJECTS = [f"customer-{number}" for number in range(3)]
EXPECTED = [(kind, subject) for subject in SUBJECTS for kind in ("approaching", "exceeded")]


@pytest.fixture(autouse=True)
def acme() -> Project:
    return a_project("acme")


@pytest.fixture
def tokens(acme: Project) -> MetricDefinition:
    return a_metric("tokens")


@pytest.fixture
def sink(settings: Any) -> Iterator[SmtpSink]:
    with SmtpSink() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        yield server


def used(quantity: int = 100) -> None:
    recorded(
        *(an_event("acme", quantity=quantity, subject_id=subject, occurred_at=None) for subject in SUBJECTS)
    )


def crossed() -> list[tuple[str, str]]:
    return sorted(
        ThresholdCrossing.objects.values_list("kind", "subject_id"), key=lambda row: (row[1], row[0])
    )


def alerted() -> list[tuple[str, str]]:
    return sorted(Alert.objects.values_list("crossing__kind", "crossing__subject_id"))


def watched_after(tokens: MetricDefinition, acme: Project, **overrides: Any) -> UsageThreshold:
    """A threshold that nobody has evaluated yet, on usage that is merged already."""
    threshold = a_threshold(acme, tokens, is_enabled=False, notify_emails=[OPS], **overrides)
    used()
    roll_up()
    UsageThreshold.objects.update(is_enabled=True)
    return threshold


def test_six_evaluators_record_each_crossing_once(acme, tokens) -> None:
    watched_after(tokens, acme)

    counts = race(*[evaluate_thresholds] * 6)

    assert crossed() == EXPECTED
    assert sum(counts) == len(EXPECTED)
    assert alerted() == [("exceeded", subject) for subject in SUBJECTS]
    assert len(announced()) == len(SUBJECTS)


def test_without_the_guard_six_evaluators_record_it_more_than_once(acme, tokens, monkeypatch) -> None:
    """The negative control: check, then insert, with no unique constraint behind it."""
    watched_after(tokens, acme)
    start = threading.Barrier(6)

    def looks_first(noticed: list[crossings.Crossing]) -> list[tuple[Any, ...]]:
        absent = [
            one
            for one in noticed
            if not ThresholdCrossing.objects.filter(kind=one.kind, subject_id=one.subject[1]).exists()
        ]
        start.wait(60)
        rows = ThresholdCrossing.objects.bulk_create(
            ThresholdCrossing(
                threshold=one.threshold,
                version=one.threshold.version,
                kind=one.kind,
                period_start=one.period.start,
                period_end=one.period.end,
                subject_type=one.subject[0],
                subject_id=one.subject[1],
                value=one.value,
                level=one.threshold.level,
            )
            for one in absent
        )
        return [
            (row.pk, row.threshold_id, row.kind, row.period_start, row.subject_type, row.subject_id)
            for row in rows
        ]

    monkeypatch.setattr(crossings, "_insert", looks_first)
    drop = "ALTER TABLE quotas_thresholdcrossing DROP CONSTRAINT crossing_once_per_period"
    names = "threshold_id, version, period_start, kind, subject_id, subject_type"
    with connection.cursor() as cursor:
        cursor.execute(_guard_dropped(drop))
    try:
        race(*[evaluate_thresholds] * 6)

        assert len(crossed()) == 6 * len(EXPECTED)
        assert len(announced()) == 6 * len(SUBJECTS)
    finally:
        Alert.objects.all().delete()
        ThresholdCrossing.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute(
                f"CREATE UNIQUE INDEX crossing_once_per_period ON quotas_thresholdcrossing ({names})"
                " NULLS NOT DISTINCT"
            )


def _guard_dropped(drop: str) -> str:
    """Django makes it a constraint or an index, by version."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_constraint WHERE conname = 'crossing_once_per_period'")
        (is_constraint,) = cursor.fetchone()
    return drop if is_constraint else "DROP INDEX crossing_once_per_period"


def test_ticks_beside_writers_leave_no_crossing_out_and_record_none_twice(acme, tokens) -> None:
    """Whichever tick looks last sees the events of all, so that six that merge row by row miss nothing."""
    a_threshold(acme, tokens, notify_emails=[OPS])

    def write(_number: int) -> None:
        for _ in range(10):
            used(2)

    def tick(over: threading.Event) -> None:
        while not over.is_set():
            roll_up(chunk=1)

    with meanwhile(*[tick] * 3):
        race(*(partial(write, number) for number in range(5)))
        wait_until(lambda: not PendingContribution.objects.exists(), seconds=60)
    roll_up()

    assert crossed() == EXPECTED
    assert Alert.objects.filter(crossing__kind="exceeded").count() == len(SUBJECTS)


def test_six_posters_and_senders_deliver_one_mail_for_each_alert(acme, tokens, sink) -> None:
    watched_after(tokens, acme)
    race(*[evaluate_thresholds] * 6)

    counts = race(*[partial(post_alerts, at_once=True)] * 6)
    race(*[send_due] * 6)

    assert sum(counts) == len(SUBJECTS)
    assert sorted(received.recipients for received in sink.received) == [[OPS]] * len(SUBJECTS)
    ids = [received.message["Message-ID"] for received in sink.received]
    assert sorted(ids) == sorted(OutgoingMail.objects.values_list("message_id", flat=True))
    assert len(set(ids)) == len(SUBJECTS)


KILLED = """
import os, signal

def dying_after(module, name, spared=0):
    left, real = [spared], getattr(module, name)
    def last(*args, **options):
        result = real(*args, **options)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return result
    setattr(module, name, last)

from metering.delivering import mailing
from metering.rolling_up.rollups import roll_up
from quotas import alerting, crossings, evaluation
dying_after({module}, {name!r}, {spared})
roll_up()
alerting.post_alerts(at_once=True)
mailing.send_due()
print("survived")
"""
STEPS = [
    ("evaluation", "follow_quotas", 0),
    ("crossings", "_insert", 0),
    ("crossings", "announce_many", 0),
    ("crossings", "_alert", 0),
    ("evaluation", "record_crossings", 0),
    ("alerting", "post_mail", 0),
    ("alerting", "post_mail", 2),
    ("alerting", "_post_some", 0),
    ("mailing", "lease_next", 0),
    ("mailing", "hand_over", 1),
    ("mailing", "note_sent", 0),
]


@pytest.mark.parametrize(("module", "name", "spared"), STEPS)
def test_killed_at_any_step_ends_in_one_alert_and_one_mail(
    acme, tokens, sink, monkeypatch, module, name, spared
) -> None:
    a_threshold(acme, tokens, notify_emails=[OPS])
    used()
    monkeypatch.setenv("EMAIL_URL", f"smtp://127.0.0.1:{sink.port}")
    process = start_process(KILLED.format(module=module, name=name, spared=spared))
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (-signal.SIGKILL, "")

    roll_up()
    evaluate_thresholds()
    post_alerts(at_once=True)
    OutgoingMail.objects.filter(status="pending").update(next_attempt_at=Now())  # the lease has run out
    send_due()

    assert crossed() == EXPECTED
    assert alerted() == [("exceeded", subject) for subject in SUBJECTS]
    assert len(announced()) == len(SUBJECTS)
    ids = [received.message["Message-ID"] for received in sink.received]
    assert set(ids) == set(OutgoingMail.objects.values_list("message_id", flat=True))
    assert len(set(ids)) == len(SUBJECTS)
    assert len(ids) <= len(SUBJECTS) + 1  # the one that was under way may have come twice


RECORDING = """
import time
from metering.ledger import record_events
from quotas.errors import ThresholdBlocked
for number in range(3000):
    try:
        record_events([{"project": "acme", "event_name": "tokens", "subject_id": "kim", "quantity": 1}])
    except ThresholdBlocked:
        print("blocked after", number)
        break
    if number == 5:
        print("recording", flush=True)
    time.sleep(0.005)
"""


def test_processes_that_run_already_obey_a_block_at_their_next_event(acme, tokens) -> None:
    processes = [start_process(RECORDING) for _ in range(3)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "recording\n"
        a_threshold(acme, tokens, amount="1", action="block")
        wait_until(lambda: ThresholdCrossing.objects.filter(kind="exceeded").exists())

        outputs = [process.communicate(timeout=60)[0] for process in processes]

        assert [output.split()[:2] for output in outputs] == [["blocked", "after"]] * 3
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_changes_of_thresholds_and_quotas_beside_ticks_and_recorders_wait_for_nobody_in_a_circle(
    acme, tokens
) -> None:
    quota = a_quota(acme, tokens, limit="1000", mode="monitor")
    shares = [
        a_threshold(acme, tokens, quota_fraction=share, subject_id="*", action="block")
        for share in ("7", "8")
    ]
    absolute = a_threshold(acme, tokens, amount="5000", action="block")

    def change(number: int) -> None:
        for turn in range(10):
            change_quota(quota, limit=1000 + 10 * turn + number)
            change_threshold(absolute, amount=5000 + 10 * turn + number)

    def write() -> None:
        for _ in range(30):
            used(1)

    def look(over: threading.Event) -> None:
        while not over.is_set():
            roll_up(chunk=5)
            evaluate_thresholds()

    with meanwhile(look, look):
        race(partial(change, 1), partial(change, 2), write, write)

    quota.refresh_from_db()
    for share, fraction in zip(shares, (7, 8), strict=True):
        share.refresh_from_db()
        assert share.level == quota.limit * fraction
    assert ThresholdCrossing.objects.count() == 0
