"""What each operation makes of cones: RULES[name](op, cones of what it read) -> the boxes and lattices of what it made.

Rules say what a value reads, not how much of it counts: what a zero weight or a ReLU hides is still seen.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn.inspect.receptive_fields.boxes import NOTHING, Boxes, compact, joined
from minicnn.inspect.receptive_fields.cone import Cone
from minicnn.inspect.receptive_fields.lattice import Lattice, hull
from minicnn.inspect.receptive_fields.windows import WINDOWS, Lattices, Seen
from minicnn.inspect.recorder import Op
from minicnn.ops.indexing import assign
from minicnn.ops.pad import pad_by_index_forward, pad_forward

Rule = Callable[[Op, Sequence[Cone]], Seen]


def elementwise(op: Op, read: Sequence[Cone]) -> Seen:
    """Every value reads one value of each operand, with broadcasting."""
    seeing = [cone for cone in read if not cone.empty]
    boxes = joined([cone.boxes for cone in seeing], op.shape)
    aligned = [[_aligned(cone, axis, op.shape) for cone in seeing] for axis in (0, 1)]
    return boxes, (hull(aligned[0]), hull(aligned[1]))


def _aligned(cone: Cone, axis: int, shape: tuple[int, ...]) -> Lattice | None:
    lattice = cone.lattices[axis]
    if lattice is None:
        return None
    own = lattice.axis + len(shape) - len(cone.shape)
    return lattice.along(own) if shape[own] == cone.shape[lattice.axis] else None


def spread_over(cone: Cone, axes: Sequence[int]) -> Seen:
    """Every value reads all along some axes, which keep their size."""
    axes = [axis % len(cone.shape) for axis in axes] if cone.shape else []
    rows, columns = (None if lattice and lattice.axis in axes else lattice for lattice in cone.lattices)
    return cone.boxes.over(axes), (rows, columns)


def reduced(cone: Cone, axes: Sequence[int], keepdim: bool) -> Seen:
    """The same, and the axes go, or keep size 1."""
    axes = [axis % len(cone.shape) for axis in axes] if cone.shape else []
    boxes, lattices = spread_over(cone, axes)
    if keepdim:
        return boxes.reshaped(tuple(1 if i in axes else n for i, n in enumerate(cone.shape))), lattices
    rows, columns = (lattice and lattice.along(lattice.axis - sum(axis < lattice.axis for axis in axes)) for lattice in lattices)
    return cone.boxes.over(axes, keepdim=False), (rows, columns)


def reduction(op: Op, read: Sequence[Cone]) -> Seen:
    return reduced(read[0], op.options["dims"], op.options.get("keepdim", False))


def pick(op: Op, read: Sequence[Cone]) -> Seen:
    """max and min along an axis: which value is picked depends on all of them."""
    return reduced(read[0], [op.options["dim"]], op.options.get("keepdim", False))


def along_axis(op: Op, read: Sequence[Cone]) -> Seen:
    """softmax"""
    return spread_over(read[0], [op.options["axis"]])


def of_classes(op: Op, read: Sequence[Cone]) -> Seen:
    """Losses: (M, K) -> (M)."""
    return reduced(read[0], [1], False)


def batch_norm(op: Op, read: Sequence[Cone]) -> Seen:
    """With given statistics each value for itself; otherwise each reads its channel in all images. Group and layer norm are made of it."""
    if op.options.get("mean") is not None:
        return elementwise(op, read)
    return spread_over(read[0], [axis for axis in range(len(op.shape)) if axis != 1])


def batch_norm_pool(op: Op, read: Sequence[Cone]) -> Seen:
    """With the statistics of the batch: each value reads its channel in all images, whatever window is pooled."""
    boxes, _ = spread_over(read[0], [0, 2, 3])
    return boxes.reshaped(op.shape), (None, None)


def linear(op: Op, read: Sequence[Cone]) -> Seen:
    boxes, lattices = spread_over(read[0], [-1])
    return boxes.reshaped(op.shape), lattices


def matmul(op: Op, read: Sequence[Cone]) -> Seen:
    """Each value reads a row of the left and a column of the right."""
    a, b = read
    vectors = len(a.shape) == 1, len(b.shape) == 1
    left = a.boxes.over([-1]).sides
    right = b.boxes.over([-1 if vectors[1] else -2]).sides
    left = left.reshape(4, 1, 1) if vectors[0] else left
    right = right.reshape(4, 1, 1) if vectors[1] else right
    full = (*op.shape[:len(op.shape) - 2 + sum(vectors)], 1 if vectors[0] else a.shape[-2], 1 if vectors[1] else b.shape[-1])
    found = joined([Boxes((1,) * (s.ndim - 1), s) for s in (left, right)], full).full()
    return compact(found.reshape(4, *op.shape)), (None, None)


def reshape(op: Op, read: Sequence[Cone]) -> Seen:
    """An axis that has as many values before it and within it as before is the same axis."""
    old, new = read[0].shape, op.shape
    kept = {i: j for i, n in enumerate(old) for j, m in enumerate(new) if n == m and math.prod(old[:i]) == math.prod(new[:j])}
    rows, columns = (lattice.along(kept[lattice.axis]) if lattice and lattice.axis in kept else None for lattice in read[0].lattices)
    return read[0].boxes.each(lambda side: side.reshape(new)), (rows, columns)


def permute(op: Op, read: Sequence[Cone]) -> Seen:
    dims = op.options["dims"]
    rows, columns = (lattice and lattice.along(dims.index(lattice.axis)) for lattice in read[0].lattices)
    return Boxes(op.shape, read[0].boxes.sides.transpose(0, *(d + 1 for d in dims))), (rows, columns)


def flip(op: Op, read: Sequence[Cone]) -> Seen:
    dims, (cone,) = op.options["dims"], read
    rows, columns = (lattice.stepped(cone.shape[lattice.axis] - 1, -1) if lattice and lattice.axis in dims else lattice
                     for lattice in cone.lattices)
    return Boxes(op.shape, np.flip(cone.boxes.sides, tuple(d + 1 for d in dims))), (rows, columns)


def getitem(op: Op, read: Sequence[Cone]) -> Seen:
    index, (cone,) = op.options["index"], read
    rows, columns = (lattice and _sliced(lattice, index, cone.shape) for lattice in cone.lattices)
    return cone.boxes.each(lambda side: side[index]), (rows, columns)


def _sliced(lattice: Lattice, index: Any, shape: tuple[int, ...]) -> Lattice | None:
    """Where the lattice's axis goes under integers, slices, None and `...`."""
    parts = list(index) if isinstance(index, tuple) else [index]
    taken = sum(part is not None and part is not Ellipsis for part in parts)
    at = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    parts[at:at + 1] = [slice(None)] * (len(shape) - taken)
    old = new = 0
    for part in parts:
        if part is None:
            new += 1
            continue
        if old == lattice.axis:
            if not isinstance(part, slice):
                return None
            start, _, step = part.indices(shape[old])
            return lattice.stepped(start, step).along(new)
        old, new = old + 1, new + isinstance(part, slice)
    return None


