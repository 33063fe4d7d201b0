"""A register tile: rows x vecs vector registers as one value that stays in registers across a loop.

    acc = zero(rows, vecs, lanes, like)                  rows x vecs vectors of `lanes` numbers, all 0
    acc = multiply_add(acc, a, i, step, b, j)            acc[r, v] += a[i + r*step] * b[j + v*lanes : j + (v + 1)*lanes]
    store(acc, out, i, step, columns)                    out[i + r*step + c] = acc[r, c]   for c < columns

Drawn for rows 3 and vecs 2, multiply_add is an outer product: one column of three scalars times one row of two vectors,

                  b[j:j+lanes]   b[j+lanes:j+2*lanes]
        a[i]      acc[0, 0]      acc[0, 1]
        a[i+step] acc[1, 0]      acc[1, 1]
        a[..+2s]  acc[2, 0]      acc[2, 1]

so rows + vecs loads feed rows*vecs fused multiply-adds, each of `lanes` multiply-adds, and nothing is written until the sum is complete.
LLVM keeps the tile in registers as long as it fits: with AVX-512's 32 registers 14 x 2, beside two for b and one for the broadcast a.

The tile is a Numba type whose value is an LLVM array of vectors; the functions are intrinsics, which emit the instructions.
"""
from __future__ import annotations

import functools
import os
import platform
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _intrinsic
from numba.extending import models, register_model

from minicnn.kernels.numba_backend.jit import config

intrinsic: Any = _intrinsic      # its own type hints do not know that the first parameter is not the caller's

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
LLVM = {types.float32: (ir.FloatType(), "f32", 4), types.float64: (ir.DoubleType(), "f64", 8)}    # type, name in intrinsics, bytes


class Tile(types.Type):
    """rows x vecs vectors of `lanes` numbers of type `dtype`."""

    def __init__(self, rows: int, vecs: int, lanes: int, dtype: Any) -> None:
        self.rows, self.vecs, self.lanes, self.dtype = rows, vecs, lanes, dtype
        super().__init__(name=f"Tile({rows}, {vecs}, {lanes}, {dtype})")

    @property
    def vector(self) -> ir.VectorType:
        return ir.VectorType(LLVM[self.dtype][0], self.lanes)

    @property
    def suffix(self) -> str:
        """v16f32: the vector's type in the names of LLVM's intrinsics."""
        return f"v{self.lanes}{LLVM[self.dtype][1]}"

    @property
    def alignment(self) -> int:
        """Arrays are aligned to their numbers, not to vectors."""
        return LLVM[self.dtype][2]


@register_model(Tile)
class TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, tile: Tile) -> None:
        super().__init__(manager, tile, ir.ArrayType(tile.vector, tile.rows * tile.vecs))


