"""The transformations of Winograd's convolution, on vectors of channels: see `winograd`. One dimension of each is a function of its own."""
from __future__ import annotations

import functools
from typing import Any

from numba import types

from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.lanes import fill, inlined, load, minus, plus, rectified, store, times

Four = tuple[Any, Any, Any, Any]


def _pixels(d0: Any, d1: Any, d2: Any, d3: Any) -> Four:
    """B'd"""
    return minus(d0, d2), plus(d1, d2), minus(d2, d1), minus(d1, d3)


def _outputs(m0: Any, m1: Any, m2: Any, m3: Any) -> tuple[Any, Any]:
    """A'm"""
    return plus(plus(m0, m1), m2), minus(minus(m1, m2), m3)


def _gradients(e0: Any, e1: Any, none: Any) -> Four:
    """Ae"""
    return e0, plus(e0, e1), minus(e0, e1), minus(none, e1)


def _taps(g0: Any, g1: Any, g2: Any, half: Any) -> Four:
    """Gg"""
    ends = plus(g0, g2)
    return g0, times(plus(ends, g1), half), times(minus(ends, g1), half), g2


def _of_taps(w0: Any, w1: Any, w2: Any, w3: Any, half: Any) -> tuple[Any, Any, Any]:
    """G'w"""
    both = times(plus(w1, w2), half)
    return plus(w0, both), times(minus(w1, w2), half), plus(both, w3)


inlined(_pixels)(lambda d0, d1, d2, d3: _pixels)
inlined(_outputs)(lambda m0, m1, m2, m3: _outputs)
inlined(_gradients)(lambda e0, e1, none: _gradients)
inlined(_taps)(lambda g0, g1, g2, half: _taps)
inlined(_of_taps)(lambda w0, w1, w2, w3, half: _of_taps)


def _column(x: Any, i: int, down: int, n: int, r0: Any, r1: Any, r2: Any, r3: Any) -> Four:
    """B'd of four pixels, one below the other; r0 ... say how many numbers to read of each, None all of them."""
    return _pixels(load(x, i, n, r0), load(x, i + down, n, r1), load(x, i + 2 * down, n, r2), load(x, i + 3 * down, n, r3))


def _input(x: Any, at: int, down: int, right: int, C: int, out: Any, to: int, step: int, n: int, rows: Any, columns: Any) -> None:
    """out[p * step + c] = (B'dB)[p], for the 4 x 4 pixels d from x[at] on."""
    for c in range(0, C, n):
        i = at + c
        a0, a1, a2, a3 = _column(x, i, down, n, _both(rows, columns, 0, 0, n), _both(rows, columns, 1, 0, n), _both(rows, columns, 2, 0, n),
                                 _both(rows, columns, 3, 0, n))
        i += right
        b0, b1, b2, b3 = _column(x, i, down, n, _both(rows, columns, 0, 1, n), _both(rows, columns, 1, 1, n), _both(rows, columns, 2, 1, n),
                                 _both(rows, columns, 3, 1, n))
        i += right
        c0, c1, c2, c3 = _column(x, i, down, n, _both(rows, columns, 0, 2, n), _both(rows, columns, 1, 2, n), _both(rows, columns, 2, 2, n),
                                 _both(rows, columns, 3, 2, n))
        i += right
        d0, d1, d2, d3 = _column(x, i, down, n, _both(rows, columns, 0, 3, n), _both(rows, columns, 1, 3, n), _both(rows, columns, 2, 3, n),
                                 _both(rows, columns, 3, 3, n))
        v0, v1, v2, v3 = _pixels(a0, b0, c0, d0)
        _put(v0, v1, v2, v3, out, to + c, step, n)
        v0, v1, v2, v3 = _pixels(a1, b1, c1, d1)
        _put(v0, v1, v2, v3, out, to + c + 4 * step, step, n)
        v0, v1, v2, v3 = _pixels(a2, b2, c2, d2)
        _put(v0, v1, v2, v3, out, to + c + 8 * step, step, n)
        v0, v1, v2, v3 = _pixels(a3, b3, c3, d3)
        _put(v0, v1, v2, v3, out, to + c + 12 * step, step, n)


def _both(rows: Any, columns: Any, i: int, j: int, n: int) -> Any:
    """n if bit i of rows and bit j of columns are set, else 0; None if rows is None."""
    return None if rows is None else n * (rows >> i & columns >> j & 1)


@inlined(_both)
def _both_of(rows: Any, columns: Any, i: Any, j: Any, n: Any) -> Any:
    if isinstance(rows, types.NoneType):
        return lambda rows, columns, i, j, n: None
    return lambda rows, columns, i, j, n: n * (rows >> i & columns >> j & 1)


