"""Cones against the definition: change one input pixel at a time and see which values change. Hulls must be equal, not only contain."""
from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor, autograd, nn, ops
from minicnn.inspect.receptive_fields.boxes import NOTHING
from minicnn.inspect.receptive_fields.cones import Cone, cones
from minicnn.inspect.receptive_fields.rules import RULES
from minicnn.inspect.recorder import example_input, record
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
            moved = np.asarray(function(Tensor(changed)).array != before)
            for i, value in enumerate((h, -h, w, -w)):
                sides[i, ...] = np.where(moved, np.minimum(sides[i], value), sides[i])
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


REGULAR = ["conv", "conv", "depthwise", "max_pool", "avg_pool", "transposed", "enlarge", "pad", "reflect", "slice", "flip", "branches",
           "permute"]
KINDS = [*REGULAR, "nearest", "bilinear", "gate", "cat", "adaptive", "relu"]


@st.composite
def steps(draw: st.DrawFn, shape: tuple[int, ...], kinds: list[str]) -> tuple[str, Callable[[Tensor], Tensor]]:
    """One operation that fits an image of that shape, with a kernel, stride, dilation and padding for each axis."""
    _, C, H, W = shape
    kind = draw(st.sampled_from(kinds))
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
    if kind == "enlarge":
        factor, mode = draw(st.integers(1, 3)), draw(st.sampled_from(["nearest", "bilinear"]))
        return kind, lambda x: F.interpolate(x, scale_factor=factor, mode=mode)
    if kind in ("pad", "reflect"):
        around = [draw(st.integers(0 if n == 1 or kind == "reflect" else -1, min(2, n - 1))) for n in (W, W, H, H)]
        around = [a if n > 2 else max(a, 0) for a, n in zip(around, (W, W, H, H), strict=True)]
        mode = "constant" if kind == "pad" else draw(st.sampled_from(["reflect", "replicate", "circular"]))
        return f"{kind} {around}", lambda x: F.pad(x, around, mode)
    if kind == "slice":
        first, step = [draw(st.integers(0, min(n - 1, 4))) for n in (H, W)], [draw(st.integers(1, 2)) for _ in "hw"]
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
        return kind, lambda x: (x + 1) * x.mean(dims, keepdim=True)       # + 1: what sees only padding is 0, which would hide it
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
def networks(draw: st.DrawFn, shape: tuple[int, ...] | None = None, kinds: list[str] = KINDS,
             most: int = 4) -> tuple[list[str], Callable[[Tensor], Tensor], tuple[int, ...]]:
    """Up to `most` operations, one after the other, on a small image that is not square."""
    small = shape is None
    shape = shape or (1, draw(st.integers(1, 2)), draw(st.integers(2, 6)), draw(st.integers(2, 6)))
    now, names, chosen = shape, [], []
    for _ in range(draw(st.integers(1, most))):
        name, step = draw(steps(now, kinds))
        now = step(Tensor(np.ones(now))).shape
        names.append(name)
        chosen.append(step)
        if small and now[2] * now[3] > 300:
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


