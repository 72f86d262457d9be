"""Mails that are promised, whatever stands in them."""

import pytest
from django.db import transaction

from metering.announcing.mail import Attachment, message_id_of, post_mail
from metering.models import MailAttachment, OutgoingMail
from tests.concurrency.rivals import Held, Rival

pytestmark = pytest.mark.django_db


def a_mail(**overrides: object) -> int:
    given = {"recipients": ["ada@example.org"], "subject": "Hello", "text": "Text", "html": None, "key": "k"}
    return post_mail(**{**given, **overrides})


def test_mail_is_promised_once_for_its_key() -> None:
    first = a_mail(subject="First", attachments=[Attachment("a.pdf", "application/pdf", b"%PDF")])
    again = a_mail(subject="Again", text="Other", attachments=[Attachment("b.pdf", "application/pdf", b"")])
    other = a_mail(key="other")

    assert first == again != other
    mail = OutgoingMail.objects.get(pk=first)
    assert (mail.subject, mail.text, mail.status, mail.open_recipients) == (
        "First",
        "Text",
        "pending",
        ["ada@example.org"],
    )
    assert [file.file_name for file in MailAttachment.objects.all()] == ["a.pdf"]


def test_message_id_follows_from_the_key() -> None:
    mails = {OutgoingMail.objects.get(pk=a_mail(key=key)).message_id for key in ("a", "b", "a")}

    assert mails == {message_id_of("a"), message_id_of("b")}
    assert message_id_of("a").endswith("@testserver>")


def test_headers_stay_one_line() -> None:
    mail = OutgoingMail.objects.get(
        pk=a_mail(
            subject="Limit of\r\nBcc: all@example.org\x00\u2028reached",
            recipients=["ada@example.org\r\nBcc: eve@example.org", "bob@example.org", "bob@example.org"],
            text="a\x00b",
        )
    )

    assert mail.subject == "Limit of Bcc: all@example.org reached"
    assert mail.recipients == ["ada@example.org Bcc: eve@example.org", "bob@example.org"]
    assert mail.text == "ab"


def test_subject_is_cut_and_a_mail_needs_recipient_and_key() -> None:
    assert len(OutgoingMail.objects.get(pk=a_mail(subject="x" * 500)).subject) == 200
    for wrong in ({"recipients": []}, {"key": ""}, {"key": "k" * 201}):
        with pytest.raises(ValueError, match="mail"):
            a_mail(**wrong)


def test_mail_of_a_transaction_that_is_rolled_back_was_never_promised() -> None:
    with transaction.atomic():
        a_mail()
        transaction.set_rollback(True)

    assert not OutgoingMail.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_at_once_promise_one_mail() -> None:
    with Held(lambda: a_mail(subject="First")) as first:
        second = Rival(lambda: a_mail(subject="Second"))
        assert second.is_still_waiting_after(0.2)
        first.commit()

    assert second.result == first.answer
    assert OutgoingMail.objects.get().subject == "First"
