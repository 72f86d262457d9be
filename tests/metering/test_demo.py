"""The demo: the Azure input file arrives exactly once by any road; simulated traffic repeats itself."""

import csv
import datetime as dt
import gzip
import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Count

from metering.answering.usage import Slice
from metering.demo import azure_input, live, loading, traffic
from metering.demo.access import ensure_person
from metering.demo.tree import ensure_demo_tree, ensure_simulated_projects
from metering.errors import EventsConflict, Invalid
from metering.ledger import record_events
from metering.models import AttributionRule, MetricDefinition, PendingContribution, Project, UsageEvent
from metering.roles import Role
from metering.rolling_up.rollups import roll_up
from tests.factories import at, total_of, usages_of

HOURS = [
    (at("2023-11-16T18:00:00Z"), at("2023-11-16T19:00:00Z")),
    (at("2023-11-16T19:00:00Z"), at("2023-11-16T20:00:00Z")),
]
Totals = dict[tuple[str, str, int], int]


def totals_in_the_file() -> Totals:
    """The same question asked of the file by a loop that shares no code with us."""
    projects = ["alder-chat", "alder-search", "alder-support", "birch-assistant", "birch-notes"]
    path = Path(azure_input.__file__).with_name("azure_llm_conv.csv.gz")
    totals: Counter[tuple[str, str, int]] = Counter()
    with gzip.open(path, "rt", newline="") as file:
        for index, row in enumerate(csv.DictReader(file)):
            project, hour = projects[index % 5], int(row["TIMESTAMP"][11:13]) - 18
            totals["llm_requests", project, hour] += 1
            totals["prompt_tokens", project, hour] += int(row["ContextTokens"])
            totals["generated_tokens", project, hour] += int(row["GeneratedTokens"])
    return dict(totals)


def totals_in_the_ledger() -> Totals:
    return {
        (metric, str(usage.group["project"]), usage.window): int(usage.value or 0)
        for metric in ("llm_requests", "prompt_tokens", "generated_tokens")
        for usage in usages_of(metric, *HOURS, slice=Slice(group_by=("project",)))
    }


def test_packaged_file_is_the_published_one() -> None:
    content = gzip.decompress(azure_input.FILE.read_bytes())

    assert len(content) == 719_188
    assert hashlib.sha256(content).hexdigest() == (
        "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8"
    )
    rows = list(azure_input.rows())
    assert len(rows) == azure_input.ROW_COUNT == 19_366
    assert sum(row.prompt_tokens for row in rows) == azure_input.PROMPT_TOKENS == 22_361_870
    assert sum(row.generated_tokens for row in rows) == azure_input.GENERATED_TOKENS == 4_088_665


def test_row_becomes_one_event_by_a_fixed_rule() -> None:
    eighth = next(islice(azure_input.rows(), 7, None))

    assert azure_input.event_of(azure_input.Row(7, "2023-11-16 18:15:46.6805909", 374, 44)) == {
        "id": "azure-llm-7",
        "source": "azure-llm-conv",
        "project": "alder-support",
        "event_name": "llm.request",
        "subject_type": "user",
        "subject_id": "user-08",
        "occurred_at": "2023-11-16T18:15:46.6805909Z",
        "labels": {
            "model": "chat-small",
            "region": "us",
            "prompt_tokens": 374,
            "generated_tokens": 44,
        },
    }
    assert azure_input.event_of(eighth)["id"] == "azure-llm-7"


@pytest.mark.django_db
def test_tree_has_one_organisation_that_pays_and_one_whose_projects_do() -> None:
    ensure_demo_tree()
    ensure_demo_tree()

    assert list(Project.objects.order_by("path").values_list("key", "kind", "parent__key")) == [
        ("platform", "tenant", None),
        ("alder", "organisation", "platform"),
        ("alder-chat", "project", "alder"),
        ("alder-search", "project", "alder"),
        ("alder-support", "project", "alder"),
        ("birch", "organisation", "platform"),
        ("birch-assistant", "project", "birch"),
        ("birch-notes", "project", "birch"),
    ]
    assert list(
        AttributionRule.objects.order_by("project__key").values_list(
            "project__key", "billing_attribution_project__key", "effective_from", "effective_until"
        )
    ) == [
        ("alder-chat", "alder", None, None),
        ("alder-search", "alder", None, None),
        ("alder-support", "alder", None, None),
    ]
    assert list(MetricDefinition.objects.values_list("key", "aggregation", "event_name", "project__key")) == [
        ("generated_tokens", "SUM", "llm.request", "platform"),
        ("llm_requests", "COUNT", "llm.request", "platform"),
        ("prompt_tokens", "SUM", "llm.request", "platform"),
    ]


