"""Numbers about the kernel for monitoring, each cheap at any size; apps have such a file of their own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .health import ledger_health
from .models import Heartbeat, LedgerSeal, OutgoingMail, WebhookDelivery
from .verifying.verification import last_verification


@dataclass(frozen=True, slots=True)
class Reading:
    """One number now, in the unit that its name ends with. Those of one name share `meaning`."""

    name: str
    meaning: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def readings() -> Iterator[Reading]:
    """How the ledger and its projections are, and what waits to go out. What never was has no age."""
    health = ledger_health()
    now = health.asked_at
    yield Reading(
        "ledger_position", "Last id that the ledger drew; its rate is that of recording.", health.ledger_end
    )
    yield Reading("ledger_bytes", "Size of the ledger on disk, with indexes.", health.ledger_bytes)
    yield Reading(
        "pending_contributions", "Recorded contributions to be merged, up to 100,000.", health.pending.count
    )
    oldest = health.oldest_pending_at
    yield Reading(
        "pending_oldest_age_seconds",
        "Since when the oldest pending contribution waits.",
        0 if oldest is None else (now - oldest).total_seconds(),
    )
    yield Reading("set_aside_contributions", "Contributions that can't be merged.", health.set_aside_count)
    yield Reading("owed_observations", "Merged usage that an evaluation failed at.", health.owed_count)
    if health.fence is not None:
        yield Reading("fence_position", "Up to where the ledger is known to be final.", health.fence.position)
    for job, finished_at in Heartbeat.objects.order_by("job").values_list("job", "finished_at"):
        age = (now - finished_at).total_seconds()
        yield Reading("job_age_seconds", "Since when the job was last finished.", age, {"job": job})
    seal = LedgerSeal.objects.order_by("-number").first()
    if seal is not None:
        yield Reading("sealed_position", "Up to where the ledger is sealed.", seal.position)
    run = last_verification()
    if run is not None and run.finished_at is not None:
        age = (now - run.finished_at).total_seconds()
        yield Reading("verification_age_seconds", "Since when everything was last verified.", age)
        yield Reading("verification_breaches", "What the last verification found.", run.breach_count)
    yield from _outbox()


def _outbox() -> Iterator[Reading]:
    """Index: mail_due, mail_by_status, webhook_delivery_due, webhook_delivery_by_status."""
    for state in ("pending", "failed"):
        deliveries = WebhookDelivery.objects.filter(status=state).count()
        yield Reading("webhook_deliveries", "To webhooks, by state.", deliveries, {"state": state})
    for state in ("pending", "failed"):
        mails = OutgoingMail.objects.filter(status=state).count()
        yield Reading("mails", "Mails to be sent or given up, by state.", mails, {"state": state})
