"""Where the API begins: for whoever asks it without a route."""

from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe


@require_safe
def guide(request: HttpRequest) -> JsonResponse:
    """Where the routes are, and where they are described; nothing that a key is needed for."""
    names = {"documentation": "docs", "schema": "schema"}
    links = {member: request.build_absolute_uri(reverse(name)) for member, name in names.items()}
    return JsonResponse(
        {
            "name": "Meterbook",
            "routes": request.build_absolute_uri("/api/v1/"),
            **links,
            "authentication": "Authorization: Bearer <key>",
        }
    )