@jit()
def inside(first: int, size: int, count: int) -> int:
    """Bit i says whether first + i is one of 0 ... size - 1, for i < count."""
    bits = 0
    for i in range(count):
        if 0 <= first + i < size:
            bits |= 1 << i
    return bits


inlined(_column)(lambda x, i, down, n, r0, r1, r2, r3: _column)
inlined(_input)(lambda x, at, down, right, C, out, to, step, n, rows, columns: _input)


@functools.cache
def input_tile(n: int) -> Any:
    @jit(n)
    def tile(x: Any, image: int, h: int, w: int, H: int, W: int, C: int, out: Any, to: int, step: int) -> None:
        """The transformed 4 x 4 pixels from (h, w) on of the image at x[image], 0 outside of it."""
        at = image + (h * W + w) * C
        if h >= 0 and w >= 0 and h + 4 <= H and w + 4 <= W:
            _input(x, at, W * C, C, C, out, to, step, n, None, None)
        else:
            _input(x, at, W * C, C, C, out, to, step, n, inside(h, H, 4), inside(w, W, 4))
    return tile


def _put(a: Any, b: Any, c: Any, d: Any, out: Any, i: int, step: int, n: int) -> None:
    store(a, out, i, n)
    store(b, out, i + step, n)
    store(c, out, i + 2 * step, n)
    store(d, out, i + 3 * step, n)


inlined(_put)(lambda a, b, c, d, out, i, step, n: _put)


def _get(x: Any, i: int, step: int, n: int) -> Four:
    return load(x, i, n), load(x, i + step, n), load(x, i + 2 * step, n), load(x, i + 3 * step, n)


inlined(_get)(lambda x, i, step, n: _get)


@functools.cache
def output_tile(n: int) -> Any:
    @jit(n)
    def tile(m: Any, at: int, step: int, bias: Any, y: Any, to: int, down: int, F: int, below: bool, beside: bool, relu: bool) -> None:
        """The 2 x 2 outputs A'MA + b from y[to] on, as far as there are outputs below and beside the first."""
        for f in range(0, F, n):
            a0, a1, a2, a3 = _get(m, at + f, step, n)
            b0, b1, b2, b3 = _get(m, at + f + 4 * step, step, n)
            c0, c1, c2, c3 = _get(m, at + f + 8 * step, step, n)
            d0, d1, d2, d3 = _get(m, at + f + 12 * step, step, n)
            (s0, t0), (s1, t1), (s2, t2), (s3, t3) = (_outputs(a0, b0, c0, d0), _outputs(a1, b1, c1, d1), _outputs(a2, b2, c2, d2),
                                                      _outputs(a3, b3, c3, d3))
            y0, y1 = _outputs(s0, s1, s2, s3)
            y2, y3 = _outputs(t0, t1, t2, t3)
            b = load(bias, f, n)
            y0, y1, y2, y3 = plus(y0, b), plus(y1, b), plus(y2, b), plus(y3, b)
            if relu:
                y0, y1, y2, y3 = rectified(y0), rectified(y1), rectified(y2), rectified(y3)
            store(y0, y, to + f, n)
            if beside:
                store(y1, y, to + F + f, n)
            if below:
                store(y2, y, to + down + f, n)
                if beside:
                    store(y3, y, to + down + F + f, n)
    return tile


def _gradient(dy: Any, at: int, down: int, F: int, out: Any, to: int, step: int, n: int, rows: Any, columns: Any) -> None:
    """out[p * step + f] = (A e A')[p], for the 2 x 2 numbers e from dy[at] on."""
    none = fill(dy, 0.0, n)
    for f in range(0, F, n):
        i = at + f
        a0, a1, a2, a3 = _gradients(load(dy, i, n), load(dy, i + down, n, _both(rows, columns, 1, 0, n)), none)
        b0, b1, b2, b3 = _gradients(load(dy, i + F, n, _both(rows, columns, 0, 1, n)),
                                    load(dy, i + down + F, n, _both(rows, columns, 1, 1, n)), none)
        v0, v1, v2, v3 = _gradients(a0, b0, none)
        _put(v0, v1, v2, v3, out, to + f, step, n)
        v0, v1, v2, v3 = _gradients(a1, b1, none)
        _put(v0, v1, v2, v3, out, to + f + 4 * step, step, n)
        v0, v1, v2, v3 = _gradients(a2, b2, none)
        _put(v0, v1, v2, v3, out, to + f + 8 * step, step, n)
        v0, v1, v2, v3 = _gradients(a3, b3, none)
        _put(v0, v1, v2, v3, out, to + f + 12 * step, step, n)


