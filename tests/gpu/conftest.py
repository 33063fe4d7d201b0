"""Every test in this folder is marked `gpu`, and skipped, with the reason, where CuPy finds no device."""
from pathlib import Path

import pytest

from minicnn import kernels


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = kernels.missing("cuda")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))
