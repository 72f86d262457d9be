"""Looking ahead, cloning, ready-made metrics and Octane's Meters in the admin."""

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from metering.admin.metric import following_key
from metering.models import MetricDefinition
from tests.factories import a_metric
from tests.metering.defining.test_octane import METER

from .conftest import World
from .test_forms import errors_of, metric_fields

ADD = "/admin/metering/metricdefinition/add/"
IMPORT = "/admin/metering/metricdefinition/import-octane/"
READY_MADE = "/admin/metering/metricdefinition/ready-made/"
LIST = "/admin/metering/metricdefinition/"


def change_url(metric: MetricDefinition) -> str:
    return reverse("admin:metering_metricdefinition_change", args=[metric.pk])


@pytest.fixture
def adder(db: None) -> Client:
    """Staff who may add metrics and view them."""
    user = User.objects.create_user("adder", is_staff=True)
    rights = ["add_metricdefinition", "view_metricdefinition"]
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


# -- previews ------------------------------------------------------------------------------------------------


def test_preview_shows_numbers_and_saves_nothing(staff: Client, world: World) -> None:
    fields = metric_fields(key="peak-2", event_name="tokens", aggregation="MAX", primary_labels="model")
    fields |= {"data_type": "FLOAT", "_preview": "7"}

    response = staff.post(ADD, fields)

    preview = response.context["preview"]
    assert response.status_code == 200
    assert errors_of(response) == {}
    assert (preview["value"], preview["has_stored"]) == ("5,000", False)
    assert [line["labels"] for line in preview["groups"]] == [["large"]]
    assert "Preview: nothing is saved yet" in response.content.decode()
    assert 'value="peak-2"' in response.content.decode()
    assert not MetricDefinition.objects.filter(key="peak-2").exists()


def test_preview_of_a_change_compares_it_with_the_definition_in_force(staff: Client, world: World) -> None:
    fresh = a_metric("fresh", event_name="tokens")
    fields = metric_fields(event_name="tokens", aggregation="COUNT", data_type="FLOAT", _preview="30")

    response = staff.post(change_url(fresh), fields)

    fresh.refresh_from_db()
    assert response.context["preview"]["facts"][0][1:] == ("5", "15,000")
    assert json.loads(response.context["preview"]["chart"].data)["datasets"][1]["label"] == "As in force"
    assert fresh.aggregation == "SUM"


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"key": ""}, "key"),
        ({"key": "tokens"}, "key"),
        ({"key": "preview"}, "key"),
        ({"data_type": "STRING", "aggregation": "SUM"}, "aggregation"),
        ({"event_label_filter": '{"a": {"$near": 1}}'}, "event_label_filter"),
        ({"primary_labels": "a,a"}, "primary_labels"),
    ],
)
def test_preview_shows_the_errors_of_the_form(
    staff: Client, world: World, overrides: dict[str, object], field: str
) -> None:
    response = staff.post(ADD, metric_fields(**overrides) | {"_preview": "7"})

    assert list(errors_of(response)) == [field]
    assert "preview" not in response.context


def test_broken_filter_says_where(staff: Client, world: World) -> None:
    response = staff.post(ADD, metric_fields(event_label_filter='{\n"a": [1,}'))

    (message,) = errors_of(response)["event_label_filter"]
    assert message.startswith("This isn't JSON: line 2, column 9:")


def test_events_that_would_be_refused_are_listed(staff: Client, world: World) -> None:
    fields = metric_fields(event_name="tokens", expected_labels="plan", _preview="7")

    page = staff.post(ADD, fields).content.decode()

    assert "Events that would be refused" in page
    assert "req-5" in page
    assert "labels.plan" in page


def test_frozen_metric_offers_no_preview(staff: Client, world: World) -> None:
    fresh = a_metric("fresh")

    assert 'name="_preview"' not in staff.get(change_url(world.tokens)).content.decode()
    assert 'name="_preview"' in staff.get(change_url(fresh)).content.decode()
    assert 'name="_preview"' in staff.get(ADD).content.decode()


# -- clones --------------------------------------------------------------------------------------------------


def test_clone_button_leads_to_a_filled_form(staff: Client, world: World) -> None:
    url = reverse("admin:metering_metricdefinition_clone", args=[world.tokens.pk])

    response = staff.get(url, follow=True)

    initial = response.context["adminform"].form.initial
    assert response.status_code == 200
    assert (initial["key"], initial["event_name"], initial["primary_labels"]) == (
        "tokens-2",
        "tokens",
        ["model"],
    )
    assert "A new metric beside “tokens”" in response.content.decode()


