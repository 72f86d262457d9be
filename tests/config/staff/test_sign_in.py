"""Signing in: what is counted, who is locked out, and the second step."""

import re
from typing import Any

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from config.staff.client_address import client_address
from config.staff.one_time_passwords import WrongCode, accept_code, begin_app, confirm_app

LOGIN = "/admin/login/"
CODE = "/admin/login/code/"


@pytest.fixture
def kim(db: None) -> User:
    return User.objects.create_user("kim", password="right-password", is_staff=True, is_superuser=True)


@pytest.fixture
def app(kim: User) -> TOTPDevice:
    """Kim's app, set up; the code of this very half minute is still good."""
    begun = begin_app(kim)
    confirm_app(kim, code_of(begun))
    TOTPDevice.objects.update(last_t=-1)
    return TOTPDevice.objects.get()


def code_of(app: TOTPDevice, *, ahead: int = 0) -> str:
    return f"{totp(app.bin_key, drift=app.drift + ahead):06d}"


def signs_in(client: Client, name: str = "kim", password: str = "right-password", **extra: Any) -> Any:
    return client.post(LOGIN, {"username": name, "password": password, "next": "/admin/"}, **extra)


def fails(client: Client, count: int, name: str = "kim", **extra: Any) -> list[int]:
    return [signs_in(client, name, "wrong", **extra).status_code for _ in range(count)]


def a_request(**meta: str) -> HttpRequest:
    request = HttpRequest()
    request.META.update(meta)
    return request


def test_right_password_signs_in(client: Client, kim: User) -> None:
    answer = signs_in(client)

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200
    assert AccessLog.objects.get().username == "kim"


def test_fifth_failure_locks_and_the_right_password_no_longer_helps(client: Client, kim: User) -> None:
    statuses = fails(client, 5)

    answer = signs_in(client)

    assert statuses == [200, 200, 200, 200, 429]
    assert answer.status_code == 429
    assert answer["Retry-After"] == "900"
    assert "for 15 minutes" in answer.content.decode()
    assert "_auth_user_id" not in client.session


def test_unknown_names_get_the_same_answers(client: Client, kim: User) -> None:
    def answers(name: str) -> list[tuple[int, str]]:
        found = [signs_in(client, name, "wrong") for _ in range(6)]
        masks = r'(csrfmiddlewaretoken" value=")[^"]+|(nonce=")[^"]+|(value=")(?:kim|nobody)(?=")'
        return [(answer.status_code, re.sub(masks, "", answer.content.decode())) for answer in found]

    assert answers("kim") == answers("nobody")


def test_lock_holds_for_one_address_only(client: Client, kim: User) -> None:
    fails(client, 5, REMOTE_ADDR="203.0.113.7")

    elsewhere = signs_in(client, REMOTE_ADDR="203.0.113.8")

    assert elsewhere.status_code == 302


def test_trying_on_does_not_make_the_lock_longer(client: Client, kim: User) -> None:
    fails(client, 5)
    counted = AccessAttempt.objects.get()

    fails(client, 3)

    still = AccessAttempt.objects.get()
    assert (still.failures_since_start, still.attempt_time) == (5, counted.attempt_time)
    assert AccessFailureLog.objects.count() == 5


def test_fifty_failures_lock_an_address_under_any_name(client: Client, kim: User) -> None:
    for number in range(50):
        fails(client, 1, f"guess-{number}")

    assert signs_in(client).status_code == 429


def test_one_good_sign_in_does_not_forgive_the_address(client: Client, kim: User) -> None:
    for number in range(3):
        fails(client, 1, f"guess-{number}")
    fails(client, 1)

    signs_in(client)

    assert set(AccessAttempt.objects.values_list("username", flat=True)) == {"guess-0", "guess-1", "guess-2"}


def test_lock_ends_by_itself(client: Client, kim: User, settings: Any) -> None:
    fails(client, 5)
    assert signs_in(client).status_code == 429

    AccessAttempt.objects.update(attempt_time="2026-01-01T00:00:00Z")

    assert signs_in(client).status_code == 302


def test_a_header_does_not_change_the_address(settings: Any) -> None:
    request = a_request(REMOTE_ADDR="203.0.113.7", HTTP_X_FORWARDED_FOR="198.51.100.1")

    assert client_address(request) == "203.0.113.7"


