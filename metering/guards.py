"""Whether the guards of append-only tables are in place, and putting them back."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

LEDGER = "metering_usageevent"
_STAMP = "usage_event_is_stamped"


@dataclass(frozen=True, slots=True)
class GuardFunction:
    """What the guards of a table call, as its migration made it: emptied, they would guard nothing."""

    name: str
    body: str


@dataclass(frozen=True, slots=True)
class GuardedTable:
    """A table whose rows are only ever added. `words` name it in sentences: "the ledger"."""

    table: str
    words: str
    prefix: str  # of its triggers' names
    function: GuardFunction

    @property
    def whose(self) -> str:
        return f"{self.words}'" if self.words.endswith("s") else f"{self.words}'s"

    @property
    def truncate_guard(self) -> str:
        return f"{self.prefix}_refuses_truncate"

    @property
    def guards(self) -> dict[str, tuple[str, str]]:
        """Trigger: (timing and events, level)."""
        return {
            f"{self.prefix}_refuses_change": ("BEFORE UPDATE OR DELETE", "ROW"),
            self.truncate_guard: ("BEFORE TRUNCATE", "STATEMENT"),
        }


@dataclass(frozen=True, slots=True)
class RowGuard:
    """A trigger of a table whose rows may change, but not all of them and not in every way.

    Apps name theirs in the setting `ROW_GUARDS`, by the dotted path of a sequence.
    """

    table: str
    trigger: str
    events: str  # timing and events, as in "BEFORE UPDATE OR DELETE"
    function: GuardFunction
    words: str
    level: str = "ROW"
    is_always: bool = True  # not for one that a replica must pass when it copies rows

    @property
    def whose(self) -> str:
        return f"{self.words}'" if self.words.endswith("s") else f"{self.words}'s"


# Migration 0002.
_REFUSE_LEDGER_CHANGE = GuardFunction(
    "metering_refuse_ledger_change",
    """
BEGIN
    RAISE EXCEPTION 'The ledger is append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'usage_event_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'Record a void and, if need be, a new event.';
END
""",
)
# Migration 0005.
_REFUSE_CORRECTION_CHANGE = GuardFunction(
    "metering_refuse_correction_change",
    """
BEGIN
    RAISE EXCEPTION 'Corrections are append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'correction_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'Who corrected what, and why, stays on record.';
END
""",
)
# Migration 0006.
_REFUSE_SEAL_CHANGE = GuardFunction(
    "metering_refuse_seal_change",
    """
BEGIN
    RAISE EXCEPTION 'Seals are append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'ledger_seal_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'What was sealed stays sealed; `manage.py seal_ledger` adds to it.';
END
""",
)
# Migration 0005 of quotas.
_REFUSE_HOLD_CHANGE = GuardFunction(
    "quotas_refuse_hold_change",
    """
BEGIN
    RAISE EXCEPTION 'Holds are append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'quota_hold_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'End a hold by using or releasing it.';
END
""",
)
# Migration 0006 of quotas.
_REFUSE_HISTORY_CHANGE = GuardFunction(
    "quotas_refuse_history_change",
    """
BEGIN
    RAISE EXCEPTION 'The history of quotas is append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'quota_history_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'Who changed what, and why, stays on record.';
END
""",
)
# Migration 0015.
_REFUSE_CONFIGURATION_CHANGE = GuardFunction(
    "metering_refuse_history_change",
    """
BEGIN
    RAISE EXCEPTION 'The history of configuration is append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'history_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'Who changed what, and why, stays on record.';
