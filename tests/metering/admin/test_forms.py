"""Forms go through the verbs; what a verb refuses stands beside the field at fault."""

import datetime as dt

import pytest
from django.test import Client
from django.urls import reverse

from metering.defining.definitions import archive_metric
from metering.errors import DefinitionsBusy
from metering.models import ApiKey, AttributionRule, CatalogueVersion, MetricDefinition, Project
from tests.factories import a_metric, a_project, an_event, recorded

from .confirming import confirmed
from .conftest import World


def errors_of(response: object) -> dict[str, list[str]]:
    form = response.context["adminform"].form  # type: ignore[attr-defined]
    return {field: list(errors) for field, errors in form.errors.items()}


def metric_fields(**overrides: object) -> dict[str, object]:
    return {
        "key": "requests",
        "display_name": "Requests",
        "unit": "request",
        "reset_period": "monthly",
        "event_name": "",
        "expected_labels": "",
        "event_label_filter": "",
        "aggregation": "COUNT",
        "value_property": "",
        "data_type": "INT",
        "meter_type": "counter",
        "is_incremental": "on",
        "reporting_method": "periodic",
        "primary_labels": "region, model",
        **overrides,
    }


# -- projects ------------------------------------------------------------------------------------------------


def test_project_is_added_below_its_parent(staff: Client, world: World) -> None:
    response = staff.post(
        reverse("admin:metering_project_add"),
        {"key": "new", "name": "New", "kind": "project", "parent": world.tenant.pk, "timezone": "Asia/Tokyo"},
    )

    project = Project.objects.get(key="new")
    assert response.status_code == 302
    assert project.path == f"{world.tenant.path}{project.pk}/"
    assert project.timezone == "Asia/Tokyo"


def test_taken_key_is_said_at_the_key(staff: Client, world: World) -> None:
    response = staff.post(
        reverse("admin:metering_project_add"),
        {"key": "shop", "name": "Again", "kind": "tenant", "parent": "", "timezone": "UTC"},
    )

    assert response.status_code == 200
    assert errors_of(response) == {"key": ["There is a project 'shop' already."]}
    assert Project.objects.filter(name="Again").count() == 0


def test_only_a_tenant_stands_at_the_top_of_a_tree(staff: Client, world: World) -> None:
    response = staff.post(
        reverse("admin:metering_project_add"),
        {"key": "adrift", "name": "Adrift", "kind": "project", "parent": "", "timezone": "UTC"},
    )

    assert response.status_code == 200
    assert list(errors_of(response)) == ["parent"]
    assert not Project.objects.filter(key="adrift").exists()


def test_changing_a_project_moves_the_version(staff: Client, world: World) -> None:
    before = CatalogueVersion.objects.get().version

    staff.post(
        reverse("admin:metering_project_change", args=[world.shop.pk]),
        {"name": "Renamed", "kind": "project", "timezone": "UTC", "key": "other", "parent": ""},
    )

    world.shop.refresh_from_db()
    assert (world.shop.name, world.shop.key, world.shop.parent_id) == ("Renamed", "shop", world.tenant.pk)
    assert CatalogueVersion.objects.get().version == before + 1


def test_project_with_usage_is_not_moved(staff: Client, world: World) -> None:
    response = staff.post(reverse("admin:metering_project_move", args=[world.shop.pk]), {"parent": ""})

    world.shop.refresh_from_db()
    assert "A project with usage can&#x27;t move in the tree." in response.content.decode()
    assert world.shop.parent_id == world.tenant.pk


def test_project_without_usage_is_moved(staff: Client, world: World) -> None:
    moved = a_project("moved")

    response = staff.post(
        reverse("admin:metering_project_move", args=[moved.pk]), {"parent": world.tenant.pk}
    )

    moved.refresh_from_db()
    assert response.status_code == 302
    assert moved.path == f"{world.tenant.path}{moved.pk}/"


def test_projects_are_never_deleted_here(staff: Client, world: World) -> None:
    response = staff.post(reverse("admin:metering_project_delete", args=[world.shop.pk]), {"post": "yes"})

    assert response.status_code == 403
    assert Project.objects.count() == 2


