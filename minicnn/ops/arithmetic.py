"""+ - * / ** // % with broadcasting: each a forward, a backward and the line that records the pair.

The gradient of an operand that was broadcast is summed over the copies: see `unbroadcast`.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.autograd import record, unrecorded
from minicnn.ops.operands import Operand, operands, unbroadcast
from minicnn.tensor import Tensor

BOTH = (True, True)
Pair = tuple[Any, Any]


def add_forward(a: Any, b: Any) -> Pair:
    """y = a + b"""
    a, b = operands("add", a, b)
    shapes = np.shape(a), np.shape(b)
    alike = shapes[0] == shapes[1] and hasattr(a, "dtype") and hasattr(b, "dtype") and a.dtype.kind == "f"
    return kernels.of(a).add(a, b) if alike else a + b, shapes


def add_backward(dy: Any, cache: Any, needs: Sequence[bool] = BOTH) -> Pair:
    """da = dy, db = dy"""
    a_shape, b_shape = cache
    return unbroadcast(dy, a_shape) if needs[0] else None, unbroadcast(dy, b_shape) if needs[1] else None


def add(a: Operand, b: Operand, *, alpha: float = 1) -> Tensor:
    """a + alpha * b, with broadcasting."""
    return record(add_forward, add_backward, a, b if alpha == 1 else mul(b, alpha))


def sub_forward(a: Any, b: Any) -> Pair:
    """y = a - b"""
    a, b = operands("sub", a, b)
    return a - b, (np.shape(a), np.shape(b))


def sub_backward(dy: Any, cache: Any, needs: Sequence[bool] = BOTH) -> Pair:
    """da = dy, db = -dy"""
    a_shape, b_shape = cache
    return unbroadcast(dy, a_shape) if needs[0] else None, unbroadcast(-dy, b_shape) if needs[1] else None


def sub(a: Operand, b: Operand, *, alpha: float = 1) -> Tensor:
    """a - alpha * b, with broadcasting."""
    return record(sub_forward, sub_backward, a, b if alpha == 1 else mul(b, alpha))


def mul_forward(a: Any, b: Any) -> Pair:
    """y = a * b"""
    a, b = operands("mul", a, b)
    return a * b, (a, b)


def mul_backward(dy: Any, cache: Any, needs: Sequence[bool] = BOTH) -> Pair:
    """da = dy * b, db = dy * a"""
    a, b = cache
    return unbroadcast(dy * b, np.shape(a)) if needs[0] else None, unbroadcast(dy * a, np.shape(b)) if needs[1] else None


def mul(a: Operand, b: Operand) -> Tensor:
    """a * b element by element, with broadcasting."""
    return record(mul_forward, mul_backward, a, b)


def div_forward(a: Any, b: Any) -> Pair:
    """y = a / b, floating point even for integers"""
    a, b = operands("div", a, b, floating=True)
    y = a / b
    return y, (np.shape(a), b, y)


def div_backward(dy: Any, cache: Any, needs: Sequence[bool] = BOTH) -> Pair:
    """da = dy / b, db = -dy * y / b"""
    a_shape, b, y = cache
    da = dy / b
    return unbroadcast(da, a_shape) if needs[0] else None, unbroadcast(-da * y, np.shape(b)) if needs[1] else None


def div(a: Operand, b: Operand) -> Tensor:
    """a / b element by element, with broadcasting; integers are divided as float32."""
    return record(div_forward, div_backward, a, b)


def pow_forward(a: Any, b: Any) -> Pair:
    """y = a ** b"""
    a, b = operands("pow", a, b)
    y = a**b
    return y, (a, b, y)


def pow_backward(dy: Any, cache: Any, needs: Sequence[bool] = BOTH) -> Pair:
    """da = dy * b * a ** (b - 1), 0 where b = 0;  db = dy * log(a) * y, 0 where a = 0 and b >= 0"""
    a, b, y = cache
    da = np.where(np.equal(b, 0), 0, dy * b * a ** (b - 1)) if needs[0] else None
    db = np.where(np.equal(a, 0) & np.greater_equal(b, 0), 0, dy * y * np.log(a)) if needs[1] else None
    return None if da is None else unbroadcast(da, np.shape(a)), None if db is None else unbroadcast(db, np.shape(b))


def pow(a: Operand, b: Operand) -> Tensor:
    """a ** b element by element, with broadcasting; both may need a gradient."""
    return record(pow_forward, pow_backward, a, b)


def remainder_forward(a: Any, b: Any) -> Pair:
    """y = a - b * floor(a / b): the sign of b, as in Python"""
    a, b = operands("remainder", a, b)
    return np.remainder(a, b), (a, b)


def remainder_backward(dy: Any, cache: Any, needs: Sequence[bool] = BOTH) -> Pair:
    """da = dy, db = -dy * floor(a / b)"""
    a, b = cache
    return (unbroadcast(dy, np.shape(a)) if needs[0] else None,
            unbroadcast(-dy * np.floor_divide(a, b), np.shape(b)) if needs[1] else None)


def remainder(a: Operand, b: Operand) -> Tensor:
    """a % b element by element, with broadcasting."""
    return record(remainder_forward, remainder_backward, a, b)


def floor_divide(a: Operand, b: Operand) -> Tensor:
    """floor(a / b), without a gradient: it is flat nearly everywhere."""
    return unrecorded("floor_divide", lambda a, b: np.floor_divide(*operands("floor_divide", a, b)), a, b)


def neg_forward(x: Any) -> Pair:
    """y = -x"""
    return -x, None


def neg_backward(dy: Any, _: Any) -> tuple[Any]:
    """dx = -dy"""
    return (-dy,)


def neg(x: Tensor) -> Tensor:
    """-x"""
    return record(neg_forward, neg_backward, x)