END
""",
)
# What each of them keeps, by its table.
_HISTORIES = {
    "metering_projectchange": "projects",
    "metering_surfacechange": "surfaces",
    "metering_rulechange": "attribution rules",
    "metering_metricchange": "metrics",
    "metering_apikeychange": "API keys",
    "metering_endpointchange": "webhook endpoints",
    "billing_planchange": "plans",
    "billing_pricechange": "prices",
    "billing_accountchange": "billing accounts",
    "billing_subscriptionchange": "subscriptions",
    "billing_sellerchange": "the seller",
    "billing_serieschange": "number series",
    "config_staffchange": "users",
    "config_groupchange": "groups",
    "config_membershipchange": "memberships",
    "config_staffrightchange": "users' rights",
    "config_grouprightchange": "groups' rights",
    "config_jobchange": "jobs",
    "config_intervalchange": "intervals",
    "config_crontabchange": "calendar times",
}
# Migration 0002 of billing.
_REFUSE_SETTLEMENT_CHANGE = GuardFunction(
    "billing_refuse_settlement_change",
    """
BEGIN
    RAISE EXCEPTION 'Payments and credit are append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'settlement_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'Record a row that takes it back.';
END
""",
)
GUARDED_TABLES = (
    GuardedTable(LEDGER, "the ledger", "usage_event", _REFUSE_LEDGER_CHANGE),
    GuardedTable("metering_correction", "the corrections", "correction", _REFUSE_CORRECTION_CHANGE),
    GuardedTable("metering_ledgerseal", "the seals", "ledger_seal", _REFUSE_SEAL_CHANGE),
    GuardedTable("metering_sealleaf", "the seal leaves", "seal_leaf", _REFUSE_SEAL_CHANGE),
    GuardedTable("quotas_quotahold", "the holds", "quota_hold", _REFUSE_HOLD_CHANGE),
    GuardedTable("quotas_quotaholdshare", "the holds' shares", "hold_share", _REFUSE_HOLD_CHANGE),
    GuardedTable("quotas_quotaholdending", "the holds' endings", "hold_ending", _REFUSE_HOLD_CHANGE),
    GuardedTable("quotas_quotachange", "the history of quotas", "quota_change", _REFUSE_HISTORY_CHANGE),
    GuardedTable(
        "quotas_overridechange", "the history of temporary limits", "override_change", _REFUSE_HISTORY_CHANGE
    ),
    GuardedTable(
        "quotas_thresholdchange", "the history of thresholds", "threshold_change", _REFUSE_HISTORY_CHANGE
    ),
    *(
        GuardedTable(table, f"the history of {words}", table.partition("_")[2], _REFUSE_CONFIGURATION_CHANGE)
        for table, words in _HISTORIES.items()
    ),
    GuardedTable("billing_payment", "the payments", "payment", _REFUSE_SETTLEMENT_CHANGE),
    GuardedTable("billing_creditgrant", "the credit grants", "credit_grant", _REFUSE_SETTLEMENT_CHANGE),
    GuardedTable("billing_creditentry", "the credit entries", "credit_entry", _REFUSE_SETTLEMENT_CHANGE),
)
_FIX = "Run `manage.py doctor --fix-guards` as the owner."
_READ_FUNCTION = (
    "SELECT prosrc FROM pg_proc WHERE proname = %s AND pronamespace = current_schema()::regnamespace"
)

_TRIGGERS = """
    SELECT tgname, tgenabled::text, p.proname, pg_get_triggerdef(t.oid)
      FROM pg_trigger t
      JOIN pg_proc p ON p.oid = t.tgfoid
     WHERE tgrelid = to_regclass(%s)
       AND NOT tgisinternal
"""
_RIGHTS = """
    SELECT has_any_column_privilege(%(role)s, %(table)s, 'UPDATE'),
           has_table_privilege(%(role)s, %(table)s, 'DELETE'),
           has_table_privilege(%(role)s, %(table)s, 'TRUNCATE'),
           pg_has_role(%(role)s, (SELECT relowner FROM pg_class WHERE oid = to_regclass(%(table)s)), 'MEMBER')
