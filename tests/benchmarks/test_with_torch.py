"""torch's contestants: eager in both memory orders is right on every kind of problem; torch.compile on one of each."""
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from minicnn.benchmarks.contestants import with_torch
from minicnn.benchmarks.networks import NETWORKS as FORWARDS
from minicnn.benchmarks.problems import BatchNorm, Conv, CrossEntropy, Linear, Network, Pool
from minicnn.benchmarks.problems.network import SIZES
from tests.benchmarks.contestant import CASES, IDS, NETWORKS, RULES, check, check_training


@pytest.fixture(autouse=True)
def _same_settings() -> Iterator[None]:
    """A contestant switches gradients off for the rest of its process."""
    yield
    torch.set_grad_enabled(True)


@pytest.mark.parametrize("setting", ["contiguous", "channels_last"])
@pytest.mark.parametrize(("problem", "direction"), CASES, ids=IDS)
def test_right(setting: str, problem: Any, direction: str) -> None:
    check(with_torch, setting, problem, direction)


@pytest.mark.parametrize("setting", ["contiguous", "channels_last"])
@pytest.mark.parametrize("problem", [*NETWORKS, *RULES], ids=str)
def test_training(setting: str, problem: Network) -> None:
    check_training(with_torch.trainer(setting, problem), problem)


@pytest.mark.parametrize(("problem", "direction"), [(Conv.parse("mb2ic3ih9iw8oc4kh3ph1"), "grad_weight"), (NETWORKS[0], "step")], ids=str)
def test_compiled(problem: Any, direction: str) -> None:
    check(with_torch, "compile", problem, direction)


@pytest.mark.parametrize("problem", [Conv.parse("mb2ic3ih9iw8oc4kh3"), Pool.parse("max:mb2ic3ih8kh2sh2"), BatchNorm(2, 3, 4, 5)], ids=str)
def test_images_lie_in_the_order_that_the_setting_says(problem: Any) -> None:
    x = problem.arrays(0)["x"]
    assert with_torch._tensor(x, "contiguous").is_contiguous()
    for setting in ("channels_last", "compile"):
        assert with_torch._tensor(x, setting).is_contiguous(memory_format=torch.channels_last)
        assert np.array_equal(with_torch._tensor(x, setting).numpy(), x)


def test_without_images_there_is_one_order() -> None:
    for problem in (Linear(2, 3, 4), CrossEntropy(2, 3)):
        assert with_torch.lacks("contiguous", problem, "forward") is None
        assert with_torch.lacks("channels_last", problem, "forward") == "no image, so no memory order to choose"


def test_every_network_has_a_usual_size() -> None:
    assert FORWARDS.keys() == SIZES.keys()
