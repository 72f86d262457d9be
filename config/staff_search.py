"""Staff accounts in search everywhere."""

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from metering.admin.searching import RowSearch


def _detail(user: User) -> str:
    return " · ".join(filter(None, [user.get_full_name(), user.email]))


STAFF = RowSearch(
    model="auth.User",
    icon="person",
    by=_("user name, name or e-mail"),
    example="kim",
    row_title=lambda user: user.username,
    row_detail=_detail,
    exact=lambda text: Q(username=text) | Q(email__iexact=text),
    ordering=("username",),
)
