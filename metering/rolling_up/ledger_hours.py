"""Hours of streams, and the larger buckets, worked out from the ledger alone: SQL for rebuilding.

An hour is worked out from its own events, whatever the metric is made of: of steps it keeps those between its
readings, and which reading is its first and its last. The step that leads into an hour is added once all
hours are there. So any set of hours can be worked out again without a look at their neighbours.
"""

from metering.measuring.aggregations import COLUMNS, seconds_sql
from metering.measuring.event_sql import counted_sql
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning
from metering.measuring.streams import TOTAL, stream_sql

KEY = ("project_id", "granularity", "stream", "bucket_start", "billing_scope_id", "value_key")
STREAM_COLUMNS = ("subject_type", "subject_id", '"group"')
VALUES = tuple(name for name in COLUMNS if name != "record_count")

_NO_FIRST = ("NULL::numeric AS first_value", "NULL::timestamptz AS first_at")


def hours_sql(
    meaning: Meaning,
    params: Params,
    *,
    source: str = "metering_usageevent e",
    where: str = "TRUE",
    as_of: int | None = None,
) -> str:
    """The hours of streams that the events of `source` come to, one row each (or one per distinct value).

    Columns: the stream and what names it, hour_start, value_key, the aggregate's, first_value and first_at.
    Events are grouped by what names their stream; the name's hash is taken once per row.
    """
    labels = [f"l{index}" for index in range(len(meaning.primary_labels))]
    named = [
        "project_id",
        "billing_scope_id",
        "subject_type",
        "subject_id",
        *labels,
        "hour_start",
        "value_key",
    ]
    pairs = ", ".join(
        f"{params.add(name)}::text, {label}"
        for name, label in zip(meaning.primary_labels, labels, strict=True)
    )
    texts = "".join(
        f"{sql} AS {label}, " for sql, label in zip(meaning.group_sql(params), labels, strict=True)
    )
    events = f"""
        SELECT e.project_id, e.billing_scope_id, e.subject_type, e.subject_id,
               {texts}
               -- As date_trunc does for hours of UTC, without asking for a time zone each time.
               date_bin('1 hour', e.occurred_at, 'epoch') AS hour_start,
               {meaning.value_key_sql(params)} AS value_key,
               e.id, e.occurred_at AS at, {meaning.value_sql(params)} AS value
          FROM {source}
         WHERE {counted_sql(meaning, params, as_of=as_of)}
           AND {_owned_sql(meaning, params)}
           AND {where}
    """  # noqa: S608 (values are bound; the text is ours, here and below)
    if meaning.is_stepped:
        events, columns = _with_steps(meaning, events, named), _step_columns(meaning)
    else:
        every = meaning.aggregation.from_readings_sql("value", "at", "id")
        columns = [*(f"{every[name]} AS {name}" for name in COLUMNS), *_NO_FIRST]
    return f"""
        SELECT project_id, billing_scope_id, {stream_sql("subject_type", "subject_id", labels)} AS stream,
               subject_type, subject_id, jsonb_build_object({pairs}) AS "group", hour_start, value_key,
               {", ".join(COLUMNS)}, first_value, first_at
          FROM (
                SELECT {", ".join(named)}, {", ".join(columns)}
                  FROM ({events}) event
                 GROUP BY {", ".join(named)}
               ) hour
    """  # noqa: S608


def _owned_sql(meaning: Meaning, params: Params) -> str:
    """Condition under which event `e` is of a project under the owner: as of the statement's snapshot."""
    if not meaning.owner_path:
        return "TRUE"
    path = params.add(meaning.owner_path)
    below = f"SELECT id FROM metering_project WHERE starts_with(path, {path})"  # noqa: S608
    return f"e.project_id = ANY (ARRAY({below}))"


def _with_steps(meaning: Meaning, events: str, named: list[str]) -> str:
    """The events, each with the step from the one before it in its hour; none for the first of an hour."""
    assert meaning.steps is not None
    step = meaning.steps.sql("value", "at", "value_before", "before_at")
    return f"""
        SELECT *, CASE WHEN before_at IS NOT NULL THEN {step} END AS step
          FROM (
                SELECT *, lag(value) OVER in_hour AS value_before, lag(at) OVER in_hour AS before_at
                  FROM ({events}) plain
                WINDOW in_hour AS (PARTITION BY {", ".join(named)} ORDER BY at, id)
               ) ordered
    """  # noqa: S608


