"""Rows `e` of the ledger in SQL, as a metric sees them: whether they count, stream, primary labels."""

from metering.models import Project

from .label_filter import Params
from .meaning import Meaning, unvoided_sql
from .streams import stream_sql


def counted_sql(meaning: Meaning, params: Params, *, as_of: int | None = None) -> str:
    """Condition under which event `e` counts, as of now or of a position. Its project is under the owner."""
    clauses = [meaning.where_sql(params), unvoided_sql(params, as_of=as_of)]
    if as_of is not None:
        clauses.append(f"e.id <= {params.add(as_of)}")
    return " AND ".join(clauses)


def below_owner_sql(meaning: Meaning, params: Params) -> str:
    """Condition under which event `e` is of a project that the metric's owner holds."""
    if not meaning.owner_path:
        return "TRUE"
    below = Project.objects.filter(path__startswith=meaning.owner_path).values_list("id", flat=True)
    return f"e.project_id = ANY ({params.add(list(below))}::bigint[])"


def event_stream_sql(meaning: Meaning, params: Params) -> str:
    """The stream of event `e`."""
    return stream_sql("e.subject_type", "e.subject_id", meaning.group_sql(params))


def group_json_sql(meaning: Meaning, params: Params) -> str:
    """The primary labels of event `e`, as jsonb."""
    pairs = ", ".join(
        f"{params.add(name)}::text, {sql}"
        for name, sql in zip(meaning.primary_labels, meaning.group_sql(params), strict=True)
    )
    return f"jsonb_build_object({pairs})"
