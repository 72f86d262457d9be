"""Deliveries, from the lease to the mark, against real local receivers."""

import datetime as dt
import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from standardwebhooks import Webhook, WebhookVerificationError

from metering import tasks
from metering.announcing.outbox import announce
from metering.defining.ready_made import add_ready_made
from metering.delivering import delivering
from metering.delivering.delivering import (
    attempt,
    deliver_due,
    endpoints_with_due,
    lease_next,
    mark,
    take_turn,
)
from metering.delivering.endpoints import add_endpoint, resend, rotate_secret, test_endpoint
from metering.delivering.patience import MAX_ATTEMPTS
from metering.delivering.posting import Answer
from metering.delivering.retention import remove_old_events
from metering.locks import WEBHOOK_LOCK, alone_at
from metering.models import (
    DomainEvent,
    Heartbeat,
    Project,
    UsageEvent,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)
from metering.texts.timestamps import iso
from tests.concurrency.rivals import Rival
from tests.factories import a_project, at

from .receivers import Receiver, Request, an_answer, answering

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("local_receivers")]

KIND = "threshold.exceeded"


def an_endpoint(project: Project, receiver: Receiver, **overrides: Any) -> tuple[WebhookEndpoint, str]:
    return add_endpoint(**{"project": project, "url": receiver.url(), **overrides})


def announced(project: Project, count: int = 1) -> list[DomainEvent]:
    ids = [announce(KIND, project_id=project.pk, data={"value": str(n)}) for n in range(count)]
    return list(DomainEvent.objects.filter(pk__in=ids).order_by("id"))


def make_due() -> None:
    WebhookDelivery.objects.filter(status="pending").update(next_attempt_at=Now())
    WebhookEndpoint.objects.update(rests_until=None)


def statuses() -> list[str]:
    return list(WebhookDelivery.objects.order_by("id").values_list("status", flat=True))


def seconds_until(instant: dt.datetime | None) -> float:
    assert instant is not None
    return (instant - dt.datetime.now(dt.UTC)).total_seconds()


# -- what arrives ----------------------------------------------------------------------------------------


def test_message_is_signed_after_standard_webhooks(acme: Project) -> None:
    with Receiver() as receiver:
        endpoint, secret = an_endpoint(acme, receiver)
        [event] = announced(acme)
        assert take_turn(endpoint.pk) == {True: 1}

    [request] = receiver.requests
    document = Webhook(secret).verify(request.body, request.headers)
    assert document == {
        "type": KIND,
        "id": event.public_id,
        "timestamp": iso(event.occurred_at),
        "project": "acme",
        "data": {"value": "0"},
    }
    assert request.headers["webhook-id"] == event.public_id
    assert request.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.body + b" ", request.headers)


def test_both_secrets_sign_while_one_replaces_the_other(acme: Project) -> None:
    with Receiver() as receiver:
        endpoint, old = an_endpoint(acme, receiver)
        _row, new = rotate_secret(endpoint)
        announced(acme)
        take_turn(endpoint.pk)

    [request] = receiver.requests
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Webhook(secret).verify(request.body, request.headers)


def test_endpoint_gets_its_part_of_an_event(acme: Project) -> None:
    with Receiver() as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announce("usage.aggregated", project_id=None, data={"all": 2}, part_for=lambda _path: {"yours": "ü"})
        take_turn(endpoint.pk)

    document = json.loads(receiver.requests[0].body)
    assert (document["project"], document["data"]) == (None, {"yours": "ü"})


# -- what is written down --------------------------------------------------------------------------------


def test_success_is_marked_and_logged(acme: Project) -> None:
    with Receiver(answering(an_answer(200, "x" * 3000))) as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        WebhookEndpoint.objects.update(failing_since=at("2024-05-01T00:00:00Z"), failure_count=3)
        announced(acme)
        take_turn(endpoint.pk)
        assert take_turn(endpoint.pk) == {}

    delivery = WebhookDelivery.objects.get()
    assert (delivery.status, delivery.attempt_count, delivery.error) == ("delivered", 1, "")
    assert delivery.delivered_at is not None
    attempted = WebhookAttempt.objects.get()
    assert (attempted.number, attempted.response_status, attempted.url) == (1, 200, receiver.url())
    assert (attempted.response_text, attempted.error) == ("x" * 1000, "")
    assert attempted.milliseconds is not None
    endpoint.refresh_from_db()
    assert (endpoint.failing_since, endpoint.failure_count) == (None, 0)
    assert endpoint.delivered_at is not None


