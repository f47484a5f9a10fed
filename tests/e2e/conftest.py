"""Every test in this folder talks to a real server, so every one bears the mark ``e2e``."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Mark the tests below this folder (the hook is given all tests of the session)."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
