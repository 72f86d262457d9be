"""`manage.py expire_credits`: enter what is left of expired credit, for whoever doesn't wait for a run."""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from billing.settling.credits import expire_credits
from metering.clock import database_now

EPILOG = """
examples:
  manage.py expire_credits

Credit that has expired can't be drawn, whether this ran or not; this enters it, so that balances say so.
Every billing run does the same first. Killed at any second and started again, it ends in the same state.
"""


class Command(BaseCommand):
    """Edge."""

    help = "Enter what is left of credit grants that have expired."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        count = expire_credits(now=database_now())
        self.stdout.write(f"{count:,} grant{'' if count == 1 else 's'} expired.")
