"""What the ledger and its deliveries ask of operators."""

import datetime as dt
from collections.abc import Iterator

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from metering import numerals
from metering.health import MOST_COUNTED, Hanging, HangingWork, hanging_work
from metering.rolling_up.rollups import HEARTBEAT
from metering.verifying.verification import last_verification

from .matters import Matter

_HANGING_PERMISSIONS = (
    "metering.view_heartbeat",
    "metering.view_pendingcontribution",
    "metering.view_owedobservation",
    "metering.view_webhookdelivery",
    "metering.view_outgoingmail",
    "metering.view_verificationrun",
)


def ledger_matters(request: HttpRequest, *, now: dt.datetime) -> Iterator[Matter]:
    """Ledger health and failed deliveries: two statements, none for those who may see nothing of it."""
    may = request.user.has_perm
    if not any(may(one) for one in _HANGING_PERMISSIONS):
        return
    work = hanging_work(now=now)
    if may("metering.view_verificationrun"):
        yield from _proofs(work)
    if may("metering.view_heartbeat") and work.tick_is_late:
        yield Matter(
            title=_("The tick is late"),
            sentence=_(
                "Recorded usage is safe and reads are exact, but rollups are not moving: is a worker "
                "running, and beat?"
            ),
            url=_listed("heartbeat", job__exact=HEARTBEAT),
            since=work.ticked_at,
            is_urgent=True,
        )
    if may("metering.view_pendingcontribution"):
        yield from _rows(
            work.set_aside,
            _("Usage set aside"),
            _("Rows that can't be merged into rollups. Questions count them; each says why it stays."),
            _listed("pendingcontribution"),
        )
    if may("metering.view_owedobservation"):
        yield from _rows(
            work.owed,
            _("Usage not evaluated yet"),
            _("Limits and thresholds haven't seen this merged usage; it is tried again each minute."),
            _listed("owedobservation"),
        )
    if may("metering.view_webhookdelivery"):
        yield from _rows(
            work.deliveries,
            _("Webhook deliveries failed"),
            _("Their receivers took nothing for about three days. Each can be sent again."),
            _listed("webhookdelivery", status__exact="failed"),
            acting="metering.resend_webhookdelivery",
        )
    if may("metering.view_outgoingmail"):
        yield from _rows(
            work.mails,
            _("Mails failed"),
            _("The mail server refused them for good, or was away for three days. Each can be sent again."),
            _listed("outgoingmail", status__exact="failed"),
            acting="metering.resend_outgoingmail",
        )


def _proofs(work: HangingWork) -> Iterator[Matter]:
    if work.guards.count:
        yield Matter(
            title=_("Guards are off"),
            sentence=_(
                "The database doesn't refuse changes of what must never change. manage.py doctor names the "
                "triggers and puts them back; a verification then proves that nothing was altered."
            ),
            url=_listed("verificationrun"),
            is_urgent=True,
        )
    run = last_verification()
    if run is not None and run.state == run.State.FAILED:
        yield Matter(
            title=_("The last verification failed"),
            sentence=_("%s breaches were found; the run names each place.")
            % numerals.count(run.breach_count),
            url=reverse("admin:metering_verificationrun_change", args=[run.pk]),
            since=run.finished_at,
            is_urgent=True,
        )


def _rows(rows: Hanging, title: str, sentence: str, url: str, *, acting: str = "") -> Iterator[Matter]:
    if rows.count:
        yield Matter(
            title=title,
            sentence=sentence,
            url=url,
            count=min(rows.count, MOST_COUNTED),
            is_capped=rows.count > MOST_COUNTED,
            since=rows.since,
            is_urgent=True,
            acting=(acting,) if acting else (),
        )


def _listed(model: str, **filters: str) -> str:
    return reverse(f"admin:metering_{model}_changelist", query=filters or None)
