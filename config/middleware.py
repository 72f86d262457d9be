"""What every request passes through, where Django's own doesn't fit."""

from django.http import HttpRequest
from django.middleware.common import CommonMiddleware


class SlashMiddleware(CommonMiddleware):
    """Leads pages to their address with the last slash, but never a request that carries something.

    A client that follows a redirect of a POST asks again with GET and takes the list for a receipt.
    """

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        return request.method in {"GET", "HEAD"} and super().should_redirect_with_slash(request)
