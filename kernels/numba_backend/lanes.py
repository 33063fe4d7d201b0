"""A few numbers side by side, in vector registers: element-wise arithmetic that LLVM need not find the vectors of.

    v = load(x, i, n)              x[i : i + n]                 load(x, i, n, count): zeros after the first `count`, which alone are read
    v = plus(times(v, w), u)       v * w + u, each rounded; minus as well; fill(x, a, n): n times the number a, of x's dtype
    v = positive(y, v)             v where y > 0, else 0        rectified(v): 0 where v <= 0, else v
    b = better(v, b)               v where v > b or v is NaN, else b: how max pooling finds its winner
    u = chosen(v, b, u, w)         u where v > b or v is NaN, else w
    u = equal(v, b, u)             u where v == b, else 0
    store(v, x, i, n)              x[i : i + n] = v             store(v, x, i, n, count): the first `count` alone
    accumulate(v, x, i, n)         x[i : i + n] += v, where x is of float64

n is a constant of the kernel; LLVM makes several registers of it where one is too small. The Python functions are the definitions.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _intrinsic
from numba.extending import models, overload, register_model

from minicnn.kernels.numba_backend.program import INLINED
from minicnn.kernels.numba_backend.simd import registers

intrinsic: Any = _intrinsic      # its own type hints do not know that the first parameter is not the caller's

I32, I64 = ir.IntType(32), ir.IntType(64)
NUMBERS = {types.float32: (ir.FloatType(), "f32", 4), types.float64: (ir.DoubleType(), "f64", 8)}     # type, name in intrinsics, bytes
BYTES = 2 * (registers()[0] or 16)                               # two registers: the next one's loads need not wait for the first's sums


class Lanes(types.Type):
    """n numbers of type `dtype`."""

    def __init__(self, n: int, dtype: Any) -> None:
        self.n, self.dtype = n, dtype
        super().__init__(name=f"Lanes({n}, {dtype})")

    @property
    def vector(self) -> ir.VectorType:
        return ir.VectorType(NUMBERS[self.dtype][0], self.n)


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, lanes.vector)


def _vector(value: ir.VectorType, of: Any, builder: Any) -> Any:
    """The scalar `of` in every lane."""
    undefined = ir.Constant(ir.VectorType(of.type, value.count), ir.Undefined)
    first = builder.insert_element(undefined, of, I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, value.count), [0] * value.count))


def _mask(vector: ir.VectorType, count: Any, builder: Any) -> Any:
    """The first `count` lanes."""
    lane = ir.Constant(ir.VectorType(I32, vector.count), list(range(vector.count)))
    return builder.icmp_signed("<", lane, _vector(vector, builder.trunc(count, I32), builder))


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, i: Any, vector: ir.VectorType) -> Any:
    place = builder.gep(context.make_array(array_type)(context, builder, array).data, [i])
    return builder.bitcast(place, vector.as_pointer())


def _masked(builder: Any, what: str, result: Any, dtype: Any, n: int, arguments: list[Any]) -> Any:
    signature = ir.FunctionType(result, [argument.type for argument in arguments])
    name = f"llvm.masked.{what}.v{n}{NUMBERS[dtype][1]}.p0"
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, name), arguments)


def load(x: Any, i: int, n: int, count: int | None = None) -> Any:
    values = x[i:i + (n if count is None else min(n, count))]
    return np.concatenate([values, np.zeros(n - len(values), x.dtype)])


@intrinsic(prefer_literal=True)
def _load(typing: Any, x: Any, i: Any, n: Any) -> Any:
    lanes = Lanes(n.literal_value, x.dtype)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_pointer(context, builder, x, values[0], values[1], lanes.vector), align=NUMBERS[x.dtype][2])
    return lanes(x, types.int64, n), generate


@intrinsic(prefer_literal=True)
def _load_some(typing: Any, x: Any, i: Any, n: Any, count: Any) -> Any:
    lanes = Lanes(n.literal_value, x.dtype)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector, place = lanes.vector, _pointer(context, builder, x, values[0], values[1], lanes.vector)
        arguments = [place, I32(NUMBERS[x.dtype][2]), _mask(vector, values[3], builder), ir.Constant(vector, None)]
        return _masked(builder, "load", vector, x.dtype, lanes.n, arguments)
    return lanes(x, types.int64, n, types.int64), generate


def store(v: Any, x: Any, i: int, n: int, count: int | None = None) -> None:
    count = n if count is None else min(n, count)
    x[i:i + count] = v[:count]


@intrinsic
def _store(typing: Any, v: Any, x: Any, i: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[0], _pointer(context, builder, x, values[1], values[2], v.vector), align=NUMBERS[v.dtype][2])
        return context.get_dummy_value()
    return types.none(v, x, types.int64), generate


@intrinsic
def _store_some(typing: Any, v: Any, x: Any, i: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _pointer(context, builder, x, values[1], values[2], v.vector)
        arguments = [values[0], place, I32(NUMBERS[v.dtype][2]), _mask(v.vector, values[3], builder)]
        _masked(builder, "store", ir.VoidType(), v.dtype, v.n, arguments)
        return context.get_dummy_value()
    return types.none(v, x, types.int64, types.int64), generate


def accumulate(v: Any, x: Any, i: int, n: int) -> None:
    x[i:i + n] += v


@intrinsic
def _accumulate(typing: Any, v: Any, x: Any, i: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        wide = ir.VectorType(NUMBERS[x.dtype][0], v.n)
        place = _pointer(context, builder, x, values[1], values[2], wide)
        value = builder.fpext(values[0], wide) if v.dtype != x.dtype else values[0]
        builder.store(builder.fadd(builder.load(place, align=8), value), place, align=8)
        return context.get_dummy_value()
    return types.none(v, x, types.int64), generate


def fill(x: Any, a: float, n: int) -> Any:
    return np.full(n, a, x.dtype)


@intrinsic(prefer_literal=True)
def _fill(typing: Any, x: Any, a: Any, n: Any) -> Any:
    lanes = Lanes(n.literal_value, x.dtype)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _vector(lanes.vector, context.cast(builder, values[1], types.float64, x.dtype), builder)
    return lanes(x, types.float64, n), generate


def _of_lanes(code: Callable[..., Any], count: int) -> Any:
    """An intrinsic of `count` Lanes, for what `code(builder, *values)` emits."""
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return code(builder, *values)

    def one(typing: Any, a: Any) -> Any:
        return a(a), generate

    def two(typing: Any, a: Any, b: Any) -> Any:
        return a(a, b), generate

    def three(typing: Any, a: Any, b: Any, c: Any) -> Any:
        return a(a, b, c), generate

    def four(typing: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        return a(a, b, c, d), generate
    return intrinsic((one, two, three, four)[count - 1])


def _zero(value: Any) -> Any:
    return ir.Constant(value.type, None)


def _is_better(builder: Any, v: Any, b: Any) -> Any:
    return builder.or_(builder.fcmp_ordered(">", v, b), builder.fcmp_unordered("uno", v, v))


def plus(a: Any, b: Any) -> Any:
    return a + b


def minus(a: Any, b: Any) -> Any:
    return a - b


def times(a: Any, b: Any) -> Any:
    return a * b


def positive(y: Any, v: Any) -> Any:
    return np.where(y > 0, v, v.dtype.type(0))


def rectified(v: Any) -> Any:
    return np.where(v <= 0, v.dtype.type(0), v)


def better(v: Any, b: Any) -> Any:
    return np.where((v > b) | (v != v), v, b)


def chosen(v: Any, b: Any, u: Any, w: Any) -> Any:
    return np.where((v > b) | (v != v), u, w)


def equal(v: Any, b: Any, u: Any) -> Any:
    return np.where(v == b, u, u.dtype.type(0))


_plus = _of_lanes(lambda builder, a, b: builder.fadd(a, b), 2)
_minus = _of_lanes(lambda builder, a, b: builder.fsub(a, b), 2)
_times = _of_lanes(lambda builder, a, b: builder.fmul(a, b), 2)
_positive = _of_lanes(lambda builder, y, v: builder.select(builder.fcmp_ordered(">", y, _zero(y)), v, _zero(v)), 2)
_rectified = _of_lanes(lambda builder, v: builder.select(builder.fcmp_ordered("<=", v, _zero(v)), _zero(v), v), 1)
_better = _of_lanes(lambda builder, v, b: builder.select(_is_better(builder, v, b), v, b), 2)
_chosen = _of_lanes(lambda builder, v, b, u, w: builder.select(_is_better(builder, v, b), u, w), 4)
_equal = _of_lanes(lambda builder, v, b, u: builder.select(builder.fcmp_ordered("==", v, b), u, _zero(u)), 3)


def inlined(function: Any) -> Any:
    return overload(function, jit_options=INLINED, prefer_literal=True, strict=False)


@inlined(load)
def _loaded(x, i, n, count=None):  # type: ignore[no-untyped-def]  # Numba compares this signature with that of what is returned
    if count is None or isinstance(count, types.NoneType | types.Omitted):
        return lambda x, i, n, count=None: _load(x, i, n)
    return lambda x, i, n, count=None: _load_some(x, i, n, count)


@inlined(store)
def _stored(v, x, i, n, count=None):  # type: ignore[no-untyped-def]  # as above
    if count is None or isinstance(count, types.NoneType | types.Omitted):
        return lambda v, x, i, n, count=None: _store(v, x, i)
    return lambda v, x, i, n, count=None: _store_some(v, x, i, count)


inlined(accumulate)(lambda v, x, i, n: lambda v, x, i, n: _accumulate(v, x, i))
inlined(fill)(lambda x, a, n: lambda x, a, n: _fill(x, a, n))
inlined(plus)(lambda a, b: lambda a, b: _plus(a, b))
inlined(minus)(lambda a, b: lambda a, b: _minus(a, b))
inlined(times)(lambda a, b: lambda a, b: _times(a, b))
inlined(positive)(lambda y, v: lambda y, v: _positive(y, v))
inlined(rectified)(lambda v: lambda v: _rectified(v))
inlined(better)(lambda v, b: lambda v, b: _better(v, b))
inlined(chosen)(lambda v, b, u, w: lambda v, b, u, w: _chosen(v, b, u, w))
inlined(equal)(lambda v, b, u: lambda v, b, u: _equal(v, b, u))
