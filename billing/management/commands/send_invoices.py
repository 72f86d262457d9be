"""`manage.py send_invoices`: post the mails of issued documents, for whoever runs no beat."""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.documents import dispatching
from billing.models import InvoiceDispatch
from metering.clock import database_now
from metering.progress import Progress

EPILOG = """
examples:
  manage.py send_invoices
  manage.py send_invoices --look-for-addresses && manage.py send_mail

Posts the mail of each issued invoice and credit note, with PDF and CSV; sending the mails is another job. One
that can't be made is tried again later and holds up no other. Each is posted once, however many of these run
and wherever they are killed. Documents of accounts without addresses stay where they are, until somebody asks
to look for addresses.

exit status: 0 everything that was due was posted, or nothing was; 1 something failed (see the admin)
"""


class Command(BaseCommand):
    """Edge."""

    help = "Post the mails of issued invoices and credit notes."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--seconds",
            type=float,
            default=50.0,
            metavar="N",
            help="begin nothing new after that (default: 50)",
        )
        parser.add_argument(
            "--look-for-addresses",
            action="store_true",
            help="also post what had nowhere to go, where the account has addresses now",
        )

    def handle(self, *args: Any, seconds: float, look_for_addresses: bool, **options: Any) -> None:
        if look_for_addresses:
            self.stdout.write(f"{dispatching.look_for_addresses():,} have addresses now.")
        due = InvoiceDispatch.objects.filter(state=InvoiceDispatch.State.DUE)
        with Progress(self.stdout, "Posting", total=due.count()) as progress:
            done = dispatching.post_due(now=database_now(), patience_seconds=seconds, on_progress=progress.at)
            progress.say(
                f"{done.posted_count:,} posted, {done.no_address_count:,} without address."
                if done.count
                else "Nothing was due."
            )
        left_count = due.count()
        if left_count:
            self.stdout.write(f"{left_count:,} wait for their next attempt.")
        if done.failed_count:
            raise CommandError(f"{done.failed_count:,} could not be made.", returncode=1)
