"""JAX as a contestant: right in every direction, nothing compiled into its programs as a constant, one program for all learning rates."""
from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from minicnn.benchmarks.contestants import with_jax
from minicnn.benchmarks.problems import Conv, Network, Pool
from tests.benchmarks.contestant import CASES, FOUR_SIDES, IDS, NETWORKS, PROBLEMS, RULES, check, check_training

jax = pytest.importorskip("jax")


@pytest.mark.parametrize(("problem", "direction"), CASES, ids=IDS)
def test_right(problem: Any, direction: str) -> None:
    assert with_jax.lacks("jit", problem, direction) is None
    check(with_jax, "jit", problem, direction)


@pytest.mark.parametrize("direction", Conv.directions)
def test_each_side_has_its_own_padding(direction: str) -> None:
    check(with_jax, "jit", FOUR_SIDES, direction)


@pytest.mark.parametrize("string", ["max:mb2ic3ih9iw8kh3kw2sh2sw1ph1", "max:mb1ic2ih6kh2sh2"])
def test_the_first_of_equal_pixels_wins(string: str) -> None:
    """All are equal: everything goes to the first pixel of each window."""
    problem = Pool.parse(string)
    arrays = problem.arrays(0)
    check(with_jax, "jit", problem, "backward", {**arrays, "x": np.zeros_like(arrays["x"])})


@pytest.mark.parametrize("problem", [*NETWORKS, *RULES], ids=str)
def test_three_steps_with_different_learning_rates(problem: Network) -> None:
    trainer = with_jax.trainer("jit", problem)
    check_training(trainer, problem)
    assert trainer.jitted_step._cache_size() == 1


def test_the_gradient_of_relu_at_0() -> None:
    from minicnn.benchmarks.contestants.jax_network import Engine

    assert jax.grad(Engine({}, training=True).relu)(0.0) == 0


@pytest.mark.parametrize("problem", [p for p in PROBLEMS if p.N > 1], ids=lambda p: f"{p.family} {p}")
def test_inputs_are_arguments(problem: Any) -> None:
    """XLA is left no array to compute with while it compiles."""
    from minicnn.benchmarks.contestants.jax_operations import to_jax

    arrays = {name: to_jax(a, name) for name, a in problem.arrays(0).items()}
    for direction in problem.directions:
        function, arguments, _ = with_jax._work(problem, direction, arrays)
        assert _constants(function, *arguments) == 0
    assert _constants(lambda: arrays["x"] + 1) == 1            # so that this would be noticed


def _constants(function: Any, *arguments: Any) -> int:
    return sum(np.size(c) > 1 for c in jax.make_jaxpr(function)(*arguments).consts)


def test_what_really_runs_is_named() -> None:
    problem = Conv.parse("mb64ic32ih28oc32kh3ph1")
    algorithm = with_jax.prepare("jit", problem, "forward", problem.arrays(0)).algorithm
    assert algorithm.split(", ")[0] == "XLA"
    assert with_jax.what("jit") == f"JAX {jax.__version__}, jit, NHWC, XLA CPU"


def test_without_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_jax.missing("jit") is None
    monkeypatch.setattr(with_jax.importlib.util, "find_spec", lambda name: None)
    assert with_jax.missing("jit") == "the package jax is not installed: pip install 'minicnn[peers]'"


def test_jax_is_imported_to_work_only() -> None:
    code = "import sys; from minicnn.benchmarks.contestants import with_jax; with_jax.missing('jit'); sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
