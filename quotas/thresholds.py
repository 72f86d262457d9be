"""Setting, changing and removing thresholds. What runs already is evaluated at once."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import cast

import psycopg
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from metering.catalogue import move_version
from metering.errors import Conflict, Invalid, NotFound
from metering.models import MetricDefinition, Project
from metering.texts.numbers import NotANumber, decimal_from, plain

from .book import MONITORED_ONLY
from .evaluation import evaluate_now
from .levels import level_of, limits_in_force, quota_key
from .models import (
    DEFAULT_APPROACH_FRACTION,
    EVERY_SUBJECT_TOGETHER,
    FRACTION_SCALE,
    MAX_EMAILS,
    SUBJECT_MAX_LENGTH,
    UsageThreshold,
)

ONCE_PER_LEVEL = "threshold_once_per_level"
MAX_EMAIL_LENGTH = 254
MAX_STEPS = 20
MAX_QUOTA_FRACTION = Decimal(10)  # ten times a quota that doesn't refuse; beyond it somebody means percent
Number = Decimal | int | str

# A metric's own period, in the words of limits.
PERIOD_OF_RESET = {
    MetricDefinition.ResetPeriod.NEVER: UsageThreshold.Period.NEVER,
    MetricDefinition.ResetPeriod.HOURLY: UsageThreshold.Period.HOUR,
    MetricDefinition.ResetPeriod.DAILY: UsageThreshold.Period.DAY,
    MetricDefinition.ResetPeriod.WEEKLY: UsageThreshold.Period.WEEK,
    MetricDefinition.ResetPeriod.MONTHLY: UsageThreshold.Period.MONTH,
    MetricDefinition.ResetPeriod.YEARLY: UsageThreshold.Period.YEAR,
}


class _Kept:
    """Stands for an argument that wasn't given where None means something."""


KEPT = _Kept()


def set_threshold(
    project: Project,
    *,
    metric: MetricDefinition,
    amount: Number | None = None,
    quota_fraction: Number | None = None,
    subject_type: str = "",
    subject_id: str = "",
    action: str = UsageThreshold.Action.ALERT,
    notify_emails: Iterable[str] = (),
    period: str | None = None,
    approach_fraction: Number | None = DEFAULT_APPROACH_FRACTION,
    is_enabled: bool = True,
) -> UsageThreshold:
    """Watch a metric's usage in each period: at an amount, or at a share of the project's quota.

    Several levels of the same usage are several thresholds. The running period is evaluated at once, so
    what is crossed already is alerted now; periods before it aren't looked at. Without a period: the
    metric's own. Raises `Invalid` naming the field, and `Conflict` when the same level is watched already.
    """
    [threshold] = _set(
        project,
        metric=metric,
        levels=[(amount, quota_fraction)],
        subject_type=subject_type,
        subject_id=subject_id,
        action=action,
        notify_emails=notify_emails,
        period=period,
        approach_fraction=approach_fraction,
        is_enabled=is_enabled,
    )
    return threshold


def set_steps(
    project: Project, *, metric: MetricDefinition, quota_fractions: Sequence[Number], **options: object
) -> list[UsageThreshold]:
    """Several shares of a quota at once, such as 0.5, 0.8 and 1, each a threshold of its own; all or none.

    Takes the options of `set_threshold`, and raises what that raises.
    """
    if not 0 < len(quota_fractions) <= MAX_STEPS:
        raise Invalid("Name 1 to {most} steps.", most=MAX_STEPS, field="quota_fraction")
    levels: list[tuple[Number | None, Number | None]] = [(None, fraction) for fraction in quota_fractions]
    return _set(project, metric=metric, levels=levels, **options)  # type: ignore[arg-type]


