"""`manage.py seal_ledger`: the hourly job, for whoever runs no beat or doesn't want to wait for it."""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.errors import Unavailable
from metering.progress import Progress
from metering.sealing.seal_checking import unsealed
from metering.sealing.seals import seal_ledger

EPILOG = """
examples:
  manage.py seal_ledger
  manage.py seal_ledger | tail -n 1     the head alone, to be kept elsewhere

Closes what was recorded since the last seal, in segments of at most a million rows, and prints the head of
the chain. Kept where those who run the database can't reach it, the head shows later that the end of the
ledger was cut off; everything else is found without it. Recording goes on meanwhile. Interrupted or killed at
any moment and started again, it goes on after the last whole segment; two at once do the work once.

Exit status 0 when everything is sealed, also where nothing was new; 130 when interrupted, 1 otherwise.
"""


class Command(BaseCommand):
    """Edge."""

    help = "Seal everything recorded since the last seal, and print the head of the chain."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with Progress(self.stdout, "Sealing", total=unsealed().row_count) as progress:
                sealing = seal_ledger(on_progress=progress.at)
                if sealing.seal_count:
                    rows = "row" if sealing.row_count == 1 else "rows"
                    seals = "seal" if sealing.seal_count == 1 else "seals"
                    progress.say(
                        f"{sealing.row_count:,} {rows} under {sealing.seal_count:,} new {seals}"
                        f" in {sealing.seconds:.1f} s."
                    )
        except Unavailable as error:
            raise CommandError(f"{error} Seals made before stand; start it again.") from error
        except KeyboardInterrupt:
            words = "Interrupted. Seals made before stand; start it again."
            raise CommandError(words, returncode=130) from None
        if sealing.head is None:
            self.stdout.write("Nothing was recorded yet; there is nothing to seal.")
            return
        if not sealing.seal_count:
            self.stdout.write("Nothing was recorded since the last seal.")
        self.stdout.write(sealing.head)
