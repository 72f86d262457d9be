"""Admission without what makes it exact, for negative controls."""

import time
from collections.abc import Sequence
from typing import Any

from metering.admission import Asking, Verdicts
from metering.catalogue import Catalogue
from quotas.admission import QuotaAdmission


class WithoutLocks(QuotaAdmission):
    """Judges without holding anybody up, and lets some time pass before its caller writes."""

    def hold(self, requests: Sequence[Asking], *, catalogue: Catalogue) -> None:
        pass

    def judge(self, requests: Sequence[Asking], **options: Any) -> Verdicts:
        verdicts = super().judge(requests, **options)
        time.sleep(0.05)
        return verdicts
