"""Verifications in the admin: start, watch, read."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from metering.admin import verification as pages
from metering.models import UsageMeterRollup, VerificationRun
from metering.verifying.verification import verify, verify_requested

from .conftest import World

LIST = "admin:metering_verificationrun_changelist"


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The worker is played by the test; how often it was called."""
    calls: list[bool] = []
    monkeypatch.setattr(pages.go_on_verifying, "apply_async", lambda **_: calls.append(True))
    return calls


def start_url() -> str:
    return reverse("admin:metering_verificationrun_verify_now")


def url(run: VerificationRun) -> str:
    return reverse("admin:metering_verificationrun_change", args=[run.pk])


def test_empty_list_says_what_to_do(staff: Client) -> None:
    page = staff.get(reverse(LIST)).content.decode()

    assert "Nothing was verified yet" in page
    assert start_url() in page


def test_verification_is_started_watched_and_read(staff: Client, world: World, woken: list[bool]) -> None:
    asked = staff.get(start_url()).content.decode()
    assert "Every row that was sealed still is exactly what it was" in asked

    started = staff.post(start_url(), {"head": ""})

    run = VerificationRun.objects.get()
    assert (started.url, run.state, run.requested_by, woken) == (url(run), "queued", "root", [True])
    waiting = staff.get(url(run)).content.decode()
    assert 'data-active="yes"' in waiting
    assert "It waits for a worker." in waiting
    verify_requested(slice_seconds=0)
    run.refresh_from_db()
    under_way = staff.get(url(run)).content.decode()
    assert f"{run.done_count} of {run.step_count} steps" in under_way
    while verify_requested():
        pass
    done = staff.get(url(run)).content.decode()
    assert 'data-active="no"' in done
    assert "Everything that was checked agrees with the ledger." in done
    assert "tokens" in done
    listed = staff.get(reverse(LIST)).content.decode()
    assert "Passed" in listed
    assert "everything" in listed


def test_breaches_are_read_in_words(staff: Client, world: World) -> None:
    UsageMeterRollup.objects.filter(metric=world.tokens, granularity="day").update(value_sum=1)
    report = verify(limit=2)
    run = VerificationRun.objects.get()

    page = staff.get(url(run)).content.decode()
    listed = staff.get(reverse(LIST)).content.decode()

    first = "Day 2024-05-11, project shop, billed to tenant, "
    assert report.breach_count == 10
    assert "10 things don&#x27;t agree." in page or "10 things don't agree." in page
    assert first in page
    assert "The first 2 of 10" in page
    assert f"Rollups of tokens: {first}" in listed
    assert "the first of 10 breaches" in listed


def test_names_are_shown_as_text(staff: Client, world: World) -> None:
    UsageMeterRollup.objects.filter(metric=world.tokens, granularity="day").update(subject_id="<script>x")
    verify()

    page = staff.get(url(VerificationRun.objects.get())).content.decode()

    assert "&lt;script&gt;x" in page
    assert "<script>x" not in page


def test_second_request_is_told_about_the_first(staff: Client, world: World) -> None:
    staff.post(start_url(), {"head": ""})

    again = staff.post(start_url(), {"head": ""}, follow=True).content.decode()

    assert "A verification is waiting already." in again
    assert VerificationRun.objects.count() == 1


def test_head_that_is_none_is_refused_beside_its_field(staff: Client, world: World) -> None:
    answer = staff.post(start_url(), {"head": "moon"})

    assert answer.status_code == 200
    assert answer.context["form"].errors["head"]
    assert not VerificationRun.objects.exists()


def test_only_who_may_verify_starts_one(onlooker: Client, world: World) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="verify_ledger"))
    allowed = Client()
    allowed.force_login(clerk)
    nobody = Client()
    nobody.force_login(User.objects.create_user("nobody", is_staff=True))

    refused = [
        onlooker.get(start_url()).status_code,
        onlooker.post(start_url(), {"head": ""}).status_code,
        nobody.get(reverse(LIST)).status_code,
    ]

    assert refused == [403, 403, 403]
    assert start_url() not in onlooker.get(reverse(LIST)).content.decode()
    assert not VerificationRun.objects.exists()
    assert allowed.post(start_url(), {"head": ""}).status_code == 302
    run = VerificationRun.objects.get()
    assert onlooker.get(url(run)).status_code == 200
    assert nobody.get(url(run)).status_code == 403
    assert reverse(LIST) in allowed.get(reverse("admin:index")).content.decode()


def test_missing_run_is_not_found(staff: Client, world: World) -> None:
    assert staff.get(url(VerificationRun(pk=77))).status_code == 404


def test_page_of_usage_says_when_it_was_verified(staff: Client, world: World) -> None:
    def line() -> dict[str, object]:
        health = staff.get(reverse("admin:metering_usage")).context["health"]
        return next(line for line in health if line["title"] == "Last verified")

    assert (line()["value"], line()["is_bad"]) == ("never", False)

    verify()
    assert (line()["note"], line()["is_bad"]) == ("passed", False)

    UsageMeterRollup.objects.filter(metric=world.tokens, granularity="day").delete()
    verify()
    assert (line()["note"], line()["is_bad"]) == ("failed: 10 breaches", True)


def test_empty_list_offers_a_verification_to_those_who_may_ask_for_one(db: None, client: Client) -> None:
    onlooker = User.objects.create_user("ann", is_staff=True)
    onlooker.user_permissions.set(Permission.objects.filter(codename="view_verificationrun"))
    client.force_login(onlooker)
    seen = client.get(reverse(LIST)).content.decode()
    onlooker.user_permissions.add(Permission.objects.get(codename="verify_ledger"))
    asked = client.get(reverse(LIST)).content.decode()

    assert "does it every night" in seen
    assert "Verify now” above" not in seen
    assert "Verify now” above" in asked
