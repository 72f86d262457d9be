"""In which zone and language a person sees pages."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import User

from config.models import StaffPreferences


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person chose; empty texts leave it to the server (UTC) and to the browser (language)."""

    time_zone: str = ""
    language: str = ""

    @property
    def zone(self) -> ZoneInfo | None:
        """None as well where the server's own list of zones no longer has the name."""
        try:
            return ZoneInfo(self.time_zone) if self.time_zone else None
        except (KeyError, ValueError, OSError):
            return None

    @property
    def spoken(self) -> str:
        """The chosen language, if pages still speak it."""
        return self.language if self.language in dict(settings.LANGUAGES) else ""


def wishes_of(user: User) -> Wishes:
    """Those of nobody's row are empty. The backend has read the row together with the user."""
    row = getattr(user, "preferences", None)
    return Wishes(row.time_zone, row.language) if row else Wishes()


def keep_wishes(user: User, wishes: Wishes) -> None:
    """Write the person's one row. Shape is the form's to check."""
    StaffPreferences.objects.update_or_create(
        user=user, defaults={"time_zone": wishes.time_zone, "language": wishes.language}
    )
