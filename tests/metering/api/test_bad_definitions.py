"""Definitions that don't fit are refused by name, and nothing is written."""

import pytest

from metering.models import AttributionRule, MetricDefinition, Project
from quotas.models import ProjectQuota
from tests.factories import NOON
from tests.metering.api.refusing import assert_refused

pytestmark = pytest.mark.django_db


A_METRIC = {"key": "m"}
A_PROJECT = {"key": "p", "name": "P"}
A_RULE = {"billing_attribution_project": "acme"}
A_QUOTA = {"project": "acme", "metric": "tokens", "limit": "5", "mode": "hard", "period": "month"}
WRONG = [
    ("/metrics/", A_METRIC, {"key": None}, "key"),
    ("/metrics/", A_METRIC, {"key": 5}, "key"),
    ("/metrics/", A_METRIC, {"key": "Not a slug"}, "key"),
    ("/metrics/", A_METRIC, {"key": "x" * 101}, "key"),
    ("/metrics/", A_METRIC, {"key": "٣"}, "key"),
    ("/metrics/", A_METRIC, {"display_name": "x" * 201}, "display_name"),
    ("/metrics/", A_METRIC, {"unit": ["x"]}, "unit"),
    ("/metrics/", A_METRIC, {"event_name": "x" * 201}, "event_name"),
    ("/metrics/", A_METRIC, {"aggregation": "MEDIAN"}, "aggregation"),
    ("/metrics/", A_METRIC, {"aggregation": "UNIQUE_COUNT", "data_type": "STRING"}, "value_property"),
    ("/metrics/", A_METRIC, {"aggregation": "TIME_WEIGHTED_AVG", "meter_type": "counter"}, "meter_type"),
    ("/metrics/", A_METRIC, {"is_incremental": "true"}, "is_incremental"),
    ("/metrics/", A_METRIC, {"reporting_method": "sometimes"}, "reporting_method"),
    ("/metrics/", A_METRIC, {"data_type": "STRING", "aggregation": "SUM"}, "aggregation"),
    ("/metrics/", A_METRIC, {"expected_labels": "region"}, "expected_labels"),
    ("/metrics/", A_METRIC, {"expected_labels": [1]}, "expected_labels"),
    ("/metrics/", A_METRIC, {"primary_labels": ["a", "a"]}, "primary_labels"),
    ("/metrics/", A_METRIC, {"primary_labels": [""]}, "primary_labels"),
    ("/metrics/", A_METRIC, {"primary_labels": [f"l{n}" for n in range(21)]}, "primary_labels"),
    ("/metrics/", A_METRIC, {"event_label_filter": []}, "event_label_filter"),
    ("/metrics/", A_METRIC, {"event_label_filter": {"a": {"$like": "x"}}}, "event_label_filter"),
    ("/metrics/", A_METRIC, {"event_label_filter": {"a": {}}}, "event_label_filter"),
    ("/metrics/", A_METRIC, {"event_label_filter": {"$or": []}}, "event_label_filter"),
    ("/metrics/", A_METRIC, {"event_label_filter": {"a": {"$in": [[1]]}}}, "event_label_filter"),
    ("/metrics/", A_METRIC, {"counts_from": 1}, "counts_from"),
    ("/metrics/", A_METRIC, {"counts_from": False}, "counts_from"),
    ("/metrics/", A_METRIC, {"reset_period": "fortnightly"}, "reset_period"),
    ("/metrics/", A_METRIC, {"colour": "red"}, "colour"),
    ("/metrics/", A_METRIC, {"aggregation": "SUM", "aggregationType": "SUM"}, "aggregationType"),
    ("/metrics/", A_METRIC, {"unit": "a\x00"}, "unit"),
    ("/metrics/", A_METRIC, {"key": "a\x00"}, "key"),
    ("/metrics/", A_METRIC, {"expected_labels": ["a\x00"]}, "expected_labels"),
    ("/metrics/", A_METRIC, {"event_label_filter": {"a": "\x00"}}, "a"),
    ("/projects/", A_PROJECT, {"key": None}, "key"),
    ("/projects/", A_PROJECT, {"key": ""}, "key"),
    ("/projects/", A_PROJECT, {"key": "../etc"}, "key"),
    ("/projects/", A_PROJECT, {"key": "x" * 101}, "key"),
    ("/projects/", A_PROJECT, {"key": 1}, "key"),
    ("/projects/", A_PROJECT, {"name": None}, "name"),
    ("/projects/", A_PROJECT, {"name": "  "}, "name"),
    ("/projects/", A_PROJECT, {"name": "x" * 201}, "name"),
    ("/projects/", A_PROJECT, {"name": "\x00"}, "name"),
    ("/projects/", A_PROJECT, {"kind": "galaxy"}, "kind"),
    ("/projects/", A_PROJECT, {"kind": {}}, "kind"),
    ("/projects/", A_PROJECT, {"timezone": "Mars/Olympus"}, "timezone"),
    ("/projects/", A_PROJECT, {"timezone": "../../etc/passwd"}, "timezone"),
    ("/projects/", A_PROJECT, {"parent": ["acme"]}, "parent"),
    ("/projects/", A_PROJECT, {"colour": "red"}, "colour"),
    (
        "/projects/chat/attribution/",
        A_RULE,
        {"billing_attribution_project": None},
        "billing_attribution_project",
    ),
    ("/projects/chat/attribution/", A_RULE, {"effective_from": "2024-05-15T12:00:00"}, "effective_from"),
    ("/projects/chat/attribution/", A_RULE, {"effective_from": 5}, "effective_from"),
    (
        "/projects/chat/attribution/",
        A_RULE,
        {"effective_until": "9999-12-31T23:59:59-14:00"},
        "effective_until",
    ),
    (
        "/projects/chat/attribution/",
        A_RULE,
        {"effective_from": NOON, "effective_until": NOON},
        "effective_until",
    ),
    ("/projects/chat/attribution/", A_RULE, {"surface": "bot"}, "surface"),
    ("/projects/chat/attribution/", A_RULE, {"surface": "\x00"}, "surface"),
    ("/projects/chat/attribution/", A_RULE, {"colour": "red"}, "colour"),
    ("/quotas/", A_QUOTA, {"limit": "NaN"}, "limit"),
    ("/quotas/", A_QUOTA, {"limit": {}}, "limit"),
    ("/quotas/", A_QUOTA, {"limit": "١"}, "limit"),
    ("/quotas/", A_QUOTA, {"mode": "\x00"}, "mode"),
    ("/quotas/", A_QUOTA, {"period": 5}, "period"),
]


@pytest.mark.parametrize(("path", "valid", "wrong", "field"), WRONG)
def test_definition_that_does_not_fit_is_refused_by_name(api, path, valid, wrong, field):
    answer = api.post(path, {**valid, **wrong})

    assert_refused(answer, naming=field)
    assert answer.status_code == 422
    assert (Project.objects.count(), MetricDefinition.objects.count()) == (4, 1)
    assert not ProjectQuota.objects.exists()
    assert not AttributionRule.objects.exists()
