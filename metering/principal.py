"""Who is asking, and what they may see and do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """An API key or a signed-in member of staff. Sees one project and everything below it, or all.

    `project_path` is the path of the key's project; None means the whole tree (staff). `key_id` is the part
    of an API key that may be shown. Among the `permissions` is `bill`, with which plans, accounts, credit and
    invoices are changed: that of keys which manage, unless they were made without it.
    """

    name: str
    permissions: frozenset[str]
    project_id: int | None = None
    project_path: str | None = None
    key_id: str | None = None

    @property
    def signature(self) -> str:
        """A member of staff by name, a key by its name and the part of it that may be shown."""
        return self.name if self.key_id is None else f"{self.name} (mbk_{self.key_id}…)"

    def may(self, permission: str) -> bool:
        return permission in self.permissions

    def sees(self, path: str) -> bool:
        """Whether the project at `path` lies within what this principal may know of."""
        return self.project_path is None or path.startswith(self.project_path)

    @property
    def is_authenticated(self) -> bool:
        """DRF asks its user objects."""
        return True


EVERYBODY_INSIDE = Principal(
    name="in-process", permissions=frozenset({"ingest", "read", "manage", "backfill", "bill"})
)
