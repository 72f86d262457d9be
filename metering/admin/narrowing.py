"""What a list can be narrowed down by: its filters, and what links of ours name. Nothing else.

Django takes any lookup on a model's own columns from the address. Whoever sees a list could find out by it
what its columns don't show, such as the digest of a key, one sign after the other.
"""

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from unfold.views import ChangeList


class NarrowChangeList(ChangeList):
    """A list that knows its filters and its admin's `linked_lookups`, and takes no other parameter.

    Those are answered like a value that a filter can't read, and so is a NUL, which the database refuses.
    """

    def get_filters(self, request: HttpRequest) -> Any:
        if any("\x00" in value for values in self.filter_params.values() for value in values):
            raise IncorrectLookupParameters("A filter has a value with a NUL.")
        try:
            found = super().get_filters(request)
        except SuspiciousOperation as refusal:
            raise IncorrectLookupParameters(refusal) from refusal
        unknown = found[2].keys() - set(self.model_admin.linked_lookups)
        if unknown:
            raise IncorrectLookupParameters(f"No filter of the list: {', '.join(sorted(unknown))}")
        return found
