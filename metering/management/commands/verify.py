"""`manage.py verify`: whether the ledger and everything made of it still are what they should be."""

import json
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError

from metering.errors import MeterbookError
from metering.models import VerificationRun
from metering.progress import Progress
from metering.verifying.verification import Progress as Place
from metering.verifying.verification import Report, verify
from metering.verifying.verification_checks import registered_checks
from metering.verifying.verification_findings import BREACHES_KEPT, Finding, counted

EPILOG = """
examples:
  manage.py verify
  manage.py verify --head mbs1:812:90412345:…     held against a head that was published before
  manage.py verify --check rollups --metric tokens
  manage.py verify --json

Recomputes from the ledger what everything else should be, beside writers and ticks, and changes nothing. Each
check says what it looked at; what doesn't agree is named with its place. The result stays in the admin under
Verifications.

Exit status 0 when everything agrees (warnings allowed), 1 when something doesn't, 2 when it couldn't be
asked, 130 when interrupted; the run is then marked so.
"""


class Command(BaseCommand):
    """Edge."""

    help = "Check the ledger, its seals and the rollups against each other, and say what doesn't agree."
    requires_system_checks: list[str] = []  # it has checks of its own, and says more

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="append",
            metavar="NAME",
            help=f"this check only, may be repeated: {', '.join(c.name for c in registered_checks())}",
        )
        parser.add_argument(
            "--metric", action="append", metavar="KEY", help="this metric's rollups only, may be repeated"
        )
        parser.add_argument("--head", help="a head of the seals that was published before (mbs1:…)")
        parser.add_argument(
            "--limit",
            type=int,
            default=BREACHES_KEPT,
            help="breaches of each step that are kept in words; all are counted (default: %(default)s)",
        )
        parser.add_argument("--json", action="store_true", help="print a JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] < 1:
            raise CommandError("--limit must be at least 1.", returncode=2)
        try:
            with Progress(self.stdout, "Verifying") as progress:
                report = verify(
                    checks=options["check"],
                    metrics=options["metric"],
                    head=options["head"],
                    limit=options["limit"],
                    trigger=VerificationRun.Trigger.COMMAND,
                    on_progress=None if options["json"] else _drawn_on(progress),
                )
        except MeterbookError as error:
            raise CommandError(str(error), returncode=2) from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"The database can't be asked: {error}".strip(), returncode=2) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted; nothing was changed.", returncode=130) from None
        if options["json"]:
            self.stdout.write(json.dumps(_document(report), indent=2))
        else:
            self.show(report)
        if not report.has_passed:
            raise CommandError(f"{counted(report.breach_count, 'breach', 'breaches')}.")

    def show(self, report: Report) -> None:
        styles: dict[str, Callable[[str], str]] = {
            "passed": self.style.SUCCESS,
            "warning": self.style.WARNING,
            "failed": self.style.ERROR,
        }
        width = max((len(_named(finding)) for finding in report.findings), default=0)
        for finding in report.findings:
            status = styles[finding.status](finding.status.ljust(7))
            self.stdout.write(f"{status}  {_named(finding).ljust(width)}  {finding.checked}")
            for one in [*finding.breaches, *finding.warnings]:
                self.stdout.write(f"         - {one.what}")
            if finding.breach_count > len(finding.breaches):
                more = finding.breach_count - len(finding.breaches)
                self.stdout.write(f"         - and {more:,} more")
            for note in finding.notes:
                self.stdout.write(f"         {note}")
        verdict = self.style.SUCCESS("Passed") if report.has_passed else self.style.ERROR("Failed")
        steps = counted(len(report.findings), "step")
        self.stdout.write(
            f"{verdict}: {steps} in {report.seconds:.1f} s, up to position {report.position:,} and beyond."
        )


def _drawn_on(progress: Progress) -> Callable[[Place], None]:
    def draw(place: Place) -> None:
        rows = f" ({place.row_count:,} rows)" if place.row_count else ""
        progress.at(place.done, note=f" of {place.total:,} steps, {place.step}{rows}")

    return draw


def _named(finding: Finding) -> str:
    return f"{finding.check} {finding.subject}".strip()


def _document(report: Report) -> dict[str, Any]:
    return {
        "run": report.run_id,
        "passed": report.has_passed,
        "position": report.position,
        "seconds": round(report.seconds, 3),
        "breach_count": report.breach_count,
        "findings": [finding.as_dict() for finding in report.findings],
    }