def test_failure_is_put_off_and_the_endpoint_rests(acme: Project) -> None:
    with Receiver(answering(an_answer(500, "oops"))) as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announced(acme, 2)
        # The second isn't even tried: it would fare no better.
        assert take_turn(endpoint.pk) == {False: 1}

    first, second = WebhookDelivery.objects.order_by("id")
    assert (first.status, first.attempt_count, first.error) == ("pending", 1, "Answered 500.")
    assert 10 < seconds_until(first.next_attempt_at) < 25
    assert second.attempt_count == 0
    endpoint.refresh_from_db()
    assert (endpoint.failure_count, endpoint.is_enabled) == (1, True)
    assert 2 < seconds_until(endpoint.rests_until) < 6
    assert endpoints_with_due() == []


def test_refusal_of_one_event_holds_up_no_other(acme: Project) -> None:
    def behave(connection: Any, request: Request) -> None:
        bad = b'"value":"0"' in request.body
        connection.sendall(an_answer(422 if bad else 200))

    with Receiver(behave) as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announced(acme, 3)
        assert take_turn(endpoint.pk) == {False: 1, True: 2}

    assert statuses() == ["pending", "delivered", "delivered"]


def test_receiver_may_ask_for_more_time(acme: Project) -> None:
    with Receiver(answering(an_answer(503, Retry_After="3600"))) as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announced(acme)
        take_turn(endpoint.pk)

    endpoint.refresh_from_db()
    assert 3500 < seconds_until(WebhookDelivery.objects.get().next_attempt_at) < 3601
    assert 3500 < seconds_until(endpoint.rests_until) < 3601


def test_delivery_that_fails_for_three_days_is_given_up_and_can_be_sent_again(acme: Project) -> None:
    with Receiver(answering(an_answer(500))) as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announced(acme)
        for number in range(1, MAX_ATTEMPTS + 1):
            assert statuses() == ["pending"], number
            make_due()
            take_turn(endpoint.pk)
        assert statuses() == ["failed"]
        make_due()
        assert take_turn(endpoint.pk) == {}

        resend(WebhookDelivery.objects.get())
        receiver.behave = answering(an_answer(200))
        take_turn(endpoint.pk)

    assert statuses() == ["delivered"]
    assert list(WebhookAttempt.objects.values_list("number", "response_status")) == [
        *((number, 500) for number in range(1, MAX_ATTEMPTS + 1)),
        (MAX_ATTEMPTS + 1, 200),
    ]


def test_endpoint_that_is_gone_is_switched_off(acme: Project) -> None:
    with Receiver(answering(an_answer(410))) as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announced(acme, 3)
        take_turn(endpoint.pk)

    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (False, "gone")
    assert statuses() == ["failed"] * 3
    assert len(receiver.requests) == 1


def test_endpoint_that_fails_for_days_is_switched_off(acme: Project, settings: Any) -> None:
    settings.WEBHOOK_DISABLE_AFTER_DAYS = 5
    with Receiver(answering(an_answer(500))) as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announced(acme, 2)
        days = dt.datetime.now(dt.UTC) - dt.timedelta(days=6)
        WebhookEndpoint.objects.update(failing_since=days, failure_count=8)
        take_turn(endpoint.pk)
        endpoint.refresh_from_db()
        assert endpoint.is_enabled  # nine failures: too few to be sure
        make_due()
        take_turn(endpoint.pk)

    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (False, "failing")
    assert statuses() == ["failed"] * 2
    assert set(WebhookDelivery.objects.values_list("error", flat=True)) == {
        "Nothing was delivered for 5 days, and the endpoint was switched off. Last: Answered 500."
    }


def test_url_that_has_become_forbidden_is_refused_at_delivery(acme: Project, settings: Any) -> None:
    with Receiver() as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announced(acme)
        settings.WEBHOOK_ALLOW_LOOPBACK = False
        assert take_turn(endpoint.pk) == {False: 1}

    assert receiver.connection_count == 0
    assert WebhookAttempt.objects.get().error == "Not sent. Isn't an address on the public internet."


def test_lost_key_is_told_and_nothing_is_sent_unsigned(acme: Project, settings: Any) -> None:
    with Receiver() as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announced(acme)
        settings.WEBHOOK_KEYS = {7: "new"}
        take_turn(endpoint.pk)

    assert receiver.connection_count == 0
    assert "WEBHOOK_KEYS has lost key 1" in WebhookAttempt.objects.get().error


# -- leases ----------------------------------------------------------------------------------------------


