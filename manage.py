#!/usr/bin/env python3
"""Django's command line; `quickstart` and `test` prepare their own environment first."""

import os
import sys

from config.bootstrap import ensure_environment

SELF_INSTALLING_COMMANDS = {"quickstart", "test"}
OWNER_COMMANDS = {"migrate", "doctor", "sqlmigrate", "createcachetable"}


def main() -> None:
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    ensure_environment(install=command in SELF_INSTALLING_COMMANDS)
    if command in OWNER_COMMANDS:
        os.environ["METERBOOK_AS_OWNER"] = "1"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - needs the environment

    if command in SELF_INSTALLING_COMMANDS:
        execute_from_command_line(sys.argv)
        return
    from config.accountability import run_by_hand  # noqa: PLC0415 - needs the environment

    with run_by_hand(command):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
