"""What stories end with: the books are proved, inside the test's own transaction."""

from django.conf import settings
from django.utils.module_loading import import_string

from metering.verifying.verification_checks import Asked
from metering.verifying.verification_findings import Breach

CHEAP = ("VOIDS", "PAYERS", "ROLLUPS")  # of the ledger's own checks


def assert_verified() -> None:
    """Fail with the words of every breach that the checks of billing, and the cheap ones of the ledger, find."""
    assert [breach.what for breach in breaches_of(*_every())] == []


def breaches_of(*paths: str) -> list[Breach]:
    """What the checks find, named by dotted paths."""
    return [breach for path in paths for outcome in _outcomes(path) for breach in outcome.breaches]


def _outcomes(path):
    return [step.run(lambda rows: None) for step in import_string(path).steps(Asked())]


def _every() -> list[str]:
    return [
        path
        for path in settings.VERIFICATION_CHECKS
        if path.startswith("billing.") or path.rpartition(".")[2] in CHEAP
    ]
