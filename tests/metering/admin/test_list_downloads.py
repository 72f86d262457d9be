"""Every list as a file: who may have it, which rows and columns it has, and what it never has."""

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.urls import reverse

from billing.models import Seller
from metering.admin import list_download
from metering.admin.list_columns import ListColumn, columns_of
from metering.admin.list_files import whole_list
from metering.keys import create_api_key
from metering.models import Export, MetricDefinition, Project, UsageEvent, UsageMeterRollup
from quotas.enforcement import set_quota
from quotas.models import ProjectQuota
from tests.factories import a_metric, a_project, a_void_of, an_event, recorded

from .conftest import World
from .listed import MODELS, content_of, file_of_list, keys_on_pages, rows_in, url_of

LISTS = [model for model in MODELS if model is not Seller]  # there is one, and its list leads to it at once


@pytest.fixture(autouse=True)
def limits(world: World) -> None:
    set_quota(world.tenant, metric=world.tokens, limit=20_000)
    for number in range(3):
        a_project(f"p-{number}", parent=world.tenant)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for model_admin in admin.site._registry.values():
        monkeypatch.setattr(type(model_admin), "list_per_page", 2)


def somebody(*rights: str, name: str = "clerk") -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


def test_every_list_has_the_button_for_who_may_export(staff: Client) -> None:
    for model in LISTS:
        found = staff.get(url_of(model))

        has_rows = bool(found.context["cl"].result_count)
        assert (f'href="{url_of(model, "as_csv")}?"' in found.content.decode()) == has_rows, model
        assert found.context["csv_url"] == url_of(model, "as_csv")


def test_who_may_not_export_or_not_see_has_neither_button_nor_file(onlooker: Client) -> None:
    exporter = somebody("export_data")

    for model in LISTS:
        assert url_of(model, "as_csv") not in onlooker.get(url_of(model)).content.decode(), model
        assert onlooker.get(url_of(model, "as_csv")).status_code == 403
        if model is not Export:  # who may export sees what was exported
            assert exporter.get(url_of(model, "as_csv")).status_code == 403, model


def test_every_file_can_be_made_of_nothing_too(staff: Client) -> None:
    root = User.objects.get(username="root")

    for model in MODELS:
        model_admin = admin.site._registry[model]
        text = b"".join(block.data for block in whole_list(model_admin, "", root).blocks()).decode()

        header = ",".join(one.name for one in columns_of(model_admin))
        assert text.splitlines()[0] == header, model


def test_every_file_has_the_rows_of_all_pages_in_their_order(staff: Client, small_pages: None) -> None:
    for model in LISTS:
        keys = keys_on_pages(staff, model)
        if not keys:
            response = staff.get(url_of(model, "as_csv"), follow=True)
            assert response.redirect_chain[0][0] == url_of(model)
            assert "Nothing matches, so there is nothing to download." in response.content.decode()
            continue
        first = columns_of(admin.site._registry[model])[0].name
        assert [row[first] for row in file_of_list(staff, model)] == [str(key) for key in keys], model


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("project__id__exact={shop}", 6),
        ("event_name=tokens&occurred_at_from=2024-05-12&occurred_at_until=2024-05-15", 4),
        ("cancellation=none", 5),
        ("cancellation=voided", 1),
        ("cancellation=voids", 1),
        ("q=req-3", 1),
        ("cancellation=none&place=77&project__id__exact={shop}&e=1", 4),
    ],
)
def test_file_of_events_has_what_the_filters_leave(
    staff: Client, world: World, small_pages: None, query: str, count: int
) -> None:
    a_void_of(UsageEvent.objects.get(event_id="req-2").pk)
    recorded(an_event(world.tenant, id="elsewhere", occurred_at="2023-01-01T00:00:00Z"))
    query = query.format(shop=world.shop.pk)

    rows = file_of_list(staff, UsageEvent, query)

    shown = query.replace("place=77&", "").replace("&e=1", "")
    assert [int(row["id"]) for row in rows] == keys_on_pages(staff, UsageEvent, shown)
    assert len(rows) == count


@pytest.mark.parametrize(
    "query", ["", "detail=streams", "detail=all&granularity__exact=day", "metric__id__exact={tokens}"]
)
def test_file_of_rollups_has_what_the_filters_leave(
    staff: Client, world: World, small_pages: None, query: str
) -> None:
    query = query.format(tokens=world.tokens.pk)

    rows = file_of_list(staff, UsageMeterRollup, query)

    assert [int(row["id"]) for row in rows] == keys_on_pages(staff, UsageMeterRollup, query)
    assert rows


