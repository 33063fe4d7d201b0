"""The host's half of gather.cuh: a convolution, or its input gradient, as convolutions whose outputs all read the same taps."""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from minicnn.kernels.cuda_backend.divide import divisor
from minicnn.kernels.cuda_backend.geometry import Shape
from minicnn.kernels.window import Window2d

Gather = dict[str, int]          # the fields of `struct Gather`; they are kept for the next call, and not to be changed


@dataclass(frozen=True)
class Axis:
    """One axis of a part: the result's places first + i*step, i < count; at place i, tap t reads the source at i*move + start + t*reach,
    and uses the kernel's offset tap + t*tap_step."""
    first: int
    step: int
    count: int
    move: int
    taps: int
    start: int
    reach: int
    tap: int = 0
    tap_step: int = 1


@functools.lru_cache(4096)
def forward(x_shape: Shape, w_shape: Shape, window: Window2d, groups: int) -> Gather:
    """y from x: every output reads at o*S + k*D - P, so there is one part."""
    (F, CG, KH, KW), output = w_shape, window.output_size(x_shape[2:])
    h, w = (Axis(0, 1, o, s, k, -p, d) for o, s, k, p, d in
            zip(output, window.stride, window.kernel, window.padding[::2], window.dilation, strict=True))
    return _fields(h, w, groups, x_shape, (x_shape[0], F, *output), w_shape, stride_m=CG * KH * KW, stride_c=KH * KW)


@functools.lru_cache(4096)
def backward(input_shape: Shape, w_shape: Shape, window: Window2d, groups: int) -> list[tuple[Gather, bool]]:
    """dx from dy: SH*SW parts at most, and of each whether any tap reaches its pixels; if none does, their gradient is 0."""
    (F, CG, KH, KW), output = w_shape, window.output_size(input_shape[2:])
    parts = [list(_remainders(n, s, k, p, d)) for n, s, k, p, d in
             zip(input_shape[2:], window.stride, window.kernel, window.padding[::2], window.dilation, strict=True)]
    source = (input_shape[0], F, *output)
    return [(_fields(h, w, groups, source, input_shape, w_shape, stride_m=KH * KW, stride_c=CG * KH * KW), bool(h.taps and w.taps))
            for h in parts[0] for w in parts[1]]


def gradient(dx: Any, w_shape: Shape, window: Window2d, groups: int, product: Callable[[Gather], None]) -> Any:
    """dx (N, C, H, W), filled part by part: by product(part) where taps reach the pixels, with 0 where none does."""
    for part, reached in backward(dx.shape, w_shape, window, groups):
        if reached:
            product(part)
        else:
            dx[:, :, part["first_h"]::part["step_h"], part["first_w"]::part["step_w"]] = 0
    return dx


@functools.lru_cache(4096)
def divisors(OH: int, OW: int) -> dict[str, int]:
    """The fields of `struct Divisors`, for outputs (OH, OW)."""
    (plane_multiplier, plane_shift), (row_multiplier, row_shift) = divisor(OH * OW), divisor(OW)
    return {"plane_multiplier": plane_multiplier, "plane_shift": plane_shift, "row_multiplier": row_multiplier, "row_shift": row_shift}


def _remainders(n: int, s: int, k: int, p: int, d: int) -> Iterator[Axis]:
    """The parts of an axis of the input: pixels h with the same (h + p) mod s are reached by the offsets j with the same j*d mod s, and
    there output (h + p - j*d) / s reads them."""
    for first in range(min(s, n)):
        offsets = [j for j in range(k) if (first + p - j * d) % s == 0]
        tap, tap_step = (offsets[0] if offsets else 0), (offsets[1] - offsets[0] if len(offsets) > 1 else s)
        yield Axis(first, s, (n - 1 - first) // s + 1, 1, len(offsets), (first + p - tap * d) // s, -(tap_step * d // s), tap, tap_step)


def _fields(h: Axis, w: Axis, groups: int, source: Shape, result: Shape, w_shape: Shape, stride_m: int, stride_c: int) -> Gather:
    return {"N": source[0], "G": groups, "source_channels": source[1], "source_h": source[2], "source_w": source[3],
            "result_channels": result[1], "result_h": result[2], "result_w": result[3],
            "first_h": h.first, "first_w": w.first, "step_h": h.step, "step_w": w.step, "rows": h.count, "columns": w.count,
            "move_h": h.move, "move_w": w.move, "taps_h": h.taps, "taps_w": w.taps, "start_h": h.start, "start_w": w.start,
            "reach_h": h.reach, "reach_w": w.reach, "tap_h": h.tap, "tap_w": w.tap, "tap_step_h": h.tap_step, "tap_step_w": w.tap_step,
            "KH": w_shape[2], "KW": w_shape[3], "stride_m": stride_m, "stride_c": stride_c}