@pytest.mark.django_db
def test_totals_by_project_hour_and_metric_are_those_of_the_file() -> None:
    ensure_demo_tree()
    told: list[int] = []

    outcomes = loading.load_azure_input(on_progress=told.append)

    assert outcomes == {"created": 19_366}
    assert told == [*range(1_000, 20_000, 1_000), 19_366]
    expected = totals_in_the_file()
    assert len(expected) == 30
    assert totals_in_the_ledger() == expected  # all of it pending
    roll_up()
    assert PendingContribution.objects.count() == 0
    assert totals_in_the_ledger() == expected
    assert dict(
        UsageEvent.objects.values_list("billing_scope__key").annotate(event_count=Count("id")).order_by()
    ) == {"alder": 11_620, "birch-assistant": 3_873, "birch-notes": 3_873}
    first = UsageEvent.objects.get(event_id="azure-llm-0")
    assert first.occurred_at == at("2023-11-16T18:15:46.680590Z")
    assert (first.source, first.project.key) == ("azure-llm-conv", "alder-chat")


@pytest.mark.django_db
def test_loading_again_records_nothing() -> None:
    ensure_demo_tree()
    loading.load_azure_input()
    roll_up()

    again = loading.load_azure_input()
    sent_again = loading.record_in_batches(map(azure_input.event_of, islice(azure_input.rows(), 2_500)))

    assert again == {"exists": 19_366}
    assert sent_again == {"exists": 2_500}
    assert UsageEvent.objects.count() == 19_366
    assert PendingContribution.objects.count() == 0
    assert totals_in_the_ledger() == totals_in_the_file()


@pytest.mark.django_db
def test_load_that_was_killed_goes_on_where_it_was() -> None:
    ensure_demo_tree()
    loading.record_in_batches(map(azure_input.event_of, islice(azure_input.rows(), 3_000)))

    outcomes = loading.load_azure_input()

    assert outcomes == {"exists": 3_000, "created": 16_366}
    assert totals_in_the_ledger() == totals_in_the_file()


@pytest.mark.django_db
def test_id_that_holds_something_else_stops_the_load() -> None:
    ensure_demo_tree()
    row = next(azure_input.rows())
    record_events([{**azure_input.event_of(row), "subject_id": "user-99"}])

    with pytest.raises(EventsConflict):
        loading.load_azure_input()

    assert list(UsageEvent.objects.values_list("event_id", "subject_id")) == [("azure-llm-0", "user-99")]


# A process of its own: it is told the database, its number and the number of processes; says it is ready,
# waits for a line, and sends its share of two shuffled copies of the file in batches of odd sizes.
SENDER = """
import collections, json, random, sys
database, number, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
from django.conf import settings
settings.DATABASES["default"]["NAME"] = database
import django
django.setup()
from metering.demo import azure_input
from metering.ledger import record_events
events = [azure_input.event_of(row) for row in azure_input.rows()] * 2
rng = random.Random(2023)
rng.shuffle(events)
batches = []
while events:
    size = rng.randrange(1, 1500, 2)
    batches.append(events[:size])
    del events[:size]
print("ready", flush=True)
sys.stdin.readline()
outcomes = collections.Counter()
for batch in batches[number::count]:
    outcomes.update(result.outcome for result in record_events(batch))
print(json.dumps(outcomes))
"""


