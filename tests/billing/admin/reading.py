"""What tests of document pages share: addresses, and what stands on a page."""

import re
from html import unescape
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from billing.models import Invoice


def url(page: str, *args: object, model: str = "invoice") -> str:
    return reverse(f"admin:billing_{model}_{page}", args=args)


def text_of(response: Any) -> str:
    """The main part of a page as words with single spaces."""
    page = response.content.decode()
    page = re.sub(r"<(script|style|nav)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def read(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return text_of(response)


def told(response: HttpResponse) -> list[str]:
    """What a request left to be said on the next page."""
    return [str(message) for message in response.wsgi_request._messages._queued_messages]  # type: ignore[attr-defined]


def errors_of(response: Any) -> dict[str, list[str]]:
    """What the form says, by field; `__all__` is the whole form."""
    assert response.status_code == 200
    return {name: list(map(str, found)) for name, found in response.context["form"].errors.items()}


def confirmed(client: Client, page: str, document: Invoice, **fields: object) -> Any:
    """Post what a page of a document asks for, with what it carries unseen, as its button does."""
    shown = client.get(url(page, document.pk)).context["form"]
    hidden = {field.name: field.value() for field in shown.hidden_fields()}
    return client.post(url(page, document.pk), {**hidden, **fields})