@pytest.mark.parametrize(
    ("trusted", "header", "expected"),
    [
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "10.9.9.9, 198.51.100.1", "198.51.100.1"),  # the first was made up by the client
        (2, "10.9.9.9, 198.51.100.1, 192.0.2.5", "198.51.100.1"),
        (2, "198.51.100.1", "203.0.113.7"),  # came past one of the proxies
        (1, "unknown", "203.0.113.7"),
        (1, "", "203.0.113.7"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),  # its network counts
        (1, "::ffff:198.51.100.1", "198.51.100.1"),
    ],
)
def test_trusted_proxies_are_read_from_the_right(
    settings: Any, trusted: int, header: str, expected: str
) -> None:
    settings.TRUSTED_PROXIES = trusted

    assert client_address(a_request(REMOTE_ADDR="203.0.113.7", HTTP_X_FORWARDED_FOR=header)) == expected


def test_session_begins_only_after_the_code(client: Client, app: TOTPDevice) -> None:
    first = signs_in(client)

    assert (first.status_code, first["Location"]) == (302, CODE)
    assert "_auth_user_id" not in client.session
    assert client.get("/admin/").status_code == 302
    assert client.get("/api/v1/metrics/").status_code == 401

    second = client.post(CODE, {"code": code_of(app)})

    assert (second.status_code, second["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200
    assert client.get("/api/v1/metrics/").status_code == 200


def test_code_works_once(client: Client, app: TOTPDevice) -> None:
    code = code_of(app)
    signs_in(client)
    client.post(CODE, {"code": code})
    other = Client()
    signs_in(other)

    again = other.post(CODE, {"code": code})

    assert again.status_code == 200
    assert "is not right" in again.content.decode()
    assert "_auth_user_id" not in other.session


def test_wrong_code_makes_the_next_wait_and_is_counted(client: Client, app: TOTPDevice) -> None:
    signs_in(client)

    first = client.post(CODE, {"code": "000000"})
    second = client.post(CODE, {"code": code_of(app)})

    assert "is not right" in first.content.decode()
    assert "Too many wrong codes: wait 1 second." in second.content.decode()
    assert AccessAttempt.objects.get().failures_since_start == 2


def test_fifth_wrong_code_locks(client: Client, app: TOTPDevice) -> None:
    signs_in(client)
    statuses = [client.post(CODE, {"code": "000000"}).status_code for _ in range(6)]

    assert statuses == [200, 200, 200, 200, 429, 429]
    assert signs_in(client).status_code == 429


def test_right_password_does_not_forgive_wrong_codes(client: Client, app: TOTPDevice) -> None:
    for _ in range(4):
        signs_in(client)
        client.post(CODE, {"code": "000000"})

    signs_in(client)

    assert client.post(CODE, {"code": "000000"}).status_code == 429


def test_backup_code_signs_in_once(client: Client, kim: User) -> None:
    begun = begin_app(kim)
    _app, codes = confirm_app(kim, code_of(begun))
    assert len(set(codes)) == 10

    assert accept_code(kim, codes[0].upper()).user == kim

    with pytest.raises(WrongCode):
        accept_code(kim, codes[0])


def test_first_step_ends_after_five_minutes(
    client: Client, app: TOTPDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs_in(client)
    session = client.session
    session["meterbook_first_step"] = session["meterbook_first_step"] | {"begun_at": 1.0}
    session.save()

    answer = client.post(CODE, {"code": code_of(app)})

    assert (answer.status_code, answer["Location"]) == (302, LOGIN)


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}, {"password": "other"}])
def test_first_step_ends_with_the_account_or_its_password(
    client: Client, app: TOTPDevice, change: dict[str, Any]
) -> None:
    signs_in(client)
    User.objects.update(**change)

    assert client.post(CODE, {"code": code_of(app)})["Location"] == LOGIN


def test_code_page_without_a_first_step_leads_to_the_password(client: Client, db: None) -> None:
    assert client.get(CODE)["Location"] == LOGIN


def test_next_page_outside_is_not_gone_to(client: Client, app: TOTPDevice) -> None:
    client.post(LOGIN, {"username": "kim", "password": "right-password", "next": "https://evil.example/"})

    assert client.post(CODE, {"code": code_of(app)})["Location"] == "/admin/"


def test_keys_are_not_locked_out(client: Client, kim: User) -> None:
    fails(client, 6)

    answer = client.get("/api/v1/metrics/", HTTP_AUTHORIZATION="Bearer mbk_none.none")

    assert answer.status_code == 401
