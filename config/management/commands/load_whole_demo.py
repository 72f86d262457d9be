"""`manage.py load_whole_demo`: everything that the quickstart shows, in one process."""

import io
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from config.accountability import run_by_hand


class Command(BaseCommand):
    """Edge: other commands in their order. A process for each would take longer than what a repeat does."""

    help = "Load the demo: usage, limits, bills, a seal. Repeating it adds nothing twice."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--facts", type=Path, required=True, metavar="FILE", help="where logins are kept")

    def handle(self, *args: Any, facts: Path, **options: Any) -> None:
        self.load("Loading the demo data", "load_demo", "--facts", str(facts))
        self.load("Simulating the last 30 days of two more projects", "simulate_usage")
        self.load("Limiting what they may use", "load_demo_limits")
        self.load("Billing the customers of the demo", "load_demo_bills")
        self.load("Sealing the ledger", "seal_ledger", is_quiet=True)

    def load(self, title: str, command: str, *arguments: str, is_quiet: bool = False) -> None:
        """The histories name the command itself, as if somebody had given it."""
        began = time.monotonic()
        self.stdout.write(f"{title} ...")
        self.stdout.flush()
        with run_by_hand(command):
            call_command(command, *arguments, stdout=io.StringIO() if is_quiet else self.stdout)
        self.stdout.write(f"  done in {time.monotonic() - began:.1f} s")
        self.stdout.flush()
