"""Whether the ledger's guards are in place, and putting them back."""

from dataclasses import dataclass

from django.db import connection

LEDGER = "metering_usageevent"

# trigger: (timing and events, level)
GUARDS = {
    "usage_event_refuses_change": ("BEFORE UPDATE OR DELETE", "ROW"),
    "usage_event_refuses_truncate": ("BEFORE TRUNCATE", "STATEMENT"),
}
_STAMP = "usage_event_is_stamped"

# As migration 0002 made it; a guard whose function was emptied is no guard.
_FUNCTION = "metering_refuse_ledger_change"
_FUNCTION_BODY = """
BEGIN
    RAISE EXCEPTION 'The ledger is append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              CONSTRAINT = 'usage_event_is_append_only',
              TABLE = TG_TABLE_NAME,
              HINT = 'Record a void and, if need be, a new event.';
END
"""
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


def guard_breaches() -> list[Breach]:
    """Every guard trigger of the ledger that is missing, not ALWAYS, or not what it should be."""
    with connection.cursor() as cursor:
        cursor.execute(_TRIGGERS, [LEDGER])
        found = {
            name: (enabled, function, definition) for name, enabled, function, definition in cursor.fetchall()
        }
    breaches = []
    hint = "Run `manage.py doctor --fix-guards` as the owner."
    for name, (events, level) in GUARDS.items():
        if name not in found:
            breaches.append(Breach(f"The ledger's guard '{name}' is missing.", hint))
            continue
        enabled, function, definition = found[name]
        if enabled != "A":
            breaches.append(Breach(f"The ledger's guard '{name}' isn't ENABLE ALWAYS.", hint))
        wanted = set(events.removeprefix("BEFORE ").split(" OR "))
        spelt = (
            set(definition.split(" BEFORE ")[1].split(" ON ")[0].split(" OR "))
            if " BEFORE " in definition
            else set()
        )
        if (
            function != _FUNCTION
            or spelt != wanted
            or f"FOR EACH {level}" not in definition
            or " WHEN (" in definition
        ):
            breaches.append(Breach(f"The ledger's guard '{name}' was altered.", hint))
    with connection.cursor() as cursor:
        cursor.execute(_READ_FUNCTION, [_FUNCTION])
        bodies = [row[0].strip() for row in cursor.fetchall()]
    if bodies != [_FUNCTION_BODY.strip()]:
        breaches.append(Breach("The function behind the ledger's guards was altered.", hint))
    if _STAMP not in found:
        breaches.append(Breach("The trigger that stamps recorded_at is missing.", hint))
    elif found[_STAMP][0] == "D":
        breaches.append(Breach("The trigger that stamps recorded_at is disabled.", hint))
    return breaches


def right_breaches(role: str) -> list[Breach]:
    """What `role` may do to the ledger that the application must not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", [role])
        if not cursor.fetchone()[0]:
            return [
                Breach(f"The role '{role}' doesn't exist.", "Run migrate as a user who may create roles.")
            ]
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone()[0]:
            return [Breach(f"'{role}' is a superuser.", "Run the application as a role of its own.")]
        cursor.execute(_RIGHTS, {"role": role, "table": LEDGER})
        may_update, may_delete, may_truncate, owns = cursor.fetchone()
    if owns:
        return [
            Breach(
                f"'{role}' owns the ledger.",
                "Set OWNER_DATABASE_URL and run the application as another role.",
            )
        ]
    return [
        Breach(f"'{role}' may {word} the ledger.", f"REVOKE {word} ON {LEDGER} FROM {role}.")
        for word, may in (("UPDATE", may_update), ("DELETE", may_delete), ("TRUNCATE", may_truncate))
        if may
    ]


def fix_guards() -> None:
    """Create what is missing and enable every guard ALWAYS. Needs the owner of the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql"
            f" AS $${_FUNCTION_BODY}$$"
        )
        for name, (events, level) in GUARDS.items():
            cursor.execute(f"DROP TRIGGER IF EXISTS {name} ON {LEDGER}")
            cursor.execute(
                f"CREATE TRIGGER {name} {events} ON {LEDGER}"
                f" FOR EACH {level} EXECUTE FUNCTION metering_refuse_ledger_change()"
            )
            cursor.execute(f"ALTER TABLE {LEDGER} ENABLE ALWAYS TRIGGER {name}")
        cursor.execute(f"DROP TRIGGER IF EXISTS {_STAMP} ON {LEDGER}")
        cursor.execute(
            f"CREATE TRIGGER {_STAMP} BEFORE INSERT ON {LEDGER}"
            " FOR EACH ROW EXECUTE FUNCTION metering_stamp_recorded_at()"
        )