def test_leased_delivery_is_nobody_elses_until_the_lease_is_over(acme: Project) -> None:
    with Receiver() as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announced(acme)
        first = lease_next(endpoint.pk)
        assert first is not None
        assert lease_next(endpoint.pk) is None
        assert endpoints_with_due() == []

        make_due()  # its sender was killed, and time passed
        second = lease_next(endpoint.pk)

    assert second is not None
    assert (second.delivery_id, second.number) == (first.delivery_id, 2)


def test_late_failure_does_not_undo_what_another_has_delivered(acme: Project) -> None:
    with Receiver() as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announced(acme)
        slow = lease_next(endpoint.pk)
        make_due()
        quick = lease_next(endpoint.pk)
        assert slow is not None
        assert quick is not None
        mark(quick, attempt(quick))

        mark(slow, Answer(None, error="No answer."))

    assert statuses() == ["delivered"]
    assert list(WebhookAttempt.objects.values_list("number", "error")) == [(1, "No answer."), (2, "")]


def test_late_failure_does_not_end_the_lease_of_another(acme: Project) -> None:
    with Receiver() as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announced(acme)
        slow = lease_next(endpoint.pk)
        make_due()
        assert lease_next(endpoint.pk) is not None
        lease = WebhookDelivery.objects.get().next_attempt_at
        assert slow

        mark(slow, Answer(500, error="Answered 500."))

    assert WebhookDelivery.objects.get().next_attempt_at == lease


def test_delivery_that_every_sender_dies_of_is_given_up(acme: Project) -> None:
    with Receiver() as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announced(acme, 2)
        WebhookDelivery.objects.filter(event__data={"value": "0"}).update(attempt_count=MAX_ATTEMPTS)
        assert take_turn(endpoint.pk) == {True: 1}

    assert statuses() == ["failed", "delivered"]


def test_result_for_an_endpoint_that_was_removed_meanwhile_goes_nowhere(acme: Project) -> None:
    with Receiver() as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        announced(acme)
        leased = lease_next(endpoint.pk)
        assert leased
        endpoint.delete()

        for answer in (Answer(200), Answer(500, error="Answered 500."), Answer(410)):
            mark(leased, answer)

    assert not WebhookDelivery.objects.exists()


# -- usage -----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_delivery_is_usage_where_a_metric_listens_once() -> None:
    acme = a_project("acme")
    with Receiver() as receiver:
        endpoint, _secret = an_endpoint(acme, receiver, kinds=[KIND, "usage.recorded"])
        announced(acme)
        take_turn(endpoint.pk)
        assert not UsageEvent.objects.exists()

        add_ready_made(["event-deliveries"])
        announced(acme)
        take_turn(endpoint.pk)
        resend(WebhookDelivery.objects.order_by("-id")[0])
        take_turn(endpoint.pk)
        test_endpoint(endpoint, requested_by="ada")
        take_turn(endpoint.pk)

    [event] = UsageEvent.objects.all()
    assert (event.project, event.event_name, event.labels) == (acme, "event.delivered", {"event_type": KIND})
    # Nobody is told of it: each telling would be recorded, and told in turn.
    assert set(DomainEvent.objects.values_list("kind", flat=True)) == {
        KIND,
        "metric.defined",
        "endpoint.tested",
    }
    assert len(receiver.requests) == 4


# -- runs ------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_run_delivers_all_that_is_due_to_everybody() -> None:
    acme = a_project("acme")
    with Receiver() as first, Receiver() as second:
        for receiver in (first, second):
            an_endpoint(acme, receiver)
        events = announced(acme, 60)

        done = deliver_due()

    assert (done.delivered_count, done.failed_count) == (120, 0)
    for receiver in (first, second):
        ids = [request.headers["webhook-id"] for request in receiver.requests]
        assert sorted(ids) == sorted(event.public_id for event in events)
    assert Heartbeat.objects.get(pk="deliver_webhooks").facts == {"delivered": 120, "failed": 0}


@pytest.mark.django_db(transaction=True)
def test_endpoints_that_hang_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    acme = a_project("acme")
    monkeypatch.setattr(delivering, "THREADS", 3)
    with Receiver() as good:
        released = good.is_over
        with Receiver(lambda *_: released.wait(30) and None) as hanging:
            for _ in range(2):
                an_endpoint(acme, hanging)
            an_endpoint(acme, good)
            announced(acme, 40)
            run = Rival(deliver_due)
            # The run goes on, while both that hang are still being waited for.
            good_ones = WebhookDelivery.objects.filter(endpoint__url=good.url())
            while good_ones.exclude(status="delivered").exists():
                assert run.is_running
            assert hanging.connection_count == 2
            assert not WebhookDelivery.objects.filter(
                endpoint__url=hanging.url(), status="delivered"
            ).exists()
            released.set()
            run.join()


