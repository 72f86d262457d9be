"""`manage.py roll_up`: the tick, for whoever runs no beat or doesn't want to wait for it."""

import datetime as dt
from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.answering.usage import Slice, usage_in
from metering.catalogue import current
from metering.measuring.buckets import DAY, HOUR, MONTH, bucket_end, bucket_floor
from metering.measuring.streams import TOTAL
from metering.models import PendingContribution, UsageMeterRollup
from metering.progress import Progress
from metering.rolling_up.rollups import roll_up
from metering.texts.numbers import plain
from metering.texts.timestamps import NotAnInstant, instant_from, iso

GRANULARITIES = {"hourly": HOUR, "daily": DAY, "monthly": MONTH}
EPILOG = """
examples:
  manage.py roll_up
  manage.py roll_up --period-type daily                            and show the last day with usage
  manage.py roll_up --period-type hourly --period-start 2023-11-16T18:00:00Z

A tick always merges everything that is pending into hours, days and months alike, so the options choose what
is shown afterwards: the totals of one UTC bucket. Any number of ticks may run at once; rows that another one
holds are left to it. Killed at any moment, it changes no total. Answers of the API never wait for a tick.
"""


class Command(BaseCommand):
    """Edge."""

    help = "Merge what was recorded since the last tick into hourly, daily and monthly rollups."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--period-type", choices=GRANULARITIES, help="show a bucket of this size after the tick"
        )
        parser.add_argument(
            "--period-start",
            metavar="TIME",
            help="start of the bucket, RFC 3339 or a day (default: the last one with usage)",
        )

    def handle(
        self, *args: Any, period_type: str | None = None, period_start: str | None = None, **options: Any
    ) -> None:
        if period_start is not None and period_type is None:
            raise CommandError("--period-start needs --period-type.")
        granularity = GRANULARITIES[period_type] if period_type else None
        start = _bucket_start(period_start, granularity) if period_start and granularity else None
        with Progress(self.stdout, "Merging", total=PendingContribution.objects.count()) as progress:
            tick = roll_up(on_progress=progress.at)
            progress.say(
                f"{tick.merged_count:,} contributions merged into {tick.bucket_count:,} rollup rows"
                f" in {tick.seconds:.1f} s."
            )
        left_count = PendingContribution.objects.count()
        if left_count:
            self.stdout.write(f"{left_count:,} are held by another tick or were recorded meanwhile.")
        if granularity:
            self.show(granularity, start)

    def show(self, granularity: str, start: dt.datetime | None) -> None:
        """The totals of one bucket, a line per metric, project and payer."""
        totals = UsageMeterRollup.objects.filter(granularity=granularity, stream=TOTAL)
        if start is None:
            start = totals.order_by("-bucket_start").values_list("bucket_start", flat=True).first()
        if start is None:
            self.stdout.write("There are no rollups yet.")
            return
        window = (start, bucket_end(start, granularity))
        by_payer = Slice(group_by=("project", "billing_scope"))
        lines = [("metric", "project", "paid by", "value", "records")]
        for meaning in sorted(current().meanings.values(), key=lambda meaning: meaning.key):
            for usage in usage_in(meaning, [window], slice=by_payer):
                lines.append(
                    (
                        meaning.key,
                        str(usage.group["project"]),
                        str(usage.group["billing_scope"]),
                        "" if usage.value is None else plain(usage.value),
                        f"{usage.aggregate.record_count:,}",
                    )
                )
        self.stdout.write(f"{granularity} from {iso(start)} to {iso(bucket_end(start, granularity))}:")
        if len(lines) == 1:
            self.stdout.write("no usage")
            return
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for *names, value_text, record_text in lines:
            cells = [name.ljust(width) for name, width in zip(names, widths, strict=False)]
            cells += [value_text.rjust(widths[3]), record_text.rjust(widths[4])]
            self.stdout.write("  ".join(cells))


def _bucket_start(text: str, granularity: str) -> dt.datetime:
    """Raises `CommandError` for what is no time, or not the start of a bucket."""
    try:
        start = instant_from(text if "T" in text.upper() else f"{text}T00:00:00Z")
    except NotAnInstant as error:
        raise CommandError(f"--period-start: {error}.") from None
    floor = bucket_floor(start, granularity)
    if start != floor:
        raise CommandError(f"--period-start: that {granularity} starts at {iso(floor)}.")
    return start
