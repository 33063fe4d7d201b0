"""Window2d: where a sliding window reads. Every output size, every index formula and every geometry error is here.

One axis, input size n, kernel k, stride s, dilation d, padding p0 before and p1 after:

    output size   o = floor((n + p0 + p1 - d*(k-1) - 1) / s) + 1
    tap           output i, kernel offset j reads padded[i*s + j*d], which is x[i*s + j*d - p0]
"""
from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Size = tuple[int, int]
Padding = int | str | Sequence[int]


@dataclass(frozen=True)
class Window2d:
    """A two-dimensional sliding window, with everything resolved to integers. Build one with `Window2d.of`.

    kernel, stride, dilation: (height, width); padding: (top, bottom, left, right); ceil_mode: see `output_size`.
    """
    kernel: Size
    stride: Size = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Size = (1, 1)
    ceil_mode: bool = False

    @classmethod
    def of(cls, kernel: int | Sequence[int], stride: int | Sequence[int] = 1, padding: Padding = 0,
           dilation: int | Sequence[int] = 1, ceil_mode: bool = False, input_size: Sequence[int] | None = None,
           op: str | None = None) -> Window2d:
        """Build a window from what users write: ints or pairs, and padding as int, pair, four sides, 'valid' or 'same'.

        padding: int (all sides), (PH, PW), (top, bottom, left, right), 'valid' (none), or 'same':
            stride 1: d*(k-1) in all, the odd one at the end, so the output has the input's size (torch);
            other strides: as much as makes the output ceil(n/s) (TensorFlow), which needs `input_size`.
        input_size: (H, W); when given, a window that leaves no output is refused here. op: the operation to name in errors.

        Raises TypeError or ValueError that names the argument and its value.

        >>> Window2d.of(3, padding='same').padding
        (1, 1, 1, 1)
        >>> Window2d.of((2, 3), stride=2, padding='same', input_size=(5, 5)).padding
        (0, 1, 1, 1)
        """
        try:
            return _resolve(pair(kernel, "kernel_size", least=1), pair(stride, "stride", least=1), pair(dilation, "dilation", least=1),
                            padding if isinstance(padding, str) else _four_sides(padding), bool(ceil_mode),
                            None if input_size is None else tuple(input_size))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{op}: {error}" if op else str(error)) from None

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        """Windows are keys of many caches."""
        return hash((self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode))

    @property
    def extent(self) -> Size:
        """The pixels a window spans, d*(k-1) + 1 on each axis: with dilation more than it reads."""
        (KH, KW), (DH, DW) = self.kernel, self.dilation
        return DH * (KH - 1) + 1, DW * (KW - 1) + 1

    def output_size(self, input_size: Sequence[int]) -> Size:
        """(H, W) -> (OH, OW): floor((n + p0 + p1 - d*(k-1) - 1)/s) + 1 on each axis.

        With ceil_mode the division rounds up, and the last window is dropped again if it would start beyond the input
        and its left padding (torch's rule). Raises ValueError when no window fits.

        >>> Window2d.of(3, stride=2).output_size((6, 7))
        (2, 3)
        >>> Window2d.of(3, stride=2, ceil_mode=True).output_size((6, 7))
        (3, 3)
        """
        return _outputs(self, input_size[0], input_size[1])

    def _axis_outputs(self, input_size: Sequence[int], axis: int) -> int:
        n, p0, p1 = input_size[axis], self.padding[2 * axis], self.padding[2 * axis + 1]
        s, e = self.stride[axis], self.extent[axis]
        span = n + p0 + p1 - e
        outputs = (-(-span // s) if self.ceil_mode else span // s) + 1
        if self.ceil_mode and (outputs - 1) * s >= n + p0:          # the last window would start beyond input and left padding
            outputs -= 1
        if outputs < 1:
            k, d = self.kernel[axis], self.dilation[axis]
            raise ValueError(
                f"no output: {('height', 'width')[axis]} {n} + padding {p0} + {p1} = {n + p0 + p1} is smaller than the window's "
                f"extent dilation*(kernel - 1) + 1 = {d}*({k} - 1) + 1 = {e}; use a smaller kernel or dilation, or more padding")
        return outputs

    def padded_size(self, input_size: Sequence[int]) -> Size:
        """The size that `pad` makes: input plus padding, plus what a ceil_mode window hangs over the end."""
        outputs, (PT, PB, PL, PR) = self.output_size(input_size), self.padding
        reach = [(o - 1) * s + e for o, s, e in zip(outputs, self.stride, self.extent, strict=True)]
        return max(input_size[0] + PT + PB, reach[0]), max(input_size[1] + PL + PR, reach[1])

    def pad(self, x: Any, value: float = 0) -> Any:
        """x (..., H, W) -> (..., padded H, padded W) filled with `value` around; x itself when there is nothing to add."""
        H, W = size = x.shape[-2:]
        HP, WP = self.padded_size(size)
        if (HP, WP) == (H, W):
            return x
        padded = np.full_like(x, value, shape=(*x.shape[:-2], HP, WP))
        padded[self._inside(size)] = x
        return padded

    def crop(self, padded: Any, input_size: Sequence[int]) -> Any:
        """The adjoint of `pad`: the part of padded (..., HP, WP) that came from the input (..., H, W), as a view."""
        return padded[self._inside(input_size)]

    def _inside(self, input_size: Sequence[int]) -> tuple[Any, slice, slice]:
        (H, W), (top, _, left, _) = input_size, self.padding
        return ..., slice(top, top + H), slice(left, left + W)

    def reads(self, input_size: Sequence[int]) -> int:
        """How many pairs of an output and a kernel offset read the input rather than padding.

        >>> Window2d.of(3, padding=1).reads((4, 4))        # 16 outputs, 9 offsets: less 44 in the padding
        100
        """
        found = 1
        for n, o, k, s, d, p0 in zip(input_size, self.output_size(input_size), self.kernel, self.stride, self.dilation, self.padding[::2],
                                     strict=True):
            found *= sum(0 <= i * s + j * d - p0 < n for i in range(o) for j in range(k))
        return found

    def taps(self, kh: int, kw: int, output_size: Sequence[int]) -> tuple[Any, slice, slice]:
        """The index of what all windows read at kernel offset (kh, kw): padded[..., oh*SH + kh*DH, ow*SW + kw*DW] for all oh, ow."""
        (OH, OW), (SH, SW), (DH, DW) = output_size, self.stride, self.dilation
        return ..., slice(kh * DH, kh * DH + (OH - 1) * SH + 1, SH), slice(kw * DW, kw * DW + (OW - 1) * SW + 1, SW)


@functools.lru_cache(4096)
def _outputs(window: Window2d, H: int, W: int) -> Size:
    return window._axis_outputs((H, W), 0), window._axis_outputs((H, W), 1)


@functools.lru_cache(4096)
def _resolve(kernel: Size, stride: Size, dilation: Size, padding: str | tuple[int, int, int, int], ceil_mode: bool,
             input_size: tuple[int, ...] | None) -> Window2d:
    """The window of these, with padding in numbers; the same object for the same arguments."""
    (KH, KW), (SH, SW), (DH, DW) = kernel, stride, dilation
    if not isinstance(padding, str):
        sides = padding
    elif padding == "valid":
        sides = (0, 0, 0, 0)
    elif padding == "same":
        if input_size is None and (SH, SW) != (1, 1):
            raise ValueError(f"padding='same' with stride {stride} depends on the input size: pass input_size=(H, W)")
        H, W = input_size or (1, 1)
        sides = (*_same(H, KH, SH, DH), *_same(W, KW, SW, DW))
    else:
        raise ValueError(f"padding is {padding!r}; as text it can only be 'valid' or 'same'")
    window = Window2d(kernel, stride, sides, dilation, ceil_mode)
    if input_size is not None:
        window.output_size(input_size)
    return window


def pair(value: int | Sequence[int], name: str, least: int) -> Size:
    """2 -> (2, 2); (2, 3) -> (2, 3); anything else, or a value below `least`, is refused by name."""
    usual = _usual(value)
    if usual and usual[0] >= least and usual[1] >= least:
        return usual
    numbers = _integers(value, name)
    if len(numbers) == 1:
        numbers *= 2
    if len(numbers) != 2:
        raise ValueError(f"{name} is {value!r}: give one int, or two (height, width)")
    if min(numbers) < least:
        raise ValueError(f"{name} is {value!r}: must be at least {least}")
    return numbers[0], numbers[1]


def _four_sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    usual = _usual(padding)
    if usual and usual[0] >= 0 and usual[1] >= 0:
        return usual[0], usual[0], usual[1], usual[1]
    numbers = _integers(padding, "padding")
    if len(numbers) not in (1, 2, 4):
        raise ValueError(f"padding is {padding!r}: give one int, two (height, width), four (top, bottom, left, right), 'valid' or 'same'")
    if min(numbers) < 0:
        raise ValueError(f"padding is {padding!r}: must be at least 0")
    if len(numbers) == 4:
        return numbers[0], numbers[1], numbers[2], numbers[3]
    PH, PW = numbers[0], numbers[-1]
    return PH, PH, PW, PW


def _usual(value: Any) -> Size | None:
    """An int or two as a pair, quickly, since every operation asks; None for anything else, right or wrong."""
    if type(value) is int:
        return value, value
    if type(value) is tuple and len(value) == 2 and type(value[0]) is int and type(value[1]) is int:
        return value
    return None


def _integers(value: int | Sequence[int], name: str) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else (value,)
    if not values or any(isinstance(v, bool) or not isinstance(v, int | np.integer) for v in values):
        raise TypeError(f"{name} is {value!r}: must be an int or a sequence of ints")
    return tuple(int(v) for v in values)


def _same(n: int, k: int, s: int, d: int) -> tuple[int, int]:
    """Padding before and after that gives ceil(n/s) outputs; at s = 1 that is d*(k-1) for every n."""
    total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
    return total // 2, total - total // 2