def test_clone_is_saved_and_the_old_metric_archived(staff: Client, world: World) -> None:
    fields = metric_fields(key="tokens-2", event_name="tokens", aggregation="MAX", data_type="FLOAT")

    response = staff.post(
        f"{ADD}?clone_of={world.tokens.pk}", fields | {"primary_labels": "model", "archives_original": "on"}
    )

    clone = MetricDefinition.objects.get(key="tokens-2")
    world.tokens.refresh_from_db()
    assert response.status_code == 302
    assert (clone.aggregation, clone.primary_labels) == ("MAX", ["model"])
    assert world.tokens.archived_from == clone.counts_from
    assert LogEntry.objects.filter(object_id=str(world.tokens.pk), action_flag=2).count() == 1


def test_preview_of_a_clone_compares_it_with_the_original(staff: Client, world: World) -> None:
    fields = metric_fields(key="t", event_name="tokens", aggregation="MAX", data_type="FLOAT", _preview="7")

    response = staff.post(f"{ADD}?clone_of={world.tokens.pk}", fields)

    assert response.context["preview"]["facts"][0][1:] == ("5,000", "15,000")
    assert not MetricDefinition.objects.filter(key="t").exists()


def test_clone_of_nothing_is_a_plain_form(staff: Client, world: World) -> None:
    for text in ("0", "x", "9" * 30, "²"):
        assert staff.get(ADD, {"clone_of": text}).status_code == 200


@pytest.mark.parametrize(
    ("key", "following"),
    [("calls", "calls-2"), ("calls-2", "calls-3"), ("a-b", "a-b-2"), ("2024", "2024-2"), ("x-²", "x-²-2")],
)
def test_keys_follow_each_other(key: str, following: str) -> None:
    assert following_key(key) == following


# -- ready-made ----------------------------------------------------------------------------------------------


def test_empty_list_offers_ready_made_metrics(staff: Client, onlooker: Client, db: None) -> None:
    page = staff.get(LIST).content.decode()

    assert page.count(READY_MADE) == 2  # above the list and in its empty state
    assert READY_MADE not in onlooker.get(LIST).content.decode()


def test_chosen_ready_made_metrics_are_added(staff: Client, world: World) -> None:
    a_metric("writes")

    page = staff.get(READY_MADE).content.decode()
    response = staff.post(
        READY_MADE, {"project": world.tenant.pk, "keys": ["reads", "writes"]}, follow=True
    ).content.decode()

    assert "all projects" in page
    assert MetricDefinition.objects.get(key="reads").project == world.tenant
    assert "1 metric was added. There already, and left as they are: writes." in response


def test_ready_made_page_asks_for_at_least_one(staff: Client, world: World) -> None:
    response = staff.post(READY_MADE, {"project": ""})

    assert "Choose at least one." in response.content.decode()
    assert MetricDefinition.objects.count() == 3


def test_key_taken_below_is_said_on_the_page(staff: Client, world: World) -> None:
    a_metric("reads", project=world.shop)

    response = staff.post(READY_MADE, {"project": world.tenant.pk, "keys": ["reads"]})

    assert "There is a metric &#x27;reads&#x27; along this branch" in response.content.decode()


# -- Octane --------------------------------------------------------------------------------------------------


def test_import_shows_what_it_would_create_before_it_does(staff: Client, world: World) -> None:
    text = json.dumps([METER, METER | {"name": "peak-2", "aggregation": "MAX"}])

    checked = staff.post(IMPORT, {"text": text, "project": world.tenant.pk, "_check": ""})
    between = MetricDefinition.objects.count()
    created = staff.post(IMPORT, {"text": text, "project": world.tenant.pk, "_create": "1"})

    assert checked.context["can_create"]
    assert [line["key"] for line in checked.context["lines"]] == ["api_calls", "peak-2"]
    assert (between, MetricDefinition.objects.count()) == (3, 5)
    assert created.status_code == 302
    assert MetricDefinition.objects.get(key="api_calls").project == world.tenant


def test_file_is_checked_and_its_text_kept_for_the_second_step(staff: Client, world: World) -> None:
    upload = SimpleUploadedFile("meters.json", b"\xef\xbb\xbf" + json.dumps(METER).encode())

    response = staff.post(IMPORT, {"file": upload, "text": "", "project": "", "_check": ""})

    assert response.context["can_create"]
    assert response.context["form"].data["text"] == json.dumps(METER)


