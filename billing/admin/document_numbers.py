"""Documents by what people write for their number."""

import re

from django.db.models import Q

from billing.models import NumberSeries
from metering.admin.row_ids import id_from

_LETTERS_AND_NUMBER = re.compile(r"(.*?)([0-9]{1,15})")


def named_by_number(text: str) -> Q:
    """Documents whose number begins with `text`, however it is written; "42" and "inv-42" find INV-000042.

    Drafts have no number yet and go by their id. Uses the indexes of the number alone.
    """
    written = {text, text.upper(), text.lower()}
    found = Q(number__in=written)
    for spelling in written:
        found |= Q(number__startswith=spelling)
    parts = None if " " in text else _LETTERS_AND_NUMBER.fullmatch(text)
    if parts:
        letters, number = parts[1], int(parts[2])
        for series in NumberSeries.objects.all():
            if series.prefix.casefold().endswith(letters.casefold()):
                found |= Q(number__startswith=series.prefix + parts[2]) | Q(series=series, sequence=number)
        if not letters:
            found |= Q(pk=id_from(text), issued_at=None)
    return found
