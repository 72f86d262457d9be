"""`manage.py send_mail`: send the mails that wait, for whoever runs no beat."""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.delivering.mailing import Mails, send_due
from metering.models import OutgoingMail
from metering.progress import Progress

EPILOG = """
examples:
  manage.py send_mail
  manage.py send_mail --seconds 600     go on for ten minutes at most, where much waits

Hands what is due to the mail server of EMAIL_URL; what it did not take is due again later, by and by over
three days. Any number may run at once. Killed at any moment, the mail that was under way is sent again five
minutes later, with the same Message-ID, to those who aren't known to have it.

exit status: 0 everything that was due was sent, or nothing was; 1 something failed (see the admin)
"""


class Command(BaseCommand):
    """Edge."""

    help = "Send the mails that wait."

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

    def handle(self, *args: Any, seconds: float, **options: Any) -> None:
        pending = OutgoingMail.objects.filter(status=OutgoingMail.Status.PENDING)
        with Progress(self.stdout, "Sending", total=pending.count()) as progress:
            done = send_due(patience_seconds=seconds, on_progress=progress.at)
            progress.say(_sentence(done))
        left_count = pending.count()
        if left_count:
            self.stdout.write(f"{left_count:,} wait for their next attempt.")
        if done.failed_count:
            raise CommandError("Not every mail was sent.", returncode=1)


def _sentence(done: Mails) -> str:
    if not done.sent_count and not done.failed_count:
        return "Nothing was due."
    failed = f", {done.failed_count:,} failed" if done.failed_count else ""
    return f"{done.sent_count:,} sent{failed} in {done.seconds:.1f} s."
