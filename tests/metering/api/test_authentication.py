"""Keys and staff sessions: who is let in, and what is said to those who are not."""

import datetime as dt

import pytest
from django.db import connection
from django.middleware.csrf import _get_new_csrf_string
from django.test import Client
from django.utils import timezone

from metering.keys import create_api_key, revoke_api_key
from metering.models import ApiKey, UsageEvent
from tests.factories import a_project, an_event
from tests.metering.api.callers import PROBLEM_JSON, Caller, a_member_of_staff, assert_problem, row_counts

pytestmark = pytest.mark.django_db


def ask(header: str | bytes | None, method: str = "GET", path: str = "/projects/", body: str = ""):
    extra = {} if header is None else {"HTTP_AUTHORIZATION": header}
    client = Client(raise_request_exception=False)
    return client.generic(method, f"/api/v1{path}", body, content_type="application/json", **extra)


def assert_unauthenticated(answer):
    assert answer.status_code == 401, answer.content[:300]
    assert answer["Content-Type"] == PROBLEM_JSON
    assert answer["WWW-Authenticate"] == 'Bearer realm="meterbook"'


HEADERS = {
    "missing": None,
    "empty": "",
    "blank": " ",
    "no key": "Bearer",
    "no key but a blank": "Bearer ",
    "other scheme": "Basic YTpi",
    "token scheme": "Token mbk_aaaaaaaaaaaa.secret",
    "word": "hello",
    "no prefix": "Bearer aaaaaaaaaaaa.secret",
    "prefix alone": "Bearer mbk_",
    "no secret": "Bearer mbk_aaaaaaaaaaaa",
    "empty secret": "Bearer mbk_aaaaaaaaaaaa.",
    "unknown": "Bearer mbk_aaaaaaaaaaaa.secret",
    "unicode": "Bearer mbk_äöü€.secret",
    "latin-1 as a server passes it": "Bearer mbk_\xe4\xf6\xff.\xa7",
    "NUL": "Bearer mbk_\x00.secret",
    "quote": "Bearer mbk_' OR 1=1 --.secret",
    "format": "Bearer mbk_%s%(x)s.secret",
    "1 MB": "Bearer mbk_" + "a" * 1024 * 1024,
    "1 MB, no blank": "x" * 1024 * 1024,
    "1 MB of dots": "Bearer mbk_" + "." * 1024 * 1024,
}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/projects/"), ("POST", "/usage-events/"), ("POST", "/metrics/")]
)
def test_header_that_is_no_key_is_refused(acme, method, path):
    for name, header in HEADERS.items():
        answer = ask(header, method, path, "{}")

        assert answer.status_code == 401, (name, answer.content)
        assert_unauthenticated(answer)
        assert len(answer.content) < 500, name
    assert row_counts() == (0, 0)


def test_another_scheme_is_told_whatever_its_key(acme):
    _, key = create_api_key(project=acme, name="k", permissions=["read", "ingest"])

    details = {
        ask(f"{scheme} {text}", method, path, "{}").json()["detail"]
        for scheme in ("Token", "Basic", "mbk_aaaaaaaaaaaa.secret")
        for text in (key, "mbk_aaaaaaaaaaaa.secret")
        for method, path in (("GET", "/projects/"), ("POST", "/usage-events/"))
    }

    assert details == {"The scheme must be Bearer: 'Authorization: Bearer <key>'."}
    assert (
        ask("Bearer mbk_aaaaaaaaaaaa.secret").json()["detail"] == "This key is unknown, expired or revoked."
    )


def test_scheme_may_be_spelled_in_any_case(acme):
    _, key = create_api_key(project=acme, name="k", permissions=["read"])

    assert ask(f"bearer {key}").status_code == 200
    assert ask(f"BEARER  {key} ").status_code == 200


@pytest.mark.parametrize("change", ["prefix", "suffix", "case", "swap"])
def test_key_that_is_nearly_right_is_refused(acme, change):
    _, key = create_api_key(project=acme, name="k", permissions=["read"])
    _, other = create_api_key(project=acme, name="other", permissions=["read"])
    nearly = {
        "prefix": key[:-1],
        "suffix": key + "a",
        "case": key.swapcase(),
        "swap": key.partition(".")[0] + "." + other.partition(".")[2],
    }[change]

    assert_unauthenticated(ask(f"Bearer {nearly}"))


def test_revoked_key_is_dead_at_once(acme):
    caller = Caller(acme)
    assert caller.post("/usage-events/", an_event(acme, id="before")).status_code == 201

    revoke_api_key(caller.row, revoked_at=timezone.now())

    assert_unauthenticated(caller.post("/usage-events/", an_event(acme, id="after")))
    assert_unauthenticated(caller.get("/projects/"))
    assert list(UsageEvent.objects.values_list("event_id", flat=True)) == ["before"]


def test_key_dies_when_it_expires(acme):
    caller = Caller(acme)
    ApiKey.objects.update(expires_at=timezone.now() + dt.timedelta(minutes=1))
    assert caller.get("/projects/").status_code == 200

    ApiKey.objects.update(expires_at=timezone.now() - dt.timedelta(microseconds=1))

    assert_unauthenticated(caller.get("/projects/"))
    assert_unauthenticated(caller.post("/usage-events/", an_event(acme)))
    assert row_counts() == (0, 0)


def test_unknown_expired_and_revoked_are_told_the_same(acme):
    expired, revoked = Caller(acme), Caller(acme)
    ApiKey.objects.filter(pk=expired.row.pk).update(expires_at=timezone.now())
    revoke_api_key(revoked.row, revoked_at=timezone.now())

    answers = {
        ask("Bearer mbk_aaaaaaaaaaaa.x").content,
        expired.get("/projects/").content,
        revoked.get("/projects/").content,
    }

    assert len(answers) == 1


