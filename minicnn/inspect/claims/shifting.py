"""Claims about shifted images: what stays the same, measured on numbers that leave no rounding."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn import data, nn, no_grad
from minicnn.document import Column, Table
from minicnn.inspect.claims.registry import HALF_TRUE, RIGHT, WRONG, Answer, claim
from minicnn.nn import functional as F
from minicnn.tensor import Tensor

STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))


def digits(count: int = 200, frame: int = 2) -> np.ndarray:
    """The first test images of the embedded digits, whole numbers 0 to 16, in a frame of zeros that nothing is shifted out of."""
    images = data.load("digits")[1].batch(np.arange(count))[0].astype(np.float32)
    return np.pad(images, [(0, 0), (0, 0), (frame, frame), (frame, frame)])


def shifted(x: np.ndarray, step: tuple[int, int]) -> np.ndarray:
    return np.roll(x, step, axis=(2, 3))


def output(layer: Any, x: np.ndarray) -> np.ndarray:
    with no_grad():
        return np.asarray(layer(Tensor(x)).numpy(), np.float64)


@claim("max-pool-shift", "Max pooling gives invariance to small shifts: the position inside its window does not matter", "invariant")
def max_pool_shift(quoted: str) -> Answer:
    layers: dict[str, Any] = {"no pooling": lambda x: x, "max 2x2": nn.MaxPool2d(2), "mean 2x2": nn.AvgPool2d(2),
                              "max 4x4": nn.MaxPool2d(4), "max, whole image": nn.AdaptiveMaxPool2d(1)}
    image, found, rows = digits(), {}, []
    for name, layer in layers.items():
        dot = float(np.mean([_same_dot(layer, place, step) for place in range(16) for step in STEPS]))
        before = output(layer, image)
        change = float(np.mean([np.linalg.norm(output(layer, shifted(image, s)) - before) / np.linalg.norm(before) for s in STEPS]))
        found[name] = {"dots_unchanged": dot, "digits_change": change}
        rows.append([name, f"{dot:.0%}", f"{change:.0%}"])
    two = found["max 2x2"]
    verdict = RIGHT if two["dots_unchanged"] == 1 else HALF_TRUE if two["dots_unchanged"] else WRONG
    table = Table("", [Column("shifted by one pixel", left=True), Column("single dots unchanged"), Column("digits changed by")], rows,
                  ["changed by: the norm of the difference, relative to that of the output before the shift."])
    return Answer(verdict, f"{two['dots_unchanged']:.0%} of single dots; digits change by {two['digits_change']:.0%}",
                  "A dot that stays in its 2x2 window changes nothing, but half of all one-pixel steps leave the window. The 8x8 "
                  f"digits change by {found['no pooling']['digits_change']:.0%} unpooled, by {two['digits_change']:.0%} pooled. Only the "
                  "maximum over the whole image is invariant.", found, (table,))


def _same_dot(layer: Any, place: int, step: tuple[int, int]) -> bool:
    """Whether a dot in a 12x12 image gives the same after one step. place: 0 to 15, in the 4x4 pixels from (4, 4) on."""
    x = np.zeros((1, 1, 12, 12), np.float32)
    x[0, 0, 4 + place // 4, 4 + place % 4] = 1
    return bool(np.array_equal(output(layer, shifted(x, step)), output(layer, x)))


@claim("equivariance", "Shift the input of a convolution, and its output shifts by the same amount", "f(shift(x)) = shift(f(x))")
def equivariance(quoted: str) -> Answer:
    """Whole numbers, so that equal means equal."""
    rng = np.random.default_rng(0)
    x = rng.integers(-8, 9, (4, 3, 12, 12)).astype(np.float32)
    w = Tensor(rng.integers(-8, 9, (5, 3, 3, 3)).astype(np.float32))
    step = (0, 1)
    circular = _moved(lambda t: F.conv2d(F.pad(t, (1, 1, 1, 1), mode="circular"), w), x, step, step)
    zeros = _moved(lambda t: F.conv2d(t, w, padding=1), x, step, step)
    inside, border = float(zeros[..., 1:-1, 2:-2].mean()), float(zeros.mean())
    stride_one = float(_moved(lambda t: F.conv2d(F.pad(t, (1, 1, 1, 1), mode="circular"), w, stride=2), x, step, (0, 0)).mean())
    stride_two = float(_moved(lambda t: F.conv2d(F.pad(t, (1, 1, 1, 1), mode="circular"), w, stride=2), x, (0, 2), step).mean())
    exact = {"circular": float(circular.mean()), "zeros_inside": inside, "zeros_everywhere": border, "stride_2_shift_1": stride_one,
             "stride_2_shift_2": stride_two}
    names = ("circular padding", "zero padding, away from borders", "zero padding, everywhere", "stride 2, shifted by 1",
             "stride 2, shifted by 2")
    rows = [[name, f"{value:.0%}"] for name, value in zip(names, exact.values(), strict=True)]
    return Answer(HALF_TRUE if inside == 1 and border < 1 else RIGHT if border == 1 else WRONG,
                  f"{inside:.0%} of values; {border:.0%} with borders",
                  "Exact away from the borders. At borders the padding does not move along, and with a stride of 2 only even shifts are "
                  "followed. To ignore where the cat is, a network needs pooling over the whole image besides.",
                  exact, (Table("", [Column("a 3x3 convolution with", left=True), Column("values equal")], rows),))


def _moved(layer: Any, x: np.ndarray, step: tuple[int, int], expected: tuple[int, int]) -> np.ndarray:
    """Where layer(shift(x)) equals what `expected` makes of layer(x)."""
    return output(layer, shifted(x, step)) == shifted(output(layer, x), expected)
