"""These tests are about geometry, in hundreds of shapes: NumPy's kernels need no compiling for each."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

import minicnn


@pytest.fixture(autouse=True, scope="module")
def _numpy() -> Iterator[None]:
    with minicnn.use_backend("numpy"):
        yield