"""


@dataclass(frozen=True, slots=True)
class Breach:
    """One guard that is missing or weakened, and what to do."""

    what: str
    hint: str


def ledger_exists() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [LEDGER])
        return bool(cursor.fetchone()[0])


def guarded_tables() -> list[GuardedTable]:
    """Those that exist: before their migration there is nothing to guard."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t FROM unnest(%s::text[]) t WHERE to_regclass(t) IS NOT NULL",
            [[guarded.table for guarded in GUARDED_TABLES]],
        )
        names = {name for (name,) in cursor.fetchall()}
    return [guarded for guarded in GUARDED_TABLES if guarded.table in names]


def row_guards() -> list[RowGuard]:
    """Those of all apps, whose tables exist."""
    found = [guard for path in settings.ROW_GUARDS for guard in import_string(path)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t FROM unnest(%s::text[]) t WHERE to_regclass(t) IS NOT NULL",
            [list({guard.table for guard in found})],
        )
        tables = {name for (name,) in cursor.fetchall()}
    return [guard for guard in found if guard.table in tables]


def trigger_states() -> list[tuple[str, str, str]]:
    """(table, trigger, how it may be enabled) of every guard, whether its table exists or not."""
    found = [guard for path in settings.ROW_GUARDS for guard in import_string(path)]
    return [
        (guard.table, guard.trigger, "A" if guard.is_always else "AO")
        for guard in (*_guards_of_tables(), *found)
    ]


def truncate_guards() -> list[tuple[str, str]]:
    """(table, trigger) of everything that refuses TRUNCATE."""
    return [(guarded.table, guarded.truncate_guard) for guarded in guarded_tables()] + [
        (guard.table, guard.trigger) for guard in row_guards() if "TRUNCATE" in guard.events
    ]


def guard_breaches() -> list[Breach]:
    """Every guard trigger that is missing, not ALWAYS, or not what it should be."""
    breaches: list[Breach] = []
    functions: dict[str, tuple[GuardFunction, str]] = {}
    for guarded in guarded_tables():
        breaches += _trigger_breaches(guarded)
        functions.setdefault(guarded.function.name, (guarded.function, guarded.whose))
    for guard in row_guards():
        breaches += _row_guard_breaches(guard)
        functions.setdefault(guard.function.name, (guard.function, guard.whose))
    for function, whose in functions.values():
        with connection.cursor() as cursor:
            cursor.execute(_READ_FUNCTION, [function.name])
            bodies = [row[0].strip() for row in cursor.fetchall()]
        if bodies != [function.body.strip()]:
            breaches.append(Breach(f"The function behind {whose} guards was altered.", _FIX))
    return [*breaches, *_stamp_breaches()]


def _triggers_of(table: str) -> dict[str, tuple[str, str, str]]:
    """Trigger: (how it is enabled, its function, its definition)."""
    with connection.cursor() as cursor:
        cursor.execute(_TRIGGERS, [table])
        return {
            name: (enabled, function, definition) for name, enabled, function, definition in cursor.fetchall()
        }


def _trigger_breaches(guarded: GuardedTable) -> Iterator[Breach]:
    found = _triggers_of(guarded.table)
    whose = f"T{guarded.whose.removeprefix('t')}"
    for name, (events, level) in guarded.guards.items():
        if name not in found:
            yield Breach(f"{whose} guard '{name}' is missing.", _FIX)
            continue
        enabled, function, definition = found[name]
        if enabled != "A":
            yield Breach(f"{whose} guard '{name}' isn't ENABLE ALWAYS.", _FIX)
        if function != guarded.function.name or not _is_spelt(definition, events, level):
            yield Breach(f"{whose} guard '{name}' was altered.", _FIX)


