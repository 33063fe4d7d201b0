"""What pooling does along one row, for all channels: five small loops, as vector code.

The Python functions are the definitions. Compiled, a vector of channels stays in registers while the loop goes over a window's taps, and
the windows that most networks have are unrolled.

Arrays are flat, (pixels, C) in memory. line = (n, step, skip, rows, down, columns, right, C): n times, what is read moves on by `step`
pixels and what is written by `skip`. Each time there are rows*columns taps, i*down + j*right pixels from the first: those of a window, as
far as they are in the image, or the windows that have a tap on one pixel. The places `at` and `to` are those of the first tap, or pixel, of
the first time; so is `index`, its flat index h*W + w.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from minicnn.kernels.numba_backend.pool_walk import Taps, Walk
from minicnn.kernels.numba_backend.vectors import I64, Vector

USUAL = ((2, 2), (3, 3))                                         # windows
Line = tuple[int, int, int, int, int, int, int, int]
LINE = types.UniTuple(types.int64, 8)


def largest(line: Line, x: Any, at: int, index: int, y: Any, argmax: Any, to: int) -> None:
    """y = the largest tap of each window, argmax its index: the first of equal ones, or the last NaN. Without taps -inf and -1."""
    n, step, skip, rows, down, columns, right, C = line
    for p in range(n):
        for c in range(C):
            best, where = -np.inf, index + p * step if rows * columns else -1
            for i in range(rows):
                for j in range(columns):
                    q = p * step + i * down + j * right
                    value = x[at + q * C + c]
                    if value > best or value != value:
                        best, where = value, index + q
            y[to + p * skip * C + c], argmax[to + p * skip * C + c] = best, where


def average(line: Line, x: Any, at: int, divisors: Any, first: int, factor: float, y: Any, to: int) -> None:
    """y = the sum of the taps / (divisors[first + p] * factor)."""
    n, step, skip, rows, down, columns, right, C = line
    for p in range(n):
        for c in range(C):
            total = x.dtype.type(0)
            for i in range(rows):
                for j in range(columns):
                    total += x[at + (p * step + i * down + j * right) * C + c]
            y[to + p * skip * C + c] = total / x.dtype.type(divisors[first + p] * factor)


def give_winner(line: Line, dy: Any, argmax: Any, at: int, index: int, dx: Any, to: int) -> None:
    """dx = dy at the tap that won its window, 0 at the others. For windows that do not overlap."""
    n, step, skip, rows, down, columns, right, C = line
    for p in range(n):
        for c in range(C):
            for i in range(rows):
                for j in range(columns):
                    q, place = p * skip + i * down + j * right, at + p * step * C + c
                    dx[to + q * C + c] = dy[place] if argmax[place] == index + q else 0


def give_all(line: Line, dy: Any, at: int, divisors: Any, first: int, factor: float, dx: Any, to: int) -> None:
    """dx = dy / (divisors[first + p] * factor) at all taps of each window. For windows that do not overlap."""
    n, step, skip, rows, down, columns, right, C = line
    for p in range(n):
        for c in range(C):
            share = dy[at + p * step * C + c] / dy.dtype.type(divisors[first + p] * factor)
            for i in range(rows):
                for j in range(columns):
                    dx[to + (p * skip + i * down + j * right) * C + c] = share


def take_won(line: Line, dy: Any, argmax: Any, at: int, index: int, dx: Any, to: int) -> None:
    """dx = the sum of dy over the windows that the pixel won, of those that have a tap on it."""
    n, step, skip, rows, down, columns, right, C = line
    for p in range(n):
        for c in range(C):
            total = dy.dtype.type(0)
            for i in range(rows):
                for j in range(columns):
                    place = at + (p * step + i * down + j * right) * C + c
                    if argmax[place] == index + p * skip:
                        total += dy[place]
            dx[to + p * skip * C + c] = total


@intrinsic
def _largest(typing: Any, line: Any, x: Any, at: Any, index: Any, y: Any, argmax: Any, to: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        line, xs, at, index, ys, winners, to = values
        walk = Walk(context, builder, x.dtype, line)
        nothing = builder.icmp_signed("==", builder.mul(walk.rows, walk.columns), I64(0))

        def code(b: Vector, p: Any, taps: Taps) -> None:
            best, where = b.variable(ir.Constant(b.numbers, [-np.inf] * b.lanes)), b.variable(ir.Constant(b.indices, None))
            window, made = walk.place(at, p, walk.step), walk.place(to, p, walk.skip)

            def tap(numbers: Any, pixels: Any) -> None:
                value, before = b.load(x, xs, builder.add(window, numbers)), builder.load(best)
                better = builder.or_(builder.fcmp_ordered(">", value, before), builder.fcmp_unordered("uno", value, value))
                builder.store(builder.select(better, value, before), best)
                builder.store(builder.select(better, b.splat(pixels), builder.load(where)), where)

            taps(tap)
            first = builder.select(nothing, I64(-1), builder.add(index, builder.mul(p, walk.step)))
            b.store(builder.load(best), y, ys, made)
            b.store(builder.add(builder.load(where), b.splat(first)), argmax, winners, made)

        walk.emit(USUAL, code)
        return context.get_dummy_value()
    return types.none(LINE, x, types.int64, types.int64, y, argmax, types.int64), generate


@intrinsic
def _average(typing: Any, line: Any, x: Any, at: Any, divisors: Any, first: Any, factor: Any, y: Any, to: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        line, xs, at, cells, first, factor, ys, to = values
        walk = Walk(context, builder, x.dtype, line)

        def code(b: Vector, p: Any, taps: Taps) -> None:
            total, window = b.variable(b.zero), walk.place(at, p, walk.step)
            taps(lambda numbers, _: builder.store(builder.fadd(builder.load(total), b.load(x, xs, builder.add(window, numbers))), total))
            divisor = _divisor(context, builder, b, divisors, cells, builder.add(first, p), factor)
            b.store(builder.fdiv(builder.load(total), divisor), y, ys, walk.place(to, p, walk.skip))

        walk.emit(USUAL, code)
        return context.get_dummy_value()
    return types.none(LINE, x, types.int64, divisors, types.int64, types.float64, y, types.int64), generate


@intrinsic
def _give_winner(typing: Any, line: Any, dy: Any, argmax: Any, at: Any, index: Any, dx: Any, to: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        line, dys, winners, at, index, dxs, to = values
        walk = Walk(context, builder, dy.dtype, line)

        def code(b: Vector, p: Any, taps: Taps) -> None:
            given, window = walk.place(at, p, walk.step), walk.place(to, p, walk.skip)
            first = builder.add(index, builder.mul(p, walk.skip))
            share, winner = b.load(dy, dys, given), builder.sub(b.load(argmax, winners, given), b.splat(first))

            def tap(numbers: Any, pixels: Any) -> None:
                won = builder.icmp_signed("==", winner, b.splat(pixels))
                b.store(builder.select(won, share, b.zero), dx, dxs, builder.add(window, numbers))

            taps(tap)

        walk.emit(((2, 2),), code)
        return context.get_dummy_value()
    return types.none(LINE, dy, argmax, types.int64, types.int64, dx, types.int64), generate


@intrinsic
def _give_all(typing: Any, line: Any, dy: Any, at: Any, divisors: Any, first: Any, factor: Any, dx: Any, to: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        line, dys, at, cells, first, factor, dxs, to = values
        walk = Walk(context, builder, dy.dtype, line)

        def code(b: Vector, p: Any, taps: Taps) -> None:
            divisor = _divisor(context, builder, b, divisors, cells, builder.add(first, p), factor)
            share, window = builder.fdiv(b.load(dy, dys, walk.place(at, p, walk.step)), divisor), walk.place(to, p, walk.skip)
            taps(lambda numbers, _: b.store(share, dx, dxs, builder.add(window, numbers)))

        walk.emit(((2, 2),), code)
        return context.get_dummy_value()
    return types.none(LINE, dy, types.int64, divisors, types.int64, types.float64, dx, types.int64), generate


@intrinsic
def _take_won(typing: Any, line: Any, dy: Any, argmax: Any, at: Any, index: Any, dx: Any, to: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        line, dys, winners, at, index, dxs, to = values
        walk = Walk(context, builder, dy.dtype, line)

        def code(b: Vector, p: Any, taps: Taps) -> None:
            total, given = b.variable(b.zero), walk.place(at, p, walk.step)
            here = b.splat(builder.add(index, builder.mul(p, walk.skip)))

            def tap(numbers: Any, _: Any) -> None:
                place = builder.add(given, numbers)
                won = builder.icmp_signed("==", b.load(argmax, winners, place), here)
                share = builder.select(won, b.load(dy, dys, place), b.zero)
                builder.store(builder.fadd(builder.load(total), share), total)

            taps(tap)
            b.store(builder.load(total), dx, dxs, walk.place(to, p, walk.skip))

        walk.emit(((1, 1), (1, 2), (2, 1), (2, 2)), code)
        return context.get_dummy_value()
    return types.none(LINE, dy, argmax, types.int64, types.int64, dx, types.int64), generate


def _divisor(context: Any, builder: Any, b: Vector, divisors: Any, cells: Any, at: Any, factor: Any) -> Any:
    data = context.make_array(divisors)(context, builder, cells).data
    divisor = builder.fmul(builder.load(builder.gep(data, [at])), factor)
    return b.splat(divisor if b.numbers.element == divisor.type else builder.fptrunc(divisor, b.numbers.element))


def _compile_as(definition: Any, code: Any) -> None:
    overload(definition, strict=False)(lambda *_: lambda *arguments: code(*arguments))


_compile_as(largest, _largest)
_compile_as(average, _average)
_compile_as(give_winner, _give_winner)
_compile_as(give_all, _give_all)
_compile_as(take_won, _take_won)
