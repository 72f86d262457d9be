"""What is made of the parts of an answer: one aggregate per group. As SQL, and back as a value."""

from collections.abc import Mapping, Sequence
from typing import Any

from metering.measuring.aggregations import Aggregate
from metering.measuring.meaning import Meaning


def result_columns(meaning: Meaning) -> tuple[str, ...]:
    """What `grouped_sql` yields for each group, in order."""
    distinct = ("distinct_count",) if meaning.keeps_values else ()
    return ("record_count", *meaning.aggregation.needed, *distinct)


def aggregate_of(values: Mapping[str, Any]) -> Aggregate:
    """The aggregate of a result row, by the names of its columns."""
    return Aggregate(
        record_count=int(values["record_count"]),
        value_sum=values.get("value_sum"),
        value_min=values.get("value_min"),
        value_max=values.get("value_max"),
        last_value=values.get("last_value"),
        value_moment=values.get("value_moment"),
        distinct_count=int(values.get("distinct_count", 0)),
        last_at=values.get("last_at"),
    )


def grouped_sql(meaning: Meaning, keys: Sequence[str], *, having: str = "sum(record_count) <> 0") -> str:
    """The aggregate of `parts` per group of `keys`; groups whose events were all voided are absent."""
    names = ", ".join(keys)
    if meaning.keeps_values:
        return f"""
        SELECT {names}, sum(times) AS record_count, count(*) AS distinct_count
          FROM (
                SELECT {names}, value_key, sum(record_count) AS times
                  FROM parts
                 GROUP BY {names}, value_key
                HAVING sum(record_count) <> 0
               ) kept
         GROUP BY {names}
    """  # noqa: S608 (names are ours)
    merged = meaning.aggregation.merge_sql("parts")
    columns = ", ".join(f"{merged[name]} AS {name}" for name in result_columns(meaning))
    return f"""
        SELECT {names}, {columns}
          FROM parts
         GROUP BY {names}
        HAVING {having}
    """  # noqa: S608


def level_before_sql(stream_keys: Sequence[str], bucket: str) -> str:
    """The level that a stream carries into a bucket, over all its grouped buckets: the sum of the changes
    before."""
    return (
        f"sum(value_sum) OVER (PARTITION BY {', '.join(stream_keys)} ORDER BY {bucket}"
        " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    )
