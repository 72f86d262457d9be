"""What is sealed can't change unseen: every way of changing it is found, and its place is named."""

import datetime as dt
import hashlib
import hmac
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core import mail
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from metering import seal_mail, seals, tasks
from metering.canonical_rows import canonical_sql, row_digest_sql
from metering.errors import Invalid
from metering.models import Fence, Heartbeat, LedgerSeal, Project, SealLeaf, UsageEvent
from metering.seal_chain import Head
from metering.seal_checking import SealBreach, seal_breaches, unsealed
from metering.seals import seal_ledger, sealed_head
from tests.factories import a_project
from tests.metering.api.callers import Caller, assert_problem

pytestmark = pytest.mark.django_db

# Past the verb, whose lock a fence would wait for in a test's own transaction.
ADD_ROWS = """
    INSERT INTO metering_usageevent (project_id, billing_scope_id, source, event_id, event_name, subject_type,
           subject_id, quantity, labels, occurred_at, digest)
    SELECT p.id, p.id, 'api', 'req-' || n, 'tokens', 'customer', 'kim', n * 1.50,
           jsonb_build_object('model', 'large', 'n', n), '2024-05-15T12:00:00.000001Z', sha256(n::text::bytea)
      FROM metering_project p, generate_series(%s, %s) n
     WHERE p.key = 'acme'
"""
GUARDED = ("metering_usageevent", "metering_ledgerseal", "metering_sealleaf")


