"""Many writers against one limit that is counted by the ledger."""

from collections import Counter
from functools import partial
from itertools import chain

import pytest
from django.db import connection

from metering.answering import scope_totals
from metering.attributing.scope_tree import attribute
from metering.correcting.corrections import amend_event
from metering.errors import DefinitionsBusy
from metering.keys import create_api_key
from metering.models import PendingContribution, Project, UsageEvent
from metering.rolling_up.rollups import roll_up
from quotas import admission, locks
from quotas.enforcement import change_quota, set_quota
from quotas.errors import QuotaExceeded, QuotaUnavailable
from quotas.models import ProjectQuota
from tests.concurrency.rivals import Held, Rival, backends_waiting_for_a_lock, race, wait_until
from tests.concurrency.web import Answer, posted_at_once, web_servers
from tests.factories import a_metric, a_project, an_event, outcomes, recorded, total_of
from tests.quotas.factories import a_quota

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 16
EACH = 8
LIMIT = 40


def an_exact_quota(project: Project, limit: int = 1, **overrides: object):
    options = {"limit": limit, "counting": "ledger", "period": "never", **overrides}
    return a_quota(project, a_metric(), **options)


def use(project: str = "acme", quantity: str | int = 1, **overrides: object) -> dict:
    return an_event(project, quantity=quantity, **overrides)


def assert_exactly_the_limit(answers: list[Answer], *, limited: str) -> None:
    assert Counter(answer.status for answer in answers) == {201: LIMIT, 429: WRITERS * EACH - LIMIT}
    for answer in answers:
        if answer.status == 429:
            assert "Retry-After" not in answer.headers
            assert answer.document["code"] == "quota_exceeded"
            assert (answer.document["project"], answer.document["remaining"]) == (limited, "0")
    assert UsageEvent.objects.count() == LIMIT
    assert sum(PendingContribution.objects.values_list("value_sum", flat=True)) == LIMIT
    roll_up()
    assert total_of("tokens") == LIMIT


def posted_by_writers(*projects: str, **environment: str) -> list[Answer]:
    """Sixteen processes post to a server of four processes, each for one of the projects."""
    tenant = Project.objects.get(key="acme")
    _, key = create_api_key(project=tenant, name="writers", permissions=["ingest"])
    now = {"occurred_at": None}
    bodies = [
        [use(projects[writer % len(projects)], **now) for _ in range(EACH)] for writer in range(WRITERS)
    ]
    with web_servers(workers=4, threads=4, **environment) as servers:
        return list(chain(*posted_at_once(servers, bodies, key=key)))


def test_sixteen_writers_over_http_record_exactly_the_limit() -> None:
    an_exact_quota(a_project("acme"), LIMIT, period="month")

    answers = posted_by_writers("acme")

    assert_exactly_the_limit(answers, limited="acme")


def two_children_that_acme_pays_for() -> tuple[str, str]:
    acme = a_project("acme")
    for key in ("left", "right"):
        attribute(a_project(key, parent=acme), payer=acme)
    an_exact_quota(acme, LIMIT, period="month")
    return "left", "right"


def test_sixteen_writers_of_two_children_record_exactly_what_their_payer_may() -> None:
    children = two_children_that_acme_pays_for()

    answers = posted_by_writers(*children)

    assert_exactly_the_limit(answers, limited="acme")


@pytest.mark.parametrize("has_children", [False, True])
def test_without_the_lock_the_same_writers_overshoot(has_children: bool) -> None:
    """The negative control of the two tests above."""
    projects: tuple[str, ...] = ("acme",)
    if has_children:
        projects = two_children_that_acme_pays_for()
    else:
        an_exact_quota(a_project("acme"), LIMIT, period="month")

    quota = ProjectQuota.objects.get()

    for _round in range(3):  # on a busy machine writers may happen to take turns
        posted_by_writers(*projects, DJANGO_SETTINGS_MODULE="tests.concurrency.settings_without_quota_locks")
        if UsageEvent.objects.count() > quota.limit:
            break
        quota = change_quota(quota, limit=quota.limit + LIMIT)

    assert UsageEvent.objects.count() > quota.limit


def test_writer_waits_for_the_one_who_is_at_the_same_quota_and_counts_its_usage() -> None:
    an_exact_quota(a_project("acme"))

    with Held(lambda: recorded(use())) as first:
        second = Rival(lambda: recorded(use()))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        assert second.is_still_waiting_after(0.2)
        first.commit()

    assert isinstance(second.error, QuotaExceeded)
    assert second.error.facts["used"] == "1"
    assert total_of("tokens") == 1


def test_without_the_lock_both_are_admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    an_exact_quota(a_project("acme"))
    monkeypatch.setattr(admission, "hold_quotas", lambda quota_ids: None)

    with Held(lambda: recorded(use())) as first:
        assert outcomes(recorded(use())) == ["created"]
        first.commit()

    assert total_of("tokens") == 2


def test_with_lock_and_sum_in_one_statement_both_are_admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum's snapshot is older than the lock that its statement waited for."""
    quota = an_exact_quota(a_project("acme"))
    statement = scope_totals._statement

    def that_locks(*arguments, **options) -> str:
        text = statement(*arguments, **options)
        lock = f"locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(77002, {quota.pk}))"
        beginning, place = "WITH segments AS", "AS s (n, project_id, granularity, start_at, end_at)"
        assert beginning in text
        assert place in text
        text = text.replace("SELECT *\n", "SELECT s.*\n", 1).replace(beginning, f"WITH {lock}, segments AS")
        return text.replace(place, f"{place}, locked")

    monkeypatch.setattr(admission, "hold_quotas", lambda quota_ids: None)
    monkeypatch.setattr(scope_totals, "_statement", that_locks)

    with Held(lambda: recorded(use())) as first:
        second = Rival(lambda: recorded(use()))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        first.commit()

    assert outcomes(second.result) == ["created"]
    assert total_of("tokens") == 2


