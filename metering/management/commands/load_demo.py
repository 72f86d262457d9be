"""`manage.py load_demo`: a small tree with real requests in its ledger, and access to it."""

from argparse import RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from metering.answering.fences import raise_fence
from metering.demo.access import USERNAME, Credential, ensure_api_key, ensure_person, ensure_superuser
from metering.demo.azure_input import ROW_COUNT
from metering.demo.facts import facts_in, text_in, write_facts
from metering.demo.loading import load_azure_input
from metering.demo.tree import ORGANISATIONS, ensure_demo_tree
from metering.errors import MeterbookError
from metering.models import PendingContribution, Project
from metering.progress import Progress
from metering.roles import Role
from metering.rolling_up.rollups import roll_up

EPILOG = """
examples:
  manage.py load_demo                               login and key are printed, once
  manage.py load_demo --facts var/quickstart.json   login and key go into that file, mode 600

Running it again, or after it was killed, completes what is missing and records nothing twice. A password or
key in the file that still works is kept; one that doesn't is replaced.
"""


class Command(BaseCommand):
    """Edge: each step is a verb that may be repeated."""

    help = (
        "Load the demo: a platform with two organisations and five projects, the 19,366 real requests of the "
        "Azure input file, a superuser, a person of each role, and an API key with every permission."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--facts",
            type=Path,
            metavar="FILE",
            help="JSON file for username, password, staff and api_key; its other members are kept",
        )

    def handle(self, *args: Any, facts: Path | None = None, **options: Any) -> None:
        try:
            self.load(facts)
        except MeterbookError as error:
            raise CommandError(str(error)) from error

    def load(self, facts_path: Path | None) -> None:
        if facts_path is not None:
            facts_in(facts_path)  # a file that can't be kept is refused before anything is written
        tenant = ensure_demo_tree()
        self.stdout.write(f"Projects: {tenant.name} with {_organisations()}.")
        self.give_access(tenant, facts_path)
        with Progress(self.stdout, "Recording requests", total=ROW_COUNT) as progress:
            outcomes = load_azure_input(on_progress=progress.at)
            progress.say(
                f"Azure input file: {ROW_COUNT:,} requests, {outcomes['created']:,} recorded now,"
                f" {outcomes['exists']:,} were there."
            )
        with Progress(self.stdout, "Merging", total=PendingContribution.objects.count()) as progress:
            tick = roll_up(on_progress=progress.at)
            progress.say(
                f"Rollups: {tick.merged_count:,} contributions merged; the ledger is final up to position"
                f" {raise_fence().position:,}."
            )

    def give_access(self, tenant: Project, facts_path: Path | None) -> None:
        """The file is replaced before the commit: what it holds after a crash works, or is replaced again."""
        renews = facts_path is not None
        with transaction.atomic():
            facts = facts_in(facts_path) if facts_path else {}
            password = ensure_superuser(known_password=text_in(facts, "password"), renews=renews)
            key = ensure_api_key(tenant, known_key=text_in(facts, "api_key"), renews=renews)
            known = facts.get("staff")
            people = {
                role.value.lower(): ensure_person(
                    role,
                    known_password=text_in(known if isinstance(known, dict) else {}, role.value.lower()),
                    renews=renews,
                )
                for role in Role
            }
            if facts_path is not None:
                facts |= {
                    "username": USERNAME,
                    "password": password.secret,
                    "api_key": key.secret,
                    "staff": {name: person.secret for name, person in people.items()},
                }
                write_facts(facts_path, facts)
        for what, credential, again in (
            (f"Superuser {USERNAME}, password", password, f"manage.py changepassword {USERNAME}"),
            *(
                (f"{name.title()} {name}, password", person, f"manage.py changepassword {name}")
                for name, person in people.items()
            ),
            ("API key", key, "manage.py create_api_key"),
        ):
            self.stdout.write(f"{what}: {_told(credential, facts_path, again)}.")


def _organisations() -> str:
    return " and ".join(
        f"{name} ({len(projects)} projects, {'paid by ' + name if pays else 'each pays for itself'})"
        for name, pays, projects in ORGANISATIONS.values()
    )


def _told(credential: Credential, facts_path: Path | None, again: str) -> str:
    if credential.secret is None:
        return f"made earlier and kept; `{again}` makes another"
    if facts_path is None:
        return credential.secret + " (shown only now)"
    return f"{'new' if credential.is_new else 'kept'}, in {facts_path}"
