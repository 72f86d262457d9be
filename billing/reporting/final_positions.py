"""The ledger position that a report is made at."""

from metering.answering.fences import raise_fence

# A page waits this long for the recorders that run now; one that hangs longer has been given up.
PATIENCE_SECONDS = 10.0


def final_position() -> int:
    """One up to which everything is committed, as late as can be. Raises `Unavailable` when a recorder
    outlasts `PATIENCE_SECONDS`. Not to be called inside a recorder."""
    return raise_fence(patience_seconds=PATIENCE_SECONDS).position
