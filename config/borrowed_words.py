"""Sentences of packages that ours says in its own way: its catalogues are asked before theirs.

Their German addresses people familiarly, speaks of arrays, or is none.
"""

from django.utils.translation import gettext_noop

BORROWED = (
    gettext_noop("Enter a valid email address."),
    gettext_noop("Enter a valid URL."),
    gettext_noop("Item %(nth)s in the array did not validate:"),
    gettext_noop("every {} {}"),
)
