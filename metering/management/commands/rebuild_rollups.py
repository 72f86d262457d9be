"""`manage.py rebuild_rollups`: throw rollups away and work them out again, without anybody noticing."""

import getpass
import json
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from metering.errors import MeterbookError
from metering.models import MetricDefinition, Project
from metering.progress import Progress
from metering.rolling_up.rebuilding import Findings, rebuild_rollups

EPILOG = """
examples:
  manage.py rebuild_rollups --all
  manage.py rebuild_rollups --metric tokens --metric requests
  manage.py rebuild_rollups --metric tokens --project acme     acme and the projects below it
  manage.py rebuild_rollups --all --dry-run --json | jq '.metrics[] | select(.missing_count > 0)'

Works out each metric's hours, days, months and totals from the ledger alone, compares them with those stored,
and makes what is stored what the ledger says. Rows that are right aren't touched. Recording and reading go on
throughout; ticks wait for the moment of the swap. One metric is one transaction: killed at any moment, those
that were done are done, the others are as they were; start it again.

Buckets for which contributions are still pending are only behind; they are brought up to date and not counted
as wrong. Two rebuilds of one metric don't run at once: the second is refused, and the other metrics go on.

exit status:
  0  nothing was wrong, or everything that was is repaired
  1  a metric could not be rebuilt; the message says which and why
  2  a dry run found something wrong
  130  interrupted
"""


class Command(BaseCommand):
    """Edge."""

    help = "Work rollups out again from the ledger, and repair those that differ."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--metric", action="append", metavar="KEY", help="this metric; may be repeated")
        parser.add_argument("--all", action="store_true", help="every metric, archived ones included")
        parser.add_argument("--project", metavar="KEY", help="only usage of this project and those below it")
        parser.add_argument("--dry-run", action="store_true", help="say what is wrong; change nothing")
        parser.add_argument("--json", action="store_true", help="print the findings as one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["metric"]) == options["all"]:
            raise CommandError("Name metrics by --metric, or say --all.")
        path, project_ids = _projects(options["project"])
        metrics = _metrics(options["metric"], path)
        is_dry_run, says_json = options["dry_run"], options["json"]
        findings: list[Findings] = []
        failures: dict[str, str] = {}
        try:
            with Progress(
                self.stderr if says_json else self.stdout, "Rebuilding", total=len(metrics)
            ) as line:
                for number, metric in enumerate(metrics):
                    line.at(number, note=f": {metric.key}")
                    try:
                        found = rebuild_rollups(
                            metric,
                            project_ids=project_ids,
                            is_dry_run=is_dry_run,
                            requested_by=f"rebuild_rollups ({_user()})",
                        )
                    except (MeterbookError, DatabaseError) as error:
                        failures[metric.key] = str(error)
                        if not says_json:
                            line.say(f"{metric.key}: {error}")
                        continue
                    findings.append(found)
                    if not says_json:
                        line.say(sentence_of(found, is_dry_run=is_dry_run))
        except KeyboardInterrupt:
            words = "Interrupted. Metrics that were done are done, the others are as they were."
            raise CommandError(words, returncode=130) from None
        wrong_count = sum(found.wrong_count for found in findings)
        if says_json:
            self.stdout.write(
                json.dumps(
                    {
                        "is_dry_run": is_dry_run,
                        "wrong_count": wrong_count,
                        "metrics": [found.as_dict() for found in findings],
                        "failures": [{"metric": key, "detail": text} for key, text in failures.items()],
                    },
                    indent=2,
                )
            )
        elif not metrics:
            self.stdout.write("There are no metrics yet; nothing to rebuild.")
        if failures:
            raise CommandError(f"Not rebuilt: {', '.join(failures)}.")
        if is_dry_run and wrong_count:
            sys.exit(2)


def sentence_of(found: Findings, *, is_dry_run: bool) -> str:
    """What was found in one metric, in words."""
    if not found.wrong_count:
        text = f"{found.metric}: {found.row_count:,} rollups, nothing wrong"
    else:
        wrong = ", ".join(
            f"{count:,} {word}"
            for count, word in (
                (found.missing_count, "missing"),
                (found.extra_count, "without usage behind them"),
                (found.different_count, "different"),
            )
            if count
        )
        done = "would be repaired" if is_dry_run else "repaired"
        text = f"{found.metric}: {found.row_count:,} rollups; {done}: {wrong}"
    return f"{text} ({found.seconds:.1f} s)."


def _projects(key: str | None) -> tuple[str | None, Sequence[int] | None]:
    """Path of the project, and the ids of it and those below; None where usage of all counts."""
    if key is None:
        return None, None
    path = Project.objects.filter(key=key).values_list("path", flat=True).first()
    if path is None:
        raise CommandError(f"There is no project '{key}'.")
    return path, list(Project.objects.filter(path__startswith=path).values_list("id", flat=True))


def _metrics(keys: Sequence[str] | None, path: str | None) -> list[MetricDefinition]:
    """The metrics named, or all, that usage at and below `path` can count for."""
    metrics = [
        metric
        for metric in MetricDefinition.objects.select_related("project").order_by("key", "id")
        if (keys is None or metric.key in keys) and _may_count(metric, path)
    ]
    missing = sorted({*(keys or ())} - {metric.key for metric in metrics})
    if missing:
        raise CommandError(f"There is no metric '{missing[0]}'{'' if path is None else ' there'}.")
    return metrics


def _may_count(metric: MetricDefinition, path: str | None) -> bool:
    owner = metric.project.path if metric.project else ""
    return path is None or path.startswith(owner) or owner.startswith(path)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown user"
