"""What the sidebar calls the pages that it leads to: their titles and the ways back to them say the same."""

from typing import Any

from django.conf import settings


def title_in_menu(url: object) -> Any:
    """The title of the item that leads to `url`; empty where none does."""
    sidebar: Any = settings.UNFOLD["SIDEBAR"]
    wanted = str(url)
    items = (item for group in sidebar["navigation"] for item in group["items"])
    return next((item["title"] for item in items if str(item["link"]) == wanted), "")
