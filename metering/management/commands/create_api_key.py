"""`manage.py create_api_key`: a credential for an application, shown once."""

import json
from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.errors import Invalid
from metering.keys import create_api_key
from metering.models import ApiKey, Project
from metering.texts.timestamps import NotAnInstant, instant_from, iso

EPILOG = """
permissions:
  ingest     send usage
  read       read usage, metrics and projects
  manage     define projects, metrics and quotas
  backfill   record what belongs to closed periods

examples:
  manage.py create_api_key --project alder --name "billing export" --permission read
  manage.py create_api_key --project alder-chat --name gateway --permission ingest --permission read \\
      --expires-at 2027-01-01T00:00:00Z --json

The key sees its project and everything below. Only a hash of it is stored: it can't be shown again.
"""


class Command(BaseCommand):
    """Edge."""

    help = "Make an API key and print it, once."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, metavar="KEY", help="key of the project")
        parser.add_argument("--name", required=True, help="which application will hold it")
        parser.add_argument(
            "--permission",
            dest="permissions",
            action="append",
            required=True,
            choices=ApiKey.Permission.values,
            help="may be repeated",
        )
        parser.add_argument("--expires-at", metavar="TIME", help="RFC 3339 (default: never)")
        parser.add_argument("--json", action="store_true", help="print a JSON object instead of sentences")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(key=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project '{options['project']}'.")
        try:
            expires_at = instant_from(options["expires_at"]) if options["expires_at"] else None
            row, key = create_api_key(
                project=project,
                name=options["name"],
                permissions=options["permissions"],
                expires_at=expires_at,
            )
        except NotAnInstant as error:
            raise CommandError(f"--expires-at: {error}.") from None
        except Invalid as error:
            raise CommandError(str(error)) from error
        expiry = iso(row.expires_at) if row.expires_at else None
        if options["json"]:
            facts = {
                "api_key": key,
                "prefix": row.shown_prefix,
                "project": project.key,
                "name": row.name,
                "permissions": row.permissions,
                "expires_at": expiry,
            }
            self.stdout.write(json.dumps(facts, indent=2))
            return
        self.stdout.write(key)
        self.stdout.write(
            f"Key of {project.key} for {row.name}: may {', '.join(row.permissions)};"
            f" {'expires ' + expiry if expiry else 'never expires'}. Keep it; it can't be shown again."
        )
