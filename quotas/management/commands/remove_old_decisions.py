"""`manage.py remove_old_decisions`: the nightly job, for whoever runs no beat or wants room now."""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from quotas.decisions import remove_old_decisions

EPILOG = """
examples:
  manage.py remove_old_decisions
  manage.py remove_old_decisions --days 30

Removes decisions of quotas whose last repeat is older than QUOTA_DECISIONS_KEPT_DAYS, in chunks: interrupted
or killed at any moment and started again, it goes on where it was. Usage isn't touched.

Exit status 0 when nothing older is left; 1 otherwise.
"""


class Command(BaseCommand):
    """Edge."""

    help = "Remove the account of old denials and warnings of quotas."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days", type=int, default=settings.QUOTA_DECISIONS_KEPT_DAYS, help="keep so many days"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < 1:
            raise CommandError("Keep at least one day.")
        count = remove_old_decisions(days=options["days"])
        self.stdout.write(f"{count:,} decisions removed." if count != 1 else "1 decision removed.")
