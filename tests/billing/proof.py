"""What stories end with: the books are proved, inside the test's own transaction."""

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from metering.verifying.verification_checks import Asked
from metering.verifying.verification_findings import Breach, Outcome

CHEAP = ("VOIDS", "PAYERS", "ROLLUPS")  # of the ledger's own checks


def assert_verified() -> None:
    """Fail with the words of the breaches that billing's checks, and cheap ones of the ledger, find."""
    found = breaches_of(*_every())
    if found:
        pytest.fail("\n".join(f"{breach.code}: {breach.what}" for breach in found))


def breaches_of(*paths: str) -> list[Breach]:
    """What the checks find, named by dotted paths."""
    return [breach for path in paths for outcome in outcomes_of(path) for breach in outcome.breaches]


def outcomes_of(path: str) -> list[Outcome]:
    """Of each step of the check."""
    return [step.run(lambda rows: None) for step in import_string(path).steps(Asked())]


def _every() -> list[str]:
    return [
        path
        for path in settings.VERIFICATION_CHECKS
        if path.startswith("billing.") or path.rpartition(".")[2] in CHEAP
    ]