def test_search_and_filter_of_a_plain_list_hold(staff: Client, small_pages: None) -> None:
    keys = [row["key"] for row in file_of_list(staff, Project, "q=p-&kind__exact=project")]

    assert keys == ["p-0", "p-1", "p-2"]


def test_order_of_a_plain_list_holds(staff: Client) -> None:
    for name in ("b", "c", "a"):
        User.objects.create_user(name)

    names = [row["username"] for row in file_of_list(staff, User, "o=-0")]

    assert names == ["root", "c", "b", "a"]
    assert keys_on_pages(staff, User, "o=-0") == [User.objects.get(username=name).pk for name in names]


def test_order_of_a_list_with_boxes_to_tick_holds(staff: Client) -> None:
    for key in ("b", "c", "a"):
        a_metric(key, display_name=key, event_name=key)

    keys = [row["key"] for row in file_of_list(staff, MetricDefinition, "o=-1")]

    assert [key for key in keys if key in {"a", "b", "c"}] == ["c", "b", "a"]
    assert keys_on_pages(staff, MetricDefinition, "o=-1") == [
        MetricDefinition.objects.get(key=key).pk for key in keys
    ]


def test_values_are_data(staff: Client, world: World) -> None:
    event = file_of_list(staff, UsageEvent, "q=req-1")[0]
    rollup = file_of_list(staff, UsageMeterRollup, f"metric__id__exact={world.tokens.pk}")[0]
    project = file_of_list(staff, Project, "q=shop")[0]

    assert event == {
        "id": str(world.event.pk),
        "project": "shop",
        "billing_scope": "tenant",
        "surface": "",
        "source": "api",
        "event_id": "req-1",
        "event_name": "tokens",
        "subject_type": "customer",
        "subject_id": "kim",
        "quantity": "1000",
        "labels": '{"note": "<script>", "model": "large"}',
        "occurred_at": "2024-05-11T12:00:00Z",
        "recorded_at": event["recorded_at"],
        "kind": "usage",
        "voids": "",
        "voided_by": "",
    }
    assert event["recorded_at"].endswith("Z")
    wanted = ("metric", "aggregation", "granularity", "bucket_start", "project", "detail", "value")
    assert tuple(rollup[name] for name in wanted) == (
        "tokens",
        "SUM",
        "hour",
        "2024-05-15T12:00:00Z",
        "shop",
        "total",
        "5000",
    )
    assert (project["parent"], project["payer"], project["timezone"]) == ("tenant", "tenant", "UTC")


def test_what_the_list_computes_is_in_the_file(staff: Client, world: World) -> None:
    quota = file_of_list(staff, ProjectQuota)[0]

    standing = ("project", "metric", "limit", "limit_in_force", "used", "remaining", "fraction")
    assert [quota[name] for name in standing] == ["tenant", "tokens", "20000", "20000", "0", "20000", "0"]


def test_labels_keep_numbers_that_a_float_would_lose(staff: Client, world: World) -> None:
    recorded(an_event(world.shop, id="exact", labels={"tokens": 12345678901234567890.5}))

    row = file_of_list(staff, UsageEvent, "q=exact")[0]

    assert row["labels"].startswith('{"tokens": 1234567890123456')


def test_every_file_says_the_same_in_every_language(staff: Client) -> None:
    for model in LISTS:
        if not model._default_manager.exists():
            continue
        in_english = content_of(staff, model)
        for language in ("de", "fr"):
            response = staff.get(url_of(model, "as_csv"), HTTP_ACCEPT_LANGUAGE=language)
            assert b"".join(response.streaming_content).decode() == in_english, (model, language)


def test_cell_that_begins_like_a_formula_is_harmless(staff: Client) -> None:
    a_project("calc", name='=HYPERLINK("http://x")')

    text = content_of(staff, Project, "q=calc")

    assert '"\'=HYPERLINK(""http://x"")"' in text


def test_no_column_is_called_like_a_secret() -> None:
    for model in MODELS:
        names = [one.name for one in columns_of(admin.site._registry[model])]

        assert len(set(names)) == len(names), model
        assert not [name for name in names if re.search(r"passw|secret|digest|token|hash|mac$|html", name)]


