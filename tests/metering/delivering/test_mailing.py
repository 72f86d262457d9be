"""Mails, from the lease to the mark, read in a real local mail server."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail as django_mail
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from metering import tasks
from metering.announcing.mail import Attachment, post_mail
from metering.delivering.mailing import (
    Trouble,
    hand_over,
    lease_next,
    note_failure,
    note_sent,
    resend_mail,
    send_due,
)
from metering.delivering.patience import MAX_ATTEMPTS
from metering.errors import Conflict
from metering.locks import MAIL_LOCK, alone_at
from metering.models import Heartbeat, OutgoingMail
from tests.concurrency.rivals import Rival

from .smtp_sink import Hang, HangUp, SmtpSink

pytestmark = pytest.mark.django_db


@pytest.fixture
def sink(settings: Any) -> Iterator[SmtpSink]:
    with SmtpSink() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_TIMEOUT = 0.5
        settings.DEFAULT_FROM_EMAIL = "meterbook@example.org"
        yield server


def a_mail(key: str = "k", **overrides: Any) -> OutgoingMail:
    given = {"recipients": ["ada@example.org"], "subject": "Hello", "text": "Text", "html": "<p>Text</p>"}
    return OutgoingMail.objects.get(pk=post_mail(key=key, **{**given, **overrides}))


def make_due() -> None:
    OutgoingMail.objects.filter(status="pending").update(next_attempt_at=Now())


def counts() -> tuple[int, int]:
    done = send_due()
    return done.sent_count, done.failed_count


def test_mail_arrives_in_both_forms_with_its_files(sink: SmtpSink) -> None:
    mail = a_mail(
        subject="Grüße",
        recipients=["ada@example.org", "bob@example.org"],
        attachments=[Attachment("a.pdf", "application/pdf", b"%PDF\x00")],
    )

    assert counts() == (1, 0)

    mail.refresh_from_db()
    assert (mail.status, mail.sent_to, mail.error, mail.attempt_count) == (
        "sent",
        ["ada@example.org", "bob@example.org"],
        "",
        1,
    )
    assert mail.sent_at is not None
    assert [received.recipients for received in sink.received] == [["ada@example.org"], ["bob@example.org"]]
    for received in sink.received:
        message = received.message
        assert (message["Subject"], message["To"], message["From"]) == (
            "Grüße",
            "ada@example.org, bob@example.org",
            "meterbook@example.org",
        )
        assert (message["Message-ID"], message["Auto-Submitted"]) == (mail.message_id, "auto-generated")
        plain, html = message.get_body(("plain",)), message.get_body(("html",))
        assert plain is not None
        assert html is not None
        assert (plain.get_content().strip(), html.get_content().strip()) == ("Text", "<p>Text</p>")
        [attached] = message.iter_attachments()
        assert (attached.get_filename(), attached.get_content()) == ("a.pdf", b"%PDF\x00")
    assert counts() == (0, 0)
    assert Heartbeat.objects.get(pk="send_mail").facts == {"sent": 0, "failed": 0}


def test_temporary_refusal_is_tried_again_later(sink: SmtpSink) -> None:
    mail = a_mail()
    sink.behave = lambda command, _argument: "451 try later" if command == "RCPT" else None
    assert counts() == (0, 1)
    mail.refresh_from_db()
    assert (mail.status, mail.error) == ("pending", "ada@example.org: 451 try later")
    assert counts() == (0, 0)  # not yet

    sink.behave = lambda *_: None
    make_due()
    assert counts() == (1, 0)
    mail.refresh_from_db()
    assert (mail.status, mail.error, mail.attempt_count) == ("sent", "", 2)


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "CONTENT"])
@pytest.mark.parametrize(("reply", "status"), [("452 full", "pending"), ("550 no such user", "failed")])
def test_refusal_at_any_stage(sink: SmtpSink, stage: str, reply: str, status: str) -> None:
    mail = a_mail()
    sink.behave = lambda command, _argument: reply if command == stage else None

    assert counts() == (0, 1)

    mail.refresh_from_db()
    assert (mail.status, mail.error, sink.received) == (status, f"ada@example.org: {reply}", [])


def test_refusal_of_one_recipient_is_no_reason_to_send_twice_to_another(sink: SmtpSink) -> None:
    mail = a_mail(recipients=["ada@example.org", "full@example.org", "gone@example.org"])

    def behave(command: str, argument: str) -> str | None:
        refusals = {"full@example.org": "452 full", "gone@example.org": "550 gone"}
        return refusals.get(argument) if command == "RCPT" else None

    sink.behave = behave
    assert counts() == (0, 1)
    mail.refresh_from_db()
    assert (mail.status, mail.sent_to) == ("pending", ["ada@example.org"])
    assert mail.error == "full@example.org: 452 full gone@example.org: 550 gone"

    sink.behave = lambda command, argument: "550 gone" if argument == "gone@example.org" else None
    make_due()
    assert counts() == (0, 1)

    mail.refresh_from_db()
    assert (mail.status, mail.sent_to) == ("failed", ["ada@example.org", "full@example.org"])
    assert [received.recipients for received in sink.received] == [["ada@example.org"], ["full@example.org"]]


def test_address_that_is_none_is_reported_and_the_others_have_the_mail(sink: SmtpSink) -> None:
    mail = a_mail(recipients=["nonsense", "ada@example.org", "x@y\r\nBcc: eve@example.org"])

    counts()

    mail.refresh_from_db()
    assert (mail.status, mail.sent_to) == ("failed", ["ada@example.org"])
    assert mail.error == (
        "nonsense: This is no e-mail address. x@y Bcc: eve@example.org: This is no e-mail address."
    )
    [received] = sink.received
    assert (received.message["To"], received.message["Bcc"]) == ("ada@example.org", None)


@pytest.mark.parametrize("trouble", [Hang, HangUp])
@pytest.mark.parametrize("stage", ["CONNECT", "MAIL", "RCPT", "DATA"])
def test_server_that_falls_silent_ends_the_run_and_the_mail_comes_again(
    sink: SmtpSink, stage: str, trouble: type[Exception]
) -> None:
    first, second = a_mail("a"), a_mail("b")

    def behave(command: str, _argument: str) -> str | None:
        if command == stage:
            raise trouble
        return None

    sink.behave = behave
    assert counts() == (0, 1)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status, second.attempt_count) == ("pending", "pending", 0)
    assert first.error

    sink.behave = lambda *_: None
    make_due()
    assert counts() == (2, 0)
    ids = {received.message["Message-ID"] for received in sink.received}
    assert (len(sink.received), ids) == (2, {first.message_id, second.message_id})


@pytest.mark.parametrize("trouble", [Hang, HangUp])
def test_time_out_after_the_content_repeats_the_mail_under_its_id(
    sink: SmtpSink, trouble: type[Exception]
) -> None:
    mail = a_mail()

    def behave(command: str, _argument: str) -> str | None:
        if command == "CONTENT":
            raise trouble
        return None

    sink.behave = behave
    assert counts() == (0, 1)
    sink.behave = lambda *_: None
    make_due()
    assert counts() == (1, 0)

    ids = [received.message["Message-ID"] for received in sink.received]
    dates = {received.message["Date"] for received in sink.received}
    assert (ids, len(dates)) == ([mail.message_id] * 2, 1)


def test_unreachable_server_is_told_and_tried_again(sink: SmtpSink, settings: Any) -> None:
    mail = a_mail()
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, 1
    assert counts() == (0, 1)
    mail.refresh_from_db()
    assert mail.status == "pending"
    assert mail.error.startswith("The mail server can't be used: ")

    settings.EMAIL_PORT = port
    make_due()
    assert counts() == (1, 0)


def test_mail_that_fails_for_three_days_is_given_up_and_can_be_sent_again(sink: SmtpSink) -> None:
    mail = a_mail()
    sink.behave = lambda command, _argument: "451 later" if command == "RCPT" else None
    for _ in range(MAX_ATTEMPTS):
        make_due()
        assert counts() == (0, 1)
    mail.refresh_from_db()
    assert mail.status == "failed"
    make_due()
    assert counts() == (0, 0)

    sink.behave = lambda *_: None
    resend_mail(mail)
    assert counts() == (1, 0)
    with pytest.raises(Conflict):
        resend_mail(mail)


def test_mail_that_every_sender_dies_of_is_given_up(sink: SmtpSink) -> None:
    mail = a_mail()
    OutgoingMail.objects.update(attempt_count=MAX_ATTEMPTS)

    assert counts() == (0, 0)

    mail.refresh_from_db()
    assert (mail.status, mail.error) == ("failed", "Given up: its last sender was interrupted.")


def test_leased_mail_is_nobody_elses_and_the_later_attempt_decides(sink: SmtpSink) -> None:
    mail = a_mail()
    slow = lease_next()
    assert slow is not None
    assert lease_next() is None
    make_due()  # its sender was killed, or is very slow
    quick = lease_next()
    assert quick is not None
    backend = django_mail.get_connection()

    assert hand_over(quick, backend) == []
    note_sent(quick)
    note_failure(slow, [Trouble("", "late", is_final=True)])
    note_sent(slow)

    mail.refresh_from_db()
    assert (mail.status, mail.error, mail.sent_to) == ("sent", "", ["ada@example.org"])


def test_header_can_not_be_injected(sink: SmtpSink) -> None:
    a_mail(subject="Limit\r\nBcc: eve@example.org\r\n\r\nBody")

    assert counts() == (1, 0)

    [received] = sink.received
    assert received.message["Subject"] == "Limit Bcc: eve@example.org Body"
    assert received.message["Bcc"] is None


def test_console_and_memory_serve_as_well(db: None) -> None:
    a_mail()

    assert counts() == (1, 0)

    assert [message.subject for message in django_mail.outbox] == ["Hello"]


@pytest.mark.django_db(transaction=True)
def test_task_leaves_the_work_to_one_that_is_at_it() -> None:
    a_mail()
    with alone_at(MAIL_LOCK):
        Rival(tasks.send_mail).join()
        assert django_mail.outbox == []
    tasks.send_mail()

    assert len(django_mail.outbox) == 1


def test_command_says_what_it_did(sink: SmtpSink) -> None:
    def said() -> list[str]:
        out = io.StringIO()
        call_command("send_mail", stdout=out, no_color=True)
        return out.getvalue().splitlines()

    assert said() == ["Nothing was due."]
    a_mail()
    [line] = said()
    assert line.startswith("1 sent in ")
    a_mail("other")
    sink.behave = lambda command, _argument: "451 later" if command == "RCPT" else None
    with pytest.raises(CommandError, match="Not every mail") as failed:
        said()
    assert failed.value.returncode == 1
