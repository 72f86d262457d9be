"""What every history of a configuration table shares: one row for each change, written by a trigger."""

from collections.abc import Sequence
from typing import Any, ClassVar

import pghistory
import pghistory.models
from django.db import models
from django.db.models import Func
from django.db.models.fields.json import KeyTextTransform
from django.utils.translation import gettext_lazy as _

SET, CHANGED, REMOVED = "set", "changed", "removed"


class SessionUser(Func):
    """The role that signed in at the database, whatever role it plays now."""

    template = "SESSION_USER"
    output_field = models.TextField()


class Change(pghistory.models.Event):
    """What a row became by one change, or was when it was removed; the change before it says what it was.

    Written by triggers of the table, whoever changes it and however. `pgh_context` says who and why, where
    that is known; `database_role` what the database itself knows of it. The database refuses changes.
    """

    # Columns by which people know the row; the one whose row has the page, where it isn't its own; and what
    # such a row is called, where its table has no words of ours.
    named_by: ClassVar[tuple[str, ...]] = ()
    page_of: ClassVar[str] = "pgh_obj"
    words: ClassVar[Any] = ""

    # Empty: not known, from before the history began.
    database_role = models.TextField(_("database role"), editable=False, db_default=SessionUser())

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.pgh_label} {self.pgh_id}"


CHANGES_BY_TIME = (
    models.Index(fields=["pgh_created_at", "pgh_id"], name="%(class)s_by_time"),
    models.Index(
        KeyTextTransform("actor", "pgh_context"), "pgh_created_at", "pgh_id", name="%(class)s_by_actor"
    ),
    # What is gone is found by its name only here.
    models.Index(fields=["pgh_obj"], condition=models.Q(pgh_label=REMOVED), name="%(class)s_gone"),
)


class ChangeMeta:
    """The options of every history: nobody has rights on it but by the table that it is the history of."""

    default_permissions = ()
    indexes: ClassVar[list[models.Index]] = [
        *CHANGES_BY_TIME,
        models.Index(fields=["pgh_obj", "pgh_id"], name="%(class)s_by_row"),
    ]


def changes_of(tracked: type[models.Model], *trackers: Any, fields: Sequence[str]) -> Any:
    """The abstract history of a table: its columns `fields`, and nothing when only others change.

    What moves often, and every secret, is left out of `fields`.
    """
    make: Any = pghistory.create_event_model
    return make(
        tracked,
        pghistory.InsertEvent(SET),
        pghistory.UpdateEvent(CHANGED),
        pghistory.DeleteEvent(REMOVED),
        *trackers,
        fields=list(fields),
        obj_field=pghistory.ObjForeignKey(
            related_name="+", related_query_name="+", on_delete=models.DO_NOTHING, db_index=False
        ),
        context_field=pghistory.ContextJSONField(),
        context_id_field=None,
        base_model=Change,
    )
