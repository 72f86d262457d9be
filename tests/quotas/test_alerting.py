"""From crossings to people: mails, digests, tests, acknowledging."""

from decimal import Decimal

import pytest
from django.conf import settings as project_settings
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from metering.announcing.kinds import THRESHOLD_EXCEEDED
from metering.announcing.mail import message_id_of
from metering.delivering.endpoints import add_endpoint
from metering.errors import Invalid, NotFound
from metering.models import DomainEvent, MetricDefinition, OutgoingMail, Project, WebhookDelivery
from metering.rolling_up.rollups import roll_up
from quotas.alerting import acknowledge, post_alerts, send_test
from quotas.models import Alert, ThresholdCrossing
from quotas.thresholds import change_threshold, remove_threshold
from tests.factories import a_metric, a_project, an_event, recorded

from .factories import a_threshold, announced

pytestmark = pytest.mark.django_db

OPS, FINANCE = "ops@example.com", "finance@example.com"


@pytest.fixture
def acme() -> Project:
    return a_project("acme", name="Acme & Sons", timezone="Europe/Zurich")


@pytest.fixture
def tokens(acme: Project) -> MetricDefinition:
    return a_metric("tokens", display_name="Tokens", unit="token")


def used(quantity: int, *, subject: str = "kim", **overrides) -> None:
    recorded(an_event("acme", quantity=quantity, subject_type="customer", subject_id=subject, **overrides))
    roll_up()


def mails() -> list[tuple[list[str], str]]:
    return list(OutgoingMail.objects.order_by("id").values_list("recipients", "subject"))


def test_each_recipient_gets_one_mail_about_a_crossing(acme, tokens):
    a_threshold(acme, tokens, notify_emails=[OPS, FINANCE])
    used(1234567)

    assert post_alerts(at_once=True) == 2
    assert post_alerts(at_once=True) == 0

    subject = "Tokens in acme: customer kim has reached 100 token"
    assert mails() == [([OPS], subject), ([FINANCE], subject)]
    alert = Alert.objects.get()
    assert alert.posted_at is not None
    assert alert.mail_ids == list(OutgoingMail.objects.order_by("id").values_list("id", flat=True))
    assert alert.event_id == announced()[0].pk


def test_text_says_how_much_of_what_when_and_what_happens_now(acme, tokens):
    a_threshold(acme, tokens, amount="1000000", notify_emails=[OPS])
    used(812_345)
    post_alerts(at_once=True)

    mail = OutgoingMail.objects.get()
    assert mail.subject == "Tokens in acme: customer kim is at 81% of 1,000,000 token"
    noticed = mail.text.split("Noticed      ")[1].splitlines()[0]
    url = f"{project_settings.PUBLIC_URL}/admin/quotas/alert/{Alert.objects.get().pk}/change/"
    assert mail.text == (
        "Threshold near\n"
        "\n"
        "Tokens: customer kim\n"
        "Acme & Sons (acme)\n"
        "\n"
        "    812,345 token of 1,000,000 token\n"
        "    [################....] 81%\n"
        "\n"
        "What happens now\n"
        "This threshold refuses nothing: further usage is recorded as before.\n"
        "\n"
        f"Noticed      {noticed}\n"
        "Period       May 2024 (Europe/Zurich)\n"
        "Starts anew  1 June 2024, 00:00 (Europe/Zurich)\n"
        "\n"
        f"The alert: {url}\n"
        "\n"
        "-- \n"
        "You get this because your address is named by a threshold of Acme & Sons.\n"
        "Whoever runs Meterbook there can change that.\n"
    )
    for part in ("812,345 token", "of 1,000,000 token · 81%", "Acme &amp; Sons (acme)", "May 2024", url):
        assert part in mail.html


def test_block_is_told_with_its_end(acme, tokens):
    a_threshold(acme, tokens, action="block", notify_emails=[OPS])
    used(80)
    used(20)
    post_alerts(at_once=True)

    near, reached = OutgoingMail.objects.order_by("id")
    until = "until 1 June 2024, 00:00 (Europe/Zurich), or until the threshold is raised."
    assert f"At 100 token, further usage of this metric by customer kim will be refused {until}" in near.text
    assert f"Further usage of this metric by customer kim is refused {until}" in reached.text


