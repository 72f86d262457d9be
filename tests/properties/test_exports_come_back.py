"""Whatever was recorded, voided and amended: its export, imported elsewhere, is the same usage by every
metric, and importing it again, in whatever chunks, adds nothing."""

import datetime as dt
import io
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.answering.event_listing import EventFilter
from metering.answering.exports import events_csv
from metering.answering.usage import Scope, Slice
from metering.correcting.corrections import amend_event, void_events
from metering.errors import Conflict
from metering.importing import event_imports
from metering.importing.event_columns import RowOptions
from metering.importing.event_files import inspect
from metering.importing.event_imports import begin_import, import_chunks
from metering.importing.event_records import EventFile, ImportOptions
from metering.models import EventImport, Project, UsageEvent
from tests.factories import a_metric, a_project, an_event, at, recorded, usages_of

from .test_every_aggregation import DEFINITIONS

pytestmark = pytest.mark.django_db

START = at("2024-03-31T23:00:00Z")
TWIN = ImportOptions(format="csv", rows=RowOptions(constants={"project": "twin"}))


@dataclass(frozen=True)
class Sent:
    quantity: Decimal
    subject_id: str
    size: str
    minute: int


@dataclass(frozen=True)
class Voided:
    pick: int


@dataclass(frozen=True)
class Amended:
    pick: int
    quantity: Decimal
    new_id: bool


quantities = st.decimals(0, 10, places=3)
steps = st.lists(
    st.builds(
        Sent,
        quantity=quantities,
        subject_id=st.sampled_from(["ada", "bob"]),
        size=st.sampled_from(["s", "l"]),
        minute=st.sampled_from([0, 1, 59, 60, 90]),
    )
    | st.builds(Voided, st.integers(0, 9))
    | st.builds(Amended, st.integers(0, 9), quantities, st.booleans()),
    min_size=1,
    max_size=14,
)


@settings(max_examples=15)
@given(steps=steps, chunk_size=st.sampled_from([1, 3, 1000]))
def test_export_is_the_same_usage_elsewhere(steps: list[Sent | Voided | Amended], chunk_size: int) -> None:
    with transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_imports, "CHUNK_EVENTS", chunk_size)
        for name, definition in DEFINITIONS.items():
            a_metric(name, event_name="tokens", expected_labels=["size"], **definition)
        a_project("acme")
        a_project("twin")
        for number, step in enumerate(steps):
            take(number, step)
        export = b"".join(events_csv(EventFilter()))
        there = [usage("acme", metric) for metric in DEFINITIONS]

        first, again = imported(export), imported(export)

        assert [usage("twin", metric) for metric in DEFINITIONS] == there
        assert (first.left_out_count, again.left_out_count) == (0, 0)
        assert again.created_count == 0
        assert again.existing_count == first.created_count == there[0][1]
        transaction.set_rollback(True)


def take(number: int, step: Sent | Voided | Amended) -> None:
    if isinstance(step, Sent):
        when = START + dt.timedelta(minutes=step.minute)
        labels = {"size": step.size}
        recorded(
            an_event(
                id=f"e-{number}",
                quantity=str(step.quantity),
                subject_id=step.subject_id,
                occurred_at=when.isoformat(),
                labels=labels,
            )
        )
        return
    ids = list(UsageEvent.objects.filter(kind="usage").order_by("id").values_list("id", flat=True))
    if not ids:
        return
    chosen = ids[step.pick % len(ids)]
    if isinstance(step, Voided):
        void_events([chosen], reason="by mistake", actor="tests")
        return
    changes = {"quantity": str(step.quantity)} | ({"id": f"new-{number}"} if step.new_id else {})
    with suppress(Conflict):  # voided already
        amend_event(chosen, changes, reason="counted wrongly", actor="tests")


def imported(export: bytes) -> EventImport:
    facts = inspect(io.BytesIO(export))
    job, _ = begin_import(facts, TWIN, file_name="export.csv", requested_by="kim")
    for _ in import_chunks(job, EventFile(io.BytesIO(export), facts, TWIN)):
        pass
    return job


def usage(project: str, metric: str) -> tuple[Decimal | None, int]:
    scope = Slice(Scope([Project.objects.get(key=project).pk]))
    found = usages_of(metric, (START, START + dt.timedelta(hours=3)), slice=scope)
    return (found[0].value, found[0].aggregate.record_count) if found else (None, 0)
