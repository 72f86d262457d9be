"""Six senders at once, and senders that are killed at each step: webhooks and mails arrive at least once."""

import json
import signal
from collections import Counter
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.db.models.functions import Now

from metering.announcing.mail import post_mail
from metering.announcing.outbox import announce
from metering.defining.ready_made import add_ready_made
from metering.delivering import delivering, mailing
from metering.delivering.delivering import deliver_due, take_turn
from metering.delivering.endpoints import add_endpoint, remove_endpoint
from metering.delivering.mailing import send_due
from metering.models import OutgoingMail, UsageEvent, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from tests.concurrency.rivals import Rival, meanwhile, race, start_process, wait_until
from tests.factories import a_project
from tests.metering.delivering.receivers import Receiver
from tests.metering.delivering.smtp_sink import SmtpSink

pytestmark = pytest.mark.django_db(transaction=True)

SENDERS = 6
KIND = "threshold.exceeded"


@pytest.fixture(autouse=True)
def local_servers(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers and mail server on this machine, for processes started beside the test, too."""
    settings.WEBHOOK_ALLOW_HTTP = settings.WEBHOOK_ALLOW_LOOPBACK = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_HOST = "127.0.0.1"
    monkeypatch.setenv("WEBHOOK_ALLOW_HTTP", "1")
    monkeypatch.setenv("WEBHOOK_ALLOW_LOOPBACK", "1")


def sent_ids(receiver: Receiver) -> Counter[str]:
    return Counter(request.headers["webhook-id"] for request in receiver.requests)


def public_ids() -> set[str]:
    return set(WebhookDelivery.objects.values_list("event__public_id", flat=True))


def end_leases() -> None:
    """As time does."""
    WebhookDelivery.objects.filter(status="pending").update(next_attempt_at=Now())
    WebhookEndpoint.objects.update(rests_until=None)
    OutgoingMail.objects.filter(status="pending").update(next_attempt_at=Now())


# -- at once ---------------------------------------------------------------------------------------------


def test_six_senders_deliver_each_message_once() -> None:
    acme = a_project("acme")
    add_ready_made(["event-deliveries"])
    with Receiver() as receiver:
        endpoint, _secret = add_endpoint(project=acme, url=receiver.url(), kinds=[KIND])
        for number in range(90):
            announce(KIND, project_id=acme.pk, data={"number": number})

        race(*(partial(take_turn, endpoint.pk) for _ in range(SENDERS)))

        assert sent_ids(receiver) == Counter(public_ids())
    assert set(WebhookDelivery.objects.values_list("status", "attempt_count")) == {("delivered", 1)}
    assert UsageEvent.objects.count() == 90


def test_senders_that_do_not_lease_send_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    # Negative control: each takes what is pending and marks it afterwards.
    def without_a_lease(endpoint_id: int) -> delivering.Leased | None:
        due = (
            WebhookDelivery.objects.filter(endpoint_id=endpoint_id, status="pending")
            .select_related("event", "endpoint")
            .order_by("id")
            .first()
        )
        if due is None:
            return None
        body = delivering.body_of(due.event)
        return delivering.Leased(due.pk, endpoint_id, 0, due.endpoint.url, due.event, body, ())

    monkeypatch.setattr(delivering, "lease_next", without_a_lease)
    acme = a_project("acme")
    with Receiver() as receiver:
        endpoint, _secret = add_endpoint(project=acme, url=receiver.url())
        for _ in range(20):
            announce(KIND, project_id=acme.pk, data={})

        race(*(partial(take_turn, endpoint.pk) for _ in range(SENDERS)))

        assert max(sent_ids(receiver).values()) > 1


def test_six_senders_send_each_mail_once(settings: Any) -> None:
    with SmtpSink() as sink:
        settings.EMAIL_PORT = sink.port
        for number in range(40):
            post_mail(
                recipients=["ada@example.org", "bob@example.org"],
                subject=f"Mail {number}",
                text="",
                html=None,
                key=f"mail:{number}",
            )

        race(*(send_due for _ in range(SENDERS)))

        taken = Counter((received.message["Message-ID"], *received.recipients) for received in sink.received)
    assert (len(taken), set(taken.values())) == (80, {1})
    assert set(OutgoingMail.objects.values_list("status", "attempt_count")) == {("sent", 1)}


# -- killed ----------------------------------------------------------------------------------------------

# Where a sender stops for good: before the message leaves, once the receiver has it, once half of the result
# is written, once all of it is.
_WEBHOOK_SENDER = """
import sys, time
from metering.delivering import delivering

def stop(*_, **__):
    print("stopped", flush=True)
    time.sleep(600)

{patch}
delivering.take_turn({endpoint})
"""
WEBHOOK_STEPS = {
    "before leasing": ("delivering.lease_next = stop", 0, 0),
    "after leasing": ("delivering.attempt = stop", 0, 1),
    "after posting": ("delivering.mark = stop", 1, 1),
    "after noting the attempt": ("delivering._mark_delivered = stop", 1, 1),
    "before the commit": ("delivering._record_usage = stop", 1, 1),
}


@pytest.mark.parametrize("step", WEBHOOK_STEPS)
def test_sender_of_webhooks_that_is_killed_delays_and_loses_nothing(step: str) -> None:
    patch, arrived_count, attempt_count = WEBHOOK_STEPS[step]
    acme = a_project("acme")
    add_ready_made(["event-deliveries"])
    with Receiver() as receiver:
        endpoint, _secret = add_endpoint(project=acme, url=receiver.url(), kinds=[KIND])
        announce(KIND, project_id=acme.pk, data={})
        process = start_process(_WEBHOOK_SENDER.format(patch=patch, endpoint=endpoint.pk))
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"

        process.send_signal(signal.SIGKILL)
        process.wait()

        delivery = WebhookDelivery.objects.get()
        assert (delivery.status, delivery.attempt_count) == ("pending", attempt_count)
        assert (len(receiver.requests), UsageEvent.objects.count()) == (arrived_count, 0)
        assert take_turn(endpoint.pk) == ({True: 1} if attempt_count == 0 else {})  # the lease holds
        end_leases()
        deliver_due()
        assert sent_ids(receiver) == {delivery.event.public_id: arrived_count + 1}
    delivery.refresh_from_db()
    assert delivery.status == "delivered"
    assert UsageEvent.objects.count() == 1
    assert WebhookAttempt.objects.count() == attempt_count + 1


_MAIL_SENDER = """
import time
from django.conf import settings
from metering.delivering import mailing
settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", {port}

def stop(*_, **__):
    print("stopped", flush=True)
    time.sleep(600)

{patch}
mailing.send_due()
"""
MAIL_STEPS = {
    "after leasing": ("mailing._opened = stop", 0),
    "after connecting": ("mailing.hand_over = stop", 0),
    "after handing over to the first": ("mailing._note_recipient = stop", 1),
    "after noting everybody": ("mailing.note_sent = stop", 2),
}


@pytest.mark.parametrize("step", MAIL_STEPS)
def test_sender_of_mails_that_is_killed_delays_and_loses_nothing(step: str, settings: Any) -> None:
    patch, arrived_count = MAIL_STEPS[step]
    with SmtpSink() as sink:
        settings.EMAIL_PORT = sink.port
        mail = OutgoingMail.objects.get(
            pk=post_mail(
                recipients=["ada@example.org", "bob@example.org"],
                subject="Mail",
                text="",
                html=None,
                key="mail",
            )
        )
        process = start_process(_MAIL_SENDER.format(patch=patch, port=sink.port))
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
        assert len(sink.received) == arrived_count

        process.send_signal(signal.SIGKILL)
        process.wait()

        assert send_due().sent_count == 0  # the lease holds
        end_leases()
        assert send_due().sent_count == 1
        taken = Counter(
            (received.message["Message-ID"], received.recipients[0]) for received in sink.received
        )
    twice = 2 if step == "after handing over to the first" else 1
    assert taken == {(mail.message_id, "ada@example.org"): twice, (mail.message_id, "bob@example.org"): 1}
    mail.refresh_from_db()
    assert (mail.status, mail.attempt_count) == ("sent", 2)


def test_mail_that_is_marked_before_it_is_sent_is_lost_with_its_sender(settings: Any) -> None:
    # Negative control: mark, then send.
    patch = "take = mailing.lease_next\n" + (
        "def marked():\n    mail = take()\n    mailing.note_sent(mail)\n    return mail\n"
        "mailing.lease_next = marked\nmailing.hand_over = stop"
    )
    with SmtpSink() as sink:
        settings.EMAIL_PORT = sink.port
        post_mail(recipients=["ada@example.org"], subject="Mail", text="", html=None, key="mail")
        process = start_process(_MAIL_SENDER.format(patch=patch, port=sink.port))
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        end_leases()
        send_due()

        assert sink.received == []


def test_six_processes_of_which_some_are_killed_deliver_everything() -> None:
    acme = a_project("acme")
    script = "from metering.delivering.delivering import deliver_due\ndeliver_due()"
    with Receiver() as receiver:
        add_endpoint(project=acme, url=receiver.url())
        with transaction.atomic():
            for number in range(150):
                announce(KIND, project_id=acme.pk, data={"number": number})
        processes = [start_process(script) for _ in range(SENDERS)]
        wait_until(lambda: len(receiver.requests) > 20, seconds=60)
        for process in processes[:3]:
            process.send_signal(signal.SIGKILL)
        for process in processes:
            process.wait()
        end_leases()
        deliver_due()

        numbers = {json.loads(request.body)["data"]["number"] for request in receiver.requests}
        assert numbers == set(range(150))
        assert set(sent_ids(receiver)) == public_ids()
    assert set(WebhookDelivery.objects.values_list("status", flat=True)) == {"delivered"}


# -- beside --------------------------------------------------------------------------------------------


def test_endpoints_come_and_go_beside_announcers_and_senders() -> None:
    acme = a_project("acme")
    with Receiver() as receiver:
        url = receiver.url()

        def come_and_go(over: Any) -> None:
            while not over.is_set():
                endpoint, _secret = add_endpoint(project=acme, url=url)
                take_turn(endpoint.pk)
                remove_endpoint(endpoint)

        def send(over: Any) -> None:
            while not over.is_set():
                for endpoint_id in delivering.endpoints_with_due():
                    take_turn(endpoint_id)

        with meanwhile(come_and_go, send):
            for number in range(150):
                announce(KIND, project_id=acme.pk, data={"number": number})

    assert not WebhookEndpoint.objects.exists()
    assert not WebhookDelivery.objects.exists()


def test_receiver_that_hangs_keeps_no_transaction_open() -> None:
    acme = a_project("acme")
    with Receiver(lambda *_: receiver.is_over.wait(30) and None) as receiver:
        endpoint, _secret = add_endpoint(project=acme, url=receiver.url())
        announce(KIND, project_id=acme.pk, data={})
        sender = Rival(partial(take_turn, endpoint.pk))
        wait_until(lambda: len(receiver.requests) == 1)

        remove_endpoint(endpoint)  # waits for no lock

        assert sender.is_running
        receiver.is_over.set()
        sender.join()
    assert mailing.lease_next() is None
