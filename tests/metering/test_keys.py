"""API keys: made, checked, revoked."""

import datetime as dt

import pytest
from django.db import connection

from metering.clock import database_now
from metering.errors import Invalid
from metering.keys import create_api_key, principal_of, revoke_api_key
from metering.models import ApiKey, Project
from metering.principal import Principal
from tests.factories import a_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Project:
    return a_project("acme")


def test_a_key_reads_mbk_id_dot_secret_and_only_its_digest_is_stored(acme: Project) -> None:
    row, key = create_api_key(project=acme, name="app", permissions=["ingest"])

    prefix, _, secret = key.partition(".")
    assert prefix == f"mbk_{row.key_id}" == row.shown_prefix
    assert len(row.key_id) == 12
    assert len(secret) == 43  # 32 random bytes
    with connection.cursor() as cursor:
        cursor.execute("SELECT k::text FROM metering_apikey k")
        (stored,) = cursor.fetchone()
    assert secret not in stored
    assert len(bytes(row.digest)) == 32


def test_the_holder_of_a_key_is_known_by_it(acme: Project) -> None:
    row, key = create_api_key(project=acme, name="app", permissions=["read", "ingest", "read"])

    principal = principal_of(key)

    assert principal == Principal(
        name="app",
        permissions=frozenset({"read", "ingest"}),
        project_id=acme.pk,
        project_path=acme.path,
        key_id=row.key_id,
    )
    assert principal.may("ingest")
    assert not principal.may("manage")


def test_a_key_sees_its_project_and_what_lies_below(acme: Project) -> None:
    below, beside = a_project("below", parent=acme), a_project("beside")
    _, key = create_api_key(project=acme, name="app", permissions=["read"])

    principal = principal_of(key)

    assert [principal.sees(project.path) for project in (acme, below, beside)] == [True, True, False]


def test_no_two_keys_are_alike(acme: Project) -> None:
    keys = {create_api_key(project=acme, name="app", permissions=["read"])[1] for _ in range(20)}

    assert len(keys) == 20
    assert ApiKey.objects.count() == 20


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"permissions": []}, "permissions"),
        ({"permissions": ["ingest", "root"]}, "permissions"),
        ({"expires_at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC)}, "expires_at"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(acme: Project, overrides: dict, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        create_api_key(**{"project": acme, "name": "app", "permissions": ["read"], **overrides})

    assert caught.value.field == field
    assert not ApiKey.objects.exists()


def test_a_wrong_secret_opens_nothing(acme: Project) -> None:
    row, key = create_api_key(project=acme, name="app", permissions=["read"])
    _, other = create_api_key(project=acme, name="other", permissions=["read"])

    assert principal_of(f"mbk_{row.key_id}.{other.partition('.')[2]}") is None
    assert principal_of(key[:-1]) is None
    assert principal_of(key + "x") is None
    assert principal_of(f"mbk_{row.key_id}.") is None
    assert principal_of(f"mbk_{row.key_id}") is None


@pytest.mark.parametrize(
    "key",
    [
        "",
        "mbk_",
        "mbk_.",
        ".",
        "Bearer x",
        "mbk_%s.%s",
        "mbk_' OR 1=1 --.x",
        "mbk_é.x",
        "mbk_a\x00.b",
        "mbk_" + "x" * 10**6,
    ],
    ids=lambda key: repr(key[:20]),
)
def test_a_malformed_key_opens_nothing(acme: Project, key: str) -> None:
    create_api_key(project=acme, name="app", permissions=["read"])

    assert principal_of(key) is None


def test_a_revoked_key_is_dead_at_once_and_keeps_its_first_instant(acme: Project) -> None:
    row, key = create_api_key(project=acme, name="app", permissions=["read"])
    assert principal_of(key) is not None
    revoked_at = database_now()

    revoke_api_key(row, revoked_at=revoked_at)
    revoke_api_key(row, revoked_at=revoked_at + dt.timedelta(days=1))

    assert principal_of(key) is None
    assert row.revoked_at == revoked_at
    assert row.state(at=revoked_at) == ApiKey.State.REVOKED


def test_a_key_ends_at_the_instant_it_expires_by_the_databases_clock(acme: Project) -> None:
    row, key = create_api_key(
        project=acme,
        name="app",
        permissions=["read"],
        expires_at=database_now() + dt.timedelta(hours=1),
    )
    assert principal_of(key) is not None

    with connection.cursor() as cursor:
        cursor.execute("UPDATE metering_apikey SET expires_at = clock_timestamp()")
    row.refresh_from_db()

    assert principal_of(key) is None
    assert row.state(at=row.expires_at) == ApiKey.State.EXPIRED
    assert row.state(at=row.expires_at - dt.timedelta(microseconds=1)) == ApiKey.State.ACTIVE


def test_use_is_noted_to_the_minute(acme: Project) -> None:
    row, key = create_api_key(project=acme, name="app", permissions=["read"])

    principal_of(key)
    row.refresh_from_db()
    first_use = row.last_used_at
    principal_of(key)
    row.refresh_from_db()

    assert first_use is not None
    assert row.last_used_at == first_use
    with connection.cursor() as cursor:
        cursor.execute("UPDATE metering_apikey SET last_used_at = last_used_at - interval '61 seconds'")
    principal_of(key)
    row.refresh_from_db()
    assert row.last_used_at > first_use


def test_a_wrong_secret_notes_no_use(acme: Project) -> None:
    row, key = create_api_key(project=acme, name="app", permissions=["read"])

    principal_of(key + "x")

    row.refresh_from_db()
    assert row.last_used_at is None


def test_a_new_pepper_signs_new_keys_and_old_keys_live_on(acme: Project, settings) -> None:
    settings.API_KEY_PEPPERS = {1: "old pepper"}
    old_row, old_key = create_api_key(project=acme, name="old", permissions=["read"])

    settings.API_KEY_PEPPERS = {1: "old pepper", 2: "new pepper"}
    new_row, new_key = create_api_key(project=acme, name="new", permissions=["read"])

    assert (old_row.pepper_number, new_row.pepper_number) == (1, 2)
    assert principal_of(old_key).name == "old"
    assert principal_of(new_key).name == "new"
    settings.API_KEY_PEPPERS = {2: "new pepper"}
    assert principal_of(old_key) is None
    assert principal_of(new_key).name == "new"
