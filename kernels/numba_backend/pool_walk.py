"""The loops that all pooling has in common, as LLVM's instructions: along a line, over its channels, over the taps. See `pool_simd`."""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import cgutils

from minicnn.kernels.numba_backend.vectors import BYTES, FREE_MASKS, I64, Vector, opaque, times

Taps = Callable[[Callable[[Any, Any], None]], None]    # calls its argument, for every tap in row-major order, with how many numbers
Code = Callable[[Vector, Any, Taps], None]             # and how many pixels it lies from the first one


class Walk:
    """Along a line: what `code` emits, n times, for all channels."""

    def __init__(self, context: Any, builder: Any, dtype: Any, line: Any) -> None:
        self.context, self.builder, self.itemsize = context, builder, dtype.bitwidth // 8
        self.n, self.step, self.skip, self.rows, self.down, self.columns, self.right, self.C = cgutils.unpack_tuple(builder, line)
        # LLVM would compute (a + b)*C for every tap instead of a*C + b*C, where b*C is the same all along the line
        self.numbers = {pixels: opaque(builder, builder.mul(pixels, self.C)) for pixels in (self.step, self.skip, self.down, self.right)}

    def place(self, start: Any, p: Any, pixels: Any) -> Any:
        """Where it is p*pixels after start."""
        return self.builder.add(start, self.builder.mul(p, self.numbers[pixels]))

    def emit(self, shapes: tuple[tuple[int, int], ...], code: Code) -> None:
        """code(vector, p, taps) for all; taps are unrolled where (rows, columns) is one of these shapes."""
        builder = self.builder
        if not shapes:
            self._channels(code, self._loops)
            return
        same = [builder.icmp_signed("==", n, I64(k)) for n, k in zip((self.rows, self.columns), shapes[0], strict=True)]
        with builder.if_else(builder.and_(*same)) as (yes, no):
            with yes:
                self._channels(code, functools.partial(self._unrolled, shapes[0]))
            with no:
                self.emit(shapes[1:], code)

    def _unrolled(self, shape: tuple[int, int], tap: Callable[[Any, Any], None]) -> None:
        for i, j in np.ndindex(shape):
            tap(*self._tap(I64(i), I64(j)))

    def _loops(self, tap: Callable[[Any, Any], None]) -> None:
        with times(self.builder, self.rows) as i, times(self.builder, self.columns) as j:
            tap(*self._tap(i, j))

    def _tap(self, i: Any, j: Any) -> tuple[Any, Any]:
        """i*down + j*right in numbers, and in pixels."""
        builder, numbers = self.builder, self.numbers
        return (builder.add(builder.mul(i, numbers[self.down]), builder.mul(j, numbers[self.right])),
                builder.add(builder.mul(i, self.down), builder.mul(j, self.right)))

    def _channels(self, code: Code, taps: Taps) -> None:
        """Vectors from every `lanes`-th channel on; the last, with a mask, has half the lanes where that suffices and masks are free."""
        builder, lanes = self.builder, BYTES // self.itemsize
        last = lanes // 2 if FREE_MASKS else lanes
        full = builder.ashr(builder.add(self.C, I64(last - 1 if FREE_MASKS else 0)), I64(lanes.bit_length() - 1))
        rest = builder.mul(full, I64(lanes))
        with times(builder, self.n) as p:
            with times(builder, full) as k:
                code(self._vector(lanes, builder.mul(k, I64(lanes)), FREE_MASKS), p, taps)
            with builder.if_then(builder.icmp_signed("<", rest, self.C)):
                code(self._vector(last, rest, True), p, taps)

    def _vector(self, lanes: int, c: Any, masked: bool) -> Vector:
        return Vector(self.context, self.builder, self.itemsize, lanes, c, self.C, masked)
