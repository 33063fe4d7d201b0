"""+ - * / ** % //: against torch, over broadcastable shapes and layouts; dtypes; special values; errors."""
from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given

import minicnn
from minicnn import Tensor, ops
from tests.against_torch import close, exact
from tests.compare import assert_equal
from tests.ops.arrays import SPECIAL, SPECIAL_PAIRS, broadcastable, nonzero, one, positive

EXACT = {
    "add": lambda t, a, b: t.add(a, b),
    "add-alpha": lambda t, a, b: t.add(a, b, alpha=3),
    "sub": lambda t, a, b: t.sub(a, b),
    "sub-alpha": lambda t, a, b: a.sub(b, alpha=-2),
    "mul": lambda t, a, b: t.mul(a, b),
    "twice": lambda t, a, b: a * b + a - b * a * a,
    "numbers": lambda t, a, b: 2 * a + 3 - (4 - b) * (-a),
}
CLOSE = {
    "div": lambda t, a, b: t.div(a, b),
    "pow": lambda t, a, b: t.pow(a, b),
    "numbers": lambda t, a, b: a**2.5 / 3 + 2**b + 1 / a + b**-2 + b**0,
}


@pytest.mark.parametrize("name", EXACT)
@given(arrays=broadcastable(2))
def test_exact(name: str, arrays: list[np.ndarray]) -> None:
    exact(lambda a, b: EXACT[name](minicnn, a, b), lambda a, b: EXACT[name](torch, a, b), *arrays)


@pytest.mark.parametrize("name", CLOSE)
@given(arrays=broadcastable(2, positive))
def test_close(name: str, arrays: list[np.ndarray]) -> None:
    close(lambda a, b: CLOSE[name](minicnn, a, b), lambda a, b: CLOSE[name](torch, a, b), *arrays)


@given(arrays=broadcastable(2, nonzero))
def test_remainder(arrays: list[np.ndarray]) -> None:
    x, y = arrays
    for a, b in itertools.product((x, -x), (y, -y)):
        exact(minicnn.remainder, torch.remainder, a, b)
        assert_equal(Tensor(a) // Tensor(b), torch.tensor(a.copy()) // torch.tensor(b.copy()))


@given(x=one())
def test_neg(x: np.ndarray) -> None:
    exact(lambda a: -a, lambda a: -a, x)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow"])
def test_special_values(name: str) -> None:
    close(getattr(minicnn, name), getattr(torch, name), *SPECIAL_PAIRS)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 1.5, -1, -1.5, 0.0])
def test_special_values_to_a_power(exponent: float) -> None:
    close(lambda a: a**exponent, lambda a: a**exponent, SPECIAL)
    close(lambda a: exponent**a, lambda a: exponent**a, SPECIAL)


NUMBERS = {"1.0", "1", "True"}
OPERANDS = {
    "float32": np.ones(2, np.float32), "float64": np.ones(2), "int64": np.ones(2, np.int64), "int32": np.ones(2, np.int32),
    "uint8": np.ones(2, np.uint8), "bool": np.ones(2, bool), "0-d float64": np.array(1.0), "0-d float32": np.array(1, np.float32),
    "0-d int64": np.array(1), "1.0": 1.0, "1": 1, "True": True,
}


@pytest.mark.parametrize("pair", [p for p in itertools.product(OPERANDS, OPERANDS) if not {*p} <= NUMBERS], ids=" ".join)
@pytest.mark.parametrize("name", ["add", "mul", "div", "eq", "where"])
def test_dtypes_are_torchs(name: str, pair: tuple[str, str]) -> None:
    """float32 stays float32 beside numbers and 0-d arrays; integers divide to float32."""
    def run(library: Any, tensor: Any) -> Any:
        a, b = (tensor(OPERANDS[p]) if isinstance(OPERANDS[p], np.ndarray) else OPERANDS[p] for p in pair)
        if name == "where":
            return library.where(tensor(np.array([True, False])), a, b)
        return {"add": lambda: a + b, "mul": lambda: a * b, "div": lambda: a / b, "eq": lambda: a == b}[name]()
    assert_equal(run(minicnn, Tensor), run(torch, torch.tensor))


def test_numpy_numbers_do_not_promote() -> None:
    x = minicnn.ones(2)
    results = x * np.float64(2), np.float64(2) * x, np.float32(2) * x, x + np.int64(1), np.array([2, 2], np.float32) * x
    assert [(type(y), y.dtype) for y in results] == [(Tensor, np.float32)] * 5
    assert type(np.ones(2) - x) is Tensor


def test_division_by_zero_is_silent() -> None:
    x = Tensor([1.0, -1.0, 0.0], requires_grad=True)
    (x / 0).sum().backward()
    assert_equal(x / 0, torch.tensor([1.0, -1.0, 0.0]) / 0)
    assert_equal(x.grad, np.full(3, np.inf, np.float32))


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "remainder", "maximum", "minimum"])
def test_shapes_that_do_not_broadcast(name: str) -> None:
    text = f"{name}: shapes (2, 3) and (4,) do not broadcast: axis -1 has sizes 3 and 4; they must be equal, or 1"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        getattr(ops, name)(minicnn.ones(2, 3), minicnn.ones(4))


def test_operands_that_are_no_numbers() -> None:
    with pytest.raises(TypeError) as error:
        minicnn.ones(2) + "two"
    assert str(error.value) == "add: expected Tensors, arrays or numbers, got str"


def test_the_functions_on_arrays_need_no_tensor() -> None:
    y, cache = ops.arithmetic.mul_forward(np.array([[1.0], [2.0]]), np.array([3.0, 4.0]))
    da, db = ops.arithmetic.mul_backward(np.array([[1.0, 0.0], [0.0, 1.0]]), cache)
    assert_equal(y, np.array([[3.0, 4.0], [6.0, 8.0]]))
    assert_equal(da, np.array([[3.0], [4.0]]))
    assert_equal(db, np.array([1.0, 2.0]))