def gather(op: Op, read: Sequence[Cone]) -> Seen:
    """Index arrays put values in any order."""
    index = op.options["index"]
    return read[0].boxes.each(lambda side: side[index]), (None, None)


def setitem(op: Op, read: Sequence[Cone]) -> Seen:
    cone, value = read
    sides = cone.boxes.full().copy()
    for side, new in zip(sides, value.boxes.full(), strict=True):
        assign(side, op.options["index"], new)
    return compact(sides), (None, None)


def expand(op: Op, read: Sequence[Cone]) -> Seen:
    return elementwise(op, read)


def cat(op: Op, read: Sequence[Cone]) -> Seen:
    """Along rows or columns units no longer lie in one regular order."""
    dim = op.options["dim"]
    parts = [cone.boxes.along(dim) for cone in read]
    shapes = [part.shape[:dim + 1] + part.shape[dim + 2:] for part in parts]
    common = np.broadcast_shapes(*shapes)
    sides = np.concatenate([np.broadcast_to(p, (*common[:dim + 1], p.shape[dim + 1], *common[dim + 1:])) for p in parts], axis=dim + 1)
    seeing = [cone for cone in read if not cone.empty]
    rows, columns = (hull(cone.lattices[axis] for cone in seeing) for axis in (0, 1))
    kept = (None if lattice and lattice.axis == dim and len(read) > 1 else lattice for lattice in (rows, columns))
    return Boxes(op.shape, sides), (next(kept), next(kept))


def pad(op: Op, read: Sequence[Cone]) -> Seen:
    """Values from outside see nothing."""
    return _padded(op, read[0], lambda sides, around: pad_forward(sides, around, NOTHING)[0])


def pad_by_index(op: Op, read: Sequence[Cone]) -> Seen:
    """Values of the image itself, mirrored or repeated; in the endless image it is as if the image went on."""
    return _padded(op, read[0], lambda sides, around: pad_by_index_forward(sides, around, op.options["mode"])[0])


def _padded(op: Op, cone: Cone, function: Callable[[np.ndarray, Any], np.ndarray]) -> Seen:
    around = op.options["sides"]
    changed = [axis for axis, ends in enumerate(around) if any(ends)]
    rows, columns = (lattice and lattice.stepped(-around[lattice.axis][0], 1) for lattice in cone.lattices)
    kept = tuple(ends if axis in changed else (0, 0) for axis, ends in enumerate(around))
    return Boxes(op.shape, function(cone.boxes.along(*changed), ((0, 0), *kept))), (rows, columns)


def whole(op: Op, read: Sequence[Cone]) -> Seen:
    """What is said of an operation without a rule: every value may see all of the image."""
    H, W = read[0].image
    sides = np.array([0, 1 - H, 0, 1 - W], np.int32).reshape(4, *(1 for _ in op.shape))
    nothing: Lattices = (None, None)
    return (Boxes.nothing(op.shape) if all(cone.empty for cone in read) else Boxes(op.shape, sides)), nothing


ELEMENTWISE = (
    "identity", "clone", "cast", "move", "dropout", "relu", "leaky_relu", "elu", "gelu", "silu", "hardswish", "logsigmoid", "exp", "log",
    "sqrt", "sin", "cos", "tanh", "sigmoid", "abs", "neg", "round", "floor", "ceil", "sign", "add", "add_relu", "sub", "mul", "div", "pow",
    "remainder", "maximum", "minimum", "where", "clamp")
RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, elementwise),
    **dict.fromkeys(("sum", "mean", "var", "std", "logsumexp", "amax", "amin"), reduction),
    **dict.fromkeys(("softmax", "log_softmax"), along_axis),
    **dict.fromkeys(("cross_entropy", "nll_loss"), of_classes),
    **WINDOWS,
    "pick": pick, "batch_norm": batch_norm, "batch_norm_pool": batch_norm_pool,
    "linear": linear, "matmul": matmul, "reshape": reshape, "permute": permute, "flip": flip,
    "getitem": getitem, "gather": gather, "setitem": setitem, "expand": expand, "cat": cat, "pad": pad, "pad_by_index": pad_by_index,
}
