"""What a quota can answer instead of admitting."""

from collections.abc import Mapping

from metering.errors import Refused, Unavailable


class QuotaExceeded(Refused):
    """The request would take a metric above a hard limit. `facts` say which, by how much, and until when."""

    code = "quota_exceeded"

    def __init__(self, facts: Mapping[str, object]) -> None:
        resets_at = facts["resets_at"]
        until = f" It starts anew at {resets_at}." if resets_at else ""
        held = facts.get("held", "0")
        reserved = "" if held == "0" else f"{held} held, "
        super().__init__(
            f"Project '{facts['project']}' may use {facts['limit']} of '{facts['metric']}': "
            f"{facts['used']} used, {reserved}{facts['requested']} requested, "
            f"{facts['remaining']} left.{until}"
        )
        self._facts = dict(facts)

    @property
    def facts(self) -> dict[str, object]:
        return dict(self._facts)


class QuotaUnavailable(Unavailable):
    """A quota couldn't be evaluated, so nothing was admitted. The same request may succeed later."""

    code = "quota-unavailable"

    def __init__(self) -> None:
        super().__init__(
            "A quota can't be evaluated right now, so nothing was recorded; send it again later."
        )


class ThresholdBlocked(Refused):
    """A threshold that blocks was reached: no further usage of its subject is taken in that period."""

    code = "threshold_blocked"

    def __init__(self, facts: Mapping[str, object]) -> None:
        who = f"Project '{facts['project']}'"
        if facts["subject_id"] not in {None, "*"}:
            who = f"Subject '{facts['subject_id']}' of project '{facts['project']}'"
        resets_at = facts["resets_at"]
        until = f" It starts anew at {resets_at}." if resets_at else ""
        super().__init__(
            f"{who} has reached the threshold of {facts['threshold']} of '{facts['metric']}', which blocks "
            f"further usage: {facts['used']} used.{until}"
        )
        self._facts = dict(facts)

    @property
    def facts(self) -> dict[str, object]:
        return dict(self._facts)