@pytest.mark.django_db(transaction=True)
def test_file_sent_twice_by_four_processes_in_odd_batches_and_random_order_counts_once() -> None:
    ensure_demo_tree()
    senders = [
        subprocess.Popen(
            [sys.executable, "-c", SENDER, connection.settings_dict["NAME"], str(number), "4"],
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    try:
        for sender in senders:
            assert sender.stdout is not None
            assert sender.stdout.readline() == "ready\n"
        for sender in senders:
            assert sender.stdin is not None
            sender.stdin.write("go\n")
            sender.stdin.flush()
        roll_up()  # a tick in the middle takes whatever is committed
        answers = [sender.communicate(timeout=120)[0] for sender in senders]
    finally:
        for sender in senders:
            sender.kill()
            sender.wait()

    outcomes: Counter[str] = Counter()
    for answer in answers:
        outcomes.update(json.loads(answer))
    assert [sender.returncode for sender in senders] == [0, 0, 0, 0]
    assert outcomes == {"created": 19_366, "exists": 19_366}
    assert UsageEvent.objects.count() == 19_366
    assert totals_in_the_ledger() == totals_in_the_file()
    roll_up()
    assert PendingContribution.objects.count() == 0
    assert totals_in_the_ledger() == totals_in_the_file()


# --- Simulated traffic ------------------------------------------------------------------------------------


def test_slot_has_the_same_events_whenever_it_is_asked() -> None:
    start, end = at("2026-03-02T08:00:00Z"), at("2026-03-02T12:00:00Z")

    whole = list(traffic.traffic_between(start, end, seed=42))
    halves = [
        *traffic.traffic_between(start, at("2026-03-02T10:10:00Z"), seed=42),
        *traffic.traffic_between(at("2026-03-02T10:10:00Z"), end, seed=42),
    ]

    assert whole == halves
    assert len({event["id"] for event in whole}) == len(whole)
    assert all(start <= at(str(event["occurred_at"])) < end for event in whole)
    other = list(traffic.traffic_between(start, end, seed=43))
    assert not {event["id"] for event in whole} & {event["id"] for event in other}


def test_office_is_quiet_on_sunday_and_shop_is_not() -> None:
    def calls_on(day: str) -> Counter[str]:
        start = at(f"{day}T00:00:00Z")
        events = traffic.traffic_between(start, start + dt.timedelta(days=1), seed=42)
        return Counter(str(event["project"]) for event in events if event["event_name"] == "api.request")

    tuesday, sunday = calls_on("2026-03-03"), calls_on("2026-03-08")

    assert sunday["simulated-chat"] * 5 < tuesday["simulated-chat"]
    assert sunday["simulated-shop"] > tuesday["simulated-shop"]


def test_slot_floor_is_a_whole_ten_minutes() -> None:
    assert traffic.slot_floor(at("2026-03-02T08:19:59.999999Z")) == at("2026-03-02T08:10:00Z")
    assert traffic.slot_floor(at("2026-03-02T08:20:00Z")) == at("2026-03-02T08:20:00Z")


@pytest.mark.django_db
def test_later_simulation_adds_only_new_time_and_gaps() -> None:
    ensure_simulated_projects()
    day, next_day = at("2026-03-02T00:00:00Z"), at("2026-03-03T00:00:00Z")
    later = at("2026-03-03T01:10:00Z")
    expected = list(traffic.traffic_between(day, later, seed=42))
    noon = [event for event in expected if str(event["occurred_at"]).startswith("2026-03-02T12:")]
    before_midnight = [event for event in expected if at(str(event["occurred_at"])) < next_day]
    loading.record_in_batches(event for event in before_midnight if event not in noon)

    outcomes = loading.simulate(start=day, end=later, seed=42)

    assert outcomes == {
        "created": len(noon) + len(expected) - len(before_midnight),
        "exists": len(before_midnight) - len(noon),
    }
    assert loading.simulate(start=day, end=later, seed=42) == {"exists": len(expected)}
    assert UsageEvent.objects.count() == len(expected)
    calls = [event for event in expected if event["event_name"] == "api.request"]
    assert total_of("api_calls") == len(calls)
    assert total_of("egress_bytes") == sum(Decimal(event["labels"]["bytes"]) for event in calls)  # type: ignore[index]


@pytest.mark.django_db
def test_simulated_id_that_was_used_for_something_else_stays_as_it_is() -> None:
    ensure_simulated_projects()
    start, end = at("2026-03-02T08:00:00Z"), at("2026-03-02T09:00:00Z")
    first, *others = traffic.traffic_between(start, end, seed=42)
    record_events([{**first, "subject_id": "somebody"}])

    outcomes = loading.simulate(start=start, end=end, seed=42)

    assert outcomes == {"conflict": 1, "created": len(others), "exists": 0}
    assert UsageEvent.objects.get(event_id=first["id"]).subject_id == "somebody"


# --- Live -------------------------------------------------------------------------------------------------


class Api(ThreadingHTTPServer):
    """Stands in for the API: gives the answers it was handed, then records all it is sent."""

    def __init__(self, *answers: tuple[int, dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), _ApiHandler)
        self.answers = list(answers)
        self.bodies: list[list[dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _ApiHandler(BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self.server.headers.append(dict(self.headers))
        self.server.paths.append(self.path)
        results = [{"event_id": event["id"], "outcome": "created"} for event in body]
        status, answer = self.server.answers.pop(0) if self.server.answers else (201, {"results": results})
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if status in {429, 503}:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def sent_to(api: Api, *, seconds: float = 0.5) -> tuple[Counter[str], list[str]]:
    tally: Counter[str] = Counter()
    said: list[str] = []
    live.keep_sending(
        live.Sender(f"{api.url}/", "mbk_x.y"),
        rate=4,
        seconds=seconds,
        say=said.append,
        tally=tally,
        on_progress=lambda count: None,
    )
    return tally, said


def test_live_sends_a_batch_a_second_with_the_key(api: Api) -> None:
    tally, said = sent_to(api, seconds=1.5)

    assert tally == {"created": 8}
    assert said == []
    assert api.paths == ["/api/v1/usage-events/?on_error=skip"] * 2
    assert [headers["Authorization"] for headers in api.headers] == ["Bearer mbk_x.y"] * 2
    events = [event for body in api.bodies for event in body]
    assert len({event["id"] for event in events}) == 8
    assert {event["source"] for event in events} == {"simulated-live"}
    assert {event["event_name"] for event in events} == {"api.request"}


def test_live_repeats_a_batch_under_its_ids_until_the_server_is_back(api: Api) -> None:
    api.answers = [(503, {"detail": "quota unavailable"}), (429, {"type": "about:blank", "title": "busy"})]

    tally, said = sent_to(api)

    assert tally == {"created": 4, "repeated batches": 2}
    assert said == [
        "status 503 (quota unavailable); sending 4 events again in 0 s.",
        "status 429 (busy); sending 4 events again in 0 s.",
    ]
    assert api.bodies[0] == api.bodies[1] == api.bodies[2]


def test_live_drops_what_a_quota_refuses_and_goes_on(api: Api) -> None:
    api.answers = [
        (429, {"type": "https://x.example/problems/quota-exceeded", "detail": "Limit 10 reached."})
    ]
    tally, said = sent_to(api)
    assert tally == {"refused": 4}
    assert said == ["refused: Limit 10 reached."]
    assert len(api.bodies) == 1

    results = [{"outcome": "created"}] + [{"outcome": "rejected", "code": "quota_exceeded"}] * 3
    api.answers = [(201, {"results": results})]
    tally, said = sent_to(api)
    assert tally == {"created": 1, "refused": 3}
    assert said == ["refused: 3 events (quota_exceeded)."]


def test_live_stops_where_going_on_is_pointless(api: Api) -> None:
    api.answers = [(401, {"detail": "This key is unknown, expired or revoked."})]
    with pytest.raises(Invalid, match=r"answered 401: This key is unknown"):
        sent_to(api)

    api.answers = [(200, {"results": [{"outcome": "rejected", "code": "unknown_project", "detail": "no"}]})]
    with pytest.raises(Invalid, match=r"unknown_project.* Run simulate_usage without --live first"):
        sent_to(api)

    with pytest.raises(Invalid, match=r"'ftp://x' is no http or https address"):
        live.Sender("ftp://x", "mbk_x.y")


def test_live_says_when_nobody_answers() -> None:
    answer = live.Sender("http://127.0.0.1:1", "mbk_x.y").post([])

    assert answer.status == 0
    assert answer.is_passing
    assert "refused" in answer.detail


@pytest.mark.django_db
def test_real_person_who_is_called_like_a_role_is_left_alone() -> None:
    """Their password stays, and the demo doesn't tell one."""
    User.objects.create_user("finance", password="their own long password")
    User.objects.create_superuser("auditor", password="another long password")

    made = [ensure_person(role, known_password=None, renews=True) for role in (Role.FINANCE, Role.AUDITOR)]

    assert [credential.secret for credential in made] == [None, None]
    assert User.objects.get(username="finance").check_password("their own long password")
    assert User.objects.get(username="auditor").is_superuser