def test_names_can_neither_break_headers_nor_pages(acme, tokens):
    evil = "kim<script>alert(1)</script>\r\nBcc: everybody@example.com"
    a_threshold(acme, tokens, notify_emails=[OPS])
    used(100, subject=evil)
    post_alerts(at_once=True)

    mail = OutgoingMail.objects.get()
    assert "\n" not in mail.subject
    assert "\r" not in mail.subject
    assert "<script>" not in mail.html
    assert "&lt;script&gt;" in mail.html


@pytest.mark.parametrize(("count", "subjects"), [(3, 3), (4, 1)])
def test_more_than_a_few_at_once_are_one_mail(acme, tokens, count, subjects):
    a_threshold(acme, tokens, notify_emails=[OPS])
    for number in range(count):
        recorded(an_event("acme", quantity=90 + 10 * number, subject_id=f"customer-{number}"))
    roll_up()

    assert post_alerts(at_once=True) == subjects

    assert len(mails()) == subjects
    if subjects == 1:
        mail = OutgoingMail.objects.get()
        assert mail.subject == "4 thresholds: 3 reached, 1 near"
        assert [f"customer-{number}" in mail.text for number in range(4)] == [True] * 4
        assert mail.text.index("customer-3") < mail.text.index("customer-1") < mail.text.index("customer-0")
        assert {tuple(alert.mail_ids) for alert in Alert.objects.all()} == {(mail.pk,)}


def test_many_crossings_are_announced_in_a_few_statements_to_each_endpoint(acme, tokens):
    endpoints = [
        add_endpoint(project=acme, url=f"https://198.51.99.7/{name}", kinds=kinds)[0]
        for name, kinds in (("all", []), ("reached", [THRESHOLD_EXCEEDED]), ("other", ["quota.exceeded"]))
    ]
    a_threshold(acme, tokens)

    def queries_for(count: int) -> int:
        recorded(*(an_event("acme", quantity=100, subject_id=f"of-{count}-{n}") for n in range(count)))
        recorded(*(an_event("acme", quantity=85, subject_id=f"near-{count}-{n}") for n in range(2)))
        with CaptureQueriesContext(connection) as queries:
            roll_up()
        return len(queries)

    queries_for(3)
    few = queries_for(5)
    assert queries_for(100) == few

    assert len(announced()) == Alert.objects.count() == 108 + 6
    assert [event.pk for event in announced()] == sorted(Alert.objects.values_list("event_id", flat=True))
    reached = Alert.objects.get(crossing__subject_id="of-100-42")
    assert DomainEvent.objects.get(pk=reached.event_id).data["subject_id"] == "of-100-42"
    about_thresholds = WebhookDelivery.objects.filter(event__kind__startswith="threshold.")
    assert [about_thresholds.filter(endpoint=endpoint).count() for endpoint in endpoints] == [114, 108, 0]


def test_digest_is_made_for_whom_it_is_many(acme, tokens):
    for amount in range(10, 50, 10):
        a_threshold(acme, tokens, amount=amount, approach_fraction=None, notify_emails=[OPS])
    a_threshold(acme, tokens, amount=50, approach_fraction=None, notify_emails=[FINANCE])
    used(50)

    assert post_alerts(at_once=True) == 2

    assert mails() == [
        ([OPS], "4 thresholds: 4 reached, 0 near"),
        ([FINANCE], "Tokens in acme: customer kim has reached 50 token"),
    ]


def test_long_digest_names_the_first_and_counts_the_rest(acme, tokens):
    a_threshold(acme, tokens, notify_emails=[OPS])
    recorded(*(an_event("acme", quantity=100 + n, subject_id=f"customer-{n:03}") for n in range(205)))
    roll_up()

    post_alerts(at_once=True)

    mail = OutgoingMail.objects.get()
    assert "And 5 more, which the page shows." in mail.text
    assert "customer-204" in mail.text
    assert "customer-004\n" not in mail.text


def test_alerts_are_collected_for_a_while(acme, tokens, settings):
    settings.ALERT_COLLECTING_SECONDS = 3600
    a_threshold(acme, tokens, notify_emails=[OPS])
    used(100)
    assert post_alerts() == 0
    assert Alert.objects.get().posted_at is None

    settings.ALERT_COLLECTING_SECONDS = 0

    assert post_alerts() == 1


