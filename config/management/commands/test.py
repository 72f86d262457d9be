"""`manage.py test`: the tests, by pytest, against embedded servers of their own."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

PROCESSES = 2
USAGE = """usage: manage.py test [pytest's arguments]

Runs the tests with pytest, in two processes unless told otherwise, on an embedded PostgreSQL and Valkey that
are started for the run and removed after it. A running quickstart is never touched.

examples:
  python3 manage.py test
  python3 manage.py test tests/metering -k ledger -x
  python3 manage.py test tests/config/test_bootstrap.py::test_old_python_is_refused_in_words
  python3 manage.py test -n 0 --pdb
  python3 manage.py test -- --help          pytest's own help

METERBOOK_TEST_DATABASE_URL and METERBOOK_TEST_REDIS_URL name servers to use instead.
"""
# Options under which two processes would be in the way.
ALONE = {
    "--pdb",
    "--trace",
    "--collect-only",
    "--co",
    "--help",
    "-h",
    "--version",
    "--fixtures",
    "--markers",
    "-s",
}


class Command(BaseCommand):
    """Edge: hands everything to pytest, whose exit status is ours."""

    help = "Run the tests with pytest on embedded servers of their own; all arguments are pytest's."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Replace this process by pytest, so that signals and status need no passing on."""
        arguments = argv[2:]
        if arguments[:1] in (["--help"], ["-h"]):
            self.stdout.write(USAGE)
            return
        line = [sys.executable, "-m", "pytest", *pytest_arguments(arguments, Path.cwd())]
        sys.stdout.flush()
        os.chdir(settings.BASE_DIR)
        # A new process also because this one has read the settings of a quickstart that may be running.
        os.execv(sys.executable, line)  # noqa: S606

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, usage=USAGE.removeprefix("usage: "), **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        self.run_from_argv(["manage.py", "test", *args])


def pytest_arguments(arguments: Sequence[str], directory: Path) -> list[str]:
    """`arguments` with paths made absolute, as seen from `directory`, and the number of processes added.

    One file or test runs in one process, because starting another costs more than it saves.
    """
    given = list(arguments)
    if given[:1] == ["--"]:
        given = given[1:]
    result, paths = [], []
    for argument in given:
        path, separator, test = argument.partition("::")
        if not argument.startswith("-") and (directory / path).exists():
            paths.append(directory / path)
            argument = f"{directory / path}{separator}{test}"
        result.append(argument)
    decided = any(
        each.startswith(("-n", "--numprocesses", "--dist")) for each in given
    ) or "no:xdist" in " ".join(given)
    alone = ALONE.intersection(given) or (len(paths) == 1 and paths[0].is_file())
    return result if decided or alone else ["-n", str(PROCESSES), *result]
