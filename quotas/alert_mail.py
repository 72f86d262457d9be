"""The words of mails about crossings, as text and as HTML. Reads; sends and posts nothing."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from metering.announcing.letters import Letter, letter
from metering.announcing.mail import one_line
from metering.measuring.windows import zone_named
from metering.models import MetricDefinition, Project

from . import alert_words as words
from .models import Alert, ThresholdCrossing, UsageThreshold
from .periods import period_holding

MAX_ROWS = 200  # of a digest; the page shows all
NAME_LENGTH = 60  # of a name in a subject line


def letter_about(alert: Alert) -> Letter:
    """One crossing. `alert` comes with its crossing, threshold, project and metric."""
    facts = facts_of(alert.crossing) | {"url": _url("admin:quotas_alert_change", alert.pk)}
    return letter("threshold_crossed", subject=facts["headline"], context=facts)


def digest_of(alerts: Sequence[Alert]) -> Letter:
    """Many crossings at once, those that were reached first; at most 200 are told one by one."""
    rows = [
        facts_of(alert.crossing) | {"url": _url("admin:quotas_alert_change", alert.pk)} for alert in alerts
    ]
    rows.sort(key=lambda row: (not row["is_reached"], row["project"], row["metric"], -row["value"]))
    reached_count = sum(row["is_reached"] for row in rows)
    headline = f"{len(rows):,} thresholds: {reached_count:,} reached, {len(rows) - reached_count:,} near"
    return letter(
        "thresholds_digest",
        subject=headline,
        context={
            "headline": headline,
            "rows": rows[:MAX_ROWS],
            "left_out": max(0, len(rows) - MAX_ROWS),
            "url": _url("admin:quotas_alert_changelist"),
        },
    )


def letter_of_test(threshold: UsageThreshold, *, actor: str) -> Letter:
    """What somebody asked for to see whether it arrives: marked as a test in the subject and at the top."""
    period = period_holding(
        timezone.now(), kind=threshold.period, zone=zone_named(threshold.project.timezone)
    )
    example = ThresholdCrossing(
        threshold=threshold,
        kind=ThresholdCrossing.Kind.EXCEEDED,
        period_start=period.start,
        period_end=period.end,
        subject_type=threshold.subject_type,
        subject_id=threshold.subject_id or "example",
        value=threshold.level or Decimal(0),
        level=threshold.level or Decimal(0),
    )
    facts = facts_of(example) | {
        "url": _url("admin:quotas_usagethreshold_change", threshold.pk),
        "test_by": actor,
        "next": "Nothing has happened, and nothing will be refused because of this mail.",
    }
    return letter("threshold_crossed", subject=f"[Test] {facts['headline']}", context=facts)


def facts_of(crossing: ThresholdCrossing) -> dict[str, Any]:
    """What mails and pages say about a crossing, in words; values as they were when it was noticed."""
    threshold = crossing.threshold
    project: Project = threshold.project
    metric: MetricDefinition = threshold.metric
    zone = zone_named(project.timezone)
    is_reached = crossing.kind == ThresholdCrossing.Kind.EXCEEDED
    subject = words.subject_words(crossing.subject_type, crossing.subject_id)
    level = words.amount_words(crossing.level, metric.unit)
    percent = words.percent_words(crossing.value, crossing.level)
    short = one_line(subject)[:NAME_LENGTH]
    name = one_line(metric.display_name)[:NAME_LENGTH]
    state = "has reached" if is_reached else f"is at {percent} of" if percent else "is near"
    resets_at = crossing.period_end
    period = words.period_words(threshold.period, crossing.period_start, resets_at, zone=zone)
    return {
        "headline": f"{name} in {project.key}: {short} {state} {level}",
        "is_reached": is_reached,
        "kind": crossing.get_kind_display(),
        "project": project.key,
        "project_name": project.name,
        "metric": metric.display_name,
        "subject": subject,
        "value": crossing.value,
        "used": words.amount_words(crossing.value, metric.unit),
        "level": level,
        "percent": percent,
        "bar": words.text_bar(crossing.value, crossing.level),
        "filled": int(100 * words.filled_fraction(crossing.value, crossing.level)),
        "period": period,
        "zone": zone.key,
        "resets": None if resets_at is None else words.moment_words(resets_at, zone=zone),
        "noticed": None
        if crossing.crossed_at is None or crossing.pk is None
        else words.moment_words(crossing.crossed_at, zone=zone),
        "next": _next(crossing, subject=subject, level=level),
    }


def _next(crossing: ThresholdCrossing, *, subject: str, level: str) -> str:
    """What happens now, in a sentence."""
    threshold = crossing.threshold
    zone = zone_named(threshold.project.timezone)
    if threshold.action != UsageThreshold.Action.BLOCK:
        return "This threshold refuses nothing: further usage is recorded as before."
    until = "until the threshold is raised"
    if crossing.period_end is not None:
        until = f"until {words.moment_words(crossing.period_end, zone=zone)}, or {until}"
    if crossing.kind == ThresholdCrossing.Kind.EXCEEDED:
        return f"Further usage of this metric by {subject} is refused {until}."
    return f"At {level}, further usage of this metric by {subject} will be refused {until}."


def _url(name: str, *args: object) -> str:
    return settings.PUBLIC_URL.rstrip("/") + reverse(name, args=args)
