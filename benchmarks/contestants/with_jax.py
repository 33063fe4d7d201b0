"""JAX: each call is one jitted function, on XLA's CPU backend, over channels-last memory (NHWC activations, HWIO weights).

A gradient is jax.vjp's. What the forward pass leaves for it is computed beforehand and is an argument of the jitted function, as all arrays
are: XLA would compute with constants while it compiles. Batch norm's gradient is written out, which XLA computes faster.
"""
from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from minicnn.benchmarks.contestants.call import Arrays, Call
from minicnn.benchmarks.contestants.trainer import Trainer
from minicnn.benchmarks.problems import BatchNorm, Conv, CrossEntropy, Linear, Network, Pool


def missing(setting: str) -> str | None:
    if not importlib.util.find_spec("jax"):
        return "the package jax is not installed: pip install 'minicnn[peers]'"
    return None


def lacks(setting: str, problem: Any, direction: str) -> str | None:
    return None


def what(setting: str) -> str:
    import jax

    return f"JAX {jax.__version__}, jit, NHWC, XLA CPU"


def prepare(setting: str, problem: Any, direction: str, arrays: Arrays) -> Call:
    import jax

    from minicnn.benchmarks.contestants import jax_operations as op

    if isinstance(problem, Network):
        from minicnn.benchmarks.contestants.jax_network import network_call

        return network_call(problem, direction, arrays)
    function, arguments, names = _work(problem, direction, {name: op.to_jax(a, name) for name, a in arrays.items()})
    jitted = jax.jit(function)

    def outputs(results: Any) -> Arrays:
        return {name: op.to_numpy(a, name) for name, a in zip(names, results, strict=True)}

    return Call(lambda: jax.block_until_ready(jitted(*arguments)), outputs, op.algorithm(jitted, *arguments))


def trainer(setting: str, problem: Network) -> Trainer:
    from minicnn.benchmarks.contestants.jax_network import JaxTrainer

    return JaxTrainer(problem)


Work = tuple[Callable[..., Any], Sequence[Any], Sequence[str]]      # a function, its arguments, the names of its results


def _work(problem: Any, direction: str, a: dict[str, Any]) -> Work:
    """What is to be jitted, and what it is called with."""
    import jax

    from minicnn.benchmarks.contestants import jax_operations as op

    if isinstance(problem, BatchNorm) and direction == "backward":
        return op.batch_norm_backward, (a["x"], a["dy"], a["gamma"], *op.moments(a["x"])), ("dx", "dgamma", "dbeta")
    forward, names = _forward(problem)
    if direction == "forward":
        return lambda *args: (forward(*args),), [a[name] for name in names], ("loss" if isinstance(problem, CrossEntropy) else "y",)
    wanted = "w" if direction == "grad_weight" else "x"

    def residuals(value: Any, others: dict[str, Any]) -> Any:
        """jax.vjp's pull-back, a pytree of what it needs."""
        return jax.vjp(lambda value: forward(*(value if name == wanted else others[name] for name in names)), value)[1]

    dy = a["dy"] if "dy" in a else np.float32(1)                    # a loss's own gradient is 1
    return lambda pull_back, dy: pull_back(dy), (jax.jit(residuals)(a[wanted], a), dy), (f"d{wanted}",)


def _forward(problem: Any) -> tuple[Callable[..., Any], Sequence[str]]:
    """A problem's function, and the names of its arguments."""
    from minicnn.benchmarks.contestants import jax_operations as op

    if isinstance(problem, Conv):
        return partial(op.conv, window=problem.window, groups=problem.groups), ("x", "w")
    if isinstance(problem, Pool):
        return partial(op.max_pool if problem.kind == "max" else op.avg_pool, window=problem.window), ("x",)
    if isinstance(problem, BatchNorm):
        return op.batch_norm, ("x", "gamma", "beta")
    if isinstance(problem, Linear):
        return op.linear, ("x", "w")
    return op.cross_entropy, ("x", "labels")
