"""`manage.py run_exports`: make the files that were asked for, for whoever runs no beat."""

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Max

from metering.exporting.exports import remove_old_exports, run_due_exports
from metering.models import Export
from metering.progress import Progress

EPILOG = """
examples:
  manage.py run_exports
  manage.py run_exports --remove-old    and drop files whose days are over

Makes one file after the other; two processes at once do so, further ones find nothing to do. Killed at any
moment, the file that was under way is begun anew by the next run.

exit status: 0 every file that was due is made, or none was; 1 one couldn't be made (see the admin)
"""


class Command(BaseCommand):
    """Edge."""

    help = "Make the files that were asked for."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--remove-old", action="store_true", help="also drop files that were kept for EXPORT_KEPT_DAYS"
        )

    def handle(self, *args: Any, remove_old: bool, **options: Any) -> None:
        waiting = Export.objects.filter(state__in=Export.UNDER_WAY)
        ids = list(waiting.values_list("pk", flat=True))
        with Progress(self.stdout, "Writing rows") as progress:
            done = run_due_exports(on_progress=lambda export: progress.at(export.row_count))
            progress.say(f"{done:,} exports done." if done else "Nothing was due.")
        if remove_old:
            self.stdout.write(f"{remove_old_exports():,} old exports removed.")
        failed = Export.objects.filter(pk__in=ids, state=Export.State.FAILED)
        last = failed.aggregate(last=Max("pk"))["last"]
        if last is not None:
            raise CommandError(f"Export {last}: {failed.get(pk=last).failure}", returncode=1)
