"""`manage.py what_if`: what past usage would have cost under another plan, for any number of accounts."""

import datetime as dt
from argparse import RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.models import BillingAccount, Plan
from billing.money import amount_text
from billing.reporting.final_positions import final_position
from billing.reporting.hypothetical import Days
from billing.reporting.what_if import WhatIf, accounts_on_plans, ensure_days, what_if
from billing.reporting.what_if_csv import csv_text, percent_text
from metering.clock import database_now
from metering.errors import MeterbookError
from metering.progress import Progress

SHOWN = 10  # of either end
EPILOG = """
examples:
  manage.py what_if --plan pro --from 2026-03-01 --until 2026-04-01
  manage.py what_if --plan pro --plan-version 3 --from 2026-01-01 --until 2026-04-01 --on-plan basic
  manage.py what_if --plan pro --from 2026-03-01 --until 2026-04-01 --csv differences.csv

Days begin at midnight of each account; --until is the day after the last. Whole billing periods compare best:
what is cut is charged by days. Amounts are before discounts and tax. Without --account: all accounts of the
plan's currency that were on a plan in these days. Nothing is stored.

Exit status 0, 1 when it couldn't be asked, 130 when interrupted.
"""


class Command(BaseCommand):
    """Edge."""

    help = "Rate the recorded usage of past days under another plan, and say who would have paid what."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--plan", required=True, metavar="KEY", help="the other plan")
        parser.add_argument(
            # Not "version": that is an option of every command.
            "--plan-version",
            type=int,
            metavar="N",
            dest="plan_version",
            help="its version (default: the draft where there is one, else the latest published one)",
        )
        parser.add_argument("--project", metavar="KEY", help="owner of the plan, where several have one")
        parser.add_argument("--from", required=True, type=date, metavar="DAY", dest="first_on")
        parser.add_argument("--until", required=True, type=date, metavar="DAY", dest="until_on")
        parser.add_argument(
            "--account", action="append", type=int, metavar="ID", help="this one only, may be repeated"
        )
        parser.add_argument("--on-plan", metavar="KEY", help="only accounts on a version of this plan")
        parser.add_argument("--csv", type=Path, metavar="FILE", help="write a row for each account")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = self.compare(options)
        except MeterbookError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted; nothing was changed.", returncode=130) from None
        self.show(found)
        if options["csv"] is not None:
            try:
                options["csv"].write_text(csv_text(found), encoding="utf-8", newline="")
            except OSError as error:
                raise CommandError(f"{options['csv']}: {error.strerror}.") from error
            self.stdout.write(f"Written to {options['csv']}.")

    def compare(self, options: dict[str, Any]) -> WhatIf:
        days, now = Days(options["first_on"], options["until_on"]), database_now()
        ensure_days(days, now=now)
        plan = _plan(options["plan"], version=options["plan_version"], project=options["project"])
        accounts = _accounts(plan, days, ids=options["account"], on_plan=options["on_plan"])
        with Progress(self.stdout, "Comparing", total=len(accounts)) as progress:
            return what_if(
                plan,
                accounts,
                days=days,
                now=now,
                position=final_position(),
                on_progress=lambda done, _total: progress.at(done, note=" accounts"),
            )

    def show(self, found: WhatIf) -> None:
        currency, totals = found.plan.currency, found.totals
        percent = percent_text(totals.fraction)
        self.stdout.write(
            f"{len(found.comparisons):,} accounts from {found.days.first_on} until {found.days.until_on}:"
            f" {amount_text(totals.current, currency)} {currency} as it was,"
            f" {amount_text(totals.hypothetical, currency)} on {found.plan},"
            f" difference {amount_text(totals.difference, currency)}"
            + (f" ({percent} %)." if percent else ".")
        )
        self.stdout.write(
            f"{found.winners:,} would have paid less, {found.losers:,} more, {found.unchanged:,} the same."
        )
        if found.without_plan:
            self.stdout.write(f"{found.without_plan:,} were charged under no plan in these days.")
        for one, count in found.unpriced:
            self.stdout.write(
                self.style.WARNING(
                    f"No price for '{one.metric_key}': {one.event_count:,} events of {count:,} accounts would"
                    " not be billed."
                )
            )
        dearest = found.sorted_by_difference()
        shown = dearest if len(dearest) <= 2 * SHOWN else [*dearest[:SHOWN], *dearest[-SHOWN:]]
        for each in shown:
            self.stdout.write(
                f"{amount_text(each.amounts.difference, currency):>14}  {each.account.project.key}"
                f"  {each.account.legal_name}"
            )
        if len(shown) < len(dearest):
            self.stdout.write(f"and {len(dearest) - len(shown):,} between; --csv has all of them.")


def date(text: str) -> dt.date:
    """Raises `ValueError`, which the parser words."""
    return dt.date.fromisoformat(text)


def _plan(key: str, *, version: int | None, project: str | None) -> Plan:
    plans = Plan.objects.filter(key=key).select_related("project").order_by("-version")
    if project is not None:
        plans = plans.filter(project__key=project)
    found = list(plans)
    if len({plan.project_id for plan in found}) > 1:
        raise CommandError(f"Several projects have a plan '{key}' of their own; name one by --project.")
    if version is not None:
        found = [plan for plan in found if plan.version == version]
    if not found:
        raise CommandError(f"There is no plan '{key}'" + (f" of version {version}." if version else "."))
    by_state = {plan.state: plan for plan in reversed(found)}  # the latest of each
    return by_state.get(Plan.State.DRAFT) or by_state.get(Plan.State.PUBLISHED) or found[0]


def _accounts(plan: Plan, days: Days, *, ids: list[int] | None, on_plan: str | None) -> list[BillingAccount]:
    if ids is None:
        return list(accounts_on_plans(BillingAccount.objects.all(), plan=plan, days=days, on_plan=on_plan))
    found = list(BillingAccount.objects.filter(pk__in=ids).select_related("project").order_by("pk"))
    missing = sorted(set(ids) - {account.pk for account in found})
    if missing:
        raise CommandError(f"There is no billing account {missing[0]}.")
    return found