def change_threshold(
    threshold: UsageThreshold,
    *,
    amount: Number | _Kept | None = KEPT,
    quota_fraction: Number | _Kept | None = KEPT,
    action: str | None = None,
    notify_emails: Iterable[str] | None = None,
    approach_fraction: Number | _Kept | None = KEPT,
    is_enabled: bool | None = None,
) -> UsageThreshold:
    """Give a threshold another level, action, addresses or early warning; what isn't named stays.

    Another level is a new version: the running period is evaluated anew, and what it crosses is told again.
    An amount takes the place of a share of the quota, and the other way round. Raises `Invalid` naming the
    field, `Conflict` when that level is watched already, `NotFound` when the threshold was removed meanwhile.
    """
    with transaction.atomic(), _said_clearly():
        held = (
            UsageThreshold.objects.kept().select_for_update(of=("self",)).select_related("project", "metric")
        )
        row = held.filter(pk=threshold.pk).first()
        if row is None:
            raise NotFound("The threshold was removed.")
        before = (row.amount, row.quota_fraction)
        if not isinstance(amount, _Kept) or not isinstance(quota_fraction, _Kept):
            given = (
                None if isinstance(amount, _Kept) else amount,
                None if isinstance(quota_fraction, _Kept) else quota_fraction,
            )
            row.amount, row.quota_fraction = _level_from(*given)
        was_blocking = row.is_enabled and row.action == UsageThreshold.Action.BLOCK
        if action is not None:
            _ensure_action(action, row.metric)
            row.action = action
        if notify_emails is not None:
            row.notify_emails = emails_from(notify_emails)
        if not isinstance(approach_fraction, _Kept):
            row.approach_fraction = _approach_from(approach_fraction)
        if is_enabled is not None:
            row.is_enabled = is_enabled
        if (row.amount, row.quota_fraction) != before:
            _set_level(row)
            row.version += 1
            UsageThreshold.objects.filter(pk=row.pk).update(level_set_at=Now())
        row.save(
            update_fields=[
                "amount",
                "quota_fraction",
                "level",
                "version",
                "action",
                "notify_emails",
                "approach_fraction",
                "is_enabled",
            ]
        )
        if was_blocking or (row.is_enabled and row.action == UsageThreshold.Action.BLOCK):
            move_version()
        if row.is_enabled:
            evaluate_now([row])
    threshold.refresh_from_db()
    return threshold


def remove_threshold(threshold: UsageThreshold) -> None:
    """Stop watching: a block that it made is lifted. Its crossings and alerts stay. Again changes nothing."""
    with transaction.atomic():
        UsageThreshold.objects.kept().filter(pk=threshold.pk).update(removed_at=Now())
        if threshold.action == UsageThreshold.Action.BLOCK:
            move_version()


def emails_from(addresses: Iterable[str]) -> list[str]:
    """The addresses without repeats, in order. Raises `Invalid` for one that is none, and for too many."""
    if isinstance(addresses, str):
        raise Invalid("Must be a list of addresses.", field="notify_emails")
    found: dict[str, str] = {}
    for address in addresses:
        if not isinstance(address, str):
            raise Invalid("Each address is a text.", field="notify_emails")
        address = address.strip()
        try:
            validate_email(address)
        except ValidationError:
            raise Invalid(
                "'{address}' is no e-mail address.", address=address[:100], field="notify_emails"
            ) from None
        if len(address) > MAX_EMAIL_LENGTH:
            raise Invalid(
                "An address has at most {most} characters.", most=MAX_EMAIL_LENGTH, field="notify_emails"
            )
        found.setdefault(address.casefold(), address)
    if len(found) > MAX_EMAILS:
        raise Invalid(
            "At most {most} addresses; use a list of your mail server.",
            most=MAX_EMAILS,
            field="notify_emails",
        )
    return list(found.values())


def _set(
    project: Project,
    *,
    metric: MetricDefinition,
    levels: Sequence[tuple[Number | None, Number | None]],
    subject_type: str = "",
    subject_id: str = "",
    action: str = UsageThreshold.Action.ALERT,
    notify_emails: Iterable[str] = (),
    period: str | None = None,
    approach_fraction: Number | None = DEFAULT_APPROACH_FRACTION,
    is_enabled: bool = True,
) -> list[UsageThreshold]:
    if metric.project is not None and not project.path.startswith(metric.project.path):
        raise Invalid(
            "Project '{key}' has no metric '{metric_key}'.",
            key=project.key,
            metric_key=metric.key,
            field="metric",
        )
    if metric.is_archived:
        raise Invalid("Metric '{key}' is archived and counts no more usage.", key=metric.key, field="metric")
    period = period or PERIOD_OF_RESET[MetricDefinition.ResetPeriod(metric.reset_period)]
    _ensure_known(period, UsageThreshold.Period.values, field="period")
    if (
        metric.aggregation == MetricDefinition.Aggregation.TIME_WEIGHTED_AVG
        and period == UsageThreshold.Period.NEVER
    ):
        raise Invalid("An average over time needs a period that ends.", field="period")
    _ensure_action(action, metric)
    thresholds = []
    for level in levels:
        amount, quota_fraction = _level_from(*level)
        thresholds.append(
            UsageThreshold(
                project=project,
                metric=metric,
                subject_type=_subject_from(subject_type, field="subject_type"),
                subject_id=_subject_from(subject_id, field="subject_id"),
                amount=amount,
                quota_fraction=quota_fraction,
                action=action,
                notify_emails=emails_from(notify_emails),
                period=period,
                approach_fraction=_approach_from(approach_fraction),
                is_enabled=is_enabled,
            )
        )
    with transaction.atomic(), _said_clearly():
        for threshold in thresholds:
            _set_level(threshold)
            threshold.save(force_insert=True)
            threshold.refresh_from_db(fields=["created_at", "level_set_at"])
        if action == UsageThreshold.Action.BLOCK:
            move_version()
        if is_enabled:
            evaluate_now(thresholds)
    return thresholds


