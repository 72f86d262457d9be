"""Who may look at the demo: a superuser and a person of each role for the admin, and a key for the API."""

import secrets
import string
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User

from metering.keys import create_api_key, principal_of
from metering.models import ApiKey, Project
from metering.roles import Role

USERNAME = "admin"
PASSWORD_LENGTH = 20
KEY_NAME = "Demo"
_PASSWORD_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Credential:
    """A password or key. `secret` is None where it was made earlier and nobody told us; it can't be read."""

    secret: str | None
    is_new: bool


def ensure_superuser(*, known_password: str | None, renews: bool) -> Credential:
    """The superuser's password: the known one where it works, a new one for a new user.

    An existing user whose password isn't known gets a new one with `renews`, else stays as it is.
    """
    return _ensure_account(USERNAME, known_password=known_password, renews=renews, is_superuser=True)


def ensure_person(role: Role, *, known_password: str | None, renews: bool) -> Credential:
    """The same for a person who is called like the role, and has it and nothing else.

    Somebody else of that name, who has other roles, is left alone and not told.
    """
    username = role.value.lower()
    users = get_user_model()._default_manager
    known = users.filter(username=username).first()
    if known is not None and (known.is_superuser or _groups_of(known) != [role.value]):
        return Credential(None, is_new=False)
    credential = _ensure_account(username, known_password=known_password, renews=renews, is_superuser=False)
    if known is None:
        users.get(username=username).groups.set(Group.objects.filter(name=role.value))
    return credential


def _groups_of(user: User) -> list[str]:
    return list(user.groups.values_list("name", flat=True))


def _ensure_account(
    username: str, *, known_password: str | None, renews: bool, is_superuser: bool
) -> Credential:
    users = get_user_model()._default_manager
    user = users.filter(username=username).first()
    if user is not None:
        if known_password and user.is_active and user.check_password(known_password):
            return Credential(known_password, is_new=False)
        if not renews:
            return Credential(None, is_new=False)
    password = "".join(secrets.choice(_PASSWORD_ALPHABET) for _ in range(PASSWORD_LENGTH))
    if user is None:
        user = get_user_model()(username=username)
    user.is_active = user.is_staff = True
    user.is_superuser = is_superuser
    user.set_password(password)
    user.save()
    return Credential(password, is_new=True)


def ensure_api_key(project: Project, *, known_key: str | None, renews: bool) -> Credential:
    """A key with every permission on `project`: the known one where it works, else a new one.

    Without `renews`, a key of ours that exists already is left alone and not told.
    """
    wanted = frozenset(ApiKey.Permission.values)
    if known_key:
        principal = principal_of(known_key)
        if principal is not None and principal.project_id == project.pk and principal.permissions >= wanted:
            return Credential(known_key, is_new=False)
    if not renews and ApiKey.objects.filter(project=project, name=KEY_NAME, revoked_at=None).exists():
        return Credential(None, is_new=False)
    _, key = create_api_key(project=project, name=KEY_NAME, permissions=sorted(wanted))
    return Credential(key, is_new=True)
