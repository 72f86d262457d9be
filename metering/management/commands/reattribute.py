"""`manage.py reattribute`: give past usage the payers of today's rules, after a look at what would move."""

import datetime as dt
import json
import os
from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.attributing.misattribution import ReattributionPreview, reattribution_preview
from metering.attributing.reattribution import Reattribution, reattribute
from metering.errors import MeterbookError
from metering.models import Project
from metering.progress import Progress
from metering.texts.numbers import plain
from metering.texts.timestamps import NotAnInstant, instant_from, iso

EPILOG = """
examples:
  manage.py reattribute alder-chat --from 2026-10-01 --to 2026-11-01
  manage.py reattribute alder-chat --from 2026-10-01 --to 2026-11-01 --reason "contract of 5 November" --apply

Without --apply it only shows what would move: usage of that one project whose recorded payer differs from
what the rules say today for the time when it happened. With it, each such event is voided and recorded again
with the new payer; both stay in the ledger, and the reason with them. Killed at any moment, run it again: it
goes on. Events that a metric would count anew, or no longer, are held back unless --even-if-counts-change.

exit status: 0 done (or nothing to do), 1 wrong arguments, 3 some events could not be recorded again and
keep their payer
"""
LEFT_SOME = 3


class Command(BaseCommand):
    """Edge."""

    help = "Give past usage of a project the payers of today's rules: preview, then void and record again."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", metavar="PROJECT", help="key of the project whose usage is looked at")
        parser.add_argument(
            "--from", dest="start", required=True, metavar="TIME", help="RFC 3339, or a day (UTC)"
        )
        parser.add_argument("--to", dest="end", required=True, metavar="TIME", help="not included")
        parser.add_argument("--reason", default="", help="kept with every void; needed with --apply")
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--dry-run", action="store_true", help="only show what would move (the default)")
        mode.add_argument("--apply", action="store_true", help="move it")
        parser.add_argument(
            "--even-if-counts-change",
            action="store_true",
            help="also events that an archived or a later metric counts only once of twice",
        )
        parser.add_argument("--json", action="store_true", help="print a JSON object instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(key=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project '{options['project'][:100]}'.")
        start, end = _instant(options["start"], "--from"), _instant(options["end"], "--to")
        if options["apply"] and not options["reason"].strip():
            raise CommandError("--apply needs a --reason.")
        try:
            preview = reattribution_preview(project, start=start, end=end)
            if not options["json"]:
                self._show(preview)
            result = self._apply(project, start, end, preview, options) if options["apply"] else None
        except MeterbookError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(_facts(project, start, end, preview, result), indent=2))
        elif result is not None:
            self.stdout.write(f"{result.moved_count:,} events moved.")
            for detail, count in result.left.items():
                self.stdout.write(f"{count:,} keep their payer: {detail}.")
        elif preview.moves:
            self.stdout.write("Nothing was changed; run it with --apply and a --reason to move them.")
        if result is not None and result.left:
            raise SystemExit(LEFT_SOME)

    def _apply(
        self,
        project: Project,
        start: dt.datetime,
        end: dt.datetime,
        preview: ReattributionPreview,
        options: dict[str, Any],
    ) -> Reattribution:
        with Progress(self.stdout, "Moving", total=preview.count) as progress:
            return reattribute(
                project,
                start=start,
                end=end,
                reason=options["reason"],
                actor=f"manage.py reattribute ({os.environ.get('USER') or os.getuid()})",
                even_if_counts_change=options["even_if_counts_change"],
                on_progress=progress.at,
            )

    def _show(self, preview: ReattributionPreview) -> None:
        if not preview.moves:
            self.stdout.write("Every event has the payer of today's rules.")
            return
        lines = [("from", "to", "event name", "events", "quantity", "")]
        lines += [
            (
                move.from_payer,
                move.to_payer,
                move.event_name,
                f"{move.count:,}",
                "" if move.quantity is None else plain(move.quantity),
                f"held back by metric {move.held_by}" if move.held_by else "",
            )
            for move in preview.moves
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for *names, count, quantity, note in lines:
            cells = [name.ljust(width) for name, width in zip(names, widths, strict=False)]
            cells += [count.rjust(widths[3]), quantity.rjust(widths[4]), note]
            self.stdout.write("  ".join(cells).rstrip())


def _instant(text: str, name: str) -> dt.datetime:
    try:
        return instant_from(text if "T" in text.upper() else f"{text}T00:00:00Z")
    except NotAnInstant as error:
        raise CommandError(f"{name}: {error}.") from None


def _facts(
    project: Project,
    start: dt.datetime,
    end: dt.datetime,
    preview: ReattributionPreview,
    result: Reattribution | None,
) -> dict[str, Any]:
    return {
        "project": project.key,
        "from": iso(start),
        "to": iso(end),
        "position": preview.position,
        "count": preview.count,
        "held_count": preview.held_count,
        "moves": [
            {
                "from": move.from_payer,
                "to": move.to_payer,
                "event_name": move.event_name,
                "held_by": move.held_by,
                "count": move.count,
                "quantity": None if move.quantity is None else plain(move.quantity),
            }
            for move in preview.moves
        ],
        "applied": None if result is None else {"moved": result.moved_count, "left": dict(result.left)},
    }