def _step_columns(meaning: Meaning) -> list[str]:
    has_moment = "value_moment" in meaning.aggregation.needed
    return [
        "count(*) AS record_count",
        "COALESCE(sum(step), 0) AS value_sum",
        f"COALESCE(sum(step * {seconds_sql('at')}), 0) AS value_moment"
        if has_moment
        else "NULL::numeric AS value_moment",
        "NULL::numeric AS value_min",
        "NULL::numeric AS value_max",
        "(array_agg(value ORDER BY at DESC, id DESC))[1] AS last_value",
        "max(at) AS last_at",
        "(array_agg(id ORDER BY at DESC, id DESC))[1] AS last_event_id",
        "(array_agg(value ORDER BY at, id))[1] AS first_value",
        "min(at) AS first_at",
    ]


def rollups_sql(meaning: Meaning, hours: str) -> str:
    """The rows that a metric's rollups should be, given the relation of its hours; without metric and id."""
    if meaning.is_stepped:
        hours = f"({_led_into(meaning, hours)})"
    return f"""
        WITH of_streams AS MATERIALIZED (
            SELECT project_id, 'hour'::text AS granularity, stream, hour_start AS bucket_start,
                   billing_scope_id, value_key, {", ".join(STREAM_COLUMNS)}, {", ".join(COLUMNS)}
              FROM {hours} h
        ),
        of_hours AS MATERIALIZED (
            SELECT *
              FROM of_streams
            UNION ALL
            {_merged(meaning, "of_streams", "hour", is_total=True)}
        ),
        of_days AS MATERIALIZED ({_merged(meaning, "of_hours", "day")}),
        of_months AS ({_merged(meaning, "of_days", "month")})
        SELECT * FROM of_hours
        UNION ALL
        SELECT * FROM of_days
        UNION ALL
        SELECT * FROM of_months
    """  # noqa: S608


def _merged(meaning: Meaning, of: str, granularity: str, *, is_total: bool = False) -> str:
    """Rows of `of` merged into larger buckets, or over all streams into totals."""
    merged = meaning.aggregation.merge_sql("r")
    merged["record_count"] += "::bigint"
    named = {name: f"min(r.{name})" for name in ("subject_type", "subject_id")}
    named['"group"'] = 'min(r."group"::text)::jsonb'
    if is_total:
        named = {"subject_type": "''::text", "subject_id": "''::text", '"group"': "'{}'::jsonb"}
    columns = {
        "project_id": "r.project_id",
        "granularity": f"'{granularity}'::text",
        "stream": f"'{TOTAL}'::uuid" if is_total else "r.stream",
        "bucket_start": f"date_trunc('{granularity}', r.bucket_start, 'UTC')",
        "billing_scope_id": "r.billing_scope_id",
        "value_key": "r.value_key",
        **named,
        **{name: merged[name] for name in COLUMNS},
    }
    return f"""
        SELECT {", ".join(f"{sql} AS {name}" for name, sql in columns.items())}
          FROM {of} r
         GROUP BY 1, 2, 3, 4, 5, 6
    """  # noqa: S608


def _led_into(meaning: Meaning, hours: str) -> str:
    """Hours of steps, each with the step from the last reading before it to its first."""
    assert meaning.steps is not None
    step = meaning.steps.sql(
        "first_value", "first_at", "lag(last_value) OVER in_stream", "lag(last_at) OVER in_stream"
    )
    columns = ["project_id", "billing_scope_id", "stream", *STREAM_COLUMNS, "hour_start", "value_key"]
    return f"""
        SELECT {", ".join(columns)}, record_count, value_sum + step AS value_sum,
               value_moment + step * {seconds_sql("first_at")} AS value_moment,
               value_min, value_max, last_value, last_at, last_event_id
          FROM (
                SELECT *, {step} AS step
                  FROM {hours}
                WINDOW in_stream AS (PARTITION BY project_id, billing_scope_id, stream ORDER BY hour_start)
               ) led
    """  # noqa: S608
