"""Four web processes that decide by rollups, and the bus between them: heard, stopped, hanging."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import LazySettings
from django.db import connection

from config.embedded import prepare_var, valkey
from metering.keys import create_api_key
from metering.models import Project, UsageEvent
from metering.rolling_up.rollups import roll_up
from quotas import bus
from quotas.bus import CHANNEL
from tests.concurrency.rivals import wait_until
from tests.concurrency.web import Answer, WebServer, web_servers
from tests.factories import a_metric, a_project, an_event
from tests.quotas.factories import a_quota

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "600"  # nothing lives out its time while a test runs


@pytest.fixture
def redis_server(
    tmp_path: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[valkey.ValkeyServer]:
    tmp_path.chmod(0o711)
    var = tmp_path / "var"
    prepare_var(var)
    server = valkey.start(var, tied=True, durable=False)
    settings.REDIS_URL = server.url
    monkeypatch.setattr(bus, "_publisher", None)
    monkeypatch.setattr(bus, "_silent_until", 0.0)
    try:
        yield server
    finally:
        if server.is_running():
            os.kill(server.pid, signal.SIGCONT)
        server.stop()


@pytest.fixture
def key() -> str:
    acme = a_project("acme")
    a_metric()
    _, key = create_api_key(project=acme, name="four", permissions=["ingest", "read", "manage"])
    return key


def set_limit(limit: int) -> int:
    acme = Project.objects.get(key="acme")
    return a_quota(acme, a_metric("requests", aggregation="COUNT", event_name="tokens"), limit=limit).pk


def use(server: WebServer, key: str, count: int = 1) -> Answer:
    return server.post("/usage-events/", [an_event("acme", occurred_at=None) for _ in range(count)], key=key)


def four_servers(redis_server: valkey.ValkeyServer, *, usage_ttl: str = LONG):
    return web_servers(4, REDIS_URL=redis_server.url, QUOTA_USAGE_TTL=usage_ttl, QUOTA_DEFINITIONS_TTL=LONG)


def wait_for_listeners(client: redis.Redis, count: int = 4) -> None:
    wait_until(lambda: client.pubsub_numsub(CHANNEL) == [(CHANNEL.encode(), count)], seconds=60)


def test_bus_spreads_what_a_tick_merged_and_a_lowered_limit_is_obeyed_by_the_next_request(
    redis_server, key
) -> None:
    quota_id = set_limit(60)
    client = redis.Redis.from_url(redis_server.url)
    with four_servers(redis_server) as servers:
        first, second, third, fourth = servers
        assert [use(server, key).status for server in servers] == [201] * 4
        wait_for_listeners(client)
        assert [use(server, key).status for server in servers] == [201] * 4  # remembered by now: 5 to 8 used

        assert use(first, key, 40).status == 201
        assert use(second, key, 20).status == 201  # it remembers 8, not 48
        assert UsageEvent.objects.count() == 68
        with client.pubsub() as heard:
            heard.subscribe(CHANNEL)
            wait_until(lambda: heard.get_message(timeout=1) is not None)
            roll_up()
            wait_until(lambda: heard.get_message(timeout=1) is not None)
        time.sleep(0.5)

        for server in servers:
            answer = use(server, key)
            assert (answer.status, answer.document["used"]) == (429, "68")

        assert first.post(f"/quotas/{quota_id}/", {"limit": "100"}, key=key, method="PATCH").status == 200
        assert [use(server, key).status for server in servers] == [201] * 4
        assert fourth.post(f"/quotas/{quota_id}/", {"limit": "10"}, key=key, method="PATCH").status == 200
        assert [use(server, key).status for server in servers] == [429] * 4
        assert third.post(f"/quotas/{quota_id}/", {"mode": "monitor"}, key=key, method="PATCH").status == 200
        assert [use(server, key).status for server in servers] == [201] * 4


def test_without_redis_a_lowered_limit_is_obeyed_and_usage_is_seen_within_its_time(redis_server, key) -> None:
    quota_id = set_limit(50)
    with four_servers(redis_server, usage_ttl="2") as servers:
        assert [use(server, key).status for server in servers] == [201] * 4
        redis_server.stop()

        assert use(servers[0], key, 40).status == 201
        time.sleep(2)
        assert [use(server, key, 20).status for server in servers] == [429] * 4
        lowered = servers[1].post(f"/quotas/{quota_id}/", {"limit": "44"}, key=key, method="PATCH")
        assert lowered.status == 200
        assert [use(server, key).status for server in servers] == [429] * 4

    assert UsageEvent.objects.count() == 44


def test_hanging_redis_makes_no_error_and_no_admission_that_nobody_could_judge(redis_server, key) -> None:
    quota_id = set_limit(50)
    client = redis.Redis.from_url(redis_server.url)
    with four_servers(redis_server, usage_ttl="1") as servers:
        assert [use(server, key).status for server in servers] == [201] * 4
        wait_for_listeners(client)
        os.kill(redis_server.pid, signal.SIGSTOP)

        began = time.monotonic()
        assert [use(server, key).status for server in servers] == [201] * 4
        assert servers[0].post(f"/quotas/{quota_id}/", {"limit": "9"}, key=key, method="PATCH").status == 200
        assert [use(server, key, 2).status for server in servers] == [429] * 4
        assert time.monotonic() - began < 30

        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE metering_usagemeterrollup RENAME TO out_of_reach")
            try:
                time.sleep(1.1)
                answers = [use(server, key) for server in servers]
            finally:
                cursor.execute("ALTER TABLE out_of_reach RENAME TO metering_usagemeterrollup")
        assert {(a.status, a.document["code"]) for a in answers} == {(503, "quota-unavailable")}
        assert UsageEvent.objects.count() == 8
        assert use(servers[3], key).status == 201
