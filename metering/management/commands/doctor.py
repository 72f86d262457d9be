"""`manage.py doctor`: whether this installation is in order, and putting the ledger's guards back."""

import datetime as dt
import json
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Min

from metering.clock import database_now
from metering.grants import grant_application_role
from metering.guards import GUARDED_TABLES, fix_guards, guard_breaches, guarded_tables, right_breaches
from metering.models import CatalogueVersion, Heartbeat, PendingContribution
from metering.rolling_up.rollups import HEARTBEAT
from metering.verifying.verification import last_verification

REDIS_SECONDS = 3.0
# The tick runs every few seconds; contributions that wait this long wait for nobody.
LONGEST_WAIT = dt.timedelta(minutes=5)
VERIFICATION_IS_OLD_AFTER = dt.timedelta(hours=49)
EPILOG = """
examples:
  manage.py doctor
  manage.py doctor --json
  manage.py doctor --fix-guards     after a restore: put triggers and grants of the ledger back

Exit status 0 when nothing failed (warnings allowed), 1 otherwise. manage.py connects it as the owner,
OWNER_DATABASE_URL.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `hint` says what to do about it."""

    check: str
    status: Literal["ok", "warning", "failed"]
    detail: str
    hint: str = ""


class Command(BaseCommand):
    """Edge: asks, and renders findings."""

    help = "Check database, migrations, guards and rights, the tick, the last verification and Redis."
    requires_system_checks: list[str] = []  # they would stop it where it is needed

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--fix-guards",
            action="store_true",
            help="first restore the ledger's triggers and the application role's grants; needs the owner",
        )
        parser.add_argument("--json", action="store_true", help="print a JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["fix_guards"]:
            self.fix(quiet=options["json"])
        findings = [*_database_findings(), _redis_finding()]
        failed_count = sum(finding.status == "failed" for finding in findings)
        if options["json"]:
            report = {"healthy": not failed_count, "checks": [asdict(finding) for finding in findings]}
            self.stdout.write(json.dumps(report, indent=2))
        else:
            self.show(findings)
        if failed_count:
            noun = "check" if failed_count == 1 else "checks"
            raise CommandError(f"{failed_count} {noun} failed.")

    def fix(self, *, quiet: bool) -> None:
        """Triggers and grants together or not at all."""
        try:
            with transaction.atomic():
                fix_guards()
                granted = grant_application_role()
        except DatabaseError as error:
            raise CommandError(
                f"The guards can't be put back: {_first_line(error)}. It takes the owner of the tables"
                " (OWNER_DATABASE_URL), after migrate."
            ) from error
        if not quiet:
            self.stdout.write("Guards of the ledger put back.")
            if not granted:
                self.stdout.write(
                    f"The role {settings.APPLICATION_ROLE} is missing and this user may not create it."
                )

    def show(self, findings: list[Finding]) -> None:
        styles: dict[str, Callable[[str], str]] = {
            "ok": self.style.SUCCESS,
            "warning": self.style.WARNING,
            "failed": self.style.ERROR,
        }
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            status = styles[finding.status](finding.status.ljust(7))
            self.stdout.write(f"{status}  {finding.check.ljust(width)}  {finding.detail}")
            if finding.hint:
                self.stdout.write(f"{' ' * (11 + width)}{finding.hint}")


def _database_findings() -> Iterator[Finding]:
    """What the database says; where an early question fails, later ones aren't asked."""
    check = "database"
    try:
        yield _connection_finding()
        check = "migrations"
        finding = _migrations_finding()
        yield finding
        if finding.status == "failed":
            return
        check = "guards"
        yield from _breach_findings(check, "all triggers in place and ALWAYS", guard_breaches())
        check = "rights"
        role = _application_role()
        yield from _breach_findings(
            check, f"{role} may only read the ledger and add to it", right_breaches(role)
        )
        check = "version row"
        yield _version_finding()
        check = "tick"
        yield _tick_finding()
        check = "verification"
        yield _verification_finding()
    except DatabaseError as error:
        yield Finding(check, "failed", _first_line(error), "Is the server up, and OWNER_DATABASE_URL right?")


def _connection_finding() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version'), current_database(), current_user")
        version, database, user = cursor.fetchone()
    return Finding("database", "ok", f"PostgreSQL {version}, database {database}, connected as {user}")


def _migrations_finding() -> Finding:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:3])
        more = f" and {len(plan) - 3} more" if len(plan) > 3 else ""
        return Finding("migrations", "failed", f"not applied: {names}{more}", "Run `manage.py migrate`.")
    there = guarded_tables()
    missing = [guarded.words for guarded in GUARDED_TABLES if guarded not in there]
    if missing:
        return Finding(
            "migrations", "failed", f"applied by the book, but there is no table of {', '.join(missing)}"
        )
    return Finding("migrations", "ok", "all applied")


