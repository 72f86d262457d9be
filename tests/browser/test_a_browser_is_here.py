"""The one test of this shelf that is collected where the others can't run."""

import pytest

from tests.browser.presence import HOW, REQUIRED, what_is_missing


def test_a_browser_is_here() -> None:
    missing = what_is_missing()
    if missing and not REQUIRED:
        pytest.skip(f"browser tests left out: no {missing} here. {HOW}")

    assert not missing, f"METERBOOK_BROWSER=required, and there is no {missing}. {HOW}"