def test_every_error_is_shown_and_nothing_created(staff: Client, world: World) -> None:
    text = json.dumps([METER, {"name": "tokens", "size": 1}, METER | {"name": "tokens"}])

    response = staff.post(IMPORT, {"text": text, "project": "", "_create": "1"})

    errors = [[(e.code, e.field) for e in line["errors"]] for line in response.context["lines"]]
    assert not response.context["can_create"]
    assert (errors[0], errors[1][0], errors[2]) == (
        [],
        ("invalid_field", "size"),
        [("conflict", "name")],
    )
    assert len(errors[1]) == 7
    assert MetricDefinition.objects.count() == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Paste the JSON, or choose a file."),
        ("[{]", "This isn&#x27;t JSON: line 1, column 3"),
        ("[]", "Give 1 to 200 Meters."),
        ('{"name": NaN}', "NaN is no number"),
        ('{"name": "\\ud800"}', "This isn&#x27;t JSON that can be read"),
        ("[" * 100_000, "This isn&#x27;t JSON that can be read"),
    ],
    ids=lambda part: part[:12],
)
def test_text_that_is_no_json_says_where(staff: Client, db: None, content: str, message: str) -> None:
    response = staff.post(IMPORT, {"text": content, "project": ""})

    assert response.status_code == 200
    assert message in response.content.decode()


def test_file_that_is_no_text_is_refused(staff: Client, db: None) -> None:
    response = staff.post(IMPORT, {"file": SimpleUploadedFile("x.json", b"\xff\xfe\x00"), "project": ""})

    assert "The file isn&#x27;t text in UTF-8." in response.content.decode()


def test_chosen_metrics_are_exported_as_one_file(staff: Client, world: World) -> None:
    chosen = MetricDefinition.objects.filter(key__in=["tokens", "peak"])
    data = {"action": "export_to_octane", "_selected_action": [metric.pk for metric in chosen]}

    response = staff.post(LIST, data)

    assert response["Content-Disposition"] == 'attachment; filename="octane-meters.json"'
    assert {meter["name"]: meter["aggregation"] for meter in response.json()} == {
        "tokens": "SUM",
        "peak": "MAX",
    }


def test_export_that_octane_cant_express_says_every_reason(staff: Client, world: World) -> None:
    a_metric("average", aggregation="AVG")
    pks = list(MetricDefinition.objects.values_list("pk", flat=True))

    page = staff.post(LIST, {"action": "export_to_octane", "_selected_action": pks}, follow=True)

    assert [str(message) for message in page.context["messages"]] == [
        "Metric 'average': Octane has no aggregation AVG.",
        "Metric 'old': The metric is archived; a Meter always counts.",
    ]


def test_one_metric_is_exported_from_its_page(staff: Client, world: World) -> None:
    response = staff.get(
        reverse("admin:metering_metricdefinition_export_one_to_octane", args=[world.tokens.pk])
    )

    assert response["Content-Disposition"] == 'attachment; filename="octane-meter-tokens.json"'
    assert response.json()["name"] == "tokens"


# -- who may ---------------------------------------------------------------------------------------------


def test_onlooker_looks_and_exports_but_adds_nothing(onlooker: Client, world: World) -> None:
    text = json.dumps(METER)
    clone = reverse("admin:metering_metricdefinition_clone", args=[world.tokens.pk])
    refused = [
        onlooker.get(IMPORT),
        onlooker.post(IMPORT, {"text": text, "_create": "1"}),
        onlooker.get(READY_MADE),
        onlooker.post(READY_MADE, {"keys": ["reads"]}),
        onlooker.get(clone),
        onlooker.post(ADD, metric_fields(_preview="7")),
        onlooker.post(f"{ADD}?clone_of={world.tokens.pk}", metric_fields()),
        onlooker.post(change_url(world.tokens), {"_preview": "7"}),
    ]
    export = reverse("admin:metering_metricdefinition_export_one_to_octane", args=[world.tokens.pk])

    assert [response.status_code for response in refused] == [403] * 8
    assert onlooker.get(export).status_code == 200
    assert MetricDefinition.objects.count() == 3


def test_who_may_only_add_archives_no_original(adder: Client, world: World) -> None:
    fields = metric_fields(key="tokens-2", event_name="tokens", archives_original="on")

    page = adder.get(f"{ADD}?clone_of={world.tokens.pk}").content.decode()
    adder.post(f"{ADD}?clone_of={world.tokens.pk}", fields)

    world.tokens.refresh_from_db()
    assert "Archive the old metric" not in page
    assert (MetricDefinition.objects.filter(key="tokens-2").count(), world.tokens.archived_from) == (1, None)
