"""Whether this machine can look at pages with a real browser."""

import importlib.util
import os
import shutil

REQUIRED = os.environ.get("METERBOOK_BROWSER") == "required"
HOW = "To run them: apt-get install chromium, then METERBOOK_BROWSER=required python3 manage.py test"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_DRIVERS = {"playwright": "Playwright", "axe_playwright_python": "axe-playwright-python"}


def chromium_path() -> str | None:
    """The system's Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def what_is_missing() -> str:
    """In words; empty where everything is there."""
    missing = [name for module, name in _DRIVERS.items() if importlib.util.find_spec(module) is None]
    if chromium_path() is None:
        missing.append("Chromium")
    return " and ".join(missing)
