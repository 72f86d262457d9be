"""The sidebar's words in templates."""

from typing import Any

from django import template

from metering.menu import title_in_menu

register = template.Library()


@register.filter
def as_in_menu(title: Any, url: object) -> Any:
    """What the sidebar calls the page at `url`; `title` where it doesn't lead there."""
    return title_in_menu(url) or title
