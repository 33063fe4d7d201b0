"""Cones against the definition: change one input pixel at a time and see which values change. Hulls must be equal, not only contain."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor, nn
from minicnn.inspect.receptive_fields.boxes import NOTHING
from minicnn.inspect.receptive_fields.cones import Cone, cones
from minicnn.inspect.recorder import record
from minicnn.nn import functional as F


class Runs(nn.Module):
    """A function as a model."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def perturbed(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> np.ndarray:
    """The sides of every value's box, found by making one pixel, of all images and channels, very large, and then the next.

    All numbers are positive, and so are all weights: what a large pixel adds is never cancelled, and a maximum is always its own.
    """
    x = np.random.default_rng(0).uniform(1, 2, shape)
    before = function(Tensor(x)).array
    sides = np.full((4, *before.shape), NOTHING)
    for h in range(shape[-2]):
        for w in range(shape[-1]):
            changed = x.copy()
            changed[..., h, w] = 1e12
            moved = function(Tensor(changed)).array != before
            for side, value in zip(sides, (h, -h, w, -w), strict=True):
                side[moved] = np.minimum(side[moved], value)
    return sides


def cone_of(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> Cone:
    found = record(Runs(function), Tensor(np.random.default_rng(0).uniform(1, 2, shape)))
    cone = cones(found)[found.output]
    assert cone.shape == found.output.shape
    return cone


def check(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> Cone:
    cone = cone_of(function, shape)
    assert np.array_equal(cone.boxes.full(), perturbed(function, shape))
    return cone


def ones(*shape: int) -> Tensor:
    return Tensor(np.ones(shape))


@st.composite
def steps(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[str, Callable[[Tensor], Tensor]]:
    """One operation that fits an image of that shape, with a kernel, stride, dilation and padding for each axis."""
    _, C, H, W = shape
    kind = draw(st.sampled_from(["conv", "conv", "depthwise", "max_pool", "avg_pool", "transposed", "nearest", "bilinear", "pad", "reflect",
                                 "slice", "flip", "branches", "gate", "cat", "adaptive", "relu", "permute"]))
    d = [draw(st.integers(1, 3)) for _ in "hw"]
    s = [draw(st.integers(1, 3)) for _ in "hw"]
    sides = [draw(st.integers(0, 2)) for _ in range(4)]
    k = [draw(st.integers(1, max(1, min(3, (n + sides[2 * i] + sides[2 * i + 1] - 1) // d[i] + 1)))) for i, n in enumerate((H, W))]
    if kind in ("conv", "depthwise"):
        groups = C if kind == "depthwise" else 1
        weight = ones(C if groups > 1 else 2, C // groups, *k)
        return kind, lambda x: F.conv2d(x, weight, None, tuple(s), tuple(sides), tuple(d), groups)
    if kind in ("max_pool", "avg_pool"):
        k = [min(a, n) for a, n in zip(k, (H, W), strict=True)]
        p, ceil = [draw(st.integers(0, a // 2)) for a in k], draw(st.booleans())
        if kind == "max_pool":
            d = [min(b, (n - 1) // max(a - 1, 1) or 1) for a, b, n in zip(k, d, (H, W), strict=True)]
            return kind, lambda x: F.max_pool2d(x, tuple(k), tuple(s), tuple(p), tuple(d), ceil)
        return kind, lambda x: F.avg_pool2d(x, tuple(k), tuple(s), tuple(p), ceil)
    if kind == "transposed":
        p = [draw(st.integers(0, min(1, b * (a - 1) // 2))) for a, b in zip(k, d, strict=True)]
        extra = [draw(st.integers(0, max(a, b) - 1)) for a, b in zip(s, d, strict=True)]
        weight = ones(C, 2, *k)
        return kind, lambda x: F.conv_transpose2d(x, weight, None, tuple(s), tuple(p), tuple(extra), 1, tuple(d))
    if kind in ("nearest", "bilinear"):
        size = [draw(st.integers(1, 2 * n)) for n in (H, W)]
        corners = draw(st.booleans())
        return kind, lambda x: F.interpolate(x, size, mode=kind, **({} if kind == "nearest" else {"align_corners": corners}))
    if kind in ("pad", "reflect"):
        around = [draw(st.integers(0 if n == 1 or kind == "reflect" else -1, min(2, n - 1))) for n in (W, W, H, H)]
        around = [a if n > 2 else max(a, 0) for a, n in zip(around, (W, W, H, H), strict=True)]
        mode = "constant" if kind == "pad" else draw(st.sampled_from(["reflect", "replicate", "circular"]))
        return f"{kind} {around}", lambda x: F.pad(x, around, mode)
    if kind == "slice":
        first, step = [draw(st.integers(0, n - 1)) for n in (H, W)], [draw(st.integers(1, 2)) for _ in "hw"]
        return kind, lambda x: x[:, :, first[0]::step[0], first[1]::step[1]]
    if kind == "flip":
        dims = draw(st.sampled_from([(2,), (3,), (2, 3)]))
        return kind, lambda x: x.flip(dims)
    if kind == "branches":
        grow = [draw(st.integers(0, 1)) for _ in "hw"]
        weight = ones(C, C, 2 * grow[0] + 1, 2 * grow[1] + 1)
        return kind, lambda x: x + F.conv2d(x, weight, None, 1, tuple(grow))
    if kind == "gate":
        dims = draw(st.sampled_from([(2,), (3,), (2, 3)]))
        return kind, lambda x: x * x.mean(dims, keepdim=True)
    if kind == "cat":
        dim = draw(st.integers(1, 3))
        return kind, lambda x: minicnn.cat([x, F.max_pool2d(x, 3, 1, 1)], dim)
    if kind == "adaptive":
        size = [draw(st.integers(1, n)) for n in (H, W)]
        return kind, lambda x: F.adaptive_avg_pool2d(x, size)
    if kind == "permute":
        return kind, lambda x: x.transpose(2, 3)
    return kind, F.relu


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[str], Callable[[Tensor], Tensor], tuple[int, ...]]:
    """Up to four operations, one after the other, on a small image that is not square."""
    shape = (1, draw(st.integers(1, 2)), draw(st.integers(2, 6)), draw(st.integers(2, 6)))
    now, names, chosen = shape, [], []
    for _ in range(draw(st.integers(1, 4))):
        name, step = draw(steps(now))
        now = step(Tensor(np.ones(now))).shape
        names.append(name)
        chosen.append(step)
        if now[2] * now[3] > 300:
            break

    def run(x: Tensor) -> Tensor:
        for step in chosen:
            x = step(x)
        return x
    return names, run, shape


@given(networks())
def test_random_networks_by_perturbation(network: tuple[list[str], Callable[[Tensor], Tensor], tuple[int, ...]]) -> None:
    _, function, shape = network
    check(function, shape)
