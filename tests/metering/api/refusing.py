"""What the tests of bad input share: odd events, every question that is asked, and what a refusal is."""

from tests.metering.api.callers import PROBLEM_JSON, nothing_stays, row_counts

DEEP = 100_000


def raw_event(**members: str) -> str:
    """An event whose members are JSON already, however odd."""
    sent = {"project": '"acme"', "event_name": '"tokens"', **members}
    return "{" + ", ".join(f'"{name}": {text}' for name, text in sent.items()) + "}"


def assert_refused(answer, *, naming: str | None = None):
    assert 400 <= answer.status_code < 500, answer.content[:300]
    assert answer["Content-Type"] == PROBLEM_JSON
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["detail"]
    if naming is not None:
        assert [error["field"] for error in document["errors"]] == [naming]


def surprises_among(answers) -> dict[str, str]:
    """Of (name, call, statuses, field): what did not end in a problem document of one of the statuses.

    Many calls share one test, for building the tree costs more than asking it.
    """
    surprises = {}
    before = row_counts()
    for name, call, statuses, field in answers:
        with nothing_stays():
            answer = call()
            if answer.status_code < 500 and row_counts() != before:
                surprises[name] = "wrote rows"
                continue
            named = None
            if answer["Content-Type"] == PROBLEM_JSON and answer.status_code in statuses:
                named = [error["field"] for error in answer.json().get("errors", [])]
            if named is None or (field is not None and named != [field]):
                surprises[name] = f"{answer.status_code} {named} {answer.content[:200]!r}"
    return surprises


MEDIA_TYPES = (
    "application/json",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
)
READS = {
    "/usage/": {"metric": "tokens"},
    "/usage-summaries/": {"metric": "tokens"},
    "/usage-events/": {},
    "/usage/export/": {},
    "/usage/export/?type=rollups": {"metric": "tokens"},
    "/projects/": {},
    "/metrics/": {},
    "/metrics/tokens/": {},
    "/quotas/": {},
    "/thresholds/": {},
}
PARAMETERS = {
    "/usage/": [
        "metric",
        "project",
        "scope",
        "subject_type",
        "subject_id",
        "from",
        "to",
        "window",
        "timezone",
        "group_by",
        "fill",
        "labels[a]",
    ],
    "/usage-summaries/": [
        "metric",
        "project",
        "subject_type",
        "subject_id",
        "period_type",
        "period_start",
        "limit",
        "cursor",
    ],
    "/usage-events/": [
        "project",
        "scope",
        "kind",
        "voided",
        "as_of",
        "timezone",
        "event_name",
        "source",
        "event_id",
        "subject_type",
        "subject_id",
        "from",
        "to",
        "limit",
        "cursor",
        "labels[a]",
    ],
    "/usage/export/": [
        "type",
        "project",
        "from",
        "to",
        "timezone",
        "scope",
        "kind",
        "voided",
        "as_of",
        "event_name",
        "source",
        "event_id",
        "subject_type",
        "subject_id",
        "labels[a]",
    ],
    "/usage/export/?type=rollups": ["metric", "project", "scope", "from", "to", "timezone", "granularity"],
    "/projects/": ["parent", "kind", "limit", "cursor"],
    "/metrics/": ["project", "event_name", "archived", "limit", "cursor"],
    "/metrics/tokens/": ["project"],
    "/quotas/": ["project", "metric", "mode", "period", "limit", "cursor"],
    "/thresholds/": [
        "project",
        "metric",
        "subject_type",
        "subject_id",
        "action",
        "period",
        "is_enabled",
        "limit",
        "cursor",
    ],
}


def read(api, path, **parameters):
    bare, _, rest = path.partition("?")
    given = dict(pair.split("=") for pair in rest.split("&") if pair)
    return api.get(bare, query={**given, **READS[path], **parameters})
