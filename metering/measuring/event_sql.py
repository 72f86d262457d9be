"""Rows `e` of the ledger in SQL, as a metric sees them: whether they count, stream, primary labels."""

from collections.abc import Iterable

from django.db.models import Q

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
    if meaning.owner_path not in params.owners:
        remember_owners([meaning], params)
    return f"e.project_id = ANY ({params.owners[meaning.owner_path]}::bigint[])"


def remember_owners(meanings: Iterable[Meaning], params: Params) -> None:
    """Bind what the owners of some metrics hold, asked for once for a statement about several of them."""
    paths = {meaning.owner_path for meaning in meanings if meaning.owner_path} - params.owners.keys()
    if not paths:
        return
    below = Q(*(Q(path__startswith=path) for path in sorted(paths)), _connector=Q.OR)
    held: dict[str, list[int]] = {path: [] for path in paths}
    for project_id, path in Project.objects.filter(below).order_by().values_list("id", "path"):
        for owner in paths:
            if path.startswith(owner):
                held[owner].append(project_id)
    for path in sorted(paths):
        params.owners[path] = params.add(held[path])


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
