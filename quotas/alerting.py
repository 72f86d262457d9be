"""Telling people about crossings, and noting who has seen to it.

Alerts are inserted with their crossings. Their mails are posted a moment later by whoever gets at them, so
that those who are told of many at once get one mail about all. Posting a mail and noting that it was posted
is one transaction: killed anywhere, it is done again or was done.
"""

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from metering.announcing.kinds import THRESHOLD_EXCEEDED
from metering.announcing.letters import Letter
from metering.announcing.mail import post_mail
from metering.announcing.outbox import announce
from metering.errors import Invalid, NotFound
from metering.models import WebhookDelivery
from metering.texts.numbers import plain

from .alert_mail import digest_of, letter_about, letter_of_test
from .models import NOTE_MAX_LENGTH, Alert, UsageThreshold

ALERTS_AT_ONCE = 1000
ACTOR_MAX_LENGTH = 255


def post_alerts(*, at_once: bool = False) -> int:
    """Post the mails of alerts that weren't posted yet; returns how many mails those are.

    Alerts are collected for `ALERT_COLLECTING_SECONDS` from the first on, unless `at_once`. Whoever is told
    of more than `ALERT_DIGEST_ABOVE` gets one mail about all of them. Any number may run: each alert is
    posted by one.
    """
    count = 0
    while True:
        posted, mails = _post_some(at_once=at_once)
        count += mails
        if posted < ALERTS_AT_ONCE:
            return count


def _post_some(*, at_once: bool) -> tuple[int, int]:
    with transaction.atomic():
        waiting = Alert.objects.filter(posted_at=None)
        if not at_once and not _is_due(waiting):
            return 0, 0
        alerts = list(
            waiting.select_for_update(of=("self",), skip_locked=True)
            .select_related("crossing__threshold__project", "crossing__threshold__metric")
            .order_by("id")[:ALERTS_AT_ONCE]
        )
        by_recipient: dict[str, list[Alert]] = defaultdict(list)
        for alert in alerts:
            for recipient in alert.crossing.threshold.notify_emails:
                by_recipient[recipient].append(alert)
        mail_count = 0
        for recipient, told in by_recipient.items():
            mail_count += _post(recipient, told)
        Alert.objects.bulk_update(alerts, ["mail_ids"])
        Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(posted_at=Now())
    return len(alerts), mail_count


def _is_due(waiting: QuerySet[Alert]) -> bool:
    """Whether the first of those that wait has waited long enough, by the database's clock. Index:
    alert_unposted."""
    first = waiting.order_by("id").annotate(age=Now() - F("created_at")).values_list("age", flat=True)[:1]
    return any(age.total_seconds() >= settings.ALERT_COLLECTING_SECONDS for age in first)


def _post(recipient: str, alerts: Sequence[Alert]) -> int:
    """Mails to one recipient: one for each alert, or one about all of many."""
    if len(alerts) > settings.ALERT_DIGEST_ABOVE:
        letters = [(digest_of(alerts), list(alerts))]
    else:
        letters = [(letter_about(alert), [alert]) for alert in alerts]
    for letter, about in letters:
        projects = {alert.crossing.threshold.project_id for alert in about}
        mail_id = post_mail(
            recipients=[recipient],
            subject=letter.subject,
            text=letter.text,
            html=letter.html,
            key=_key(recipient, about),
            project_id=projects.pop() if len(projects) == 1 else None,
        )
        for alert in about:
            alert.mail_ids = [*alert.mail_ids, mail_id]
    return len(letters)


def _key(recipient: str, alerts: Sequence[Alert]) -> str:
    """Says what the mail is about and to whom, so that it is posted once: the crossings themselves."""
    ids = sorted(alert.crossing_id for alert in alerts)
    about = f"crossing:{ids[0]}"
    if len(ids) > 1:
        about = f"crossings:{ids[0]}-{ids[-1]}:{_digest(','.join(map(str, ids)))}"
    return f"{about}:{_digest(recipient.casefold())}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def acknowledge(alerts: Collection[Alert], *, actor: str, note: str = "") -> int:
    """Close the open ones among the alerts; returns how many those were.

    One that somebody has acknowledged already keeps that name, time and note. Raises `Invalid` for a note
    that is too long.
    """
    note = note.strip()
    if len(note) > NOTE_MAX_LENGTH:
        raise Invalid("At most {most} characters.", most=NOTE_MAX_LENGTH, field="note")
    open_alerts = Alert.objects.filter(pk__in=[alert.pk for alert in alerts], acknowledged_at=None)
    return open_alerts.update(
        acknowledged_at=Now(), acknowledged_by=actor[:ACTOR_MAX_LENGTH], note=note.replace("\x00", "")
    )


@dataclass(frozen=True, slots=True)
class TestSent:
    """What a test sent off."""

    mail_count: int
    delivery_count: int  # to webhook endpoints


def send_test(threshold: UsageThreshold, *, actor: str) -> TestSent:
    """Mail the threshold's recipients and tell subscribed webhooks, marked as a test; no crossing, no alert.

    Raises `NotFound` when the threshold was removed, and `Invalid` when there is nobody to tell.
    """
    with transaction.atomic():
        row = (
            UsageThreshold.objects.kept().select_related("project", "metric").filter(pk=threshold.pk).first()
        )
        if row is None:
            raise NotFound("The threshold was removed.")
        event_id = announce(THRESHOLD_EXCEEDED, project_id=row.project_id, data=_test_facts(row, actor=actor))
        delivery_count = WebhookDelivery.objects.filter(event_id=event_id).count()
        if not row.notify_emails and not delivery_count:
            raise Invalid(
                "There is nobody to tell: the threshold names no addresses, and no webhook subscribes to "
                "'{threshold_exceeded}'.",
                threshold_exceeded=THRESHOLD_EXCEEDED,
                field="notify_emails",
            )
        letter = letter_of_test(row, actor=actor)
        run = uuid.uuid4().hex
        for recipient in row.notify_emails:
            _post_test(row, letter, recipient=recipient, run=run)
    return TestSent(len(row.notify_emails), delivery_count)


def _post_test(threshold: UsageThreshold, letter: Letter, *, recipient: str, run: str) -> None:
    post_mail(
        recipients=[recipient],
        subject=letter.subject,
        text=letter.text,
        html=letter.html,
        key=f"threshold-test:{threshold.pk}:{run}:{_digest(recipient.casefold())}",
        project_id=threshold.project_id,
    )


def _test_facts(threshold: UsageThreshold, *, actor: str) -> dict[str, object]:
    return {
        "is_test": True,
        "requested_by": actor,
        "threshold": threshold.pk,
        "version": threshold.version,
        "project": threshold.project.key,
        "metric": threshold.metric.key,
        "unit": threshold.metric.unit,
        "subject_type": threshold.subject_type or None,
        "subject_id": threshold.subject_id or None,
        "value": None,
        "level": None if threshold.level is None else plain(threshold.level),
        "action": threshold.action,
        "period": threshold.period,
        "period_start": None,
        "period_end": None,
    }
