"""The seam at which others learn what a tick changed. `METERING_TICK_OBSERVERS` names them.

Rollups must never wait for an observer that is broken: decisions are taken from them. And nothing may pass
unobserved. So an observer that fails is rolled back by itself, the merge is committed, and with it that the
observation is owed; later ticks make up for it, each for what can be observed.
"""

import datetime as dt
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol, cast

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from metering.models import OwedObservation

logger = logging.getLogger(__name__)

OWED_AT_ONCE = 100  # per observer and tick
RETRY_AFTER = dt.timedelta(minutes=1)  # what was tried in vain


@dataclass(frozen=True, slots=True, order=True)
class Touched:
    """Usage of a metric, project and payer that changed in some hours of one UTC day.

    Hours are named by their starts, the last one included. A tick that reaches over years names the days that
    it touched, not those between.
    """

    metric_id: int
    project_id: int
    billing_scope_id: int
    first_hour: dt.datetime
    last_hour: dt.datetime


class TickObserver(Protocol):
    """Told what was merged, without repeats and in the order of the fields."""

    def observe(self, touched: Sequence[Touched]) -> None:
        """Called in the transaction that merged, after it did: what is written here commits with the merge.

        May be called again for the same: after a crash, and for what it failed at. Other ticks may be merging
        beside it; `usage_in` is exact all the same. Whatever is raised undoes what the observer did, alone.
        """

    def after_commit(self, touched: Sequence[Touched]) -> None:
        """Called once when a transaction that merged has committed, unless the process is killed first.

        May fail without harm.
        """


def observe(touched: Sequence[Touched]) -> None:
    """Tell every observer, in the transaction that touched."""
    if not touched:
        return
    touched = sorted(set(touched))
    for path, observer in tick_observers().items():
        try:
            with transaction.atomic():
                observer.observe(touched)
        except Exception as error:
            logger.exception("%s failed at what a tick touched; a later tick will ask it again", path)
            _owe(path, touched, error)
        transaction.on_commit(partial(_after_commit, path, observer, touched))


def touched_days(metric_id: int, hours: Iterable[tuple[int, int, dt.datetime]]) -> list[Touched]:
    """Hours of projects and payers, by UTC day."""
    days: dict[tuple[int, int, dt.date], list[dt.datetime]] = {}
    for project_id, billing_scope_id, hour in hours:
        day = hour.astimezone(dt.UTC).date()
        days.setdefault((project_id, billing_scope_id, day), []).append(hour)
    return [
        Touched(metric_id, project_id, billing_scope_id, min(of_day), max(of_day))
        for (project_id, billing_scope_id, _), of_day in days.items()
    ]


def observe_owed() -> None:
    """Make up for observations that failed, before anything new is merged."""
    for path, observer in tick_observers().items():
        due = OwedObservation.objects.filter(
            Q(tried_at=None) | Q(tried_at__lt=Now() - RETRY_AFTER), observer=path
        ).order_by(F("tried_at").asc(nulls_first=True), "id")
        ids = list(due.values_list("id", flat=True)[:OWED_AT_ONCE])
        if ids:
            _make_up(path, observer, ids)


def tick_observers() -> Mapping[str, TickObserver]:
    """By dotted path, in the order of the settings."""
    return _observers_at(tuple(settings.METERING_TICK_OBSERVERS))


@lru_cache(maxsize=8)
def _observers_at(paths: tuple[str, ...]) -> Mapping[str, TickObserver]:
    return {path: cast(TickObserver, import_string(path)()) for path in paths}


def _owe(path: str, touched: Sequence[Touched], error: Exception) -> None:
    """A conflicting row is locked, not passed over: whoever is making up for it began before this merge."""
    OwedObservation.objects.bulk_create(
        [
            OwedObservation(
                observer=path,
                metric_id=one.metric_id,
                project_id=one.project_id,
                billing_scope_id=one.billing_scope_id,
                first_hour=one.first_hour,
                last_hour=one.last_hour,
                failure=_reason(error),
            )
            for one in touched
        ],
        update_conflicts=True,
        update_fields=["failure"],
        unique_fields=[
            "observer",
            "metric_id",
            "project_id",
            "billing_scope_id",
            "first_hour",
            "last_hour",
        ],
        batch_size=1000,
    )


def _make_up(path: str, observer: TickObserver, ids: Sequence[int]) -> None:
    """Observe what is owed, by halves where it fails: one that can't be observed holds up no other."""
    try:
        with transaction.atomic():
            owed = list(OwedObservation.objects.select_for_update(skip_locked=True).filter(pk__in=ids))
            if owed:
                observer.observe(
                    sorted(
                        Touched(
                            row.metric_id,
                            row.project_id,
                            row.billing_scope_id,
                            row.first_hour,
                            row.last_hour,
                        )
                        for row in owed
                    )
                )
                OwedObservation.objects.filter(pk__in=[row.pk for row in owed]).delete()
    except Exception as error:
        if len(ids) > 1:
            middle = len(ids) // 2
            _make_up(path, observer, ids[:middle])
            _make_up(path, observer, ids[middle:])
            return
        logger.exception("%s failed again at observation %s, which it owes", path, ids[0])
        OwedObservation.objects.filter(pk=ids[0]).update(tried_at=Now(), failure=_reason(error))


def _after_commit(path: str, observer: TickObserver, touched: Sequence[Touched]) -> None:
    try:
        observer.after_commit(touched)
    except Exception:
        logger.exception("%s failed after a tick had committed", path)


def _reason(error: Exception) -> str:
    return str(error)[:1000] or type(error).__name__
