"""The browser, and the people who sit before it. Where there is none, all but one test are left out."""

from pathlib import Path

from tests.browser.presence import what_is_missing

if what_is_missing():
    here = Path(__file__).parent
    collect_ignore = [path.name for path in here.glob("test_*.py") if path.stem != "test_a_browser_is_here"]
else:
    from tests.browser.sitting import (  # noqa: F401 (fixtures and a hook)
        chromium,
        pytest_runtest_makereport,
        seat,
    )
