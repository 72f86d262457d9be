"""Forms that say first what follows: sent, and sent again as the page with the consequences would."""

from collections.abc import Mapping
from typing import Any

from django.test import Client

from metering.admin.consequences import SEEN


def confirmed(client: Client, url: str, form: Mapping[str, Any]) -> Any:
    """The answer to the form; where it says first what follows, the answer to having read that."""
    answer = client.post(url, dict(form))
    context = answer.context
    if context is None or "seen_name" not in context:
        return answer
    return client.post(url, {**form, SEEN: context["seen"]})
