"""What the pages of long work share: waking a worker, the bar that says how far it is, sizes of files."""

from typing import Any

from celery import Task
from django.http import StreamingHttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from kombu.exceptions import OperationalError as BrokerError

from metering import numerals


def wake(task: Task) -> None:
    """Ask a worker to look; should the message get lost, the next sweep finds the work."""
    try:
        task.apply_async(retry=False)
    except (BrokerError, OSError):
        return


def progress_bar(percent: int, words: Any) -> SafeString:
    """A bar with words below it."""
    return format_html(
        '<div class="mb-meter" role="progressbar" aria-valuenow="{0}" aria-valuemin="0"'
        ' aria-valuemax="100" aria-label="{1}"><span style="width: {0}%"></span></div>'
        '<div class="mb-quiet mb-small">{2}</div>',
        percent,
        gettext("progress"),
        words,
    )


def file_size(size: int) -> str:
    """In the unit that people know from their disks."""
    if size < 1_000_000:
        return gettext("%s kB") % numerals.fixed(size / 1000, decimals=1)
    return gettext("%s MB") % numerals.fixed(size / 1_000_000, decimals=1)


def csv_attachment(stream: Any, file_name: str) -> StreamingHttpResponse:
    """A CSV file as an answer."""
    response = StreamingHttpResponse(stream, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return response
