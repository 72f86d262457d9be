"""`manage.py simulate_usage`: made-up traffic of the last days, and of right now with `--live`."""

import datetime as dt
from argparse import RawDescriptionHelpFormatter
from collections import Counter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from metering.answering.fences import raise_fence
from metering.clock import database_now
from metering.demo.facts import facts_in, text_in
from metering.demo.live import Sender, keep_sending
from metering.demo.loading import simulate
from metering.demo.traffic import PROFILES, slot_floor
from metering.demo.tree import ensure_simulated_projects
from metering.errors import MeterbookError
from metering.models import PendingContribution
from metering.progress import Progress
from metering.rolling_up.rollups import roll_up

MAX_DAYS = 400
MAX_RATE = 1_000.0  # events a second; a batch is a second's worth and must fit a request
EPILOG = """
examples:
  manage.py simulate_usage                     the last 30 days, or what has passed since the last run
  manage.py simulate_usage --days 90           reach back further
  manage.py simulate_usage --live              then go on through the HTTP API until Ctrl-C
  manage.py simulate_usage --days 0 --live --url https://meters.example.com --key mbk_... --rate 20
                                               only send; needs no database

The same seed gives the same events under the same ids, so running it again adds only new time. Events sent
by --live come on top. Address and key are looked up in var/quickstart.json unless they are given.
"""


class Command(BaseCommand):
    """Edge."""

    help = "Record plausible traffic for two projects that are named as simulated."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days", type=int, default=30, help="how far to reach back (default: 30; 0: not at all)"
        )
        parser.add_argument("--seed", type=int, default=42, help="another seed, other traffic (default: 42)")
        live = parser.add_argument_group("live")
        live.add_argument("--live", action="store_true", help="keep sending through the HTTP API")
        live.add_argument("--url", help="address of Meterbook, such as http://127.0.0.1:8000")
        live.add_argument("--key", help="API key that may ingest into the simulated projects")
        live.add_argument("--rate", type=float, default=5.0, metavar="N", help="events a second (default: 5)")
        live.add_argument("--seconds", type=float, metavar="N", help="stop by itself after so long")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 <= options["days"] <= MAX_DAYS:
            raise CommandError(f"--days must be from 0 to {MAX_DAYS}.")
        if not 0 < options["rate"] <= MAX_RATE:
            raise CommandError(f"--rate must be above 0 and at most {MAX_RATE:.0f}.")
        try:
            # A missing address is told before the history is written, not after.
            sender = self.sender(options["url"], options["key"]) if options["live"] else None
            if options["days"]:
                self.record_history(days=options["days"], seed=options["seed"])
            if sender is not None:
                self.send_live(sender, rate=options["rate"], seconds=options["seconds"])
        except MeterbookError as error:
            raise CommandError(str(error)) from error

    def record_history(self, *, days: int, seed: int) -> None:
        ensure_simulated_projects()
        end = slot_floor(database_now())  # the slot under way is for the next run
        start = end - dt.timedelta(days=days)
        names = " and ".join(profile.project for profile in PROFILES)
        with Progress(self.stdout, "Recording simulated events") as progress:
            outcomes = simulate(start=start, end=end, seed=seed, on_progress=progress.at)
            kept = outcomes["conflict"]
            progress.say(
                f"Simulated traffic of {names}, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC:"
                f" {outcomes['created']:,} events recorded now, {outcomes['exists']:,} were there"
                + (f", {kept:,} differ from what was recorded earlier, which stays." if kept else ".")
            )
            if outcomes["rejected"]:
                progress.say(
                    f"{outcomes['rejected']:,} events were rejected: a metric or project was changed."
                )
        with Progress(self.stdout, "Merging", total=PendingContribution.objects.count()) as progress:
            tick = roll_up(on_progress=progress.at)
            raise_fence()
            progress.say(f"Rollups: {tick.merged_count:,} contributions merged.")

    def sender(self, url: str | None, key: str | None) -> Sender:
        """Raises `CommandError` when address or key is neither given nor to be found."""
        path = Path(settings.VAR_DIR) / "quickstart.json"
        facts = facts_in(path) if not (url and key) else {}
        url, key = url or text_in(facts, "base_url"), key or text_in(facts, "api_key")
        if not url or not key:
            raise CommandError(f"{path} names no address and key; give --url and --key.")
        return Sender(url, key)

    def send_live(self, sender: Sender, *, rate: float, seconds: float | None) -> None:
        tally: Counter[str] = Counter()
        self.stdout.write(f"Sending about {rate:g} events a second; Ctrl-C stops.")
        self.stdout.flush()
        with Progress(self.stdout, "Recorded") as progress:
            try:
                keep_sending(
                    sender,
                    rate=rate,
                    seconds=seconds,
                    say=progress.say,
                    tally=tally,
                    on_progress=progress.at,
                )
            except KeyboardInterrupt:
                progress.say("Stopped.")
            finally:
                counts = ", ".join(f"{count:,} {what}" for what, count in sorted(tally.items()))
                progress.say(f"Live traffic: {counts or 'nothing was sent'}.")
