"""Pages by cursor: stable while rows arrive, and as fast on the last page as on the first."""

import binascii
import re
from base64 import b64decode
from urllib.parse import parse_qsl

from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from metering.errors import Invalid

_MEMBERS = {"o": r"[0-9]{1,9}", "r": r"1", "p": r"[0-9]{1,18}"}


class KeyCursorPagination(CursorPagination):
    """Pages by id. Unlike its base it says so when a cursor or a limit makes no sense."""

    page_size = 100
    max_page_size = 1000
    page_size_query_param = "limit"
    ordering = "id"

    def get_page_size(self, request: Request) -> int:
        text = request.query_params.get("limit")
        if text is None:
            return self.page_size
        if not re.fullmatch("[0-9]{1,4}", text, re.ASCII) or not 1 <= int(text) <= self.max_page_size:
            raise Invalid(f"Must be a whole number from 1 to {self.max_page_size}.", field="limit")
        return int(text)

    def decode_cursor(self, request: Request) -> Cursor | None:
        text = request.query_params.get(self.cursor_query_param)
        if text is not None:
            try:
                pairs = parse_qsl(b64decode(text, validate=True).decode("ascii"), strict_parsing=True)
            except (ValueError, binascii.Error):
                pairs = []
            if not pairs or not all(
                name in _MEMBERS and re.fullmatch(_MEMBERS[name], value, re.ASCII) for name, value in pairs
            ):
                raise Invalid("This is no cursor of ours.", field="cursor")
        return super().decode_cursor(request)