@pytest.mark.django_db(transaction=True)
def test_one_endpoint_with_one_thread_holds_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    # Negative control: without threads of their own.
    acme = a_project("acme")
    monkeypatch.setattr(delivering, "THREADS", 1)
    with Receiver() as good:
        released = good.is_over
        with Receiver(lambda *_: released.wait(30) and None) as hanging:
            an_endpoint(acme, hanging)
            an_endpoint(acme, good)
            announced(acme)
            run = Rival(deliver_due)
            assert run.is_still_waiting_after(1.0)
            assert good.connection_count == 0
            released.set()
            run.join()


@pytest.mark.django_db(transaction=True)
def test_task_leaves_the_work_to_one_that_is_at_it() -> None:
    acme = a_project("acme")
    with Receiver() as receiver:
        an_endpoint(acme, receiver)
        announced(acme)
        with alone_at(WEBHOOK_LOCK) as is_alone:
            assert is_alone
            Rival(tasks.deliver_webhooks).join()
            assert receiver.connection_count == 0
        tasks.deliver_webhooks()

    assert statuses() == ["delivered"]


@pytest.mark.django_db(transaction=True)
def test_command_says_what_it_did() -> None:
    acme = a_project("acme")

    def said() -> list[str]:
        out = io.StringIO()
        call_command("deliver_webhooks", stdout=out, no_color=True)
        return out.getvalue().splitlines()

    assert said() == ["Nothing was due."]
    with Receiver() as receiver:
        an_endpoint(acme, receiver)
        announced(acme, 2)
        [line] = said()
        assert line.startswith("2 delivered in ")

        receiver.behave = answering(an_answer(500))
        announced(acme)
        out = io.StringIO()
        with pytest.raises(CommandError, match="Not everything") as failed:
            call_command("deliver_webhooks", stdout=out, no_color=True)
        assert failed.value.returncode == 1
        assert out.getvalue().splitlines()[0].startswith("0 delivered, 1 failed in ")
        assert out.getvalue().splitlines()[1].startswith("1 wait")


# -- forgetting ------------------------------------------------------------------------------------------


def test_old_events_go_once_everybody_was_told(acme: Project, settings: Any) -> None:
    settings.DOMAIN_EVENT_DAYS = 30
    with Receiver() as receiver:
        endpoint, _secret = an_endpoint(acme, receiver)
        told, pending, failed, young = announced(acme, 4)
        take_turn(endpoint.pk)
    untold = DomainEvent.objects.get(pk=announce("metric.defined", project_id=a_project("b").pk, data={}))
    WebhookDelivery.objects.filter(event=pending).update(status="pending")
    WebhookDelivery.objects.filter(event=failed).update(status="failed")
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=31)
    DomainEvent.objects.exclude(pk=young.pk).update(created_at=long_ago)

    assert remove_old_events() == 2

    assert list(DomainEvent.objects.order_by("id")) == [pending, failed, young]
    assert not WebhookAttempt.objects.filter(delivery__event=told).exists()
    assert not DomainEvent.objects.filter(pk=untold.pk).exists()
    assert WebhookDelivery.objects.count() == 3


def test_old_events_go_chunk_by_chunk(acme: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.delivering.retention.CHUNK_EVENTS", 3)
    announced(acme, 7)
    DomainEvent.objects.update(created_at=at("2024-05-01T00:00:00Z"))

    tasks.remove_old_events()

    assert not DomainEvent.objects.exists()


# -- waking ----------------------------------------------------------------------------------------------


def test_tick_wakes_the_senders_where_something_is_due(
    acme: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = []
    monkeypatch.setattr(tasks.deliver_webhooks, "apply_async", lambda **options: woken.append(options))
    tasks.roll_up()
    assert woken == []
    with Receiver() as receiver:
        an_endpoint(acme, receiver)
        announced(acme)

        tasks.roll_up()

    assert woken == [{"retry": False}]


def test_broker_that_is_away_stops_no_tick(acme: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(tasks.deliver_webhooks, "apply_async", refuse)
    with Receiver() as receiver:
        an_endpoint(acme, receiver)
        announced(acme)

        tasks.roll_up()

    assert Heartbeat.objects.filter(pk="roll_up").exists()
