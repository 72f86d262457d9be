"""The pages on which one-time passwords are set up, switched off and reset."""

import re
from typing import Any

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from config.staff.forgetting import forget_old_sign_ins
from config.staff.one_time_passwords import backup_codes_left, begin_app, confirm_app, has_app

STATE = "/admin/account/two-steps/"
BEGIN = STATE + "begin/"
SET_UP = STATE + "set-up/"
CODES = STATE + "codes/"
OFF = STATE + "off/"


@pytest.fixture
def kim(db: None, client: Client) -> User:
    kim = User.objects.create_user("kim", password="right-password", is_staff=True)
    client.force_login(kim)
    return kim


def code_of(app: TOTPDevice) -> str:
    return f"{totp(app.bin_key):06d}"


def set_up(user: User) -> list[str]:
    """The backup codes of an app that was set up; its present code is still good."""
    _app, codes = confirm_app(user, code_of(begin_app(user)))
    TOTPDevice.objects.update(last_t=-1)
    return codes


def test_secret_counts_for_nothing_before_a_code_of_it(client: Client, kim: User) -> None:
    client.post(BEGIN)
    page = client.get(SET_UP)

    assert "<svg" in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert not has_app(kim)


def test_right_code_switches_on_and_shows_backup_codes_once(client: Client, kim: User) -> None:
    client.post(BEGIN)

    page = client.post(SET_UP, {"code": code_of(TOTPDevice.objects.get())})

    shown = re.findall(r'<code class="mb-code">([a-z2-7]{4}-[a-z2-7]{4})</code>', page.content.decode())
    assert len(shown) == 10
    assert {text.replace("-", "") for text in shown} == set(
        StaticToken.objects.values_list("token", flat=True)
    )
    assert "no-store" in page["Cache-Control"]
    assert has_app(kim)
    assert shown[0] not in client.get(STATE).content.decode()
    assert LogEntry.objects.get().change_message == "Set up two-step sign-in."


def test_wrong_code_switches_nothing_on(client: Client, kim: User) -> None:
    client.post(BEGIN)

    page = client.post(SET_UP, {"code": "000000"})

    assert "is not right" in page.content.decode()
    assert (has_app(kim), StaticToken.objects.count()) == (False, 0)


def test_moving_to_another_telephone_leaves_the_first_until_the_second_shows_a_code(
    client: Client, kim: User
) -> None:
    old_codes = set_up(kim)
    first = TOTPDevice.objects.get()

    client.post(BEGIN, {"code": code_of(first)})
    assert TOTPDevice.objects.get(confirmed=True) == first
    client.post(SET_UP, {"code": code_of(TOTPDevice.objects.get(confirmed=False))})

    second = TOTPDevice.objects.get()
    assert second != first
    assert not StaticToken.objects.filter(token=old_codes[0].replace("-", "")).exists()


def test_a_session_alone_does_not_put_another_app_in_place(client: Client, kim: User) -> None:
    set_up(kim)

    answers = [client.post(BEGIN), client.post(BEGIN, {"code": "000000"})]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert TOTPDevice.objects.get().confirmed
    assert client.get(SET_UP)["Location"] == STATE


def test_switching_off_asks_for_a_code(client: Client, kim: User) -> None:
    set_up(kim)

    refused = client.post(OFF, {"code": "000000"})
    assert "is not right" in refused.content.decode()
    assert has_app(kim)

    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    client.post(OFF, {"code": code_of(TOTPDevice.objects.get())})

    assert (has_app(kim), backup_codes_left(kim)) == (False, 0)


def test_backup_code_makes_new_ones(client: Client, kim: User) -> None:
    codes = set_up(kim)

    client.post(CODES, {"code": codes[3]})

    assert backup_codes_left(kim) == 10
    assert not StaticToken.objects.filter(token=codes[0].replace("-", "")).exists()


@pytest.mark.parametrize("page", [OFF, CODES, SET_UP])
def test_pages_with_nothing_to_do_lead_back(client: Client, kim: User, page: str) -> None:
    assert client.get(page)["Location"] == STATE


def test_only_superusers_reset_another_person(client: Client, kim: User) -> None:
    other = User.objects.create_user("other", is_staff=True)
    set_up(other)
    url = f"/admin/auth/user/{other.pk}/reset-two-steps/"
    kim.user_permissions.set(Permission.objects.filter(codename__in=["change_user", "view_user"]))

    refused = client.post(url)
    assert refused.status_code == 403
    assert has_app(other)

    User.objects.filter(pk=kim.pk).update(is_superuser=True)
    assert "once you are sure" in client.get(url).content.decode()
    assert has_app(other)
    client.post(url)

    assert not has_app(other)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr, entry.change_message) == (kim, "other", "Reset two-step sign-in.")


