"""`{% load moments %}`: instants in templates as cells show them."""

import datetime as dt

from django import template
from django.utils.safestring import SafeString

from metering import moments

register = template.Library()


@register.filter
def moment(instant: dt.datetime) -> SafeString:
    """An instant on the clocks of whoever looks, in UTC on hover."""
    return moments.moment(instant)
