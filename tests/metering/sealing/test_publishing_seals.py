"""Seals by command, job, mail, API, export and page."""

import datetime as dt
import io
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command

from metering import tasks
from metering.models import Heartbeat, LedgerSeal, Project
from metering.sealing import seal_mail
from metering.sealing.seals import seal_ledger, sealed_head
from tests.factories import a_project
from tests.metering.api.callers import Caller, assert_problem
from tests.metering.sealing.sealed_ledger import (
    an_empty_ledger,
    found,
    three_seals,
    with_rows,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Project:
    return an_empty_ledger()


@pytest.fixture
def chain(acme: Project) -> str:
    return three_seals()


def said() -> list[str]:
    out = io.StringIO()
    call_command("seal_ledger", stdout=out, no_color=True)
    return out.getvalue().splitlines()


def test_command_says_what_it_did_and_ends_with_the_head(acme: Project) -> None:
    assert said() == ["Nothing was recorded yet; there is nothing to seal."]

    with_rows(1, 1_200)

    sealed = said()
    assert len(sealed) == 2
    assert sealed[0].startswith("1,200 rows under 1 new seal in ")
    assert sealed[1] == sealed_head()
    assert said() == ["Nothing was recorded since the last seal.", sealed[1]]


def test_hourly_job_seals_and_leaves_its_heartbeat(acme: Project) -> None:
    with_rows(1, 5)

    tasks.seal_ledger()

    facts = Heartbeat.objects.get(pk="seal_ledger").facts
    assert (facts["seals"], facts["rows"]) == (1, 5)
    assert LedgerSeal.objects.count() == 1


@pytest.fixture
def auditors(settings: Any) -> list[str]:
    settings.SEAL_HEAD_RECIPIENTS = ["audit@example.org", "notary@example.org"]
    return settings.SEAL_HEAD_RECIPIENTS


def test_head_is_mailed_once_a_day(chain: str, auditors: list[str]) -> None:
    tasks.mail_sealed_head()
    tasks.mail_sealed_head()

    [message] = mail.outbox
    assert message.to == auditors
    assert chain in message.body.splitlines()
    day = Heartbeat.objects.get(pk="mail_sealed_head").facts["day"]
    assert message.subject == f"Meterbook: seal 3, position 3,760, {day}"

    Heartbeat.objects.update(facts={"day": "2024-05-14"})

    assert seal_mail.mail_sealed_head() == chain
    assert len(mail.outbox) == 2


def test_mail_that_is_made_again_has_the_same_id_and_text(chain: str, auditors: list[str]) -> None:
    seal = LedgerSeal.objects.get(number=3)
    day = dt.date(2024, 5, 15)

    first, again = (seal_mail.message_of(seal, day=day).message() for _ in range(2))
    next_day = seal_mail.message_of(seal, day=dt.date(2024, 5, 16)).message()
    before = seal_mail.message_of(LedgerSeal.objects.get(number=2), day=day).message()

    assert first["Message-ID"] == f"<seal.2024-05-15.3.{chain.rpartition(':')[2][:32]}@testserver>"
    assert (again["Message-ID"], again.get_payload()) == (first["Message-ID"], first.get_payload())
    assert len({first["Message-ID"], next_day["Message-ID"], before["Message-ID"]}) == 3


def test_refused_mail_is_tried_again(
    chain: str, auditors: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", refuse)
        with pytest.raises(ConnectionRefusedError):
            tasks.mail_sealed_head()

    assert seal_mail.mail_sealed_head() == chain
    assert len(mail.outbox) == 1


def test_nobody_is_mailed_without_recipients_or_seals(acme: Project, settings: Any) -> None:
    settings.SEAL_HEAD_RECIPIENTS = ["audit@example.org"]
    assert seal_mail.mail_sealed_head() is None
    with_rows(1, 2)
    seal_ledger()
    settings.SEAL_HEAD_RECIPIENTS = []

    assert seal_mail.mail_sealed_head() is None
    assert mail.outbox == []


def test_heads_are_listed_newest_first_for_any_key_that_may_read(chain: str) -> None:
    reader = Caller(a_project("stranger"), "read")

    first = reader.get("/ledger-seals/?limit=2").json()
    second = reader("GET", first["next"].partition("/api/v1")[2]).json()

    assert [row["number"] for row in first["results"]] == [3, 2]
    assert [row["number"] for row in second["results"]] == [1]
    assert second["next"] is None
    newest = first["results"][0]
    assert set(newest) == {"number", "position", "mac", "head", "sealed_at"}
    assert newest["head"] == chain == f"mbs1:3:{newest['position']}:{newest['mac']}"
    assert_problem(reader.get("/ledger-seals/?project=acme"), 422, "invalid_field")
    assert_problem(Caller(a_project("writer"), "ingest").get("/ledger-seals/"), 403, "permission_denied")


def test_export_of_events_carries_the_head(acme: Project) -> None:
    reader = Caller(acme, "read")
    with_rows(1, 2)
    assert "X-Meterbook-Seal" not in reader.get("/usage/export/").headers

    seal_ledger()

    assert reader.get("/usage/export/").headers["X-Meterbook-Seal"] == sealed_head()


def test_pages_show_seals_and_their_head(chain: str, admin_client: Any) -> None:
    listed = admin_client.get("/admin/metering/ledgerseal/").content.decode()
    shown = admin_client.get("/admin/metering/ledgerseal/3/change/").content.decode()
    changed = admin_client.post("/admin/metering/ledgerseal/3/change/", {"row_count": 1})
    deleted = admin_client.post("/admin/metering/ledgerseal/3/delete/", {"post": "yes"})

    assert listed.index("Seal 3") < listed.index("Seal 1")
    assert "2,500" in listed
    assert chain in shown
    assert "3,731 to 3,760" in shown
    assert (changed.status_code, deleted.status_code) == (403, 403)
    assert found(head=chain) == []