def test_where_it_is_required_people_without_an_app_only_get_to_set_it_up(
    client: Client, kim: User, settings: Any
) -> None:
    settings.REQUIRE_ONE_TIME_PASSWORDS = True
    User.objects.update(is_superuser=True)

    assert client.get("/admin/")["Location"] == STATE
    assert client.get("/admin/account/")["Location"] == STATE
    assert client.get("/api/v1/metrics/").json()["code"] == "permission_denied"
    assert "Everybody here needs it" in client.get(STATE).content.decode()

    client.post(BEGIN)
    client.post(SET_UP, {"code": code_of(TOTPDevice.objects.get())})

    assert client.get("/admin/").status_code == 200
    assert client.get("/api/v1/metrics/").status_code == 200


def test_where_it_is_required_a_session_without_a_code_ends(client: Client, kim: User, settings: Any) -> None:
    set_up(kim)
    settings.REQUIRE_ONE_TIME_PASSWORDS = True

    assert client.get("/admin/")["Location"] == "/admin/login/?next=/admin/"
    assert "_auth_user_id" not in client.session


def test_where_it_is_required_keys_go_on_working(client: Client, kim: User, settings: Any) -> None:
    settings.REQUIRE_ONE_TIME_PASSWORDS = True

    assert client.get("/api/v1/metrics/", HTTP_AUTHORIZATION="Bearer mbk_none.none").status_code == 401


def an_attempt(name: str, failures: int, address: str = "203.0.113.7") -> AccessAttempt:
    attempt = AccessAttempt.objects.create(
        username=name, ip_address=address, user_agent="test", failures_since_start=failures
    )
    AccessAttempt.objects.filter(pk=attempt.pk).update(attempt_time=timezone.now())
    return attempt


def test_whoever_may_change_users_lifts_a_lock(client: Client, kim: User) -> None:
    locked, counting = an_attempt("pat", 5), an_attempt("sam", 2)
    url = f"/admin/axes/accessattempt/{locked.pk}/lift/"
    assert client.post(url).status_code == 403
    kim.user_permissions.set(Permission.objects.filter(codename="change_user"))

    page = client.get("/admin/axes/accessattempt/").content.decode()
    assert (page.count("Locked"), page.count("Counting")) == (1, 1)
    assert "from 203.0.113.7" in client.get(url).content.decode()
    client.post(url)

    assert list(AccessAttempt.objects.all()) == [counting]


def test_lifting_where_the_address_is_locked_forgets_all_of_it(client: Client, kim: User) -> None:
    kim.user_permissions.set(Permission.objects.filter(codename="change_user"))
    attempt = an_attempt("pat", 26)
    an_attempt("sam", 24)
    elsewhere = an_attempt("pat", 3, "203.0.113.8")

    client.post(f"/admin/axes/accessattempt/{attempt.pk}/lift/")

    assert list(AccessAttempt.objects.all()) == [elsewhere]


@pytest.mark.parametrize("table", ["accesslog", "accessfailurelog", "accessattempt"])
def test_pages_of_sign_ins_need_a_right_and_are_read_only(client: Client, kim: User, table: str) -> None:
    url = f"/admin/axes/{table}/"
    assert client.get(url).status_code == 403

    kim.user_permissions.set(Permission.objects.filter(codename=f"view_{table}"))

    assert client.get(url).status_code == 200
    assert client.get(f"{url}add/").status_code == 403


def test_old_sign_ins_are_forgotten(kim: User, settings: Any) -> None:
    settings.SIGN_IN_KEPT_DAYS = 90
    now = timezone.now()
    an_attempt("pat", 1)
    AccessFailureLog.objects.create(username="pat", ip_address="203.0.113.7")
    AccessFailureLog.objects.update(attempt_time=now - timezone.timedelta(days=91))
    AccessAttempt.objects.update(attempt_time=now - timezone.timedelta(minutes=16))
    Session.objects.update(expire_date=now - timezone.timedelta(seconds=1))

    count = forget_old_sign_ins(at=now)

    assert count == 3
    assert (AccessFailureLog.objects.count(), AccessAttempt.objects.count(), Session.objects.count()) == (
        0,
        0,
        0,
    )
    assert AccessLog.objects.count() == 1
    assert forget_old_sign_ins(at=now) == 0