def test_tree_lists_parents_directly_before_their_children(staff: Client, db: None) -> None:
    first, second = a_project("first"), a_project("second")
    for number in range(9):
        a_project(f"below-second-{number}", parent=second)
    a_project("below-first", parent=first)

    rows = staff.get(reverse("admin:metering_project_changelist")).context["cl"].result_list

    assert [row.key for row in rows][:3] == ["first", "below-first", "second"]
    assert [row.depth for row in rows] == [0, 1, 0] + [1] * 9


def test_list_says_who_pays_now(staff: Client, world: World) -> None:
    rows = staff.get(reverse("admin:metering_project_changelist")).context["cl"].result_list

    assert {row.key: row.payer.key for row in rows} == {"tenant": "tenant", "shop": "tenant"}


# -- who pays ------------------------------------------------------------------------------------------------


def test_new_rule_ends_the_running_one(staff: Client, world: World) -> None:
    response = confirmed(
        staff,
        reverse("admin:metering_attributionrule_add"),
        {
            "project": world.shop.pk,
            "surface": "",
            "billing_attribution_project": world.shop.pk,
            "effective_from_0": "2026-01-01",
            "effective_from_1": "00:00:00",
            "effective_until_0": "",
            "effective_until_1": "",
        },
    )

    new_year = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert response.status_code == 302
    assert list(
        AttributionRule.objects.order_by("id").values_list(
            "billing_attribution_project__key", "effective_from", "effective_until"
        )
    ) == [("tenant", None, new_year), ("shop", new_year, None)]


def test_rule_says_who_pays_from_when_before_it_is_made(staff: Client, world: World) -> None:
    url = reverse("admin:metering_attributionrule_add")
    form = {
        "project": world.shop.pk,
        "surface": "",
        "billing_attribution_project": world.shop.pk,
        "effective_from_0": "2026-01-01",
        "effective_from_1": "00:00:00",
        "effective_until_0": "",
        "effective_until_1": "",
    }

    asked = staff.post(url, form)
    before = AttributionRule.objects.count()
    made = staff.post(url, {**dict(asked.context["kept"]), "_consequences_seen": asked.context["seen"]})

    assert [str(sentence) for sentence in asked.context["sentences"]] == [
        "Usage of shop that happens from 2026-01-01 00:00:00 UTC until further notice is paid by shop.",
        "The rule by which tenant pays now ends at 2026-01-01 00:00:00 UTC.",
        "Usage that is recorded already keeps its payer, whenever it happened; late usage that is recorded "
        "from now on follows the rule.",
    ]
    assert (before, made.status_code, AttributionRule.objects.count()) == (1, 302, 2)


def test_cycle_of_payers_is_said_at_the_payer(staff: Client, world: World) -> None:
    response = confirmed(
        staff,
        reverse("admin:metering_attributionrule_add"),
        {
            "project": world.tenant.pk,
            "surface": "",
            "billing_attribution_project": world.shop.pk,
            "effective_from_0": "",
            "effective_from_1": "",
            "effective_until_0": "",
            "effective_until_1": "",
        },
    )

    assert list(errors_of(response)) == ["billing_attribution_project"]
    assert AttributionRule.objects.count() == 1


def test_rule_is_ended_and_not_edited(staff: Client, world: World) -> None:
    rule = AttributionRule.objects.get()

    edited = staff.post(reverse("admin:metering_attributionrule_change", args=[rule.pk]), {})
    ended = staff.post(
        reverse("admin:metering_attributionrule_end", args=[rule.pk]),
        {"effective_until_0": "2025-03-01", "effective_until_1": "00:00:00"},
    )

    rule.refresh_from_db()
    assert edited.status_code == 403
    assert ended.status_code == 302
    assert rule.effective_until == dt.datetime(2025, 3, 1, tzinfo=dt.UTC)


# -- metrics -------------------------------------------------------------------------------------------------


