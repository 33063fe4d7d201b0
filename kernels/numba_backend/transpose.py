"""Squares of `lanes` x `lanes` numbers turned over in registers: read along one axis, written along the other.

    acc = load_some(acc, a, i, step, rows, columns)             acc[r, c] = a[i + r*step + c]          for r < rows, c < columns, else 0
    acc = add_rows(acc, a, i, places, k, rows)                  acc[r, c] += a[i + places[k + r] + c]  for r < rows
    acc = transpose(acc)                                        acc[r, c] = acc[c, r]
    store_rows(acc, out, i, places, k, rows, columns)           out[i + places[k + r] + c] = acc[r, c] for r < rows, c < columns
    store_some(acc, out, i, step, rows, columns)                out[i + r*step + c] = acc[r, c]        for r < rows, c < columns

Weights lie in memory as (F, C, KH, KW), with the kernel's taps side by side; tiles read and make vectors of filters. Number by number, one
of the two sides is a jump from line to line of the cache: ten times as slow.
"""
from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from minicnn.kernels.numba_backend.simd import I32, I64, _address, _first, _masked_load, _masked_store, _vector_at, intrinsic


def turned(builder: Any, rows: list[Any]) -> list[Any]:
    """L vectors of L numbers, turned over in log2(L) rounds: number c of row r becomes number r of row c."""
    rows, L = list(rows), len(rows)
    for d in (2**k for k in range(L.bit_length() - 1)):
        for r in (r for r in range(L) if not r & d):             # exchange the halves of rows r and r + d that lie across the diagonal
            a, b = rows[r], rows[r + d]
            rows[r] = builder.shuffle_vector(a, b, _lanes([c if not c & d else L + c - d for c in range(L)]))
            rows[r + d] = builder.shuffle_vector(a, b, _lanes([c + d if not c & d else L + c for c in range(L)]))
    return rows


def _lanes(numbers: list[int]) -> Any:
    return ir.Constant(ir.VectorType(I32, len(numbers)), numbers)


@intrinsic
def transpose(typing: Any, acc: Any) -> Any:
    """acc[r, c] = acc[c, r], of a tile of `lanes` rows of one vector."""
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile = values[0]
        for r, row in enumerate(turned(builder, [builder.extract_value(tile, r) for r in range(acc.rows)])):
            tile = builder.insert_value(tile, row, r)
        return tile
    return acc(acc), generate


def _steps(builder: Any, acc: Any, step: Any, rows: Any) -> list[Any]:
    """r*step for each row, and -1 where there is no row."""
    return [builder.select(builder.icmp_signed("<", I64(r), rows), builder.mul(step, I64(r)), I64(-1)) for r in range(acc.rows)]


def _load(builder: Any, acc: Any, base: Any, places: list[Any], columns: Any) -> list[Any]:
    """The first columns of each row, from its place after base, and zeros; zeros alone where the place is negative."""
    read, nothing = _masked_load(builder.module, acc), ir.Constant(acc.vector, None)
    return [builder.call(read, [_vector_at(builder, acc, base, place), I32(acc.alignment), _mask(builder, acc, place, columns), nothing])
            for place in places]


def _store(builder: Any, acc: Any, tile: Any, base: Any, places: list[Any], columns: Any) -> None:
    write = _masked_store(builder.module, acc)
    for r, place in enumerate(places):
        builder.call(write, [builder.extract_value(tile, r), _vector_at(builder, acc, base, place), I32(acc.alignment),
                             _mask(builder, acc, place, columns)])


def _mask(builder: Any, acc: Any, place: Any, columns: Any) -> Any:
    return _first(builder, acc, builder.select(builder.icmp_signed("<", place, I64(0)), I64(0), columns), 0)


def _places(builder: Any, acc: Any, places: Any, k: Any, rows: Any) -> list[Any]:
    """places[k + r] for each row, and -1 where there is no row."""
    found = []
    for r in range(acc.rows):
        exists = builder.icmp_signed("<", I64(r), rows)
        place = builder.load(builder.gep(places, [builder.add(k, builder.select(exists, I64(r), I64(0)))]))
        found.append(builder.select(exists, place, I64(-1)))
    return found


@intrinsic
def load_some(typing: Any, acc: Any, source: Any, i: Any, step: Any, rows: Any, columns: Any) -> Any:
    """acc[r, c] = source[i + r*step + c] for r < rows, c < columns, and 0 elsewhere: nothing else is read."""
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, source, i, step, rows, columns = values
        base = _address(context, builder, signature.args[1], source, i)
        for r, row in enumerate(_load(builder, acc, base, _steps(builder, acc, step, rows), columns)):
            tile = builder.insert_value(tile, row, r)
        return tile
    return acc(acc, source, *(types.int64,) * 4), generate


@intrinsic
def add_rows(typing: Any, acc: Any, source: Any, i: Any, places: Any, k: Any, rows: Any) -> Any:
    """acc[r, c] += source[i + places[k + r] + c] for r < rows."""
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, source, i, places, k, rows = values
        base, places = (_address(context, builder, signature.args[n], a, at) for n, a, at in ((1, source, i), (3, places, I64(0))))
        for r, row in enumerate(_load(builder, acc, base, _places(builder, acc, places, k, rows), I64(acc.lanes))):
            tile = builder.insert_value(tile, builder.fadd(builder.extract_value(tile, r), row), r)
        return tile
    return acc(acc, source, types.int64, places, types.int64, types.int64), generate


@intrinsic
def store_rows(typing: Any, acc: Any, out: Any, i: Any, places: Any, k: Any, rows: Any, columns: Any) -> Any:
    """out[i + places[k + r] + c] = acc[r, c] for r < rows, c < columns; a row whose place is negative is left out."""
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, out, i, places, k, rows, columns = values
        base, places = (_address(context, builder, signature.args[n], a, at) for n, a, at in ((1, out, i), (3, places, I64(0))))
        _store(builder, acc, tile, base, _places(builder, acc, places, k, rows), columns)
        return context.get_dummy_value()
    return types.none(acc, out, types.int64, places, *(types.int64,) * 3), generate


@intrinsic
def store_some(typing: Any, acc: Any, out: Any, i: Any, step: Any, rows: Any, columns: Any) -> Any:
    """out[i + r*step + c] = acc[r, c] for r < rows, c < columns."""
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        tile, out, i, step, rows, columns = values
        _store(builder, acc, tile, _address(context, builder, signature.args[1], out, i), _steps(builder, acc, step, rows), columns)
        return context.get_dummy_value()
    return types.none(acc, out, *(types.int64,) * 4), generate
