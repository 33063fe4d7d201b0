"""ONNX Runtime as a contestant: right in inference, silent, and with the threads that it is given."""
from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from minicnn.benchmarks.contestants import with_onnx
from minicnn.benchmarks.networks import network
from minicnn.benchmarks.problems import BatchNorm, Conv, CrossEntropy, Network
from tests.benchmarks.contestant import CASES, FOUR_SIDES, NETWORKS, RULES, check

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ABLE = [problem for problem, direction in CASES if direction == "forward" and not isinstance(problem, BatchNorm | CrossEntropy)]
CONV = Conv.parse("mb2ic3ih9iw8oc4kh3kw2sh2ph1")


@pytest.mark.parametrize("problem", ABLE, ids=lambda p: f"{p.family} {p}")
def test_right(problem: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert with_onnx.lacks("cpu", problem, "forward") is None
    check(with_onnx, "cpu", problem, "forward")
    assert capfd.readouterr() == ("", "")


def test_each_side_has_its_own_padding() -> None:
    check(with_onnx, "cpu", FOUR_SIDES, "forward")


def test_what_it_lacks() -> None:
    for problem, direction in CASES:
        if direction == "forward" and problem in ABLE:
            continue
        reason = "no such operation in inference" if isinstance(problem, CrossEntropy) else "inference only"
        assert with_onnx.lacks("cpu", problem, direction) == reason


@pytest.mark.parametrize("problem", [*NETWORKS, *RULES, Network("resnet20", 1, 3, 16), Network.parse("convnet:mb1"),
                                     Network("convnet(4,dropout0.1)", 1, 1, 4)], ids=str)
def test_the_peers_networks_are_those_of_minicnn(problem: Network) -> None:
    """networks.py reads every parameter and running statistic of minicnn.models once, and no other."""
    from minicnn.benchmarks.contestants.onnx_graph import Engine, Graph

    state = {name: a for name, a in problem.initial_state().items() if a.dtype == np.float32}
    graph = Graph(problem.arrays(0)["x"].shape)
    network(problem.model)(graph.x, Engine(graph, state))
    assert sorted((c.name, tuple(c.dims)) for c in graph.constants) == sorted((name, a.shape) for name, a in state.items())


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_those_of_the_environment(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(with_onnx, "_last_session", None)
    assert with_onnx.pools() == {}
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    with_onnx.prepare("cpu", CONV, "forward", CONV.arrays(0)).run()
    assert with_onnx.pools() == {"onnxruntime": threads}


def test_the_versions_are_named() -> None:
    assert with_onnx.what("cpu") == f"ONNX Runtime {onnxruntime.__version__}, onnx {onnx.__version__}, CPU provider"


@pytest.mark.parametrize(("absent", "sentence"), [
    (["onnx"], "the package onnx is not installed: pip install 'minicnn[peers]'"),
    (["onnxruntime"], "the package onnxruntime is not installed: pip install 'minicnn[peers]'"),
    (["onnx", "onnxruntime"], "the packages onnx and onnxruntime are not installed: pip install 'minicnn[peers]'"),
])
def test_without_it(absent: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_onnx.missing("cpu") is None
    monkeypatch.setattr(with_onnx.importlib.util, "find_spec", lambda name: None if name in absent else object())
    assert with_onnx.missing("cpu") == sentence


def test_it_is_imported_to_work_only() -> None:
    code = ("import sys; from minicnn.benchmarks.contestants import with_onnx; with_onnx.missing('cpu'); "
            "sys.exit('onnx' in sys.modules or 'onnxruntime' in sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)
