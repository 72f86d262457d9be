"""What seals are made of: the same bytes by other means, in any session, after a dump."""

import datetime as dt
import hashlib
import hmac
from decimal import Decimal

import pytest
from django.conf import settings as django_settings
from django.db import connection

from metering.models import LedgerSeal, Project, UsageEvent
from metering.sealing.canonical_rows import canonical_sql, row_digest_sql
from metering.sealing.seals import seal_ledger, sealed_head
from tests.metering.sealing.sealed_ledger import (
    an_empty_ledger,
    execute,
    found,
    with_rows,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Project:
    return an_empty_ledger()


def canonical_by_python(event: UsageEvent, labels_text: str) -> bytes:
    """`canonical_rows.py` once more, from what Django reads."""

    def text(value: str) -> str:
        return f"{len(value)}:{value}"

    def number(value: Decimal | None) -> str:
        if value is None:
            return "-"
        digits = format(value, "f")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits

    def microseconds(instant: dt.datetime) -> str:
        return str((instant - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1))

    return "|".join(
        (
            "mbr1",
            str(event.id),
            str(event.project_id),
            str(event.billing_scope_id),
            "-" if event.surface_id is None else str(event.surface_id),
            text(event.source),
            text(event.event_id),
            text(event.event_name),
            text(event.subject_type),
            text(event.subject_id),
            number(event.quantity),
            text(labels_text),
            microseconds(event.occurred_at),
            microseconds(event.recorded_at),
            text(event.kind),
            "-" if event.voids is None else str(event.voids),
            bytes(event.digest).hex(),
        )
    ).encode()


ODD_VALUES = """
    INSERT INTO metering_usageevent (project_id, billing_scope_id, source, event_id, event_name, subject_type,
           subject_id, quantity, labels, occurred_at, kind, voids, digest)
    SELECT p.id, p.id, v.* FROM metering_project p, (VALUES
        ('a|b', '5:x', 'ünïcödé 😀', '', '', NULL::numeric, '{}'::jsonb, '1970-01-01Z'::timestamptz,
         'usage', NULL::bigint, '\\x'::bytea),
        ('a', 'b|5:x', 'tokens', 'new' || chr(10) || 'line', '"quoted"', 0.000000000001,
         '{"bb": 1.50, "a": [true, null, 1e3], "z": {"ü": "\\u0001\\""}}', '2024-02-29T23:59:59.999999Z',
         'usage', NULL, '\\x00ff'),
        ('meterbook:void', '1', 'tokens', '', '', 99999999999999999999999999.999999999999, '{"n": -0.0}',
         '9999-12-31T23:59:59Z', 'void', 1, '\\x01'),
        ('api', 'zeros', 'tokens', '', '', 1200.500000000000, '{}', '2024-05-15T14:00:00+02:00',
         'usage', NULL, '\\x01')
    ) AS v WHERE p.key = 'acme'
"""


def test_seal_is_what_python_computes_from_the_rows(acme: Project) -> None:
    execute(ODD_VALUES)
    with_rows(1, 1_500)

    seal_ledger()

    texts = dict(execute("SELECT id, labels::text FROM metering_usageevent"))
    digests = [
        hashlib.sha256(canonical_by_python(event, texts[event.id])).digest()
        for event in UsageEvent.objects.order_by("id")
    ]
    assert len(digests) == 1504
    leaves = [
        (1, 1, 1000, 1000, hashlib.sha256(b"".join(digests[:1000])).hexdigest()),
        (2, 1001, 1504, 504, hashlib.sha256(b"".join(digests[1000:])).hexdigest()),
    ]
    lines = "".join("|".join(map(str, leaf)) + "\n" for leaf in leaves)
    seal = LedgerSeal.objects.get()
    sealed_at = (seal.sealed_at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    signed = f"mbs1|1|0|1504|1504|2|{hashlib.sha256(lines.encode()).hexdigest()}|{sealed_at}|1|" + "00" * 32
    mac = hmac.digest(django_settings.SEAL_KEYS[1].encode(), signed.encode(), "sha256")
    assert bytes(seal.mac) == mac
    assert sealed_head() == f"mbs1:1:1504:{mac.hex()}"


def test_every_column_of_the_ledger_is_sealed() -> None:
    columns = {field.column for field in UsageEvent._meta.concrete_fields}

    text = canonical_sql("e")

    assert {column for column in columns if f"e.{column}" not in text} == set()
    assert len(columns) == 16


@pytest.mark.parametrize(
    "setting",
    [
        "TimeZone = 'Asia/Kathmandu'",
        "DateStyle = 'German, DMY'",
        "bytea_output = 'escape'",
        "extra_float_digits = -15",
        "IntervalStyle = 'sql_standard'",
        "lc_numeric = 'C'",
        "lc_monetary = 'C'",
        "search_path = public, pg_catalog",
    ],
)
def test_settings_of_a_session_change_no_digest(acme: Project, setting: str) -> None:
    execute(ODD_VALUES)
    question = f"SELECT id, {row_digest_sql('e')} FROM metering_usageevent e ORDER BY id"
    before = execute(question)
    seal_ledger()

    execute(f"SET LOCAL {setting}")

    assert len(before) == 4
    assert execute(question) == before
    assert found() == []


def test_row_as_text_changes_with_the_session(acme: Project) -> None:
    # Negative control: what canonical rows are for.
    execute(ODD_VALUES)
    question = "SELECT sha256(e::text::bytea) FROM metering_usageevent e WHERE e.event_id = 'zeros'"
    before = execute(question)

    execute("SET LOCAL TimeZone = 'Asia/Kathmandu'")

    assert execute(question) != before


def test_dumped_and_restored_rows_have_the_same_digests(acme: Project) -> None:
    execute(ODD_VALUES)
    with_rows(1, 50)
    question = f"SELECT id, {row_digest_sql('e')} FROM {{}} e ORDER BY id"
    before = execute(question.format("metering_usageevent"))
    # Columns in another physical order, values by way of text, read in another zone than they were written.
    names = sorted(field.column for field in UsageEvent._meta.concrete_fields)
    listed = ", ".join(names)
    execute(f"CREATE TEMPORARY TABLE restored AS SELECT {listed} FROM metering_usageevent WITH NO DATA")
    execute("SET LOCAL TimeZone = 'America/St_Johns'")
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY (SELECT {listed} FROM metering_usageevent) TO STDOUT") as copy:
            dump = b"".join(bytes(piece) for piece in copy)
        execute("SET LOCAL TimeZone = 'Asia/Tokyo'")
        with cursor.copy(f"COPY restored ({listed}) FROM STDIN") as copy:
            copy.write(dump)

    assert len(before) == 54
    assert execute(question.format("restored")) == before
