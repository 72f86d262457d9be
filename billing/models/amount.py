"""The column of an amount of money."""

from typing import Any

from django.db import models


class AmountField(models.DecimalField):
    """An amount in major units; four decimals hold every currency of ISO 4217."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 38)
        kwargs.setdefault("decimal_places", 4)
        super().__init__(*args, **kwargs)