def test_metric_is_defined_with_the_key_as_event_name(staff: Client, db: None) -> None:
    response = staff.post(reverse("admin:metering_metricdefinition_add"), metric_fields())

    metric = MetricDefinition.objects.get()
    assert response.status_code == 302
    assert (metric.event_name, metric.primary_labels, metric.aggregation) == (
        "requests",
        ["region", "model"],
        "COUNT",
    )


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"key": "tokens"}, "key"),
        ({"event_label_filter": '{"a": {"$near": 1}}'}, "event_label_filter"),
        ({"event_label_filter": "{"}, "event_label_filter"),
        ({"primary_labels": "a,a"}, "primary_labels"),
        ({"aggregation": "TIME_WEIGHTED_AVG", "meter_type": "counter"}, "meter_type"),
        ({"data_type": "STRING", "aggregation": "SUM"}, "aggregation"),
    ],
)
def test_refused_definition_names_the_field(
    staff: Client, world: World, overrides: dict[str, object], field: str
) -> None:
    response = staff.post(reverse("admin:metering_metricdefinition_add"), metric_fields(**overrides))

    assert list(errors_of(response)) == [field]
    assert MetricDefinition.objects.count() == 3


def test_meaning_is_frozen_once_it_has_counted(staff: Client, world: World) -> None:
    url = reverse("admin:metering_metricdefinition_change", args=[world.tokens.pk])

    page = staff.get(url).content.decode()
    staff.post(url, metric_fields(display_name="Renamed", aggregation="MAX", unit="token"))

    world.tokens.refresh_from_db()
    assert "Frozen: the metric has counted events" in page
    assert (world.tokens.display_name, world.tokens.unit) == ("Renamed", "token")
    assert world.tokens.aggregation == "SUM"


def test_meaning_is_free_before(staff: Client, db: None) -> None:
    metric = a_metric("fresh")

    staff.post(
        reverse("admin:metering_metricdefinition_change", args=[metric.pk]),
        metric_fields(
            event_name="fresh", aggregation="MAX", data_type="FLOAT", event_label_filter='{"a": 1}'
        ),
    )

    metric.refresh_from_db()
    assert (metric.aggregation, metric.event_label_filter) == ("MAX", {"a": 1})


def test_metric_can_reach_back_over_history(staff: Client, world: World) -> None:
    staff.post(
        reverse("admin:metering_metricdefinition_add"),
        metric_fields(key="all", event_name="tokens", counts_history="on"),
    )

    assert MetricDefinition.objects.get(key="all").counts_from == 0


def test_busy_ledger_is_a_message_and_not_a_crash(
    staff: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(**_fields: object) -> None:
        raise DefinitionsBusy

    monkeypatch.setattr("metering.admin.metric.define_metric", busy)

    response = staff.post(reverse("admin:metering_metricdefinition_add"), metric_fields())

    assert response.status_code == 200
    assert errors_of(response) == {"__all__": [str(DefinitionsBusy())]}


def test_archiving_asks_first(staff: Client, world: World) -> None:
    url = reverse("admin:metering_metricdefinition_archive", args=[world.tokens.pk])

    asked = staff.get(url)
    world.tokens.refresh_from_db()
    was_archived = world.tokens.is_archived
    staff.post(url)

    world.tokens.refresh_from_db()
    assert "Archive the metric" in asked.content.decode()
    assert not was_archived
    assert world.tokens.is_archived


@pytest.mark.parametrize(
    ("name", "attribute_name"),
    [("metricdefinition_archive", "tokens"), ("apikey_revoke", "key"), ("project_move", "shop")],
)
def test_onlooker_takes_no_action(onlooker: Client, world: World, name: str, attribute_name: str) -> None:
    row = getattr(world, attribute_name)

    response = onlooker.post(reverse(f"admin:metering_{name}", args=[row.pk]), {"parent": ""})

    assert response.status_code == 403
    assert MetricDefinition.objects.get(pk=world.tokens.pk).archived_from is None
    assert ApiKey.objects.get(pk=world.key.pk).revoked_at is None


def test_archived_metric_shows_its_last_usage(staff: Client, world: World) -> None:
    archive_metric(world.tokens)
    recorded(an_event(world.shop, event_name="tokens", id="after"))

    page = staff.get(
        reverse("admin:metering_metricdefinition_change", args=[world.tokens.pk])
    ).content.decode()

    assert "Usage from 2024-04-16 to 2024-05-15" in page
    assert "15,000" in page
