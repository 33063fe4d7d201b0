"""Windows that slide: what one output reads, which outputs a pixel reaches, and where one tap of the kernel reads.

Everything here is a position on the *padded* input: output (oh, ow) reads (oh*SH + kh*DH, ow*SW + kw*DW) at tap (kh, kw).
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from minicnn.inspect.explaining.terms import PADDING
from minicnn.kernels.window import Window2d

BETWEEN, BEYOND = "between two outputs", "beyond the output"


@dataclass(frozen=True)
class Tap:
    """A tap of the kernel and the padded position it reads, for the output at (oh, ow). input: the pixel there, or None in the padding."""
    kh: int
    kw: int
    oh: int
    ow: int
    padded: tuple[int, int]
    input: tuple[int, int] | None

    @property
    def where(self) -> tuple[int, int] | str:
        return self.input or PADDING


@dataclass(frozen=True)
class Missed:
    """A tap by which no output reads a pixel, and why: BETWEEN or BEYOND. at: the output it would be, in fractions where it is none."""
    kh: int
    kw: int
    why: str
    at: tuple[float, float]


def taps(window: Window2d, origins: np.ndarray, width: int, oh: int, ow: int) -> Iterator[Tap]:
    """What the output at (oh, ow) reads, in row-major order."""
    (KH, KW), (SH, SW), (DH, DW) = window.kernel, window.stride, window.dilation
    for kh, kw in product(range(KH), range(KW)):
        padded = oh * SH + kh * DH, ow * SW + kw * DW
        yield Tap(kh, kw, oh, ow, padded, pixel(origins, width, padded))


def pixel(origins: np.ndarray, width: int, padded: tuple[int, int]) -> tuple[int, int] | None:
    """The input pixel at a padded position, or None."""
    found = int(origins[padded])
    return None if found < 0 else (found // width, found % width)


def reached(window: Window2d, origins: np.ndarray, outputs: Sequence[int], at: tuple[int, int],
            width: int) -> tuple[list[Tap], list[Missed]]:
    """The outputs that read the pixel `at`, by which tap, in the order of the outputs; and the taps by which none does."""
    (KH, KW), (SH, SW), (DH, DW) = window.kernel, window.stride, window.dilation
    hits: list[Tap] = []
    missed: list[Missed] = []
    for ph, pw in np.argwhere(origins == at[0] * width + at[1]).tolist():       # several where the padding mirrors the image
        for kh, kw in product(range(KH), range(KW)):
            h, w = ph - kh * DH, pw - kw * DW
            if h % SH or w % SW:
                missed.append(Missed(kh, kw, BETWEEN, (h / SH, w / SW)))
            elif not (0 <= h // SH < outputs[0] and 0 <= w // SW < outputs[1]):
                missed.append(Missed(kh, kw, BEYOND, (h / SH, w / SW)))
            else:
                hits.append(Tap(kh, kw, h // SH, w // SW, (ph, pw), at))
    return sorted(hits, key=lambda t: (t.oh, t.ow, t.kh, t.kw)), missed


def coverage(window: Window2d, origins: np.ndarray, outputs: Sequence[int], pixels: int) -> np.ndarray:
    """How many windows, and taps, read each pixel: (pixels,)."""
    counts = np.zeros(pixels, np.int64)
    for kh, kw in product(*map(range, window.kernel)):
        seen = origins[window.taps(kh, kw, outputs)]
        counts += np.bincount(seen[seen >= 0], minlength=pixels)
    return counts


def axis_line(window: Window2d, axis: int, at: int, padding: Sequence[int], n: int) -> str:
    """The arithmetic of one axis in numbers: what an output reads there."""
    name, s, d, k, p0 = "hw"[axis], window.stride[axis], window.dilation[axis], window.kernel[axis], padding[2 * axis]
    read = [at * s + j * d - p0 for j in range(k)]
    shown = ", ".join(f"{r}" if 0 <= r < n else f"{r} (padding)" for r in read)
    return (f"{('rows', 'columns')[axis]}: o{name}*S{name.upper()} + k{name}*D{name.upper()} - {('top', 'left')[axis]} = {at}*{s} + "
            f"k{name}*{d} - {p0} = {shown}")


def numbers(window: Window2d, padding: Sequence[int], groups: int = 1) -> dict[str, Any]:
    """The geometry, for JSON."""
    return {"window": {"kernel": list(window.kernel), "stride": list(window.stride), "dilation": list(window.dilation),
                       "padding": list(padding), "groups": groups}}
