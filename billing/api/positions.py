"""The ledger position that is read at by what a request computes."""

from metering.answering.fences import raise_fence

PATIENCE_SECONDS = 20.0  # a request waits no longer for recorders that are under way


def final_position() -> int:
    """A new one. Raises `Unavailable` while a recorder goes on for too long."""
    return raise_fence(patience_seconds=PATIENCE_SECONDS).position