def test_writers_of_other_quotas_do_not_wait() -> None:
    tokens = an_exact_quota(a_project("acme")).metric
    a_quota(a_project("globex"), tokens, limit="1", counting="ledger")

    with Held(lambda: recorded(use())):
        assert outcomes(recorded(use("globex"))) == ["created"]


def test_threads_with_batches_over_many_quotas_never_deadlock_nor_overshoot() -> None:
    acme, tokens = a_project("acme"), a_metric()
    keys = [f"child-{number}" for number in range(6)]
    for key in keys:
        child = a_project(key, parent=acme)
        attribute(child, payer=acme)
        a_quota(child, tokens, limit="10", counting="ledger", period="never")
    a_quota(acme, tokens, limit="45", counting="ledger", period="never")

    def post(writer: int) -> list[str]:
        found = []
        order = keys if writer % 2 else keys[::-1]
        for _ in range(4):
            found += outcomes(recorded(*(use(key) for key in order), on_error="skip"))
        return found

    every = Counter(chain(*race(*(partial(post, writer) for writer in range(8)))))

    assert every == {"created": 45, "rejected": 8 * 4 * 6 - 45}
    assert total_of("tokens") == 45


# Keys


def test_key_that_a_rival_commits_meanwhile_exists_though_the_quota_is_full() -> None:
    an_exact_quota(a_project("acme"))
    event = use(id="e-1")

    with Held(lambda: recorded(event)) as first:
        second = Rival(lambda: recorded(event))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        first.commit()

    assert outcomes(second.result) == ["exists"]
    assert total_of("tokens") == 1


def test_share_of_an_event_that_a_rival_records_unlimited_is_left_to_others() -> None:
    """The rival asks no quota, so only the key shows that it was there."""
    an_exact_quota(a_project("acme"), 5)
    event = use(quantity=3, id="e-1")

    with Held(lambda: recorded(event, enforce=False)) as first:
        second = Rival(lambda: recorded(event, use(quantity=2, id="e-2"), on_error="skip"))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        first.commit()

    assert outcomes(second.result) == ["exists", "created"]
    assert total_of("tokens") == 5


def test_sixteen_retries_of_one_event_use_the_quota_once() -> None:
    an_exact_quota(a_project("acme"), 2)
    event = use(id="e-1")

    results = race(*[lambda: recorded(event)] * WRITERS)

    assert Counter(outcomes([result for [result] in results])) == {"created": 1, "exists": WRITERS - 1}
    assert outcomes(recorded(use())) == ["created"]
    assert total_of("tokens") == 2


def test_amendments_at_once_never_overshoot() -> None:
    an_exact_quota(a_project("acme"), 12)
    events = recorded(*(use(quantity=1) for _ in range(8)))

    def amend(event_id: int) -> bool:
        try:
            amend_event(event_id, {"quantity": "2"}, reason="it was two", actor="tests")
        except QuotaExceeded:
            return False
        return True

    made = race(*(partial(amend, event.id) for event in events))

    assert sum(made) == 4
    assert total_of("tokens") == 12


# Changes


def test_change_of_an_exact_quota_waits_for_recorders_and_none_decides_by_what_was() -> None:
    quota = an_exact_quota(a_project("acme"), 5)

    with Held(lambda: recorded(use(quantity=1))) as first:
        change = Rival(lambda: change_quota(quota, limit=1))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        late = Rival(lambda: recorded(use(quantity=1)))
        assert change.is_still_waiting_after(0.2)
        first.commit()

    assert change.result.limit == 1
    assert isinstance(late.error, QuotaExceeded)
    assert late.error.facts["limit"] == "1"


def test_first_exact_quota_counts_what_was_being_recorded_when_it_was_set() -> None:
    acme, tokens = a_project("acme"), a_metric()

    with Held(lambda: recorded(use(quantity=5))) as first:
        setting = Rival(lambda: set_quota(acme, metric=tokens, limit=5, counting="ledger", period="never"))
        wait_until(lambda: backends_waiting_for_a_lock() == 1)
        first.commit()
    assert setting.result.pk

    with pytest.raises(QuotaExceeded):
        recorded(use(quantity=1))


def test_change_gives_up_behind_a_long_recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    quota = an_exact_quota(a_project("acme"), 5)
    monkeypatch.setattr("metering.locks.LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr("metering.locks.LOCK_ATTEMPTS", 2)

    with Held(lambda: recorded(use(quantity=1))), pytest.raises(DefinitionsBusy):
        change_quota(quota, limit=1)

    quota.refresh_from_db()
    assert quota.limit == 5


# Failure


def test_lock_that_cannot_be_had_in_time_admits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    an_exact_quota(a_project("acme"), 5)
    monkeypatch.setattr(locks, "PATIENCE", "100ms")

    with Held(lambda: recorded(use(quantity=1))), pytest.raises(QuotaUnavailable):
        recorded(use(quantity=1))

    assert UsageEvent.objects.count() == 1
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)
