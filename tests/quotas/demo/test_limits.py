import pytest
from django.core.management import CommandError, call_command

from metering.demo.traffic import STORAGE_READING
from metering.demo.tree import ensure_simulated_projects
from metering.models import MetricDefinition, Project
from metering.rolling_up.rollups import roll_up
from quotas.demo.limits import Limits, set_limits
from quotas.enforcement import change_quota
from quotas.models import Alert, ProjectQuota
from tests.factories import an_event, recorded


@pytest.mark.django_db(transaction=True)
def test_the_demo_has_limits_and_an_alert_to_answer():
    ensure_simulated_projects()
    shop = Project.objects.get(key="simulated-shop")
    recorded(an_event(shop, event_name=STORAGE_READING, quantity="420"))
    roll_up()

    limits = set_limits()

    assert limits == Limits(quota_count=4, threshold_count=4, open_alert_count=1)
    crossing = Alert.objects.get().crossing
    assert (crossing.kind, crossing.value, crossing.level) == ("exceeded", 420, 400)
    assert crossing.threshold.metric == MetricDefinition.objects.get(key="stored_gb")

    change_quota(ProjectQuota.objects.get(metric__key="stored_gb"), limit="600")
    again = set_limits()

    assert (again.quota_count, again.threshold_count) == (4, 4)
    assert ProjectQuota.objects.get(metric__key="stored_gb").limit == 600


@pytest.mark.django_db
def test_without_the_demo_there_is_nothing_to_limit():
    with pytest.raises(CommandError, match="run simulate_usage first"):
        call_command("load_demo_limits")
