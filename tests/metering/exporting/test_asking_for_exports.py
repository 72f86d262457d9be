"""Asking for exports, and what becomes of those that are over."""

import datetime as dt

import pytest
from django.utils import timezone

from metering.errors import Conflict, Invalid, NotFound
from metering.exporting import exports as exporting
from metering.exporting.exports import remove_export, remove_old_exports
from metering.models import Export, ExportPiece
from tests.factories import a_metric, a_project
from tests.metering.exporting.asked import asked

pytestmark = pytest.mark.django_db


def over(export: Export, *, ago: dt.timedelta = dt.timedelta()) -> Export:
    """Finished with a file of one piece."""
    ExportPiece.objects.create(export=export, number=0, data=b"x")
    Export.objects.filter(pk=export.pk).update(
        state="finished", piece_count=1, byte_count=1, finished_at=timezone.now() - ago
    )
    export.refresh_from_db()
    return export


def test_so_many_wait_and_no_more(monkeypatch):
    monkeypatch.setattr(exporting, "MAX_WAITING", 2)
    asked()
    asked()

    with pytest.raises(Conflict):
        asked()
    asked(by=a_project("other"))


def test_wrong_filters_are_refused_before_anybody_waits():
    a_metric()
    for kind, filters, error in (
        ("usage_rollups", {}, Invalid),
        ("usage_rollups", {"metric": "nothing"}, NotFound),
        ("usage_rollups", {"metric": "tokens", "granularity": "year"}, Invalid),
        ("usage_events", {"project": "nobody"}, NotFound),
        ("usage_events", {"start": "2024-05-01T12:00:00"}, Invalid),
    ):
        with pytest.raises(error):
            asked(kind, **filters)
    assert not Export.objects.exists()


def test_old_exports_go_with_their_files(settings):
    settings.EXPORT_KEPT_DAYS = 2
    over(asked(), ago=dt.timedelta(days=2, minutes=1))
    young = over(asked(), ago=dt.timedelta(days=1, hours=23))
    waiting = asked()

    assert remove_old_exports() == 1

    assert list(Export.objects.order_by("pk")) == [young, waiting]
    assert set(ExportPiece.objects.values_list("export", flat=True)) == {young.pk}


def test_removed_is_gone_and_one_under_way_is_not_removed():
    export = asked()
    with pytest.raises(Conflict):
        remove_export(export)
    over(export)

    remove_export(export)

    assert not Export.objects.exists()
    assert not ExportPiece.objects.exists()
