"""The same number of threads for everybody: what is asked for is what the pools of a child process report, and it is not too many."""
import importlib.util
import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from minicnn.benchmarks import threads

HAS_AFFINITY = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no sched_setaffinity")


def _child(code: str, variables: dict[str, str]) -> Any:
    """What `code` prints in a process of its own, whose pools have not been set by anybody else."""
    ours = {name: value for name, value in os.environ.items() if name not in threads.VARIABLES}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ours | variables)
    return json.loads(done.stdout)


def _numba(pools: dict[str, int]) -> list[int]:
    """Numba's threads, whichever library starts them."""
    return [count for name, count in pools.items() if name in ("numba omp", "numba tbb", "numba workqueue")]


def test_the_environment_sets_every_pool_and_numbas_is_not_started_to_ask() -> None:
    found = _child("import json, torch, numba; from minicnn.benchmarks import threads; threads.set_pools(1); before = threads.read_back(); "
                   "numba.get_num_threads(); print(json.dumps([before, threads.read_back()]))", threads.environment(1))
    before, after = found
    assert not _numba(before)
    assert "torch" in after
    assert _numba(after)
    assert any(name in after for name in ("openblas", "mkl", "blis")) or sys.platform == "darwin"
    assert set(after.values()) == {1}


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="jax is not installed")
@pytest.mark.skipif(sys.platform != "linux", reason="XLA's threads are counted on Linux only")
def test_the_environment_sets_xlas_pool() -> None:
    found = _child("import json, jax; from minicnn.benchmarks import threads; jax.numpy.ones(3).block_until_ready(); "
                   "print(json.dumps(threads.read_back()))", threads.environment(3) | {"JAX_PLATFORMS": "cpu"})
    assert found["xla"] == 3


def test_torchs_pool_is_set_when_torch_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(set_num_threads=asked.append, get_num_threads=lambda: asked[-1]))
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    threads.set_pools(3)
    assert (asked, threads.read_back()["torch"]) == ([3], 3)


def test_numbas_pool_can_be_made_smaller() -> None:
    found = _child("import json, numba; from minicnn.benchmarks import threads; threads.set_pools(2); "
                   "print(json.dumps(threads.read_back()))", {"NUMBA_NUM_THREADS": "3"})
    assert _numba(found) == [2]
    assert "torch" not in found


def test_nothing_is_imported_for_its_pool() -> None:
    found = _child("import json, sys; from minicnn.benchmarks import threads; threads.set_pools(1); threads.read_back(); "
                   "print(json.dumps({name: name in sys.modules for name in ('torch', 'numba', 'jax')}))", {})
    assert found == {"torch": False, "numba": False, "jax": False}


def test_two_pools_of_a_kind_have_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    blas = {"user_api": "blas", "internal_api": "openblas", "prefix": "libscipy_openblas"}
    openmp = {"user_api": "openmp", "internal_api": "openmp", "prefix": "libgomp"}
    monkeypatch.setattr(threads, "threadpool_info", lambda: [{**blas, "num_threads": 1}, {**openmp, "num_threads": 2},
                                                             {**blas, "num_threads": 3}, {**blas, "num_threads": 4}])
    for library in ("torch", "numba", "jax"):
        monkeypatch.delitem(sys.modules, library, raising=False)
    assert threads.read_back() == {"openblas": 1, "libgomp": 2, "openblas 2": 3, "openblas 3": 4}


@HAS_AFFINITY
def test_a_core_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux may number the second hardware threads after all the first ones, or beside them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 2, 3, 5, 6})
    monkeypatch.setattr(threads, "_siblings", lambda cpu: f"{cpu % 4},{cpu % 4 + 4}")
    assert threads.cores() == [1, 2, 3]
    monkeypatch.setattr(threads, "_siblings", lambda cpu: f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}")
    assert threads.cores() == [1, 2, 5, 6]


@HAS_AFFINITY
def test_a_child_inherits_the_restriction_and_we_get_our_cores_back() -> None:
    before, first = os.sched_getaffinity(0), threads.cores()[0]
    code = "import json, os; print(json.dumps(sorted(os.sched_getaffinity(0))))"
    with threads.restrict(1):
        inherited = _child(code, {})
        inside = threads.cores()
    assert (inside, os.sched_getaffinity(0)) == ([first], before)
    assert inherited == ([first] if len(threads.cores()) > 1 else sorted(before))


@HAS_AFFINITY
def test_the_cores_come_back_after_an_error() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(KeyError), threads.restrict(1):
        raise KeyError
    assert os.sched_getaffinity(0) == before


@HAS_AFFINITY
def test_all_cores_are_no_restriction() -> None:
    before = os.sched_getaffinity(0)
    with threads.restrict(len(threads.cores())):
        assert os.sched_getaffinity(0) == before


def test_a_count_that_is_too_large_or_too_small_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: [0, 1])
    threads.check_count(1)
    threads.check_count(2)
    with pytest.raises(ValueError, match=r"^threads is 8, but this process may use 2 cores$"):
        threads.check_count(8)
    with pytest.raises(ValueError, match=r"^threads is 0, but it must be at least 1$"):
        threads.check_count(0)
    monkeypatch.setattr(threads, "cores", lambda: [4])
    with pytest.raises(ValueError, match=r"^threads is 2, but this process may use 1 core$"):
        threads.check_count(2)


def test_numpys_own_blas_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def pool(folder: str, api: str, version: str | None, **more: str) -> dict[str, str | None]:
        return {"user_api": "blas", "internal_api": api, "version": version, "filepath": f"{folder}/blas.so", **more}

    scipys = pool("scipy.libs", "openblas", "0.3.29", architecture="Zen")
    numpys = pool("numpy.libs", "openblas", "0.3.31.188.0", architecture="SkylakeX")
    monkeypatch.setattr(threads, "threadpool_info", lambda: [scipys, numpys])
    assert threads.blas_kernel() == "openblas 0.3.31 SkylakeX"
    monkeypatch.setattr(threads, "threadpool_info", lambda: [pool("lib", "mkl", "2025.2-Product")])
    assert threads.blas_kernel() == "mkl 2025.2-Product"
    monkeypatch.setattr(threads, "threadpool_info", lambda: [{"user_api": "openmp", "prefix": "libgomp"}])
    monkeypatch.setattr(threads.np, "show_config", lambda mode: {"Build Dependencies": {"blas": {"name": "accelerate", "version": "1"}}})
    assert threads.blas_kernel() == "accelerate 1"
