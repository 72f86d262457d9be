"""`manage.py run_billing`: draft and issue what is due, or say what that would be."""

import datetime as dt
import getpass
import json
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.invoicing.run_previews import AccountPreview, preview_of_run
from billing.invoicing.runs import run_billing
from billing.models import BillingAccount, BillingRun, Invoice, ParkedAccount
from billing.money import amount_text
from metering.clock import database_now
from metering.errors import MeterbookError
from metering.progress import Progress
from metering.texts.timestamps import instant_from, iso

EPILOG = """
examples:
  manage.py run_billing
  manage.py run_billing --dry-run
  manage.py run_billing --as-of 2026-12-01T00:00:00Z --account 5 --account 8
  manage.py run_billing --json | jq '.parked'

Drafts what is due for every account, and issues where the account wants that. An account that can't be billed
is parked with the reason and holds up no other; the next run that succeeds takes it out. Each account is one
transaction: killed at any second and started again, it ends in the same state, and nothing is billed twice.

exit status:
  0  every account was billed, or nothing was due
  1  accounts are parked, or the run could not be made; the message says why
  130  interrupted
"""


class Command(BaseCommand):
    """Edge."""

    help = "Draft and issue what is due."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EPILOG, "formatter_class": RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--as-of", type=_instant, metavar="INSTANT", help="bill what is due by then (default: now)"
        )
        parser.add_argument(
            "--account",
            type=int,
            nargs="+",
            action="extend",
            metavar="ID",
            help="only this billing account; may be repeated",
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be drafted; keep nothing")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        accounts = _accounts(options["account"])
        now = database_now()
        as_of: dt.datetime = options["as_of"] or now
        out = self.stderr if options["json"] else self.stdout
        count = BillingAccount.objects.count() if accounts is None else len(accounts)
        try:
            with Progress(out, "Billing", total=count) as line:
                if options["dry_run"]:
                    parked_count = self._preview(line, accounts, as_of, now, says_json=options["json"])
                else:
                    parked_count = self._run(line, accounts, as_of, now, says_json=options["json"])
        except KeyboardInterrupt:
            words = "Interrupted. Accounts that were done are done; start it again for the others."
            raise CommandError(words, returncode=130) from None
        except MeterbookError as error:
            field = getattr(error, "field", None)
            raise CommandError(f"{'--as-of: ' if field == 'as_of' else ''}{error}") from error
        if parked_count:
            raise CommandError(f"{_counted(parked_count, 'account')} could not be billed.", returncode=1)

    def _run(
        self,
        line: Progress,
        accounts: Sequence[int] | None,
        as_of: dt.datetime,
        now: dt.datetime,
        *,
        says_json: bool,
    ) -> int:
        run = run_billing(
            as_of=as_of,
            now=now,
            trigger=BillingRun.Trigger.COMMAND,
            requested_by=_user(),
            accounts=accounts,
            on_progress=lambda run: line.at(run.done_count, note=_note(run)),
        )
        parked = list(ParkedAccount.objects.filter(run=run).select_related("account").order_by("account_id"))
        if says_json:
            self.stdout.write(json.dumps(_run_json(run, parked), indent=2))
            return run.parked_count
        line.say(
            f"Run {run.pk}, billed up to {iso(run.as_of)} at ledger position {run.position:,}:"
            f" {_counted(run.account_count, 'account')}, {_counted(run.drafted_count, 'draft')},"
            f" {run.issued_count:,} issued, {run.parked_count:,} parked."
        )
        for one in parked:
            line.say(f"  parked: {one.account} (account {one.account_id}): {one.reason}")
        return run.parked_count

    def _preview(
        self,
        line: Progress,
        accounts: Sequence[int] | None,
        as_of: dt.datetime,
        now: dt.datetime,
        *,
        says_json: bool,
    ) -> int:
        found: list[AccountPreview] = []
        done = 0
        for one in preview_of_run(as_of=as_of, now=now, accounts=accounts):
            done += 1
            line.at(done)
            if not one.kind and not one.parked_for:
                continue
            found.append(one)
            if not says_json:
                line.say(f"  {_sentence(one)}")
        parked_count = sum(bool(one.parked_for) for one in found)
        if says_json:
            told = {
                "is_dry_run": True,
                "as_of": iso(as_of),
                "accounts": [_preview_json(one) for one in found],
            }
            self.stdout.write(json.dumps(told, indent=2))
            return parked_count
        issued_count = sum(one.is_issued for one in found)
        drafted_count = len(found) - parked_count - issued_count
        line.say(
            f"A run up to {iso(as_of)} would make {_counted(drafted_count, 'draft')}, issue {issued_count:,}"
            f" and park {parked_count:,}, of {_counted(done, 'account')}. Nothing was kept."
        )
        return parked_count


def _sentence(one: AccountPreview) -> str:
    name = f"{one.account} (account {one.account.pk})"
    if one.parked_for:
        return f"parked: {name}: {one.parked_for}"
    done = "issued" if one.is_issued else "drafted"
    kind = Invoice.Kind(one.kind).label.lower()
    amount = f"{amount_text(one.total, one.account.currency)} {one.account.currency}"
    return f"{done}: {name}: {kind} of {amount}, {_counted(one.line_count, 'line')}"


def _preview_json(one: AccountPreview) -> dict[str, Any]:
    return {
        "account": one.account.pk,
        "name": one.account.legal_name,
        "kind": one.kind or None,
        "lines": one.line_count,
        "total": amount_text(one.total, one.account.currency),
        "currency": one.account.currency,
        "is_issued": one.is_issued,
        "parked_for": one.parked_for or None,
    }


def _run_json(run: BillingRun, parked: Sequence[ParkedAccount]) -> dict[str, Any]:
    return {
        "is_dry_run": False,
        "run": run.pk,
        "as_of": iso(run.as_of),
        "position": run.position,
        "accounts": run.account_count,
        "drafted": run.drafted_count,
        "issued": run.issued_count,
        "parked": [
            {"account": one.account_id, "name": str(one.account), "code": one.code, "reason": one.reason}
            for one in parked
        ],
    }


def _note(run: BillingRun) -> str:
    parked = f", {run.parked_count:,} parked" if run.parked_count else ""
    return f", {run.drafted_count:,} drafts, {run.issued_count:,} issued{parked}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _accounts(ids: Sequence[int] | None) -> list[int] | None:
    if ids is None:
        return None
    known = set(BillingAccount.objects.filter(pk__in=ids).values_list("id", flat=True))
    for account_id in ids:
        if account_id not in known:
            raise CommandError(f"There is no billing account {account_id}.")
    return sorted(known)


def _instant(text: str) -> dt.datetime:
    try:
        return instant_from(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown user"