inlined(_gradient)(lambda dy, at, down, F, out, to, step, n, rows, columns: _gradient)


@functools.cache
def gradient_tile(n: int) -> Any:
    @jit(n)
    def tile(dy: Any, image: int, h: int, w: int, H: int, W: int, F: int, out: Any, to: int, step: int) -> None:
        """The transformed 2 x 2 numbers from (h, w) on of the gradient at dy[image], 0 outside of it."""
        at = image + (h * W + w) * F
        if h + 2 <= H and w + 2 <= W:
            _gradient(dy, at, W * F, F, out, to, step, n, None, None)
        else:
            _gradient(dy, at, W * F, F, out, to, step, n, inside(h, H, 2), inside(w, W, 2))
    return tile


@functools.cache
def weights_in(n: int) -> Any:
    @jit(n)
    def task(c: int, worker: int, taps: Any, turned: bool, weights: Any, C: int, F: int) -> None:
        """weights[p, c, f] = (GgG')[p], for taps (C, 3*3, F) of one channel c, in their order or turned around."""
        half, step = fill(weights, 0.5, n), -F if turned else F
        for f in range(0, F, n):
            i = c * 9 * F + f + (8 * F if turned else 0)
            a0, a1, a2, a3 = _taps(load(taps, i, n), load(taps, i + 3 * step, n), load(taps, i + 6 * step, n), half)
            i += step
            b0, b1, b2, b3 = _taps(load(taps, i, n), load(taps, i + 3 * step, n), load(taps, i + 6 * step, n), half)
            i += step
            c0, c1, c2, c3 = _taps(load(taps, i, n), load(taps, i + 3 * step, n), load(taps, i + 6 * step, n), half)
            to, along = c * F + f, C * F
            u0, u1, u2, u3 = _taps(a0, b0, c0, half)
            _put(u0, u1, u2, u3, weights, to, along, n)
            u0, u1, u2, u3 = _taps(a1, b1, c1, half)
            _put(u0, u1, u2, u3, weights, to + 4 * along, along, n)
            u0, u1, u2, u3 = _taps(a2, b2, c2, half)
            _put(u0, u1, u2, u3, weights, to + 8 * along, along, n)
            u0, u1, u2, u3 = _taps(a3, b3, c3, half)
            _put(u0, u1, u2, u3, weights, to + 12 * along, along, n)
    return task


@functools.cache
def weights_out(n: int, chunks: int) -> Any:
    total = _total(n, chunks)

    @jit(n, chunks)
    def task(c: int, worker: int, sums: Any, taps: Any, tall: int, F: int) -> None:
        """taps (C, 3*3, F) = G'WG of one channel c, W being the sum over chunks, in order, of sums (chunks, points, tall, F)."""
        half = fill(taps, 0.5, n)
        along = tall * F
        for f in range(0, F, n):
            total(sums, c * F + f, along)
            i = c * F + f
            a0, a1, a2, a3 = _get(sums, i, along, n)
            b0, b1, b2, b3 = _get(sums, i + 4 * along, along, n)
            c0, c1, c2, c3 = _get(sums, i + 8 * along, along, n)
            d0, d1, d2, d3 = _get(sums, i + 12 * along, along, n)
            p0, q0, r0 = _of_taps(a0, b0, c0, d0, half)
            p1, q1, r1 = _of_taps(a1, b1, c1, d1, half)
            p2, q2, r2 = _of_taps(a2, b2, c2, d2, half)
            p3, q3, r3 = _of_taps(a3, b3, c3, d3, half)
            to = c * 9 * F + f
            g0, g1, g2 = _of_taps(p0, p1, p2, p3, half)
            store(g0, taps, to, n)
            store(g1, taps, to + F, n)
            store(g2, taps, to + 2 * F, n)
            g0, g1, g2 = _of_taps(q0, q1, q2, q3, half)
            store(g0, taps, to + 3 * F, n)
            store(g1, taps, to + 4 * F, n)
            store(g2, taps, to + 5 * F, n)
            g0, g1, g2 = _of_taps(r0, r1, r2, r3, half)
            store(g0, taps, to + 6 * F, n)
            store(g1, taps, to + 7 * F, n)
            store(g2, taps, to + 8 * F, n)
    return task


@functools.cache
def _total(n: int, chunks: int) -> Any:
    @jit(n, chunks)
    def total(sums: Any, i: int, along: int) -> None:
        """The first chunk's sums become those of all."""
        for p in range(16):
            value = load(sums, i + p * along, n)
            for chunk in range(1, chunks):
                value = plus(value, load(sums, i + (chunk * 16 + p) * along, n))
            store(value, sums, i + p * along, n)
    return total