def test_key_without_the_permission_is_told_which_is_missing(acme):
    reader = Caller(acme, "read")

    for path, body, wanted in [
        ("/usage-events/", an_event(acme), "ingest"),
        ("/projects/", {"key": "x", "name": "X"}, "manage"),
        ("/metrics/", {"key": "x"}, "manage"),
        ("/quotas/", {}, "manage"),
        ("/thresholds/", {}, "manage"),
    ]:
        document = assert_problem(reader.post(path, body), 403, "permission_denied")
        assert wanted in document["detail"]
    assert row_counts() == (0, 0)


def test_use_of_a_key_is_noted_and_its_secret_never_shown(acme):
    caller = Caller(acme)
    assert caller.row.last_used_at is None

    answers = [caller.get(path) for path in ("/projects/", "/metrics/", "/usage-events/", "/nowhere/")]
    answers.append(caller.post("/usage-events/", an_event(acme, id="e1")))

    caller.row.refresh_from_db()
    assert timezone.now() - caller.row.last_used_at < dt.timedelta(minutes=1)
    secret = caller.key.partition(".")[2]
    assert all(secret not in answer.content.decode() for answer in answers)
    assert secret.encode() not in bytes(caller.row.digest)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM metering_apikey k WHERE position(%s IN k::text) > 0", [secret])
        assert cursor.fetchone() == (0,)


def test_secret_never_reaches_the_log(acme, caplog):
    caller = Caller(acme, "read")

    caller.post("/usage-events/", {})
    caller.get("/projects/a%00/")
    ask(f"Bearer {caller.key}x")

    assert caller.key.partition(".")[2] not in caplog.text


def test_method_that_a_route_does_not_know_is_refused(acme, api):
    for method, path in [
        ("PUT", "/projects/acme/"),
        ("DELETE", "/projects/"),
        ("DELETE", "/usage-events/"),
        ("PATCH", "/usage-events/1/"),
        ("DELETE", "/usage-events/1/"),
        ("POST", "/usage/"),
    ]:
        assert_problem(api(method, path, {}), 405, "method_not_allowed")


# -- staff sessions ----------------------------------------------------------------------------------------


def a_browser(user, *, with_token: bool = False) -> Client:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(user)
    if with_token:
        token = _get_new_csrf_string()
        client.cookies["csrftoken"] = token
        client.defaults["HTTP_X_CSRFTOKEN"] = token
    return client


def test_staff_read_the_projects_of_all_trees(acme, api):
    a_project("globex")
    api.post("/usage-events/", an_event(acme))
    browser = a_browser(a_member_of_staff("view_usageevent", "view_project"))

    assert browser.get("/api/v1/usage/?metric=tokens").json()["results"][0]["value"] == "1"
    assert browser.get("/api/v1/projects/globex/").status_code == 200
    assert [p["key"] for p in browser.get("/api/v1/projects/").json()["results"]] == [
        "tenant",
        "acme",
        "chat",
        "search",
        "globex",
    ]


@pytest.mark.parametrize("path", ["/usage-events/", "/metrics/", "/projects/", "/quotas/"])
def test_session_without_a_token_changes_nothing(acme, path):
    browser = a_browser(a_member_of_staff("view_usageevent", "add_usageevent", "change_metricdefinition"))

    answer = browser.post(f"/api/v1{path}", an_event(acme), content_type="application/json")

    assert_problem(answer, 403, "permission_denied")
    assert row_counts() == (0, 0)


def test_session_with_a_token_may_do_what_its_rights_allow(acme):
    browser = a_browser(a_member_of_staff("view_usageevent"), with_token=True)

    answer = browser.post("/api/v1/usage-events/", an_event(acme), content_type="application/json")

    assert "ingest" in assert_problem(answer, 403, "permission_denied")["detail"]
    assert row_counts() == (0, 0)


@pytest.mark.parametrize("count", [1, 20_000 // 10])
def test_session_with_a_token_and_the_right_records(acme, count):
    """Also a body above the megabyte that definitions may have."""
    browser = a_browser(a_member_of_staff("view_usageevent", "add_usageevent"), with_token=True)
    batch = [an_event(acme, labels={"a": "x" * 600}) for _ in range(count)]

    answer = browser.post("/api/v1/usage-events/", batch, content_type="application/json")

    assert answer.status_code == 201, answer.content[:300]
    assert UsageEvent.objects.count() == count


@pytest.mark.parametrize(
    "media_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""]
)
def test_session_with_a_wrong_content_type_is_refused(acme, media_type):
    browser = a_browser(a_member_of_staff("view_usageevent", "add_usageevent"), with_token=True)

    answer = browser.generic("POST", "/api/v1/usage-events/", "a=b", content_type=media_type)

    assert answer.status_code in {400, 415}, answer.content[:300]
    assert answer["Content-Type"] == PROBLEM_JSON
    assert row_counts() == (0, 0)


def test_somebody_who_is_no_staff_is_refused(acme):
    browser = a_browser(
        a_member_of_staff("view_usageevent", "add_usageevent", is_staff=False), with_token=True
    )

    assert browser.get("/api/v1/usage-events/").status_code in {401, 403}
    assert browser.post(
        "/api/v1/usage-events/", an_event(acme), content_type="application/json"
    ).status_code in {
        401,
        403,
    }
    assert row_counts() == (0, 0)


def test_member_of_staff_without_rights_is_refused(acme):
    assert_problem(a_browser(a_member_of_staff()).get("/api/v1/usage-events/"), 403, "permission_denied")
