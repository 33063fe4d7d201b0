"""torch on a GPU, rehearsed on the CPU: the same code with another device; and what it says where there is no GPU."""
from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from minicnn.benchmarks import gpu
from minicnn.benchmarks.contestants import PEERS, with_torch_cuda
from minicnn.benchmarks.problems import BatchNorm, Conv, CrossEntropy, Linear, Network, Pool
from tests.benchmarks.contestant import NETWORKS, check, check_training

PROBLEMS = [Conv.parse("g2mb2ic4ih9iw8oc6kh3kw2sh2sw1ph1pw0dh1dw0"), Pool.parse("max:mb2ic3ih9iw8kh3kw2sh2sw1ph1"),
            Pool.parse("avg:mb2ic3ih9iw8kh3kw2sh2sw1ph1"), BatchNorm(3, 4, 5, 6), Linear(5, 7, 3), CrossEntropy(6, 9), NETWORKS[2]]
CASES = [(problem, direction) for problem in PROBLEMS for direction in problem.directions]


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The CPU in the GPU's place; how often somebody waited for it. Afterwards torch's settings are as they were."""
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    count = [0]
    monkeypatch.setattr(with_torch_cuda, "DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: count.__setitem__(0, count[0] + 1))
    yield count
    torch.set_grad_enabled(True)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.parametrize("setting", ["contiguous", "channels_last", "tf32"])
@pytest.mark.parametrize(("problem", "direction"), CASES, ids=str)
def test_right(waited: list[int], setting: str, problem: Any, direction: str) -> None:
    if not with_torch_cuda.lacks(setting, problem, direction):
        check(with_torch_cuda, setting, problem, direction)
        assert waited == [2], "one for each call"


@pytest.mark.parametrize("forgets", [False, True])
def test_a_pooling_that_forgets_its_padding_is_not_timed(waited: list[int], monkeypatch: pytest.MonkeyPatch, forgets: bool) -> None:
    """As torch 2.11's does on a GPU, in NHWC memory alone."""
    right = torch.ops.aten.avg_pool2d_backward

    def faulty(dy: torch.Tensor, x: torch.Tensor, *rest: Any) -> torch.Tensor:
        shift = forgets and x.is_contiguous(memory_format=torch.channels_last)
        return right(dy, x, *rest).roll((1, 1), (2, 3)) if shift else right(dy, x, *rest)

    monkeypatch.setattr(torch.ops.aten, "avg_pool2d_backward", faulty)
    with_torch_cuda._forgets_padding.cache_clear()
    try:
        padded, bare = Pool.parse("avg:mb2ic3ih9iw8kh3kw2sh2sw1ph1"), Pool.parse("avg:mb2ic3ih8kh2sh2")
        found = {setting: with_torch_cuda.lacks(setting, padded, "backward") for setting in ("contiguous", "channels_last")}
        assert found["contiguous"] is None
        assert ("forgets its padding" in str(found["channels_last"])) == forgets
        assert with_torch_cuda.lacks("channels_last", padded, "forward") is None
        assert with_torch_cuda.lacks("channels_last", bare, "backward") is None
    finally:
        with_torch_cuda._forgets_padding.cache_clear()


@pytest.mark.parametrize("setting", ["contiguous", "channels_last"])
def test_training(waited: list[int], setting: str) -> None:
    check_training(with_torch_cuda.trainer(setting, NETWORKS[1]), NETWORKS[1])


@pytest.mark.parametrize(("setting", "rounds"), [("contiguous", False), ("channels_last", False), ("tf32", True)])
def test_float32_is_not_rounded_unless_asked(waited: list[int], setting: str, rounds: bool) -> None:
    with_torch_cuda.trainer(setting, Network.parse("lenet:mb1"))
    assert torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == rounds


def test_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    for number, text in ((91002, "9.10.2"), (8907, "8.9.7"), (None, "missing")):
        monkeypatch.setattr(torch.backends.cudnn, "version", lambda number=number: number)
        version = torch.__version__.split("+")[0]
        assert with_torch_cuda.what("contiguous") == f"torch {version}, CUDA 13.0, cuDNN {text}, NVIDIA H100, eager, NCHW memory, no TF32"
    assert with_torch_cuda.what("tf32").endswith("eager, NHWC memory, factors rounded to TF32")


def test_why_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch is not imported for it where there is no driver."""
    def reason(version: str, driver: str | None) -> str | None:
        with_torch_cuda._without_cuda.cache_clear()
        monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
        monkeypatch.setattr(gpu, "driver_missing", lambda: driver)
        return with_torch_cuda.missing("contiguous")

    try:
        assert reason("2.13.0+cpu", None) == "torch 2.13.0+cpu was built without CUDA"
        assert reason("2.13.0", "there is no NVIDIA driver") == "there is no NVIDIA driver"
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        assert reason("2.13.0", None) == "torch 2.13.0 (CUDA 13.0) finds no GPU that it can use"
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert reason("2.13.0", None) is None
    finally:
        with_torch_cuda._without_cuda.cache_clear()


def test_who_needs_a_gpu_says_so_in_its_league() -> None:
    assert all((c.league != "CPU") == (c.module == "with_torch_cuda") == ("CUDA" in c.name) for c in PEERS)