def _set_level(threshold: UsageThreshold) -> None:
    """Work out the level. Raises `Invalid` for a share of a quota that there isn't."""
    threshold.level = level_of(threshold, limits_in_force({quota_key(threshold)}))
    if threshold.level is None:
        raise Invalid(
            "Project '{project}' has no quota on '{metric}' for the period "
            "'{period}'; set one first, or give an amount.",
            project=threshold.project.key,
            metric=threshold.metric.key,
            period=threshold.period,
            field="quota_fraction",
        )


def _level_from(
    amount: Number | None, quota_fraction: Number | None
) -> tuple[Decimal | None, Decimal | None]:
    if amount is None and quota_fraction is None:
        raise Invalid("Give an amount, or a share of the quota.", field="threshold", code="missing_field")
    if amount is not None and quota_fraction is not None:
        raise Invalid("Give an amount or a share of the quota, not both.", field="quota_fraction")
    if amount is not None:
        value = _number_from(amount, field="threshold")
        if value < 0:
            raise Invalid("A threshold can't be negative; 0 is reached by any usage.", field="threshold")
        return value, None
    assert quota_fraction is not None
    return None, _fraction_from(quota_fraction, field="quota_fraction", most=MAX_QUOTA_FRACTION)


def _approach_from(fraction: Number | None) -> Decimal | None:
    if fraction is None:
        return None
    return _fraction_from(fraction, field="approach_fraction", most=Decimal(1))


def _fraction_from(fraction: Number, *, field: str, most: Decimal) -> Decimal:
    value = _number_from(fraction, field=field)
    exponent = value.normalize().as_tuple().exponent
    if not 0 < value <= most:
        raise Invalid("Must be above 0 and at most {most}; 0.8 is 80 %.", most=plain(most), field=field)
    if isinstance(exponent, int) and -exponent > FRACTION_SCALE:
        raise Invalid("At most {most} digits after the decimal point.", most=FRACTION_SCALE, field=field)
    return value


def _number_from(number: Number, *, field: str) -> Decimal:
    if isinstance(number, bool) or not isinstance(number, Decimal | int | str):
        raise Invalid("Must be a decimal number, as text or exact.", field=field)
    try:
        return decimal_from(str(number))
    except NotANumber as error:
        raise Invalid("Can't be read: {why}.", why=error, field=field) from None


def _subject_from(text: str, *, field: str) -> str:
    if len(text) > SUBJECT_MAX_LENGTH:
        raise Invalid("At most {most} characters.", most=SUBJECT_MAX_LENGTH, field=field)
    if field == "subject_type" and text == EVERY_SUBJECT_TOGETHER:
        return ""
    return text


def _ensure_action(action: str, metric: MetricDefinition) -> None:
    _ensure_known(action, UsageThreshold.Action.values, field="action")
    if action == UsageThreshold.Action.BLOCK and metric.aggregation in MONITORED_ONLY:
        raise Invalid(
            "'{key}' is {aggregation}: its value can fall with more use, so it can be alerted"
            " to but not block.",
            key=metric.key,
            aggregation=metric.aggregation,
            field="action",
        )


def _ensure_known(value: str, known: Sequence[str], *, field: str) -> None:
    if value not in known:
        raise Invalid(
            "Unknown {what} '{value}'; use {known}.",
            what=field,
            value=value[:50],
            known=", ".join(known),
            field=field,
        )


@contextmanager
def _said_clearly() -> Iterator[None]:
    """Says in the house's words that the same level is watched already."""
    try:
        yield
    except IntegrityError as error:
        cause = cast(psycopg.Error | None, error.__cause__)
        if cause is None or cause.diag.constraint_name != ONCE_PER_LEVEL:
            raise
        raise Conflict(
            "The project watches this level of the same usage already.", field="threshold"
        ) from None
