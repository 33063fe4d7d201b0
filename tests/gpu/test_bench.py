"""The benchmarks on a GPU: contestants are right on every kind of problem, times are CUDA events', a race has times for all."""
from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minicnn.benchmarks import every_kernel, gpu, tune
from minicnn.benchmarks.collect import choose, collect
from minicnn.benchmarks.contestants import BACKENDS, PEERS, RUNGS, TF32_PEERS, Contestant, with_minicnn, with_torch_cuda
from minicnn.benchmarks.problems import Conv
from minicnn.benchmarks.race import Settings
from minicnn.benchmarks.results import CPU, Results
from minicnn.kernels.cuda_backend import choice
from tests.benchmarks.contestant import CASES, IDS, NETWORKS, check, check_training

ON_GPU = [c for c in (*BACKENDS, *PEERS) if c.league != CPU]
needs_torch = pytest.mark.skipif(bool(with_torch_cuda.missing("contiguous")), reason=str(with_torch_cuda.missing("contiguous")))


@pytest.fixture(autouse=True)
def _same_settings() -> Iterator[None]:
    """A contestant switches torch's gradients off for the rest of its process."""
    yield
    if not with_torch_cuda.missing("contiguous"):
        import torch

        torch.set_grad_enabled(True)


@pytest.mark.parametrize(("problem", "direction"), CASES, ids=IDS)
def test_the_backend_is_right(problem: Any, direction: str) -> None:
    check(with_minicnn, "cuda", problem, direction)


@pytest.mark.parametrize("rung", [c for c in RUNGS if c.league != CPU], ids=lambda c: c.name)
@pytest.mark.parametrize("direction", Conv.directions)
def test_rungs_are_right(rung: Contestant, direction: str) -> None:
    check(with_minicnn, rung.setting, Conv.parse("g2mb2ic4ih9iw8oc6kh3kw2sh2sw1ph1pw0dh1dw0"), direction)


@needs_torch
@pytest.mark.parametrize("setting", ["contiguous", "channels_last"])
@pytest.mark.parametrize(("problem", "direction"), CASES, ids=IDS)
def test_torch_is_right(setting: str, problem: Any, direction: str) -> None:
    if not with_torch_cuda.lacks(setting, problem, direction):
        check(with_torch_cuda, setting, problem, direction)


@needs_torch
@pytest.mark.parametrize("setting", ["contiguous", "channels_last"])
def test_torch_trains(setting: str) -> None:
    for problem in NETWORKS:
        check_training(with_torch_cuda.trainer(setting, problem), problem)


def test_a_race(tmp_path: Path) -> None:
    """In processes of their own, as `minicnn bench` does it; nobody is refused a time, and none has a share of the CPU's peak."""
    present, absent = choose(None, [*ON_GPU, *(c for c in (*RUNGS, *TF32_PEERS) if c.league != CPU)])
    problems = [("", Conv.parse("mb8ic16ih14oc32oh14kh3ph1"))]
    results = collect("conv", "part of conv-1", problems, Conv.directions, present, absent, Settings(1, rounds=2, seconds=0.005))
    assert not [m.refused for m in results.measurements if m.refused and not m.lacks]
    assert all(m.verified == "exact" and m.memory > 0 for m in results.measurements)
    assert all(results.share(case, m) is None for case in results.cases for m in results.of(case))
    assert results.machine["gpu"]["name"]
    (tmp_path / "conv.json").write_text(results.to_json())
    assert Results.load(tmp_path / "conv.json").entrants == results.entrants


@pytest.mark.parametrize("direction", choice.DIRECTIONS)
def test_every_rung_is_timed(direction: str) -> None:
    """By events: more work in a row takes longer than none. How long is the benchmarks' to say."""
    size = (8, 1024, 72)
    found, = tune.tune([(choice.size_class(direction, size), direction, size)], rounds=2, burst=0.001)
    assert not found.wrong
    assert set(found.times) == set(choice.RUNGS)
    assert all(0 < time < math.inf for time in found.times.values())


def test_every_kernel_is_launched() -> None:
    assert set(every_kernel.run("cuda")) == set(every_kernel.every())


def test_the_fingerprint() -> None:
    found = gpu.fingerprint()
    assert {"name", "compute_capability", "memory", "cuda_driver", "cuda_cupy"} <= found.keys()
    assert gpu.driver_missing() is None
    if shutil.which("nvidia-smi"):
        assert "driver" in found