def execute(statement: str, *params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def behind_the_guards(*statements: str) -> None:
    """As somebody who owns the database."""
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    for table in GUARDED:
        execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    for statement in statements:
        execute(statement)
    for table in GUARDED:
        execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")


def with_rows(first: int, last: int) -> None:
    execute(ADD_ROWS, first, last)


def found(**options: Any) -> list[tuple[str, int | None, int | None]]:
    return [(breach.code, breach.seal, breach.leaf) for breach in seal_breaches(**options)]


@pytest.fixture
def acme() -> Project:
    """A ledger whose first id is 1."""
    execute("ALTER SEQUENCE metering_usageevent_id_seq RESTART")
    return a_project("acme")


@pytest.fixture
def chain(acme: Project) -> str:
    """2,500 rows, then 1,200, then 30, with gaps between their ids, each under a seal; and 7 that aren't."""
    a_project("other")
    for first, last in ((1, 2_500), (2_501, 3_700), (3_701, 3_730)):
        with_rows(first, last)
        execute("SELECT setval('metering_usageevent_id_seq', %s)", last + 10 * (last // 1000))
        seal_ledger()
    head = sealed_head()
    assert head is not None
    with_rows(3_731, 3_737)
    return head


# -- what a seal says -------------------------------------------------------------------------------------


def test_nothing_recorded_nothing_sealed(acme: Project) -> None:
    sealing = seal_ledger()

    assert (sealing.seal_count, sealing.row_count, sealing.head) == (0, 0, None)
    assert sealed_head() is None
    assert not LedgerSeal.objects.exists()
    assert (unsealed().row_count, unsealed().first_id) == (0, None)
    assert found() == []


def test_seals_tile_the_ledger_and_leaves_hold_a_thousand_rows(chain: str) -> None:
    columns = ("number", "after_position", "position", "row_count", "leaf_count", "key_number")

    assert list(LedgerSeal.objects.order_by("number").values_list(*columns)) == [
        (1, 0, 2520, 2500, 3, 1),
        (2, 2520, 3730, 1200, 2, 1),
        (3, 3730, 3760, 30, 1, 1),
    ]
    columns = ("seal", "number", "first_id", "last_id", "row_count")
    assert list(SealLeaf.objects.order_by("seal", "number").values_list(*columns)) == [
        (1, 1, 1, 1000, 1000),
        (1, 2, 1001, 2000, 1000),
        (1, 3, 2001, 2500, 500),
        (2, 1, 2521, 3520, 1000),
        (2, 2, 3521, 3720, 200),
        (3, 1, 3731, 3760, 30),
    ]
    assert chain == sealed_head() == LedgerSeal.objects.get(number=3).head
    assert chain.startswith("mbs1:3:3760:")


def test_rows_above_the_last_seal_are_a_fact_and_no_breach(chain: str) -> None:
    assert (unsealed().row_count, unsealed().first_id, unsealed().last_id) == (7, 3761, 3767)
    assert found(head=chain) == []


def test_no_seal_when_nothing_new_was_recorded(chain: str) -> None:
    first = seal_ledger()
    # An id that was drawn and rolled back is nothing new.
    execute("SELECT nextval('metering_usageevent_id_seq')")
    second = seal_ledger()

    assert (first.seal_count, first.row_count) == (1, 7)
    assert (second.seal_count, second.row_count, second.head) == (0, 0, first.head)
    assert LedgerSeal.objects.count() == 4


def test_long_ledger_is_sealed_in_segments_and_progress_is_told(acme: Project) -> None:
    with_rows(1, 2_600)
    execute("SELECT setval('metering_usageevent_id_seq', 2700)")
    told: list[int] = []

    sealing = seal_ledger(segment_rows=1_100, on_progress=told.append)

    columns = ("number", "after_position", "position", "row_count", "leaf_count")
    assert list(LedgerSeal.objects.order_by("number").values_list(*columns)) == [
        (1, 0, 1100, 1100, 2),
        (2, 1100, 2200, 1100, 2),
        (3, 2200, 2700, 400, 1),
    ]
    assert (sealing.seal_count, sealing.row_count) == (3, 2600)
    assert told == [1000, 1100, 2100, 2200, 2600]
    assert found() == []


def test_segment_that_is_just_full_is_one_seal(acme: Project) -> None:
    with_rows(1, 1_000)

    assert seal_ledger(segment_rows=1_000).seal_count == 1
    assert seal_ledger(segment_rows=1_000).seal_count == 0
    assert found() == []


def test_more_rows_than_a_statement_reads(acme: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with_rows(1, 4_500)
    monkeypatch.setattr(seals, "BLOCK_ROWS", 2_000)
    monkeypatch.setattr("metering.seal_checking.LEAVES_PER_STATEMENT", 2)
    told: list[int] = []

    seal_ledger()

    assert list(SealLeaf.objects.order_by("number").values_list("number", "row_count")) == [
        (1, 1000),
        (2, 1000),
        (3, 1000),
        (4, 1000),
        (5, 500),
    ]
    assert list(seal_breaches(on_progress=told.append)) == []
    assert told == [2000, 4000, 4500]


def test_out_of_patience_no_further_segment_is_begun(acme: Project) -> None:
    with_rows(1, 10)

    assert seal_ledger(segment_rows=3, patience_seconds=0).seal_count == 0
    assert seal_ledger(segment_rows=3).seal_count == 4


def test_seal_stands_on_a_fence(acme: Project) -> None:
    with_rows(1, 3)

    seal_ledger()

    assert Fence.objects.get().position == LedgerSeal.objects.get().position == 3


# -- the same bytes, computed by other means ---------------------------------------------------------------


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


# -- fault 4: what somebody with the database alone may try ------------------------------------------------

LEAF_2 = "WHERE id BETWEEN 1001 AND 2000"
COLUMNS = """project_id, billing_scope_id, source, 'forged', event_name, subject_type, subject_id, quantity,
             labels, occurred_at, recorded_at, digest"""
FORGED = f"""
    INSERT INTO metering_usageevent (id, project_id, billing_scope_id, source, event_id, event_name,
           subject_type, subject_id, quantity, labels, occurred_at, recorded_at, digest)
    SELECT %s, {COLUMNS} FROM metering_usageevent WHERE id = 1
"""
TAMPERING: dict[str, tuple[str, list[tuple[str, int | None, int | None]]]] = {
    "a quantity": (
        "UPDATE metering_usageevent SET quantity = quantity + 0.000000000001 WHERE id = 1500",
        [("rows_changed", 1, 2)],
    ),
    "a payer": (
        """
        UPDATE metering_usageevent
           SET billing_scope_id = (SELECT id FROM metering_project WHERE key = 'other')
         WHERE id = 2600
        """,
        [("rows_changed", 2, 1)],
    ),
    "a label": (
        """UPDATE metering_usageevent SET labels = labels || '{"model": "small"}' WHERE id = 3731""",
        [("rows_changed", 3, 1)],
    ),
    "a time, by a microsecond": (
        "UPDATE metering_usageevent SET occurred_at = occurred_at + interval '1 microsecond' WHERE id = 1000",
        [("rows_changed", 1, 1)],
    ),
    "the stamp": (
        "UPDATE metering_usageevent SET recorded_at = 'infinity' WHERE id = 1000",
        [("rows_changed", 1, 1)],
    ),
    "a quantity that is no number": (
        "UPDATE metering_usageevent SET quantity = 'NaN' WHERE id = 1000",
        [("rows_changed", 1, 1)],
    ),
    "two rows exchanged": (
        """
        UPDATE metering_usageevent e SET quantity = o.quantity
          FROM metering_usageevent o
         WHERE e.id IN (1, 2) AND o.id = 3 - e.id
        """,
        [("rows_changed", 1, 1)],
    ),
    "an id moved into a gap": (
        "UPDATE metering_usageevent SET id = 2505 WHERE id = 2500",
        [("rows_changed", 1, 3)],
    ),
    "a row deleted": ("DELETE FROM metering_usageevent WHERE id = 1200", [("rows_deleted", 1, 2)]),
    "a leaf of rows deleted": (f"DELETE FROM metering_usageevent {LEAF_2}", [("rows_deleted", 1, 2)]),
    "rows of three leaves deleted": (
        "DELETE FROM metering_usageevent WHERE id IN (1, 2500, 2521)",
        [("rows_deleted", 1, 1), ("rows_deleted", 1, 3), ("rows_deleted", 2, 1)],
    ),
    "all rows deleted": (
        "DELETE FROM metering_usageevent",
        [("rows_deleted", seal, leaf) for seal, leaf in ((1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1))],
    ),
    "a row put into a gap at a segment's end": (FORGED % 2510, [("rows_inserted", 1, 3)]),
    "a row put before the first": (FORGED % 0, [("rows_inserted", 1, 1)]),
    "a row put far below": (FORGED % -(2**63 - 1), [("rows_inserted", 1, 1)]),
    "many rows put into one place": (
        f"""
        INSERT INTO metering_usageevent (id, project_id, billing_scope_id, source, event_id, event_name,
               subject_type, subject_id, quantity, labels, occurred_at, recorded_at, digest)
        SELECT -n, {COLUMNS.replace("'forged'", "'forged-' || n")}
          FROM metering_usageevent, generate_series(1, 2000) n
         WHERE id = 1
        """,
        [("rows_inserted", 1, 1)],
    ),
    "a seal's position": (
        "UPDATE metering_ledgerseal SET position = 3722 WHERE number = 2",
        [("seal_changed", 2, None), ("chain_broken", 3, None)],
    ),
    "a seal's time": (
        "UPDATE metering_ledgerseal SET sealed_at = 'infinity' WHERE number = 2",
        [("seal_changed", 2, None)],
    ),
    "a seal's signature": (
        r"UPDATE metering_ledgerseal SET mac = '\xff' WHERE number = 2",
        [("seal_changed", 2, None), ("chain_broken", 3, None)],
    ),
    "a seal's key": (
        "UPDATE metering_ledgerseal SET key_number = 9 WHERE number = 2",
        [("key_unknown", 2, None)],
    ),
    "a leaf's digest": (
        "UPDATE metering_sealleaf SET digest = sha256('') WHERE seal_id = 1 AND number = 2",
        [("leaves_changed", 1, None), ("rows_changed", 1, 2)],
    ),
    "a leaf removed": (
        "DELETE FROM metering_sealleaf WHERE seal_id = 1 AND number = 3",
        [("leaves_changed", 1, None), ("rows_inserted", 1, 2)],
    ),
    "seals reordered": (
        """
        UPDATE metering_ledgerseal SET number = 9 WHERE number = 1;
        UPDATE metering_ledgerseal SET number = 1 WHERE number = 2;
        UPDATE metering_ledgerseal SET number = 2 WHERE number = 9
        """,
        [],
    ),
    "a seal removed in the middle": (
        "DELETE FROM metering_sealleaf WHERE seal_id = 2; DELETE FROM metering_ledgerseal WHERE number = 2",
        [("seal_missing", 2, None)],
    ),
    "the first seal removed": (
        "DELETE FROM metering_sealleaf WHERE seal_id = 1; DELETE FROM metering_ledgerseal WHERE number = 1",
        [("seal_missing", 1, None), ("rows_inserted", 2, 1)],
    ),
}


@pytest.mark.parametrize("way", TAMPERING)
def test_tampering_is_found_and_its_place_is_named(chain: str, way: str) -> None:
    statement, expected = TAMPERING[way]
    assert found(head=chain) == []

    behind_the_guards(statement)

    breaches = found()
    if way == "seals reordered":
        assert {("chain_broken", 1), ("seal_changed", 1), ("chain_broken", 2), ("seal_changed", 2)} <= {
            (code, seal) for code, seal, _ in breaches
        }
    else:
        assert breaches == expected


def test_rows_changed_along_with_leaves_and_digest_still_miss_the_signature(chain: str) -> None:
    """Somebody recomputes everything that takes no key."""
    behind_the_guards(
        "UPDATE metering_usageevent SET quantity = 0 WHERE id = 3735",
        f"""
        UPDATE metering_sealleaf SET digest = (
            SELECT sha256(string_agg({row_digest_sql("e")}, ''::bytea ORDER BY e.id))
              FROM metering_usageevent e WHERE e.id BETWEEN 3731 AND 3760
        ) WHERE seal_id = 3
        """,
        """
        UPDATE metering_ledgerseal SET digest = (
            SELECT sha256(convert_to('1|3731|3760|30|' || encode(digest, 'hex') || chr(10), 'UTF8'))
              FROM metering_sealleaf WHERE seal_id = 3
        ) WHERE number = 3
        """,
    )

    assert found() == [("seal_changed", 3, None)]


def test_seal_replayed_as_the_next_is_found(chain: str) -> None:
    behind_the_guards(
        """
        INSERT INTO metering_ledgerseal
        SELECT 4, position, position + 1, row_count, leaf_count, digest, mac, mac, key_number, sealed_at
          FROM metering_ledgerseal WHERE number = 3
        """,
        """
        INSERT INTO metering_sealleaf (seal_id, number, first_id, last_id, row_count, digest)
        SELECT 4, number, first_id, last_id, row_count, digest FROM metering_sealleaf WHERE seal_id = 3
        """,
    )

    assert ("seal_changed", 4, None) in found()


def cut_off(number: int) -> None:
    """The end of the ledger from that seal on, without a trace in the database."""
    behind_the_guards(
        f"""
        DELETE FROM metering_usageevent
         WHERE id > (SELECT after_position FROM metering_ledgerseal WHERE number = {number})
        """,
        f"DELETE FROM metering_sealleaf WHERE seal_id >= {number}",
        f"DELETE FROM metering_ledgerseal WHERE number >= {number}",
    )


def test_end_that_was_cut_off_is_found_by_the_published_head_alone(chain: str) -> None:
    older = LedgerSeal.objects.get(number=2).head

    cut_off(3)

    assert found() == []
    assert found(head=older) == []
    [breach] = seal_breaches(head=chain)
    assert (breach.code, breach.seal) == ("head_missing", 3)
    assert str(breach) == (
        "seal 3: the published head names it, up to id 3,760, but it is missing: the end of the ledger was "
        "cut off, or the head is of another ledger"
    )


def test_end_that_was_cut_off_and_sealed_anew_is_found_by_the_published_head(chain: str) -> None:
    cut_off(3)
    with_rows(5_001, 5_030)
    seal_ledger()

    assert found() == []
    assert found(head=chain) == [("head_differs", 3, None)]


def test_seals_removed_above_rows_leave_them_unsealed(chain: str) -> None:
    behind_the_guards(
        "DELETE FROM metering_sealleaf WHERE seal_id = 3", "DELETE FROM metering_ledgerseal WHERE number = 3"
    )

    assert unsealed().row_count == 37
    assert found(head=chain) == [("head_missing", 3, None)]


@pytest.mark.parametrize("text", ["", "mbs1:1", "mbs2:1:2:" + "0" * 64, "mbs1:-1:2:" + "0" * 64, "x" * 5000])
def test_text_that_is_no_head_is_refused_at_once(acme: Project, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        seal_breaches(head=text)

    assert caught.value.field == "head"


def test_head_is_read_back_from_its_text(chain: str) -> None:
    assert Head.from_text(f"  {chain}\n").text == chain


def test_breach_reads_as_a_sentence_with_its_place() -> None:
    breach = SealBreach("rows_deleted", "1 of 1,000 rows is gone", 4, 7, 12_001, 13_050)

    assert str(breach) == "seal 4, leaf 7, ids 12,001 to 13,050: 1 of 1,000 rows is gone"


# -- keys -------------------------------------------------------------------------------------------------


def test_new_key_signs_and_the_old_one_still_verifies(chain: str, settings: Any) -> None:
    settings.SEAL_KEYS = {**settings.SEAL_KEYS, 2: "another-key"}

    seal_ledger()

    assert list(LedgerSeal.objects.order_by("number").values_list("key_number", flat=True)) == [1, 1, 1, 2]
    assert found() == []
    settings.SEAL_KEYS = {2: "another-key"}
    assert found() == [("key_unknown", number, None) for number in (1, 2, 3)]


def test_other_secret_under_the_same_number_fits_no_seal(chain: str, settings: Any) -> None:
    settings.SEAL_KEYS = {1: "a-guess"}

    assert found() == [("seal_changed", number, None) for number in (1, 2, 3)]


# -- guards -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replica", [False, True], ids=["", "as replica"])
@pytest.mark.parametrize(
    "attempt",
    [
        lambda: LedgerSeal.objects.update(row_count=1),
        lambda: LedgerSeal.objects.get(number=1).delete(),
        lambda: SealLeaf.objects.all().delete(),
        lambda: execute("UPDATE metering_ledgerseal SET mac = mac"),
        lambda: execute("UPDATE metering_sealleaf SET digest = digest"),
        lambda: execute("DELETE FROM metering_sealleaf WHERE seal_id = 3"),
        lambda: execute("TRUNCATE metering_sealleaf"),
        lambda: execute("TRUNCATE metering_ledgerseal CASCADE"),
    ],
)
def test_seals_refuse_change(chain: str, attempt: Callable[[], object], replica: bool) -> None:
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    if replica:
        execute("SET LOCAL session_replication_role = replica")

    # Deleting a seal through Django is refused already for the sake of its leaves.
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        attempt()

    cause = caught.value.__cause__
    assert cause is None or cause.diag.constraint_name == "ledger_seal_is_append_only"
    assert (LedgerSeal.objects.count(), SealLeaf.objects.count()) == (3, 6)
    execute("SET LOCAL session_replication_role = origin")
    assert found(head=chain) == []


# -- edges ------------------------------------------------------------------------------------------------


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
