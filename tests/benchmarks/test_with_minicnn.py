"""minicnn's own contestants: right on every kind of problem, whatever the backend; rungs only convolve."""
from types import SimpleNamespace
from typing import Any

import pytest

from minicnn import kernels
from minicnn.benchmarks.contestants import BACKENDS, RUNGS, with_minicnn
from minicnn.benchmarks.problems import Conv, Linear, Network
from minicnn.benchmarks.results import CPU
from tests.benchmarks.contestant import CASES, FOUR_SIDES, IDS, NETWORKS, RULES, check, check_training

USABLE = [c.setting for c in BACKENDS if c.league == CPU and not c.missing()]      # tests/gpu has the others


@pytest.mark.parametrize("setting", USABLE)
@pytest.mark.parametrize(("problem", "direction"), CASES, ids=IDS)
def test_right(setting: str, problem: Any, direction: str) -> None:
    check(with_minicnn, setting, problem, direction)


@pytest.mark.parametrize("rung", [rung for rung in RUNGS if rung.league == CPU and not rung.missing()], ids=lambda rung: rung.name)
@pytest.mark.parametrize("direction", Conv.directions)
def test_rungs(rung: Any, direction: str) -> None:
    check(with_minicnn, rung.setting, FOUR_SIDES, direction)
    assert with_minicnn.lacks(rung.setting, Linear(1, 2, 3), direction) == "a rung of the ladder is a way to convolve"


@pytest.mark.parametrize("problem", [*NETWORKS, *RULES], ids=str)
def test_training(problem: Network) -> None:
    check_training(with_minicnn.trainer("numpy", problem), problem)


def test_a_backend_takes_part_where_it_has_kernels_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose functions are NumPy's would be the same row twice; with a function of its own it is another."""
    numpy = kernels.get("numpy")
    borrowed = SimpleNamespace(**{name: getattr(numpy, name) for name in kernels.CONTRACT})
    monkeypatch.setattr(kernels, "get", lambda name: numpy if name == "numpy" else borrowed)
    reason = "the numba backend has no kernels of its own for this yet: it runs the numpy backend's"
    convolution, network = Conv.parse("mb1ic1ih3oc1kh3"), Network.parse("lenet:mb1")
    assert [with_minicnn.lacks("numba", p, "forward") for p in (convolution, network, Linear(1, 2, 3))] == [reason] * 3
    borrowed.conv2d_grad_weight = lambda *_: None
    assert [with_minicnn.lacks("numba", p, "forward") for p in (convolution, network)] == [None, None]
    assert with_minicnn.lacks("numpy", convolution, "forward") is None