def _breach_findings(check: str, praise: str, breaches: list[Any]) -> Iterator[Finding]:
    for breach in breaches:
        yield Finding(check, "failed", breach.what, breach.hint)
    if not breaches:
        yield Finding(check, "ok", praise)


def _application_role() -> str:
    """The role that web and workers connect as."""
    name = urlsplit(settings.DATABASE_URL).username
    return unquote(name) if name else str(settings.APPLICATION_ROLE)


def _version_finding() -> Finding:
    row = CatalogueVersion.objects.filter(pk=1).first()
    if row is None:
        hint = "Run `manage.py migrate`: it adds the row."
        return Finding("version row", "failed", "missing; nothing can be recorded", hint)
    return Finding("version row", "ok", f"definitions and rules at version {row.version}")


def _tick_finding() -> Finding:
    now = database_now()
    heartbeat = Heartbeat.objects.filter(job=HEARTBEAT).first()
    waiting_since = PendingContribution.objects.aggregate(since=Min("created_at"))["since"]
    last = "never ran" if heartbeat is None else f"last ran {_seconds(now - heartbeat.finished_at)} s ago"
    hint = "Are beat and a worker running, and is the job enabled? `manage.py roll_up` does it once."
    if waiting_since is not None and now - waiting_since > LONGEST_WAIT:
        waiting = _seconds(now - waiting_since)
        return Finding("tick", "failed", f"{last}; usage waits since {waiting} s", hint)
    if heartbeat is None or now - heartbeat.finished_at > LONGEST_WAIT:
        return Finding("tick", "warning", f"{last}; nothing waits for it", hint)
    return Finding("tick", "ok", last)


def _verification_finding() -> Finding:
    """What the last verification of everything said. It is nightly; two nights without one are too many."""
    check, hint = "verification", "`manage.py verify` does it now; the nightly job is “Verify everything”."
    run = last_verification()
    if run is None or run.finished_at is None:
        return Finding(check, "warning", "nothing was verified yet", hint)
    when = f"{run.finished_at:%Y-%m-%d %H:%M} UTC"
    if run.state == run.State.FAILED:
        breaches = "breach" if run.breach_count == 1 else "breaches"
        detail = f"failed at {when} with {run.breach_count:,} {breaches}: {run.summary}"
        return Finding(check, "failed", detail, "The page Verifications of the admin has all of them.")
    if database_now() - run.finished_at > VERIFICATION_IS_OLD_AFTER:
        return Finding(check, "warning", f"last passed at {when}", hint)
    return Finding(check, "ok", f"passed at {when}, up to position {run.position or 0:,}")


def _seconds(duration: dt.timedelta) -> str:
    return f"{max(0, round(duration.total_seconds())):,}"


def _redis_finding() -> Finding:
    parts = urlsplit(settings.REDIS_URL)
    place = f"{parts.hostname}:{parts.port}" if parts.hostname else parts.path  # never the password
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=REDIS_SECONDS, socket_timeout=REDIS_SECONDS
        ) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        hint = "Is the server up, and REDIS_URL right? Recording and reading go on without it."
        return Finding("redis", "failed", f"{place}: {_first_line(error)}", hint)
    return Finding("redis", "ok", f"answers at {place}")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
