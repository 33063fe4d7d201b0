"""Convolutions of real sizes on a GPU: exact on integers, every rung, beside the CPU; and what TF32 may round."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minicnn import kernels
from minicnn.benchmarks.problems import Conv
from minicnn.benchmarks.suites import CONV
from minicnn.kernels import devices
from tests.compare import assert_bounded, assert_equal

PROBLEMS = [Conv.parse(string) for strings in CONV.values() for string in strings]
RUNGS = [rung for rung in kernels.LADDER if rung.on_cuda]
CPU = kernels.get("numpy" if kernels.missing("numba") else "numba")
TF32_ROUNDINGS = 2**14 + 8       # rounding both factors of a product to 10 bits of fraction is worth as many roundings to float32


def three(k: Any, p: Conv, a: dict[str, Any]) -> list[Any]:
    """y, dx and dw."""
    return [k.conv2d(a["x"], a["w"], None, p.window, p.groups), k.conv2d_grad_input(a["dy"], a["w"], p.x_shape, p.window, p.groups),
            k.conv2d_grad_weight(a["dy"], a["x"], p.w_shape, p.window, p.groups)]


def on_gpu(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: devices.move(a, "cuda") for name, a in arrays.items()}


@pytest.mark.parametrize("p", PROBLEMS, ids=str)
def test_every_rung_is_exact(p: Conv) -> None:
    """What the backend chooses, and every rung, tensor cores too: integers up to 8 are exact in TF32."""
    arrays = p.arrays(0)
    right, there = three(CPU, p, arrays), on_gpu(arrays)
    for name, k in [("the backend", kernels.get("cuda")), *((rung.name, rung.load()) for rung in RUNGS)]:
        for got, expected, what in zip(three(k, p, there), right, ("y", "dx", "dw"), strict=True):
            assert_equal(got.get(), expected, f"{what} of {name}")


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.name)
def test_every_rung_is_bounded_and_gives_the_same_bits_again(rung: kernels.Rung) -> None:
    """|error| <= gamma_K * sum |x||w|; with tensor cores gamma covers what rounding to TF32 does."""
    p = Conv.parse("mb16ic64ih14oc96oh14kh3ph1")
    random = np.random.default_rng(0)
    arrays = {name: random.standard_normal(a.shape).astype(np.float32) for name, a in p.arrays(0).items()}
    big = {name: a.astype(np.float64) for name, a in arrays.items()}
    right, sizes = (three(kernels.get("numpy"), p, each) for each in (big, {name: abs(a) for name, a in big.items()}))
    there = on_gpu(arrays)
    first, again = three(rung.load(), p, there), three(rung.load(), p, there)
    rounded = TF32_ROUNDINGS if rung.name == "cuda-tensor-cores" else 0
    for got, expected, size, direction in zip(first, right, sizes, p.directions, strict=True):
        share = assert_bounded(got.get(), expected, size, p.roundings(direction) + 1 + rounded, direction)
        print(f"{rung.name}, {direction}: error / bound {share:.2g}")
    assert [a.get().tobytes() for a in first] == [a.get().tobytes() for a in again]


@pytest.mark.parametrize("rung", RUNGS, ids=lambda rung: rung.name)
def test_an_empty_batch(rung: kernels.Rung) -> None:
    p = Conv(0, 4, 6, 5, 3, kernels.window.Window2d.of(3, padding=1))
    y, dx, dw = three(rung.load(), p, on_gpu({"x": np.zeros(p.x_shape, np.float32), "w": np.ones(p.w_shape, np.float32),
                                              "dy": np.zeros(p.y_shape, np.float32)}))
    assert (y.shape, dx.shape) == (p.y_shape, p.x_shape)
    assert_equal(dw.get(), np.zeros(p.w_shape, np.float32))