def _row_guard_breaches(guard: RowGuard) -> Iterator[Breach]:
    whose, name = f"T{guard.whose.removeprefix('t')}", guard.trigger
    found = _triggers_of(guard.table).get(name)
    if found is None:
        yield Breach(f"{whose} guard '{name}' is missing.", _FIX)
        return
    enabled, function, definition = found
    if guard.is_always and enabled != "A":
        yield Breach(f"{whose} guard '{name}' isn't ENABLE ALWAYS.", _FIX)
    elif enabled not in "OA":
        yield Breach(f"{whose} guard '{name}' is disabled.", _FIX)
    if function != guard.function.name or not _is_spelt(definition, guard.events, guard.level):
        yield Breach(f"{whose} guard '{name}' was altered.", _FIX)


def _is_spelt(definition: str, events: str, level: str) -> bool:
    """Whether a trigger fires at what it should, without a condition."""
    wanted = set(events.removeprefix("BEFORE ").split(" OR "))
    spelt = (
        set(definition.split(" BEFORE ")[1].split(" ON ", maxsplit=1)[0].split(" OR "))
        if " BEFORE " in definition
        else set()
    )
    return spelt == wanted and f"FOR EACH {level}" in definition and " WHEN (" not in definition


def _stamp_breaches() -> Iterator[Breach]:
    found = _triggers_of(LEDGER)
    if _STAMP not in found:
        yield Breach("The trigger that stamps recorded_at is missing.", _FIX)
    elif found[_STAMP][0] == "D":
        yield Breach("The trigger that stamps recorded_at is disabled.", _FIX)


def right_breaches(role: str) -> list[Breach]:
    """What `role` may do to guarded tables that the application must not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", [role])
        if not cursor.fetchone()[0]:
            return [
                Breach(f"The role '{role}' doesn't exist.", "Run migrate as a user who may create roles.")
            ]
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone()[0]:
            return [Breach(f"'{role}' is a superuser.", "Run the application as a role of its own.")]
    return [breach for guarded in guarded_tables() for breach in _right_breaches(role, guarded)]


def _right_breaches(role: str, guarded: GuardedTable) -> list[Breach]:
    with connection.cursor() as cursor:
        cursor.execute(_RIGHTS, {"role": role, "table": guarded.table})
        may_update, may_delete, may_truncate, owns = cursor.fetchone()
    if owns:
        return [
            Breach(
                f"'{role}' owns {guarded.words}.",
                "Set OWNER_DATABASE_URL and run the application as another role.",
            )
        ]
    return [
        Breach(f"'{role}' may {word} {guarded.words}.", f"REVOKE {word} ON {guarded.table} FROM {role}.")
        for word, may in (("UPDATE", may_update), ("DELETE", may_delete), ("TRUNCATE", may_truncate))
        if may
    ]


def _guards_of_tables() -> Iterator[RowGuard]:
    """The guards of append-only tables, one by one."""
    for guarded in GUARDED_TABLES:
        for name, (events, level) in guarded.guards.items():
            yield RowGuard(guarded.table, name, events, guarded.function, guarded.words, level)


def fix_guards() -> None:
    """Create what is missing and enable every guard ALWAYS. Needs the owner of the guarded tables."""
    with connection.cursor() as cursor:
        for guard in (*_guards_of_tables(), *row_guards()):
            function, table, name = guard.function, guard.table, guard.trigger
            cursor.execute(
                f"CREATE OR REPLACE FUNCTION {function.name}() RETURNS trigger LANGUAGE plpgsql"
                f" AS $${function.body}$$"
            )
            cursor.execute(f"DROP TRIGGER IF EXISTS {name} ON {table}")
            cursor.execute(
                f"CREATE TRIGGER {name} {guard.events} ON {table}"
                f" FOR EACH {guard.level} EXECUTE FUNCTION {function.name}()"
            )
            if guard.is_always:
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
        cursor.execute(f"DROP TRIGGER IF EXISTS {_STAMP} ON {LEDGER}")
        cursor.execute(
            f"CREATE TRIGGER {_STAMP} BEFORE INSERT ON {LEDGER}"
            " FOR EACH ROW EXECUTE FUNCTION metering_stamp_recorded_at()"
        )
