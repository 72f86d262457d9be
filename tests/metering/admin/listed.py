"""Lists of the admin as somebody walks through them, and the files of the same lists."""

import csv
import io
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


def url_of(model: type[Model], page: str = "changelist", query: str = "") -> str:
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}")
    return f"{url}?{query}" if query else url


def content_of(client: Client, model: type[Model], query: str = "") -> str:
    response = client.get(url_of(model, "as_csv", query))
    assert response.status_code == 200, response
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return b"".join(response.streaming_content).decode()


def rows_in(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def file_of_list(client: Client, model: type[Model], query: str = "") -> list[dict[str, str]]:
    return rows_in(content_of(client, model, query))


def keys_on_pages(client: Client, model: type[Model], query: str = "") -> list[Any]:
    """Of the rows on all pages of a list, in their order."""
    keys, url = [], url_of(model, query=query)
    while url:
        found = client.get(url).context["cl"]
        keys += [row.pk for row in found.result_list]
        url = _next_url(found, model)
    return keys


def _next_url(found: Any, model: type[Model]) -> str:
    if hasattr(found, "older_url"):
        return url_of(model) + found.older_url if found.older_url else ""
    has_more = found.page_num < found.paginator.num_pages
    return url_of(model) + found.get_query_string({"p": found.page_num + 1}) if has_more else ""
