"""The environment is made, repaired and entered; nothing else is touched."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config import bootstrap


class Entered(Exception):
    """Stands for the process being replaced."""


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment that starts, with a space in its path and no packages."""
    path = tmp_path / "a place" / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    return path


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A plain Python without our packages; collects what is installed, and entering raises `Entered`."""
    installed: list[Path] = []

    def install(venv: Path) -> None:
        installed.append(venv)
        (venv / ".requirements-sha256").write_text(bootstrap.lock_digest(bootstrap.LOCK_FILE))

    def enter(venv: Path) -> None:
        raise Entered(venv)

    monkeypatch.delenv(bootstrap.INSTALLED, raising=False)
    monkeypatch.setattr(bootstrap, "missing_modules", lambda: ["django"])
    monkeypatch.setattr(bootstrap, "install_into", install)
    monkeypatch.setattr(bootstrap, "enter", enter)
    return installed


def test_complete_environment_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bootstrap, "enter", lambda venv: pytest.fail("entered another environment"))

    bootstrap._ensure(tmp_path / ".venv", install=True)

    assert bootstrap.missing_modules() == []


def test_first_run_installs_and_enters(outside: list[Path], venv: Path) -> None:
    with pytest.raises(Entered):
        bootstrap._ensure(venv, install=True)

    assert outside == [venv]


def test_second_run_enters_without_installing(outside: list[Path], venv: Path) -> None:
    (venv / ".requirements-sha256").write_text(bootstrap.lock_digest(bootstrap.LOCK_FILE) + "\n")

    with pytest.raises(Entered):
        bootstrap._ensure(venv, install=True)

    assert outside == []


def test_changed_lock_file_installs_again(outside: list[Path], venv: Path) -> None:
    (venv / ".requirements-sha256").write_text("the digest of an older lock file")

    with pytest.raises(Entered):
        bootstrap._ensure(venv, install=True)

    assert outside == [venv]


def test_driver_is_installed_for_who_asks_and_kept_for_who_does_not(
    outside: list[Path], venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = venv / ".requirements-sha256"
    stamp.write_text(bootstrap.lock_digest(bootstrap.DEVELOPMENT_LOCK) + "\n")

    monkeypatch.setattr(bootstrap, "LOCK_FILE", bootstrap.BROWSER_LOCK)
    with pytest.raises(Entered):
        bootstrap._ensure(venv, install=True)
    assert outside == [venv]

    monkeypatch.setattr(bootstrap, "LOCK_FILE", bootstrap.DEVELOPMENT_LOCK)
    monkeypatch.delenv(bootstrap.INSTALLED)
    with pytest.raises(Entered):
        bootstrap._ensure(venv, install=True)
    assert outside == [venv]


def test_lock_file_of_the_browser_holds_all_of_the_other() -> None:
    def pinned(lock: Path) -> set[str]:
        return set(re.findall(r"^[\w.\[\]-]+==\S+", lock.read_text(), re.MULTILINE))

    assert pinned(bootstrap.DEVELOPMENT_LOCK) < pinned(bootstrap.BROWSER_LOCK)


def test_interrupted_installation_is_done_again(outside: list[Path], venv: Path) -> None:
    (venv / ".installing").touch()

    with pytest.raises(Entered):
        bootstrap._ensure(venv, install=True)

    assert outside == [venv]


def test_environment_whose_python_is_gone_is_made_again(outside: list[Path], venv: Path) -> None:
    (venv / ".requirements-sha256").write_text(bootstrap.lock_digest(bootstrap.LOCK_FILE))
    for name in ("python", "python3"):
        (venv / "bin" / name).unlink()

    with pytest.raises(Entered):
        bootstrap._ensure(venv, install=True)

    assert outside == [venv]


def test_environment_that_stays_incomplete_ends_in_words(
    outside: list[Path], venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(bootstrap.INSTALLED, str(venv))

    with pytest.raises(bootstrap.BootstrapError, match=r"django can't be imported .* Remove that directory"):
        bootstrap._ensure(venv, install=True)

    assert outside == []


def test_other_commands_install_nothing(
    outside: list[Path], venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(Entered):
        bootstrap._ensure(venv, install=False)
    bootstrap._ensure(venv.with_name("none"), install=False)

    assert outside == []


def test_old_python_is_refused_in_words() -> None:
    with pytest.raises(bootstrap.BootstrapError, match=r"needs Python 3\.11 or newer, and this is 3\.9"):
        bootstrap.refuse_old_python((3, 9))


def test_installed_versions_are_compared_with_the_lock_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock, installed = tmp_path / "dev.txt", importlib.metadata.version("django")
    monkeypatch.setattr(bootstrap, "LOCK_FILE", lock)

    lock.write_text(
        f"django=={installed} \\\n    --hash=sha256:00\nnot-for-us==1.0 ; sys_platform == 'win32'\n"
    )
    assert not bootstrap.differs_from_lock()
    lock.write_text("django==1.0 \\\n    --hash=sha256:00\n")
    assert bootstrap.differs_from_lock()
    lock.write_text("a-package-that-nobody-has==1.0\n")
    assert bootstrap.differs_from_lock()


def test_failing_installer_is_quoted(monkeypatch: pytest.MonkeyPatch, venv: Path, tmp_path: Path) -> None:
    lock = tmp_path / "dev.txt"
    lock.write_text("django==5.2.19 --hash=sha256:00\n")
    monkeypatch.setattr(bootstrap, "LOCK_FILE", lock)
    monkeypatch.setattr(
        bootstrap, "_pip_of", lambda venv: [sys.executable, "-c", "print('no route'); exit(2)"]
    )

    with pytest.raises(bootstrap.BootstrapError, match=r"(?s)packages can't be installed.*no route"):
        bootstrap.install_into(venv)

    assert not (venv / ".requirements-sha256").exists()
    assert (venv / ".installing").exists()


@pytest.mark.parametrize("name", ["venv", "ensurepip"])
def test_python_without_any_installer_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    absent = {name, "virtualenv", "pip"}
    find_spec: Callable[[str], object] = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda each: None if each in absent else find_spec(each))

    with pytest.raises(bootstrap.BootstrapError, match=r"apt-get install python3\.\d+-venv"):
        bootstrap._make(tmp_path / ".venv")
