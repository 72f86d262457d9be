"""What the documentation of the API says about exports."""

from rest_framework import serializers

from metering.exporting.export_kinds import ExportKind, registered_kinds
from metering.models import Export


def _in_words(kind: ExportKind) -> str:
    filters = ", ".join(f"`{one.name}`" + (" (needed)" if one.is_required else "") for one in kind.filters)
    columns = "\n".join(f"    - `{column.name}`: {column.meaning}" for column in kind.columns)
    return f"- `{kind.name}`: {kind.description} Filters: {filters}. Columns:\n{columns}"


KINDS_IN_WORDS = "\n".join(_in_words(kind) for kind in registered_kinds())


class ExportRequestDocument(serializers.Serializer):
    kind = serializers.ChoiceField([(kind.name, kind.title) for kind in registered_kinds()])
    filters = serializers.DictField(
        child=serializers.CharField(),
        required=False,
        help_text="Values by name; `from` and `until` (or `to`) are half-open. None: everything.",
    )


class ExportDocument(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.CharField()
    filters = serializers.DictField()
    project = serializers.CharField(
        allow_null=True, help_text="Only what lies at and below it is in the file; null: everything."
    )
    requested_by = serializers.CharField()
    state = serializers.ChoiceField(Export.State.choices)
    row_count = serializers.IntegerField(help_text="Rows written so far.")
    expected_count = serializers.IntegerField(
        allow_null=True, help_text="How many rows there will be, or about; null: nobody knows yet."
    )
    byte_count = serializers.IntegerField()
    failure = serializers.CharField(allow_null=True)
    requested_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True, help_text="From when on there is no file.")


class ExportPage(serializers.Serializer):
    results = ExportDocument(many=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
