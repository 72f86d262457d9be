"""Counting what was recorded before a metric was defined."""

from django.db import connection, transaction

from metering.answering.contributions import contribution_sql
from metering.catalogue import move_version
from metering.measuring.event_sql import event_stream_sql, group_json_sql
from metering.measuring.label_filter import Params
from metering.measuring.meaning import Meaning, unvoided_sql
from metering.models import MetricDefinition, Project

SHORT = 50_000  # events: counted within a second or two, while whoever asked for it waits


def is_history_long(metric: MetricDefinition) -> bool:
    """Whether more than `SHORT` events of the metric's name lie before it. Index: usage_event_by_project.

    Its label filter is not asked: what it passes over is read all the same.
    """
    owner_path = metric.project.path if metric.project else ""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*)
              FROM (
                    SELECT
                      FROM metering_usageevent
                     WHERE project_id = ANY (%s)
                       AND event_name = %s
                     LIMIT %s
                   ) events
            """,
            [_ids_below(owner_path), metric.event_name, SHORT + 1],
        )
        (count,) = cursor.fetchone()
    return bool(count > SHORT)


def enqueue_history(metric: MetricDefinition) -> None:
    """Let a metric that counts from a position on count everything before it too, by pending contributions.

    The events before that position are final, so only the definition's row is locked; contributions and the
    new `counts_from` commit together. Nothing happens where another process was first.
    """
    owner_path = metric.project.path if metric.project else ""
    params = Params()
    end = params.add(metric.counts_from)
    where = Meaning(
        MetricDefinition(**{**_fields_of(metric), "counts_from": 0}), owner_path=owner_path
    ).where_sql(params)
    meaning = Meaning(metric, owner_path=owner_path)
    columns = contribution_sql(meaning, params)
    names = list(columns)
    statement = f"""
        INSERT INTO metering_pendingcontribution
               (metric_id, project_id, billing_scope_id, hour_start, stream,
                subject_type, subject_id, "group", value_key, {", ".join(names)})
        SELECT {params.add(metric.pk)}, e.project_id, e.billing_scope_id,
               date_trunc('hour', e.occurred_at, 'UTC'),
               {event_stream_sql(meaning, params)}, e.subject_type, e.subject_id,
               {group_json_sql(meaning, params)}, {meaning.value_key_sql(params)},
               {", ".join(columns[name] for name in names)}
          FROM metering_usageevent e
         WHERE {where}
           AND {unvoided_sql(params)}
           AND e.id <= {end}
           AND e.project_id = ANY ({params.add(_ids_below(owner_path))})
         GROUP BY 2, 3, 4, 5, 6, 7, 8, 9
    """  # noqa: S608 (values are bound; the text is ours)
    with transaction.atomic(), connection.cursor() as cursor:
        due = MetricDefinition.objects.select_for_update(skip_locked=True).filter(
            pk=metric.pk, is_history_due=True
        )
        if due.values_list("pk").first() is None:
            return
        cursor.execute(statement, params)
        due.update(counts_from=0, is_history_due=False)
        move_version()


def _ids_below(path: str) -> list[int]:
    return list(Project.objects.filter(path__startswith=path).values_list("id", flat=True))


def _fields_of(metric: MetricDefinition) -> dict[str, object]:
    return {field.attname: getattr(metric, field.attname) for field in metric._meta.concrete_fields}
