"""Which part of a metric's usage a question is about: whose, of which subject and labels, by what grouped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .label_filter import Params
from .meaning import Meaning

SUBJECT_COLUMNS = ("subject_type", "subject_id")
PROJECT_COLUMNS = ("project", "billing_scope")
# Dimensions that only rows of rollups have: the bucket, the stream, the primary labels as one JSON text.
BUCKET, STREAM, PRIMARY_LABELS = "bucket", "stream", "group"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose usage. `project_ids`: of those projects (None: of all); `payer_id`: billed to that project,
    `payer_ids` to one of those.

    With `either`, usage that is the one or the other, each event once: what a quota counts.
    """

    project_ids: Sequence[int] | None = None
    payer_id: int | None = None
    either: bool = False
    payer_ids: Sequence[int] | None = None

    def sql(self, alias: str, params: Params) -> str:
        clauses = []
        if self.project_ids is not None:
            clauses.append(f"{alias}.project_id = ANY ({params.add(list(self.project_ids))}::bigint[])")
        if self.payer_id is not None:
            clauses.append(f"{alias}.billing_scope_id = {params.add(self.payer_id)}")
        if self.payer_ids is not None:
            clauses.append(f"{alias}.billing_scope_id = ANY ({params.add(list(self.payer_ids))}::bigint[])")
        return "(" + (" OR " if self.either else " AND ").join(clauses) + ")" if clauses else "TRUE"


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part of a metric's usage, and by what it is grouped.

    `group_by` holds project, billing_scope, subject_type, subject_id and `labels.<name>`; `labels` maps
    label names to the text they must have.
    """

    scope: Scope = Scope()
    subject_type: str | None = None
    subject_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    group_by: Sequence[str] = ()

    def label_names(self) -> set[str]:
        """All labels that the slice mentions."""
        return set(self.labels) | {name[7:] for name in self.group_by if name.startswith("labels.")}

    def needs_streams(self) -> bool:
        """Whether totals per project and payer don't suffice."""
        return bool(
            self.subject_type is not None
            or self.subject_id is not None
            or self.label_names()
            or any(name in {*SUBJECT_COLUMNS, STREAM, PRIMARY_LABELS} for name in self.group_by)
        )

    def needs_ledger(self, meaning: Meaning) -> bool:
        """Whether rollups don't keep a label that the slice mentions."""
        return not self.label_names() <= set(meaning.primary_labels)


def filtered_sql(slice: Slice, alias: str, params: Params) -> str:
    """Condition under which a row of rollups or pending contributions is in the slice."""
    clauses = [slice.scope.sql(alias, params)]
    if slice.subject_type is not None:
        clauses.append(f"{alias}.subject_type = {params.add(slice.subject_type)}")
    if slice.subject_id is not None:
        clauses.append(f"{alias}.subject_id = {params.add(slice.subject_id)}")
    for name, wanted in slice.labels.items():
        clauses.append(f'{alias}."group" ->> {params.add(name)} = {params.add(wanted)}')
    return " AND ".join(clauses)