def test_no_file_holds_a_secret(staff: Client, world: World) -> None:
    key, secret = create_api_key(project=world.tenant, name="Another", permissions=["read"])
    User.objects.create_user("kim", password="a long password of kim's")
    key.refresh_from_db()
    kim = User.objects.get(username="kim")
    secrets = [secret, secret.rpartition("_")[2], bytes(key.digest).hex(), kim.password]

    for model in MODELS:
        if model._default_manager.exists():
            text = content_of(staff, model)
            assert not [one for one in secrets if one in text], model


def test_column_of_a_secret_cannot_be_declared() -> None:
    with pytest.raises(ImproperlyConfigured, match="which is secret"):
        ListColumn("key", ("api_key__digest",))


@pytest.mark.parametrize(
    "query",
    [
        "unknown=1",
        "project__id__exact=abc",
        "password__startswith=a",
        "project__name__regex=(",
        "occurred_at_from=yesterday",
        "q=%00",
        "q=" + "x" * 5000,
        "_to_field=digest",
    ],
)
def test_query_that_the_list_does_not_understand_is_refused(staff: Client, query: str) -> None:
    for send in (staff.get, staff.post):
        response = send(url_of(UsageEvent, "as_csv", query))

        assert response.status_code == 400
        assert reverse("admin:metering_usageevent_changelist") in response.content.decode()
    assert not Export.objects.exists()


def test_name_of_the_file_says_what_and_when(staff: Client) -> None:
    plain = staff.get(url_of(Project, "as_csv", "o=1"))
    narrowed = staff.get(url_of(Project, "as_csv", "q=shop"))

    assert re.fullmatch(r'attachment; filename="projects-\d{4}-\d\d-\d\d.csv"', plain["Content-Disposition"])
    assert re.fullmatch(
        r'attachment; filename="projects-filtered-\d{4}-\d\d-\d\d.csv"', narrowed["Content-Disposition"]
    )


@pytest.fixture
def long_list(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Three rows are many; how often a worker was called."""
    calls: list[bool] = []
    monkeypatch.setattr(list_download, "LARGEST_AT_ONCE", 3)
    monkeypatch.setattr(list_download.run_exports, "apply_async", lambda **_: calls.append(True))
    return calls


def test_long_list_is_asked_for_in_the_background(staff: Client, long_list: list[bool]) -> None:
    url = url_of(UsageEvent, "as_csv", "cancellation=none")

    asked = staff.get(url)
    assert not Export.objects.exists()
    answer = staff.post(url)

    page = asked.content.decode()
    assert "rows: too many to wait for." in page
    assert "Cancellation: Events that count" in page
    assert "for 7 days after it is made" in page
    assert url_of(UsageEvent, query="cancellation=none") in page
    export = Export.objects.get()
    root = User.objects.get(username="root")
    assert (export.kind, export.filters, export.requested_by, export.state) == (
        "list:metering.usageevent",
        {"query": "cancellation=none", "person": root.pk},
        "root",
        "queued",
    )
    assert long_list == [True]
    progress_url = reverse("admin:metering_export_change", args=[export.pk])
    assert answer["Location"] == progress_url
    shown = staff.get(progress_url).content.decode()
    assert "List: Usage events" in shown
    assert f"usage-events-filtered-{export.requested_at:%Y-%m-%d}-{export.pk}.csv" in shown
    assert rows_in(content_of(staff, UsageEvent, "q=req-1"))  # one row is few


def test_file_of_a_list_is_its_owners(staff: Client, long_list: list[bool]) -> None:
    kim = somebody("export_data", "view_usageevent", name="kim")
    lee = somebody("export_data", "view_usageevent", name="lee")
    kim.post(url_of(UsageEvent, "as_csv"))
    progress_url = reverse("admin:metering_export_change", args=[Export.objects.get().pk])

    assert kim.get(progress_url).status_code == 200
    assert lee.get(progress_url).status_code == 404
    assert staff.get(progress_url).status_code == 200
    User.objects.get(username="kim").user_permissions.remove(
        Permission.objects.get(codename="view_usageevent")
    )
    assert kim.get(progress_url).status_code == 404


def test_exports_stand_under_files(staff: Client) -> None:
    groups = {
        str(group.get("title")): [str(item["title"]) for item in group["items"]]
        for group in staff.get(reverse("admin:index")).context["sidebar_navigation"]
    }

    assert groups["Files"] == ["Exports", "Imports"]
