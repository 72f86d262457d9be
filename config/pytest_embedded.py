"""A pytest plugin: one embedded PostgreSQL and one Valkey for the run, gone afterwards.

`addopts` in pyproject.toml loads it. The addresses are in the environment before Django reads its settings:
no test ever meets the database of a quickstart or of the shell. Processes of xdist inherit them.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from config.embedded import postgres, prepare_var, valkey

PREFIX = "meterbook-test-"
# Given by whoever has servers already, such as a continuous integration service.
DATABASE_VARIABLE = "METERBOOK_TEST_DATABASE_URL"
REDIS_VARIABLE = "METERBOOK_TEST_REDIS_URL"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """Come before pytest-django, which reads the settings in this very hook."""
    known = early_config.known_args_namespace
    only_tells = getattr(known, "help", False) or getattr(known, "version", 0)
    if "PYTEST_XDIST_WORKER" not in os.environ and not only_tells:
        _settle(early_config.add_cleanup)
    return (yield)


def _settle(add_cleanup: Callable[[Callable[[], None]], None]) -> None:
    """Put the addresses of the run's servers into the environment, starting those that nobody named."""
    database_url, redis_url = os.environ.get(DATABASE_VARIABLE), os.environ.get(REDIS_VARIABLE)
    if not database_url or not redis_url:
        remove_leftovers(Path(tempfile.gettempdir()))
        var = _own_directory(add_cleanup)
        if not database_url:
            # Tests create databases and disable what only a superuser may.
            database_url = postgres.start(var, fsync=False, tied=True).superuser_url
        if not redis_url:
            redis_url = valkey.start(var, tied=True, durable=False).url
    os.environ.pop("METERBOOK_AS_OWNER", None)
    os.environ |= {
        "DATABASE_URL": database_url,
        "OWNER_DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": "a-secret-key-for-tests-that-is-long-enough-for-every-check",
        "API_KEY_PEPPERS": "1:a-pepper-for-tests-that-is-long-enough",
        "SEAL_KEYS": "1:a-seal-key-for-tests-that-is-long-enough",
        "PUBLIC_URL": "http://testserver",
        "APPLICATION_ROLE": postgres.APPLICATION_ROLE,
    }


def _own_directory(add_cleanup: Callable[[Callable[[], None]], None]) -> Path:
    """A directory of this run, locked for as long as it lives: two runs at once don't meet."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    directory.chmod(0o711)  # as root, PostgreSQL's account has to pass through
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    var = directory / "var"
    prepare_var(var)

    def remove() -> None:
        _remove(directory)
        os.close(descriptor)

    add_cleanup(remove)
    return var


def remove_leftovers(place: Path) -> None:
    """Remove what runs that were killed left in `place`, servers included; runs that live are left alone."""
    for directory in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
                continue
            descriptor = os.open(directory / "lock", os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(directory)
            finally:
                os.close(descriptor)


def _remove(directory: Path) -> None:
    server = valkey.find(directory / "var")
    if server is not None:
        server.stop()
    postgres.destroy(directory / "var")
    shutil.rmtree(directory, ignore_errors=True)
