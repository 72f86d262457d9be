"""The file in which a command leaves logins, keys and addresses for the next one. Only its owner reads it."""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from metering.errors import Invalid, Unavailable


def facts_in(path: Path) -> dict[str, Any]:
    """The members of the file; none where there is no file. Raises `Invalid` when it isn't a JSON object."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Unavailable(f"{path} can't be read: {error.strerror}.") from None
    except ValueError:
        raise Invalid(f"{path} isn't JSON; move it away and try again.") from None
    if not isinstance(facts, dict):
        raise Invalid(f"{path} isn't a JSON object; move it away and try again.")
    return facts


def text_in(facts: dict[str, Any], name: str) -> str | None:
    """The member `name` where it is a text."""
    value = facts.get(name)
    return value if isinstance(value, str) else None


def write_facts(path: Path, facts: dict[str, Any]) -> None:
    """Replace the file at once, mode 600: a reader sees the old one or the new one. Raises `Unavailable`."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps(facts, indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise Unavailable(f"{path} can't be written: {error.strerror}.") from None
