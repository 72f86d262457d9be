"""The two steps of an import: which file, and what is in it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from metering.importing.column_guesses import guesses, plain_name
from metering.importing.event_columns import LABEL, RowOptions, Rows
from metering.importing.event_records import ImportOptions
from metering.importing.event_uploads import MAX_UPLOAD_BYTES
from metering.models import KEY_MAX_LENGTH, NAME_MAX_LENGTH, Project

SAMPLE_ROWS = 4
DELIMITERS = [(",", _("Comma")), (";", _("Semicolon")), ("\t", _("Tab")), ("|", _("Vertical bar"))]
IGNORED = ""
MEANINGS = [
    (IGNORED, _("– leave out –")),
    (
        _("The event"),
        [
            ("occurred_at", _("When it happened")),
            ("id", _("Event id")),
            ("event_name", _("Event name")),
            ("quantity", _("Quantity")),
            ("project", _("Project (key)")),
            ("subject_id", _("Subject: who used it")),
            ("subject_type", _("Kind of subject")),
            ("metric_key", _("Metric (key)")),
            ("source", _("Source")),
            ("surface", _("Surface (key)")),
        ],
    ),
    (
        _("A label"),
        [
            ("label:text", _("Label, text")),
            ("label:number", _("Label, number")),
            ("label:boolean", _("Label, true or false")),
            ("label:json", _("Label, JSON")),
            ("labels", _("All labels, as a JSON object")),
        ],
    ),
]


class UploadForm(forms.Form):
    file = forms.FileField(
        label=_("File"),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.tsv,.txt,.ndjson,.jsonl,.json,.gz"}),
        help_text=_(
            "CSV with a header, or one JSON event (or CloudEvent) a line; UTF-8, at most 100 MB, gzip too. "
            "Nothing is recorded yet: the next page shows what the file holds."
        ),
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAX_UPLOAD_BYTES:
            raise forms.ValidationError(
                gettext("The file has more than 100 MB. Compress it by gzip, or import it in parts.")
            )
        return file


class MeaningForm(forms.Form):
    """How the events of a file are to be read. Each column of CSV has a meaning, and perhaps a label."""

    project = forms.CharField(
        label=_("Project"),
        required=False,
        max_length=KEY_MAX_LENGTH,
        widget=UnfoldAdminTextInputWidget(attrs={"list": "project-keys", "autocomplete": "off"}),
        help_text=_("Key of the project of events that name none."),
    )
    event_name = forms.CharField(
        label=_("Event name"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"list": "event-names", "autocomplete": "off"}),
        help_text=_("What happened, where no column says it: the same in every row."),
    )
    timezone = forms.CharField(
        label=_("Time zone"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "Europe/Berlin"}),
        help_text=_("Whose clocks times without offset show. Empty: such times are rejected."),
    )
    source = forms.CharField(
        label=_("Source"),
        max_length=NAME_MAX_LENGTH,
        initial="import",
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("Of events that name none. The same project, source and id are recorded once."),
    )
    delimiter = forms.ChoiceField(
        label=_("Cells are separated by"), choices=DELIMITERS, widget=UnfoldAdminSelectWidget()
    )

    def __init__(
        self,
        *args: Any,
        header: Sequence[str],
        samples: Sequence[Sequence[str]],
        options: ImportOptions,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.header, self.samples, self.options = header, samples, options
        self.fields["delimiter"].initial = options.delimiter
        if options.format != "csv":
            for name in ("event_name", "timezone", "delimiter"):
                del self.fields[name]
            return
        for index, (column, guess) in enumerate(zip(header, self._guesses(), strict=True)):
            name, _colon, kind = guess.partition(":")
            is_label = name.startswith(LABEL)
            self.fields[f"meaning_{index}"] = forms.ChoiceField(
                choices=MEANINGS,
                required=False,
                initial=f"label:{kind or 'text'}" if is_label else name,
                widget=UnfoldAdminSelectWidget(
                    attrs={"aria-label": gettext("Meaning of %s") % column, "data-column": index}
                ),
            )
            self.fields[f"label_{index}"] = forms.CharField(
                required=False,
                initial=name.removeprefix(LABEL) if is_label else plain_name(column),
                widget=UnfoldAdminTextInputWidget(attrs={"aria-label": gettext("Label for %s") % column}),
            )

    def _guesses(self) -> list[str]:
        """Our own export says what its columns are; of others it is guessed."""
        rows = Rows(self.header, RowOptions())
        if not rows.is_own_export:
            return guesses(self.header, self.samples)
        target_of = {column: target for target, column in rows.column_of.items()}
        return [target_of.get(column, "") for column in self.header]

    @property
    def general_fields(self) -> list[forms.BoundField]:
        return [field for field in self if not field.name.startswith(("meaning_", "label_"))]

    @property
    def columns(self) -> list[Mapping[str, Any]]:
        """For the table: each column with its first values and its two fields."""
        if self.options.format != "csv":
            return []
        return [
            {
                "name": column,
                "values": [row[index] for row in self.samples if len(row) > index],
                "meaning": self[f"meaning_{index}"],
                "label": self[f"label_{index}"],
            }
            for index, column in enumerate(self.header)
        ]

    def clean_project(self) -> str | None:
        key = self.cleaned_data["project"]
        if key and not Project.objects.filter(key=key).exists():
            raise forms.ValidationError(gettext("There is no project “%s”.") % key)
        return key or None

    def told(self) -> ImportOptions:
        """The options that the form asks for."""
        given = self.cleaned_data
        columns: dict[str, str] = {}
        ignored = []
        if self.options.format == "csv":
            for index, column in enumerate(self.header):
                meaning = given[f"meaning_{index}"]
                if meaning == IGNORED:
                    ignored.append(column)
                    continue
                if meaning.startswith("label:"):
                    meaning = f"{LABEL}{given[f'label_{index}']}:{meaning.removeprefix('label:')}"
                if meaning in columns:
                    raise forms.ValidationError(
                        gettext("“%(first)s” and “%(second)s” can't mean the same.")
                        % {"first": columns[meaning], "second": column}
                    )
                columns[meaning] = column
        return msgspec.structs.replace(
            self.options,
            project=given["project"],
            source=given["source"],
            rows=RowOptions(
                columns=columns,
                constants={"event_name": given["event_name"]} if given.get("event_name") else {},
                ignored=tuple(ignored),
                timezone=given.get("timezone") or None,
            ),
        )