def test_alert_without_addresses_is_posted_to_nobody_and_done(acme, tokens):
    a_threshold(acme, tokens)
    used(100)

    assert post_alerts(at_once=True) == 0

    assert Alert.objects.get().posted_at is not None
    assert mails() == []


def test_message_id_follows_from_the_crossing(acme, tokens):
    a_threshold(acme, tokens, notify_emails=[OPS])
    used(100)
    post_alerts(at_once=True)

    mail = OutgoingMail.objects.get()
    assert mail.key.startswith(f"crossing:{ThresholdCrossing.objects.get(kind='exceeded').pk}:")
    assert mail.message_id == message_id_of(mail.key)


def test_command_posts_at_once(acme, tokens, capsys):
    a_threshold(acme, tokens, notify_emails=[OPS])
    used(100)

    call_command("evaluate_thresholds")
    call_command("post_alerts")
    call_command("post_alerts", "--at-once")

    assert capsys.readouterr().out.splitlines() == [
        "1 thresholds evaluated, 0 new crossings.",
        "0 mails posted.",
        "1 mails posted.",
    ]


# Tests


def test_test_is_mailed_and_announced_and_marked_as_one(acme, tokens):
    threshold = a_threshold(acme, tokens, notify_emails=[OPS, FINANCE])

    sent = send_test(threshold, actor="ada")
    send_test(threshold, actor="ada")

    assert (sent.mail_count, sent.delivery_count) == (2, 0)
    assert len(mails()) == 4
    mail = OutgoingMail.objects.order_by("id")[0]
    assert mail.subject.startswith("[Test] Tokens in acme:")
    assert mail.text.startswith("THIS IS A TEST. ada asked for it")
    assert "This is a test." in mail.html
    event = announced()[0]
    assert (event.kind, event.data["is_test"], event.data["value"]) == (THRESHOLD_EXCEEDED, True, None)
    assert not ThresholdCrossing.objects.exists()


def test_test_is_in_the_language_of_the_house(acme, tokens):
    threshold = a_threshold(acme, tokens, notify_emails=[OPS])

    with translation.override("de"):
        send_test(threshold, actor="ada")

    mail = OutgoingMail.objects.get()
    assert "Sent by Meterbook at" in mail.html
    assert "Answers to this address aren't read." in mail.html


def test_test_that_would_reach_nobody_is_refused(acme, tokens):
    threshold = a_threshold(acme, tokens)

    with pytest.raises(Invalid) as refusal:
        send_test(threshold, actor="ada")

    assert refusal.value.field == "notify_emails"
    assert announced() == []


def test_removed_threshold_is_not_tested(acme, tokens):
    threshold = a_threshold(acme, tokens, notify_emails=[OPS])
    remove_threshold(threshold)

    with pytest.raises(NotFound):
        send_test(threshold, actor="ada")


# Acknowledging


def test_acknowledging_closes_open_alerts_once(acme, tokens):
    a_threshold(acme, tokens)
    used(100)
    used(100, subject="ada")
    first, second = Alert.objects.order_by("id")

    assert acknowledge([first], actor="kim", note=" Called them. ") == 1
    assert acknowledge([first, second], actor="ada") == 1

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.acknowledged_by, first.note, first.is_open) == ("kim", "Called them.", False)
    assert (second.acknowledged_by, second.note) == ("ada", "")


def test_note_that_is_too_long_is_refused(acme, tokens):
    a_threshold(acme, tokens)
    used(100)

    with pytest.raises(Invalid) as refusal:
        acknowledge(list(Alert.objects.all()), actor="kim", note="x" * 2001)

    assert refusal.value.field == "note"
    assert Alert.objects.get().is_open


def test_level_of_a_crossing_stays_what_it_was(acme, tokens):
    threshold = a_threshold(acme, tokens, notify_emails=[OPS])
    used(100)
    change_threshold(threshold, amount="5000")
    post_alerts(at_once=True)

    assert ThresholdCrossing.objects.get(kind="exceeded").level == Decimal(100)
    assert OutgoingMail.objects.get().subject == "Tokens in acme: customer kim has reached 100 token"
