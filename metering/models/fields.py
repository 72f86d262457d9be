"""Column types that Django lacks."""

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class NumericField(models.Field):
    """PostgreSQL's `numeric` without precision or scale: sums of legal quantities never overflow it."""

    description = "Exact decimal number of any size"

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "numeric"

    def to_python(self, value: Any) -> Decimal | None:
        return None if value is None else Decimal(value)
