"""Hypothesis profiles: dev (the default, a quick look), ci (what CI runs), deep (an hour: HYPOTHESIS_PROFILE=deep)."""
import os
from collections.abc import Iterator

# Numba fixes the largest number of threads when it is imported. Tests use one, so that they can run side by side, but for those that ask
# for `every_thread_count`; idle threads sleep.
os.environ["NUMBA_NUM_THREADS"] = "3"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
from hypothesis import HealthCheck, settings

# Shared machines are slow at times, and no test here is timed.
common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dev", max_examples=15, **common)
settings.register_profile("ci", max_examples=100, derandomize=True, **common)
settings.register_profile("deep", max_examples=3000, **common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import numba

    numba.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test, or a contestant of the benchmarks in it, chooses is chosen for that test alone."""
    from minicnn import kernels

    monkeypatch.setattr(kernels, "_chosen", kernels._chosen)


@pytest.fixture
def every_thread_count() -> Iterator[list[int]]:
    """1, 2 and 3, for numba.set_num_threads; afterwards it is one again."""
    import numba

    yield [1, 2, 3]
    numba.set_num_threads(1)
