"""One-time passwords: an app on a telephone that shows codes, and backup codes on paper.

Who has a confirmed app is asked for a code after the password. Codes are good once, and each wrong one makes
the next wait longer; both is django-otp's doing, under a lock of the row.
"""

import math
from base64 import b32encode

import django_otp
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from metering.errors import Invalid

BACKUP_CODES = 10
_APP_NAME = "app"
_PAPER_NAME = "backup codes"
_BREAKS = str.maketrans("", "", " -\u00a0")


class WrongCode(Invalid):
    """The code was not the one that the app shows now, or none of the unused backup codes."""

    def __init__(self, message: str) -> None:
        super().__init__(message, field="code")


def has_app(user: User) -> bool:
    """Whether the person is asked for a code after the password."""
    return TOTPDevice.objects.filter(user=user, confirmed=True).exists()


def backup_codes_left(user: User) -> int:
    return StaticToken.objects.filter(device__user=user).count()


def app_being_set_up(user: User) -> TOTPDevice | None:
    """The app that was begun and has not shown a right code yet."""
    return TOTPDevice.objects.filter(user=user, confirmed=False).order_by("-id").first()


def spelled_secret(app: TOTPDevice) -> str:
    """The secret for typing, in groups of four."""
    text = b32encode(app.bin_key).decode()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


@transaction.atomic
def begin_app(user: User) -> TOTPDevice:
    """Make a secret that counts for nothing until a code of it was entered; an earlier such is dropped."""
    _locked(user)
    TOTPDevice.objects.filter(user=user, confirmed=False).delete()
    return TOTPDevice.objects.create(user=user, name=_APP_NAME, confirmed=False)


def confirm_app(user: User, code: str) -> tuple[TOTPDevice, list[str]]:
    """Make the begun app the one that is asked for, in place of any other; the app and new backup codes.

    Raises `WrongCode`, which is counted, and when nothing was begun.
    """
    app = app_being_set_up(user)
    if app is None:
        raise WrongCode(gettext("Begin anew: this set-up is over."))
    _verify(user, app, _plain(code))
    with transaction.atomic():
        _locked(user)
        TOTPDevice.objects.filter(user=user).exclude(pk=app.pk).delete()
        TOTPDevice.objects.filter(pk=app.pk).update(confirmed=True)
        codes = _new_backup_codes(user)
    return TOTPDevice.objects.get(pk=app.pk), codes


def renew_backup_codes(user: User, code: str) -> list[str]:
    """Ten new ones; the old are void. Raises `WrongCode`."""
    accept_code(user, code)
    with transaction.atomic():
        _locked(user)
        return _new_backup_codes(user)


def switch_off(user: User, code: str) -> None:
    """From now on the password alone signs the person in. Raises `WrongCode`."""
    accept_code(user, code)
    reset(user)


@transaction.atomic
def reset(user: User) -> bool:
    """Forget the person's app and backup codes; whether there was anything. For others: superusers only."""
    _locked(user)
    had_app = has_app(user)
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
    return had_app


def accept_code(user: User, code: str) -> Device:
    """The device that the code is of. The code is used up. Raises `WrongCode`, which is counted."""
    given = _plain(code)
    kind = TOTPDevice if given.isdigit() and len(given) == 6 else StaticDevice
    device = kind.objects.filter(user=user, confirmed=True).first()
    if device is None:
        raise WrongCode(gettext("This code is not right."))
    return _verify(user, device, given)


def _verify(user: User, device: Device, code: str) -> Device:
    may_try, reason = device.verify_is_allowed()
    if not may_try:
        raise WrongCode(_wait_words(reason))
    if len(code) > 16 or "\0" in code or django_otp.verify_token(user, device.persistent_id, code) is None:
        raise WrongCode(gettext("This code is not right. Codes change every 30 seconds and are good once."))
    return device


def _wait_words(reason: dict[str, object]) -> str:
    until = reason.get("locked_until")
    left = max(1, math.ceil((until - timezone.now()).total_seconds())) if until else 1  # type: ignore[operator]
    words = ngettext(
        "Too many wrong codes: wait %(count)d second.", "Too many wrong codes: wait %(count)d seconds.", left
    )
    return words % {"count": left}


def _plain(code: str) -> str:
    return code.translate(_BREAKS).lower()


def _locked(user: User) -> None:
    """Two pages of one person at once come one after the other."""
    User.objects.select_for_update().get(pk=user.pk)


def _new_backup_codes(user: User) -> list[str]:
    StaticDevice.objects.filter(user=user).delete()
    paper = StaticDevice.objects.create(user=user, name=_PAPER_NAME, confirmed=True)
    codes = [StaticToken.random_token() for _ in range(BACKUP_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=paper, token=code) for code in codes)
    return [f"{code[:4]}-{code[4:]}" for code in codes]
