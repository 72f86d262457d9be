"""`manage.py load_demo_bills`: customers, plans and invoices for the usage of the demo."""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.demo.books import keep_books
from metering.clock import database_now
from metering.errors import MeterbookError
from metering.models import Project

EPILOG = """
examples:
  manage.py load_demo && manage.py simulate_usage && manage.py load_demo_bills

Running it again bills what has become due since, and adds nothing twice.
"""


class Command(BaseCommand):
    """Edge."""

    help = "Sell two plans to the projects of the demo, bill their usage, issue and settle some of it."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        if not Project.objects.filter(key="simulated-shop").exists():
            raise CommandError("There is nothing to bill yet; run load_demo and simulate_usage first.")
        try:
            books = keep_books(now=database_now())
        except MeterbookError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Bills: {books.account_count} accounts, {books.issued_count} documents issued,"
            f" {books.draft_count} drafts to review; the ledger was read at position"
            f" {books.run.position:,}."
        )