def _address(context: Any, builder: Any, array_type: Any, array: Any, i: Any) -> Any:
    """Of element i of a flat contiguous array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [i])


def _vector_at(builder: Any, tile: Tile, base: Any, i: Any) -> Any:
    return builder.bitcast(builder.gep(base, [i]), tile.vector.as_pointer())


def _splat(builder: Any, tile: Tile, scalar: Any) -> Any:
    """The scalar in every lane."""
    undefined = ir.Constant(tile.vector, ir.Undefined)
    return builder.shuffle_vector(builder.insert_element(undefined, scalar, I32(0)), undefined,
                                  ir.Constant(ir.VectorType(I32, tile.lanes), [0] * tile.lanes))


def _each(tile: Tile) -> Any:
    """(position in the LLVM array, row, vector)"""
    return ((r * tile.vecs + v, r, v) for r in range(tile.rows) for v in range(tile.vecs))


@intrinsic(prefer_literal=True)
def zero(typing: Any, rows: Any, vecs: Any, lanes: Any, like: Any) -> Any:
    """A tile of zeros, of the dtype of the array `like`. rows, vecs and lanes are constants when the kernel is compiled."""
    if not all(isinstance(n, types.Literal) for n in (rows, vecs, lanes)):
        return None
    tile = Tile(rows.literal_value, vecs.literal_value, lanes.literal_value, like.dtype)
    return tile(rows, vecs, lanes, like), lambda context, builder, signature, values: ir.Constant(context.get_value_type(tile), None)


@intrinsic
def multiply_add(typing: Any, acc: Any, a: Any, i: Any, step: Any, b: Any, j: Any) -> Any:
    """acc[r, v] += a[i + r*step] * b[j + v*lanes : j + (v + 1)*lanes], rounded once."""
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, a, i, step, b, j = values
        row = _row(builder, acc, _address(context, builder, signature.args[4], b, j), I64(0))
        return _outer_product(builder, acc, tile, _address(context, builder, signature.args[1], a, i), step, row)
    return acc(acc, a, types.int64, types.int64, b, types.int64), generate


@intrinsic
def multiply_add_some(typing: Any, acc: Any, a: Any, i: Any, step: Any, b: Any, j: Any, columns: Any) -> Any:
    """multiply_add with 0 for what follows the first `columns` numbers of b: they are not read."""
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, a, i, step, b, j, columns = values
        base, read = _address(context, builder, signature.args[4], b, j), _masked_load(builder.module, acc)
        row = [builder.call(read, [_vector_at(builder, acc, base, I64(v * acc.lanes)), I32(acc.alignment), _first(builder, acc, columns, v),
                                   ir.Constant(acc.vector, None)]) for v in range(acc.vecs)]
        return _outer_product(builder, acc, tile, _address(context, builder, signature.args[1], a, i), step, row)
    return acc(acc, a, types.int64, types.int64, b, types.int64, types.int64), generate


@intrinsic(prefer_literal=True)
def multiply_slide(typing: Any, acc: Any, x: Any, i: Any, pixel: Any, w: Any, j: Any, wide: Any, taps: Any, stride: Any) -> Any:
    """acc[r, v] += sum over taps k of x[i + (r*stride + k)*pixel] * w[j + k*wide + v*lanes : + lanes].

    As many calls of multiply_add, with each number of x loaded once. taps and stride are constants.
    """
    if not all(isinstance(n, types.Literal) for n in (taps, stride)):
        return None
    K, S = taps.literal_value, stride.literal_value

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, x, i, pixel, w, j, wide = values[:7]
        seen, weights = (_address(context, builder, signature.args[n], a, at) for n, a, at in ((1, x, i), (4, w, j)))
        ws = [_row(builder, acc, weights, builder.mul(wide, I64(k))) for k in range(K)]

        def broadcast(position: int) -> list[Any]:
            return [_splat(builder, acc, builder.load(builder.gep(seen, [builder.mul(pixel, I64(position))])))] * acc.vecs
        return _slide(builder, acc, tile, broadcast, ws, S, 1)
    integer = types.int64
    return acc(acc, x, integer, integer, w, integer, integer, taps, stride), generate


def _slide(builder: Any, acc: Any, tile: Any, read: Callable[[int], list[Any]], ws: list[Any], S: int, D: int) -> Any:
    """tile[r] += sum over taps k of read(r*S + k*D) * ws[k]; every position is read once, for all rows that see it."""
    for position in sorted({r * S + k * D for r in range(acc.rows) for k in range(len(ws))}):
        xs = read(position)
        for k, w in enumerate(ws):
            r, apart = divmod(position - k * D, S)
            if apart == 0 and 0 <= r < acc.rows:
                tile = _fma_row(builder, acc, tile, r, xs, w)
    return tile


def _outer_product(builder: Any, tile: Tile, value: Any, column: Any, step: Any, row: list[Any]) -> Any:
    """value[r, v] += column[r*step] * row[v]"""
    for r in range(tile.rows):
        scalar = _splat(builder, tile, builder.load(builder.gep(column, [builder.mul(step, I64(r))])))
        value = _fma_row(builder, tile, value, r, [scalar] * tile.vecs, row)
    return value


@intrinsic
def load(typing: Any, acc: Any, source: Any, i: Any, step: Any) -> Any:
    """A tile like acc with [r, c] = source[i + r*step + c]; step 0 repeats one row."""
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, source, i, step = values
        base = _address(context, builder, signature.args[1], source, i)
        for at, r, v in _each(acc):
            where = builder.add(builder.mul(step, I64(r)), I64(v * acc.lanes))
            tile = builder.insert_value(tile, builder.load(_vector_at(builder, acc, base, where), align=acc.alignment), at)
        return tile
    return acc(acc, source, types.int64, types.int64), generate


@intrinsic
def store(typing: Any, acc: Any, out: Any, i: Any, step: Any, columns: Any) -> Any:
    """out[i + r*step + c] = acc[r, c] for c < columns: only the columns that exist are written."""
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, out, i, step, columns = values
        base = _address(context, builder, signature.args[1], out, i)
        whole = builder.icmp_signed(">=", columns, I64(acc.vecs * acc.lanes))
        with builder.if_else(whole, likely=True) as (unmasked, masked):
            with unmasked:
                for at, r, v in _each(acc):
                    where = builder.add(builder.mul(step, I64(r)), I64(v * acc.lanes))
                    builder.store(builder.extract_value(tile, at), _vector_at(builder, acc, base, where), align=acc.alignment)
            with masked:
                masks = [_first(builder, acc, columns, v) for v in range(acc.vecs)]
                write = _masked_store(builder.module, acc)
                for at, r, v in _each(acc):
                    where = builder.add(builder.mul(step, I64(r)), I64(v * acc.lanes))
                    address = _vector_at(builder, acc, base, where)
                    builder.call(write, [builder.extract_value(tile, at), address, I32(acc.alignment), masks[v]])
        return context.get_dummy_value()
    return types.none(acc, out, types.int64, types.int64, types.int64), generate


def _first(builder: Any, tile: Tile, columns: Any, v: int) -> Any:
    """Which lanes of vector v are among the first `columns`."""
    lane = ir.Constant(ir.VectorType(I32, tile.lanes), list(range(v * tile.lanes, (v + 1) * tile.lanes)))
    vector = ir.VectorType(I32, tile.lanes)
    undefined = ir.Constant(vector, ir.Undefined)
    limit = builder.shuffle_vector(builder.insert_element(undefined, builder.trunc(columns, I32), I32(0)), undefined,
                                   ir.Constant(vector, [0] * tile.lanes))
    return builder.icmp_signed("<", lane, limit)


def _masked_store(module: Any, tile: Tile) -> Any:
    signature = ir.FunctionType(ir.VoidType(), [tile.vector, tile.vector.as_pointer(), I32, ir.VectorType(I1, tile.lanes)])
    return cgutils.get_or_insert_function(module, signature, f"llvm.masked.store.{tile.suffix}.p0")


@intrinsic
def relu(typing: Any, acc: Any) -> Any:
    """max(acc, 0); NaN stays NaN."""
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, = values
        nothing = ir.Constant(acc.vector, None)
        for at, _, _ in _each(acc):
            value = builder.extract_value(tile, at)
            tile = builder.insert_value(tile, builder.select(builder.fcmp_ordered("<", value, nothing), nothing, value), at)
        return tile
    return acc(acc), generate


@intrinsic
def copy(typing: Any, out: Any, i: Any, source: Any, j: Any, count: Any) -> Any:
    """out[i : i + count] = source[j : j + count]: one memcpy. Numba's own assignment compiles two seconds for its error message."""
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        out, i, source, j, count = values
        to, start = _address(context, builder, signature.args[0], out, i), _address(context, builder, signature.args[2], source, j)
        cgutils.raw_memcpy(builder, to, start, builder.mul(count, I64(signature.args[0].dtype.bitwidth // 8)), 1)
        return context.get_dummy_value()
    return types.none(out, types.int64, source, types.int64, types.int64), generate


SETS = {"avx512": (64, 32), "avx2": (32, 16), "neon": (16, 32), "sse": (16, 16), "none": (0, 0)}


@functools.cache
def registers() -> tuple[int, int]:
    """(bytes of a vector register, how many there are) on this CPU; (0, 0) when it is none we know: then plain loops are compiled.

    The environment variable MINICNN_SIMD chooses a narrower set, one of SETS. Raises ValueError for another word.
    """
    chosen = os.environ.get("MINICNN_SIMD")
    if chosen:
        if chosen not in SETS:
            raise ValueError(f"MINICNN_SIMD is {chosen!r}; it can be {', '.join(SETS)}")
        return SETS[chosen]
    features = llvm.get_host_cpu_features()
    if features.get("avx512f") and features.get("avx512vl"):
        return SETS["avx512"]
    if features.get("avx2") and features.get("fma"):
        return SETS["avx2"]
    if platform.machine().lower() in ("aarch64", "arm64"):
        return SETS["neon"]
    return SETS["none"]



@intrinsic(prefer_literal=True)
def slide(typing: Any, acc: Any, x: Any, i: Any, step: Any, w: Any, j: Any, wide: Any, taps: Any, stride: Any, dilation: Any) -> Any:
    """acc[r] += x[i + (r*stride + k*dilation)*step] * w[j + k*wide] for taps k, each a row of vectors: channel by channel, no broadcast.

    Neighbouring windows overlap, so every x that is loaded is used by all rows that see it. taps, stride and dilation are constants.
    """
    if not all(isinstance(n, types.Literal) for n in (taps, stride, dilation)):
        return None
    K, S, D = taps.literal_value, stride.literal_value, dilation.literal_value

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, x, i, step, w, j, wide = values[:7]
        seen, weights = (_address(context, builder, signature.args[n], a, at) for n, a, at in ((1, x, i), (4, w, j)))
        ws = [_row(builder, acc, weights, builder.mul(wide, I64(k))) for k in range(K)]
        return _slide(builder, acc, tile, lambda position: _row(builder, acc, seen, builder.mul(step, I64(position))), ws, S, D)
    integer = types.int64
    return acc(acc, x, integer, integer, w, integer, integer, taps, stride, dilation), generate


@intrinsic(prefer_literal=True)
def slide_back(typing: Any, acc: Any, x: Any, i: Any, step: Any, dy: Any, j: Any, wide: Any, pixels: Any, stride: Any,
               dilation: Any) -> Any:
    """acc[k] += x[i + (p*stride + k*dilation)*step] * dy[j + p*wide] for pixels p, each a row of vectors: the rows are the taps here."""
    if not all(isinstance(n, types.Literal) for n in (pixels, stride, dilation)):
        return None
    P, S, D = pixels.literal_value, stride.literal_value, dilation.literal_value

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, x, i, step, dy, j, wide = values[:7]
        seen, gradient = (_address(context, builder, signature.args[n], a, at) for n, a, at in ((1, x, i), (4, dy, j)))
        ds = [_row(builder, acc, gradient, builder.mul(wide, I64(p))) for p in range(P)]
        for position in sorted({p * S + k * D for p in range(P) for k in range(acc.rows)}):
            xs = _row(builder, acc, seen, builder.mul(step, I64(position)))
            for p in range(P):
                k, apart = divmod(position - p * S, D)
                if apart == 0 and 0 <= k < acc.rows:
                    tile = _fma_row(builder, acc, tile, k, xs, ds[p])
        return tile
    integer = types.int64
    return acc(acc, x, integer, integer, dy, integer, integer, pixels, stride, dilation), generate


def _row(builder: Any, tile: Tile, base: Any, at: Any) -> list[Any]:
    """The vectors of one row of a tile, from memory."""
    return [builder.load(_vector_at(builder, tile, base, builder.add(at, I64(v * tile.lanes))), align=tile.alignment)
            for v in range(tile.vecs)]


def _fma_row(builder: Any, tile: Tile, value: Any, r: int, a: list[Any], b: list[Any]) -> Any:
    """value[r] += a * b"""
    fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(tile.vector, [tile.vector] * 3), f"llvm.fma.{tile.suffix}")
    for v in range(tile.vecs):
        at = r * tile.vecs + v
        value = builder.insert_value(value, builder.call(fma, [a[v], b[v], builder.extract_value(value, at)]), at)
    return value


@intrinsic
def multiply(typing: Any, acc: Any, x: Any, i: Any, step: Any, w: Any, j: Any, wide: Any, count: Any) -> Any:
    """acc[r, v] += x[i + r*step : + lanes] * w[j + v*wide : + lanes]: lanes of the dot product of each row of x with each of w.

    Only the first `count` lanes, if it is smaller.
    """
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, x, i, step, w, j, wide, count = values
        xs, ws = (_address(context, builder, signature.args[n], a, at) for n, a, at in ((1, x, i), (4, w, j)))
        rows = [(xs, builder.mul(step, I64(r))) for r in range(acc.rows)]
        columns = [(ws, builder.mul(wide, I64(v))) for v in range(acc.vecs)]
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(acc.vector, [acc.vector] * 3), f"llvm.fma.{acc.suffix}")

        def add(read: Any) -> Any:
            result, loaded = tile, [read(*column) for column in columns]
            for r, row in enumerate(rows):
                value = read(*row)
                for v in range(acc.vecs):
                    at = r * acc.vecs + v
                    result = builder.insert_value(result, builder.call(fma, [value, loaded[v], builder.extract_value(result, at)]), at)
            return result

        with builder.if_else(builder.icmp_signed(">=", count, I64(acc.lanes)), likely=True) as (whole, part):
            with whole:
                full = add(lambda base, at: builder.load(_vector_at(builder, acc, base, at), align=acc.alignment))
                full_block = builder.block
            with part:
                masked, mask, nothing = _masked_load(builder.module, acc), _first(builder, acc, count, 0), ir.Constant(acc.vector, None)
                few = add(lambda base, at: builder.call(masked, [_vector_at(builder, acc, base, at), I32(acc.alignment), mask, nothing]))
                few_block = builder.block
        result = builder.phi(tile.type)
        result.add_incoming(full, full_block)
        result.add_incoming(few, few_block)
        return result
    integer = types.int64
    return acc(acc, x, integer, integer, w, integer, integer, integer), generate


def _masked_load(module: Any, tile: Tile) -> Any:
    signature = ir.FunctionType(tile.vector, [tile.vector.as_pointer(), I32, ir.VectorType(I1, tile.lanes), tile.vector])
    return cgutils.get_or_insert_function(module, signature, f"llvm.masked.load.{tile.suffix}.p0")


@intrinsic
def add_sums(typing: Any, acc: Any, out: Any, i: Any, step: Any) -> Any:
    """out[i + r*step + v] += the sum of the lanes of acc[r, v], added pair by pair."""
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, out, i, step = values
        base = _address(context, builder, signature.args[1], out, i)
        for at, r, v in _each(acc):
            value, lanes = builder.extract_value(tile, at), acc.lanes
            while lanes > 1:                                                 # lanes 0.. + lanes n/2..
                lanes //= 2
                halves = [ir.Constant(ir.VectorType(I32, lanes), list(range(first, first + lanes))) for first in (0, lanes)]
                low, high = (builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), half) for half in halves)
                value = builder.fadd(low, high)
            place = builder.gep(base, [builder.add(builder.mul(step, I64(r)), I64(v))])
            builder.store(builder.fadd(builder.load(place), builder.extract_element(value, I32(0))), place)
        return context.get_dummy_value()
    return types.none(acc, out, types.int64, types.int64), generate


def usable() -> bool:
    """Whether tiles can be compiled for this CPU."""
    return registers()[1] > 0 and not config.DISABLE_JIT
