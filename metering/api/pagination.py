"""Pages by cursor: stable while rows arrive, and as fast on the last page as on the first."""

from rest_framework.pagination import CursorPagination


class KeyCursorPagination(CursorPagination):
    page_size = 100
    max_page_size = 1000
    page_size_query_param = "limit"
    ordering = "id"
