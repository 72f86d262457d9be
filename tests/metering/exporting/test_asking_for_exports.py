"""Asking for exports, and what becomes of those that are over."""

import datetime as dt

import pytest
from django.utils import timezone

from metering.errors import Conflict, Invalid, NotFound
from metering.exporting import exports as exporting
from metering.exporting.export_kinds import kind_named
from metering.exporting.exports import file_of, is_own, remove_export, remove_old_exports, request_export
from metering.models import Export, ExportPiece
from metering.principal import Principal
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


def test_removed_has_no_file_and_stays_known_and_one_under_way_is_not_removed():
    export = asked()
    with pytest.raises(Conflict):
        remove_export(export)
    over(export)

    remove_export(export)

    export = Export.objects.get()
    assert (export.state, export.requested_by, export.kind) == ("removed", "in-process", "usage_events")
    assert not ExportPiece.objects.exists()
    with pytest.raises(Conflict, match="removed; there is no file"):
        file_of(export, at=timezone.now())
    with pytest.raises(Conflict, match="removed already"):
        remove_export(export)


def test_file_is_given_out_until_its_time_is_over(settings):
    settings.EXPORT_KEPT_DAYS = 2
    export = over(asked())

    assert b"".join(file_of(export, at=export.expires_at - dt.timedelta(microseconds=1))) == b"x"
    with pytest.raises(NotFound, match="are over"):
        file_of(export, at=export.expires_at)


def test_own_is_what_the_very_key_asked_for():
    project = a_project("acme")
    one, other = (
        Principal("Backend", frozenset({"read"}), project.pk, project.path, key_id) for key_id in ("ab", "cd")
    )
    namesake = Principal(one.signature, frozenset({"read"}))

    export = request_export(kind_named("journal"), {}, principal=one, project_path=one.project_path)

    assert export.requested_by == "Backend (mbk_ab…)"
    assert [is_own(export, asking) for asking in (one, other, namesake)] == [True, False, False]
