"""Whatever happened, verification finds nothing: before, between and after ticks."""

from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings

from metering.rolling_up.rollups import roll_up
from metering.verifying.verification import verify
from tests.properties.test_every_aggregation import DEFINITIONS, House, actions

CHECKS = ["rollups", "voids", "payers", "positions", "pending"]


@pytest.mark.django_db
def test_verification_passes_after_any_sequence_of_actions() -> None:
    house = House()

    @settings(max_examples=60)
    @given(actions)
    def check(happened: list[Any]) -> None:
        with transaction.atomic():
            house.start()
            for action in happened:
                house.act(action)
            before = verify(checks=CHECKS)
            roll_up()
            after = verify(checks=CHECKS)

            assert before.breaches == after.breaches == []
            rollups = [finding for finding in after.findings if finding.check == "rollups"]
            assert len(rollups) == len(DEFINITIONS)
            count = len(house.events())
            noun = "reading" if count == 1 else "readings"
            assert all(finding.checked.endswith(f"from {count:,} {noun}") for finding in rollups)
            assert [finding.notes for finding in rollups if finding.notes] == []
            transaction.set_rollback(True)

    check()
