"""Webhook endpoints, deliveries, domain events and mails as staff see them."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from metering.announcing.letters import letter
from metering.announcing.mail import post_mail
from metering.announcing.outbox import announce
from metering.attributing.scope_tree import remove_project
from metering.delivering.delivering import take_turn
from metering.delivering.endpoints import Changes, add_endpoint, change_endpoint
from metering.delivering.mailing import send_due
from metering.delivering.signing import secret_text
from metering.models import (
    DomainEvent,
    OutgoingMail,
    Project,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookSecret,
)
from tests.factories import a_project
from tests.metering.delivering.receivers import Receiver, an_answer, answering

pytestmark = pytest.mark.django_db

ENDPOINTS = "/admin/metering/webhookendpoint/"
DELIVERIES = "/admin/metering/webhookdelivery/"
EVENTS = "/admin/metering/domainevent/"
MAILS = "/admin/metering/outgoingmail/"
URL = "https://198.51.99.7/hook"


@pytest.fixture
def acme(db: None) -> Project:
    return a_project("acme")


@pytest.fixture
def failing(acme: Project, settings: Any) -> WebhookEndpoint:
    """An endpoint that answers 500 with markup, and one delivery that failed for good."""
    settings.WEBHOOK_ALLOW_HTTP = settings.WEBHOOK_ALLOW_LOOPBACK = True
    with Receiver(answering(an_answer(500, "<script>alert(1)</script>"))) as receiver:
        endpoint, _secret = add_endpoint(project=acme, url=receiver.url(), description="<b>CRM</b>")
        announce("quota.exceeded", project_id=acme.pk, data={"limit": "<i>5</i>"})
        take_turn(endpoint.pk)
    WebhookDelivery.objects.update(status="failed")
    return endpoint


def page(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, url
    return answer.content.decode()


def staff_with(*rights: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


def test_empty_pages_say_what_to_do(staff: Client) -> None:
    assert "No webhook endpoints yet" in page(staff, ENDPOINTS)
    assert "Nothing was sent yet" in page(staff, DELIVERIES)
    assert "Nothing has happened yet" in page(staff, EVENTS)
    assert "No mails yet" in page(staff, MAILS)


def test_endpoint_is_added_and_its_secret_shown_once(staff: Client, acme: Project) -> None:
    given = {"project": acme.pk, "url": URL, "description": "CRM", "kinds": ["quota.exceeded"]}

    answer = staff.post(f"{ENDPOINTS}add/", given)

    endpoint = WebhookEndpoint.objects.get()
    secret = secret_text(WebhookSecret.objects.get())
    assert (endpoint.url, endpoint.kinds, endpoint.description) == (URL, ["quota.exceeded"], "CRM")
    assert (answer.status_code, secret in answer.content.decode()) == (200, True)
    assert "no-store" in answer["Cache-Control"]
    assert "whsec_" not in page(staff, f"{ENDPOINTS}{endpoint.pk}/change/")
    assert "whsec_" not in page(staff, ENDPOINTS)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/", "Must begin with https"),
        ("https://169.254.169.254/", "public internet"),
        ("", "This field is required"),
    ],
)
def test_refused_url_is_explained_beside_the_field(
    staff: Client, acme: Project, url: str, words: str
) -> None:
    answer = staff.post(f"{ENDPOINTS}add/", {"project": acme.pk, "url": url, "description": "kept"})

    shown = answer.content.decode()
    assert answer.status_code == 200
    assert words in shown.replace("&#x27;", "'")
    assert "kept" in shown
    assert not WebhookEndpoint.objects.exists()


def test_endpoint_is_changed_and_switched_off_and_on(staff: Client, acme: Project) -> None:
    endpoint, _secret = add_endpoint(project=acme, url=URL)
    url = f"{ENDPOINTS}{endpoint.pk}/change/"

    staff.post(url, {"url": f"{URL}/2", "description": "", "kinds": ["metric.defined"]})
    endpoint.refresh_from_db()
    assert (endpoint.url, endpoint.is_enabled, endpoint.disabled_reason) == (f"{URL}/2", False, "staff")
    assert "Switched off" in page(staff, ENDPOINTS)

    staff.post(url, {"url": f"{URL}/2", "description": "", "is_enabled": "on"})
    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.kinds) == (True, [])


def test_health_is_seen_in_the_list_and_filtered_by(staff: Client, failing: WebhookEndpoint) -> None:
    add_endpoint(project=failing.project, url=URL)

    listed = page(staff, ENDPOINTS)
    assert "Failing" in listed
    assert "Not tried yet" in listed
    assert f'href="{DELIVERIES}?endpoint__id__exact={failing.pk}&amp;status__exact=failed"' in listed
    assert "&lt;b&gt;CRM" in listed
    only_failing = page(staff, f"{ENDPOINTS}?state=failing")
    assert (failing.url in only_failing, f">{URL}<" in only_failing) == (True, False)
    assert f">{URL}<" in page(staff, f"{ENDPOINTS}?state=works")
    assert "result_list" not in page(staff, f"{ENDPOINTS}?state=off")


def test_delivery_shows_its_attempts_and_body_as_text(staff: Client, failing: WebhookEndpoint) -> None:
    delivery = WebhookDelivery.objects.get()

    listed = page(staff, f"{DELIVERIES}?endpoint__id__exact={failing.pk}&status__exact=failed")
    shown = page(staff, f"{DELIVERIES}{delivery.pk}/change/")

    assert "quota.exceeded" in listed
    assert "Answered 500." in listed
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script>alert(1)" not in shown
    assert "&lt;i&gt;5&lt;/i&gt;" in shown
    assert delivery.event.public_id in shown
    assert "location.reload" not in shown
    assert "result_list" not in page(staff, f"{DELIVERIES}?endpoint__id__exact={failing.pk + 1}")
    assert "quota.exceeded" in page(staff, f"{DELIVERIES}?kind=quota.exceeded")


def test_test_is_sent_and_its_page_keeps_itself_fresh(staff: Client, failing: WebhookEndpoint) -> None:
    assert "within seconds" in page(staff, f"{ENDPOINTS}{failing.pk}/test/")
    assert DomainEvent.objects.filter(kind="endpoint.tested").count() == 0

    answer = staff.post(f"{ENDPOINTS}{failing.pk}/test/")

    delivery = WebhookDelivery.objects.get(event__kind="endpoint.tested")
    assert (answer.status_code, answer["Location"]) == (302, f"{DELIVERIES}{delivery.pk}/change/")
    assert delivery.event.data == {"message": "It works.", "requested_by": "root"}
    assert "location.reload" in page(staff, answer["Location"])


def test_failed_deliveries_are_sent_again(staff: Client, failing: WebhookEndpoint) -> None:
    delivery = WebhookDelivery.objects.get()
    staff.get(f"{DELIVERIES}{delivery.pk}/resend/")
    assert WebhookDelivery.objects.get().status == "failed"

    staff.post(f"{DELIVERIES}{delivery.pk}/resend/")
    assert WebhookDelivery.objects.get().status == "pending"

    WebhookDelivery.objects.update(status="failed")
    assert "1 message has failed" in page(staff, f"{ENDPOINTS}{failing.pk}/resend/")
    staff.post(f"{ENDPOINTS}{failing.pk}/resend/")
    assert WebhookDelivery.objects.get().status == "pending"


def test_what_is_refused_is_said_on_the_page(staff: Client, failing: WebhookEndpoint) -> None:
    change_endpoint(failing, Changes(is_enabled=False))
    delivery = WebhookDelivery.objects.get()

    for url in (
        f"{ENDPOINTS}{failing.pk}/test/",
        f"{ENDPOINTS}{failing.pk}/resend/",
        f"{DELIVERIES}{delivery.pk}/resend/",
    ):
        answer = staff.post(url)
        assert (answer.status_code, "switched off" in answer.content.decode()) == (200, True)


def test_secret_is_replaced_and_shown_once(staff: Client, failing: WebhookEndpoint) -> None:
    old = secret_text(WebhookSecret.objects.get())
    assert "once" in page(staff, f"{ENDPOINTS}{failing.pk}/rotate/")

    answer = staff.post(f"{ENDPOINTS}{failing.pk}/rotate/", {"overlap_hours": "24"})

    new = secret_text(WebhookSecret.objects.get(expires_at=None))
    assert (new != old, new in answer.content.decode()) == (True, True)
    assert "signs along" in page(staff, f"{ENDPOINTS}{failing.pk}/change/")
    wrong = staff.post(f"{ENDPOINTS}{failing.pk}/rotate/", {"overlap_hours": "-1"})
    assert (wrong.status_code, WebhookSecret.objects.count()) == (200, 2)


def test_endpoint_is_removed_after_it_was_asked_for(staff: Client, failing: WebhookEndpoint) -> None:
    assert "log" in page(staff, f"{ENDPOINTS}{failing.pk}/remove/")
    assert WebhookEndpoint.objects.exists()

    staff.post(f"{ENDPOINTS}{failing.pk}/remove/")

    assert not WebhookEndpoint.objects.exists()
    assert not WebhookDelivery.objects.exists()
    assert "nobody subscribes" in page(staff, EVENTS)


def test_onlooker_sees_everything_and_does_nothing(onlooker: Client, failing: WebhookEndpoint) -> None:
    delivery = WebhookDelivery.objects.get()
    post_mail(recipients=["x@y.example"], subject="s", text="t", html=None, key="k")
    mail = OutgoingMail.objects.get()
    for url in (ENDPOINTS, DELIVERIES, EVENTS, MAILS, f"{DELIVERIES}{delivery.pk}/change/"):
        page(onlooker, url)

    for url in (
        f"{ENDPOINTS}add/",
        f"{ENDPOINTS}{failing.pk}/change/",
        f"{ENDPOINTS}{failing.pk}/test/",
        f"{ENDPOINTS}{failing.pk}/rotate/",
        f"{ENDPOINTS}{failing.pk}/resend/",
        f"{ENDPOINTS}{failing.pk}/remove/",
        f"{ENDPOINTS}{failing.pk}/delete/",
        f"{DELIVERIES}{delivery.pk}/resend/",
        f"{DELIVERIES}{delivery.pk}/change/",
        f"{DELIVERIES}{delivery.pk}/delete/",
        f"{EVENTS}{delivery.event_id}/change/",
        f"{EVENTS}{delivery.event_id}/delete/",
        f"{MAILS}{mail.pk}/resend/",
        f"{MAILS}{mail.pk}/change/",
        f"{MAILS}trial/",
    ):
        assert onlooker.post(url, {"url": URL, "post": "yes"}).status_code == 403, url
    assert WebhookDelivery.objects.get().status == "failed"
    assert OutgoingMail.objects.count() == 1


def test_right_to_send_again_is_one_of_its_own(failing: WebhookEndpoint) -> None:
    client = staff_with("view_webhookdelivery", "view_webhookendpoint", "resend_webhookdelivery")
    delivery = WebhookDelivery.objects.get()

    client.post(f"{DELIVERIES}{delivery.pk}/resend/")

    assert WebhookDelivery.objects.get().status == "pending"
    assert client.post(f"{ENDPOINTS}{failing.pk}/rotate/", {"overlap_hours": 0}).status_code == 403


def test_event_says_who_was_told(staff: Client, failing: WebhookEndpoint) -> None:
    event = DomainEvent.objects.get()

    listed = page(staff, EVENTS)
    shown = page(staff, f"{EVENTS}{event.pk}/change/")

    assert "1 Failed" in listed
    assert failing.url in shown
    assert "hard quota" in shown
    assert "result_list" not in page(staff, f"{EVENTS}?kind=metric.defined")


@pytest.mark.django_db(transaction=True)
def test_event_of_a_project_that_is_gone_can_still_be_read() -> None:
    acme = a_project("acme")
    announce("quota.exceeded", project_id=acme.pk, data={})
    post_mail(recipients=["x@y.example"], subject="s", text="t", html=None, key="k", project_id=acme.pk)
    remove_project(acme)
    client = Client()
    client.force_login(User.objects.create_superuser("root"))

    assert "acme" in page(client, EVENTS)
    assert "acme" in page(client, f"{EVENTS}{DomainEvent.objects.get().pk}/change/")
    page(client, MAILS)
    page(client, f"{MAILS}{OutgoingMail.objects.get().pk}/change/")


def test_mail_is_shown_in_a_frame_that_runs_nothing(staff: Client) -> None:
    html = "<p onclick='x()'>Hello</p><script>alert(1)</script>"
    post_mail(recipients=["nonsense"], subject="A subject", text="<b>", html=html, key="k")
    send_due()
    mail = OutgoingMail.objects.get()

    listed = page(staff, MAILS)
    shown = page(staff, f"{MAILS}{mail.pk}/change/")

    assert "doesn't have it" in listed.replace("&#x27;", "'")
    assert "Failed" in listed
    assert '<iframe class="mb-mail" sandbox ' in shown
    assert "<script>alert(1)" not in shown
    staff.post(f"{MAILS}{mail.pk}/resend/")
    mail.refresh_from_db()
    assert mail.status == "pending"
    OutgoingMail.objects.update(status="sent")
    assert "Send it again" not in page(staff, f"{MAILS}{mail.pk}/change/")


def test_test_mail_is_posted(staff: Client) -> None:
    assert "Send it to" in page(staff, f"{MAILS}trial/")
    wrong = staff.post(f"{MAILS}trial/", {"recipient": "nonsense"})
    assert (wrong.status_code, OutgoingMail.objects.exists()) == (200, False)

    answer = staff.post(f"{MAILS}trial/", {"recipient": "ada@example.org"})

    mail = OutgoingMail.objects.get()
    assert answer["Location"] == f"{MAILS}{mail.pk}/change/"
    assert mail.recipients == ["ada@example.org"]


def test_test_mail_is_in_the_language_of_the_house(staff: Client) -> None:
    staff.post(f"{MAILS}trial/", {"recipient": "ada@example.org"}, HTTP_ACCEPT_LANGUAGE="de")

    mail = OutgoingMail.objects.get()
    assert mail.subject == "A test of Meterbook's mails"
    assert "Sent to: ada@example.org\n" in mail.text
    assert "Answers to this address aren't read.\n" in mail.text


def test_letters_escape_in_html_and_not_in_text() -> None:
    made = letter(
        "trial",
        subject="Ünï <cod>",
        context={"requested_by": "<Ada>", "facts": [("Name & more", "<x>")], "url": "https://a/?b&c"},
    )

    assert "&lt;Ada&gt;" in made.html
    assert "<Ada>" not in made.html
    assert "<Ada> asked" in made.text
    assert "Name & more: <x>" in made.text
    assert made.text.startswith("Ünï <cod>\n")
    assert "\n\n\n" not in made.text