@given(networks((1, 1, 150, 170), REGULAR, 3))
def test_away_from_borders_what_is_regular_is_exact(network: tuple[list[str], Callable[[Tensor], Tensor], tuple[int, ...]]) -> None:
    """The box with padding of a unit in the middle is its box, since it reaches no border."""
    names, function, shape = network
    cone = cone_of(function, shape)
    assert None not in cone.lattices, names
    H, W = cone.shape[2:]
    for unit in ((H // 2, W // 2), (min(H // 2 + 1, H - 1), W // 2), (H // 2, min(W // 2 + 1, W - 1))):
        full = cone.unclipped(unit)
        if full is None or (min(full.top, full.left) > 35 and full.bottom < 150 - 35 and full.right < 170 - 35):
            assert cone.box(unit) == full, names


def test_rows_of_the_image_that_became_columns() -> None:
    """A transposition, and then windows that differ between the axes."""
    for step in (lambda x: F.conv2d(x, ones(1, 1, 3, 1), None, (2, 1)), lambda x: F.conv_transpose2d(x, ones(1, 1, 3, 1), None, (2, 1)),
                 lambda x: F.interpolate(x, (24, 10)), lambda x: F.adaptive_avg_pool2d(x, (4, 10))):
        straight, turned = (cone_of(f, (1, 1, *size)) for f, size in (
            (step, (12, 10)), (lambda x, step=step: step(x.transpose(2, 3)), (10, 12))))
        assert (turned.size, turned.jump, turned.centre) == (straight.size[::-1], straight.jump[::-1], straight.centre[::-1])
        assert straight.size != (1, 1) or straight.jump != (1, 1)


def group_normed(x: Tensor) -> Tensor:
    return F.group_norm(x, 2)


def attention(x: Tensor) -> Tensor:
    """Rows look at rows."""
    return F.softmax(x @ x.transpose(2, 3), dim=-1) @ x


def written(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :, 1] = x[:, :, 3]
    return y


ONE_BY_ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "flatten, linear": lambda x: F.linear(x.flatten(1), ones(3, 40)),
    "linear on the last axis": lambda x: F.linear(x, ones(7, 5)),
    "matmul": lambda x: x @ ones(5, 2),
    "vector @ matrix": lambda x: x[0, 0, 1] @ x[0, 1].t(),
    "matrix @ vector": lambda x: x[0, 0] @ x[0, 0, 2],
    "attention": attention,
    "mean of all": lambda x: x.mean(),
    "global mean": lambda x: x.mean((2, 3)),
    "var over rows": lambda x: x.var(2, keepdim=True) + x,
    "max over columns": lambda x: x.max(3).values,
    "amin over channels": lambda x: x.amin(1),
    "logsumexp": lambda x: x.logsumexp(2),
    "softmax over rows": lambda x: F.softmax(x, 2),
    "log_softmax over channels": lambda x: F.log_softmax(x, 1),
    "batch norm, training": lambda x: F.batch_norm(x, None, None, training=True),
    "batch norm, given": lambda x: F.batch_norm(x, ones(2), ones(2), ones(2), ones(2)),
    "group norm": group_normed,
    "layer norm": lambda x: F.layer_norm(x, (5,)),
    "unfold": lambda x: F.unfold(x, (2, 3), dilation=(1, 2), padding=1, stride=2),
    "fold of unfold": lambda x: F.fold(F.unfold(x, 2), (4, 5), 2),
    "written in place": written,
    "index arrays": lambda x: x[:, :, [3, 0, 0]][:, :, :, [1, 4]],
    "integer index": lambda x: x[:, 1, 2],
    "negative step": lambda x: x.flip((3,))[..., ::2],
    "new axis": lambda x: x[:, None] + x[:, :, None],
    "stack of a constant": lambda x: minicnn.stack([x, ones(1, 2, 4, 5)], 2),
    "expand": lambda x: x[:, :1].expand(1, 3, 4, 5),
    "grouped": lambda x: F.conv2d(minicnn.cat([x, F.max_pool2d(x, 3, 1, 1)], 1), ones(4, 2, 1, 1), groups=2),
    "grouped transposed": lambda x: F.conv_transpose2d(minicnn.cat([x, F.max_pool2d(x, 3, 1, 1)], 1), ones(4, 2, 3, 2), stride=2, groups=2),
    "pixel shuffle": lambda x: x.reshape(1, 1, 2, 1, 4, 5).permute(0, 1, 4, 2, 5, 3).reshape(1, 1, 8, 5),
    "squeeze and excite": lambda x: x * F.sigmoid(F.linear(x.mean((2, 3)) * 1e-13, ones(2, 2)))[:, :, None, None],
}


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_each_operation_by_perturbation(name: str) -> None:
    check(ONE_BY_ONE[name], (1, 2, 4, 5))


def test_what_is_read_counts_even_where_it_is_not_used() -> None:
    """Multiplied by 0; the other of two that `where` chooses from, for what it chooses by may depend on the input."""
    assert cone_of(lambda x: ones(2, 3) + 0 * x[0, 0, 1, 2], (1, 2, 4, 5)).box((0, 0)) == (1, 1, 2, 2)
    cone = cone_of(lambda x: minicnn.where(Tensor(np.arange(5) > 2), x, x.mean(3, keepdim=True)), (1, 2, 4, 5))
    assert (cone.box((1, 4)), cone.jump) == ((1, 1, 0, 4), (1, None))


def test_constants_see_nothing() -> None:
    found = record(Runs(lambda x: minicnn.cat([x, ones(1, 1, 2, 3) * 2], 1)), Tensor(np.ones((1, 1, 2, 3))))
    doubled, joined = (cones(found)[op] for op in found.ops[:2])
    assert (doubled.empty, doubled.size, doubled.box((0, 0)), doubled.centre) == (True, (0, 0), None, (None, None))
    assert (joined.box((0, 0, 0)), joined.box((1, 0, 0)), joined.box((0, 0))) == ((0, 0, 0, 0), None, (0, 0, 0, 0))


def test_training_statistics_join_the_images_of_a_batch() -> None:
    norm = nn.BatchNorm2d(2)
    x = example_input((3, 2, 4, 5))
    evaluated, trained = (cones(record(norm, x, training=mode)) for mode in (False, True))
    assert [list(c.values())[-1].size for c in (evaluated, trained)] == [(1, 1), (4, 5)]
    assert [list(c.values())[-1].whole for c in (evaluated, trained)] == [False, True]


def test_an_operation_without_a_rule_sees_everything_and_says_so() -> None:
    def twice_forward(x: np.ndarray) -> tuple[np.ndarray, None]:
        return 2 * x, None

    def twice(x: Tensor) -> Tensor:
        return autograd.record(twice_forward, lambda dy, _: (2 * dy,), x)

    cone = cone_of(twice, (1, 1, 3, 4))
    assert (cone.size, cone.jump, cone.whole) == ((3, 4), (None, None), True)
    assert cone.note == "minicnn has no rule for what twice sees: it is taken to see the whole image"


def test_every_operation_of_the_framework_has_a_rule() -> None:
    names = {function[:-len("_forward")] for path in Path(ops.__file__).parent.glob("*.py")
             for function in re.findall(r"def (\w+_forward)\(", path.read_text())}
    assert names - RULES.keys() == set()


def test_features_in_a_row_are_an_image_of_height_1() -> None:
    found = record(nn.Linear(4, 2), example_input((3, 4)))
    cone = cones(found)[found.output]
    assert (cone.size, cone.box((1,)), cone.centre) == ((1, 4), (0, 0, 0, 3), (0, 1.5))


def test_ends() -> None:
    """First and last row, and column, of each row and column of units, within the image."""
    found = record(nn.Conv2d(1, 2, 3, stride=(2, 1), padding=(1, 1)), example_input((1, 6, 7)))
    rows, columns = (cones(found)[found.output].ends(axis) for axis in (0, 1))
    assert [e.tolist() for e in rows] == [[0, 1, 3], [1, 3, 5]]
    assert [e.tolist() for e in columns] == [[0, 0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6, 6]]
