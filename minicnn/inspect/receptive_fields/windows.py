"""What sliding windows, bins and resizing make of cones."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minicnn.inspect.receptive_fields.boxes import Boxes, compact, grouped, spread_taps, tapped, window_taps
from minicnn.inspect.receptive_fields.cone import Cone
from minicnn.inspect.receptive_fields.lattice import Lattice
from minicnn.inspect.recorder import Op
from minicnn.ops.adaptive_pool2d import bins
from minicnn.ops.interpolate import Taps

Lattices = tuple[Lattice | None, Lattice | None]
Seen = tuple[Boxes, Lattices]


def _read(cone: Cone, taps: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """The sides, row o of height and width the hull of what taps[axis][j][o] name."""
    sides = cone.boxes.along(2, 3)
    for axis in (0, 1):
        sides = tapped(sides, taps[axis], axis + 3)
    return sides


def _moved(cone: Cone, move: Callable[[Lattice, int], Lattice | None]) -> Lattices:
    """The lattices, each moved along its axis: 0 where it lies along the height of this map, 1 along the width.

    After a transposition rows of the image are columns of the map. Along the batch or the channels nothing is regular any more.
    """
    rows, columns = (move(lattice, lattice.axis - 2) if lattice and lattice.axis > 1 else None for lattice in cone.lattices)
    return rows, columns


def pooling(op: Op, read: Sequence[Cone]) -> Seen:
    """Each unit reads its window, in its own channel."""
    cone, window = read[0], op.options["window"]
    sides = _read(cone, [window_taps(window, cone.shape[axis + 2], op.shape[axis + 2], axis) for axis in (0, 1)])

    def move(lattice: Lattice, axis: int) -> Lattice:
        offsets = [j * window.dilation[axis] for j in range(window.kernel[axis])]
        return lattice.stepped(-window.padding[2 * axis], window.stride[axis], offsets)

    return Boxes(op.shape, sides), _moved(cone, move)


def conv2d(op: Op, read: Sequence[Cone]) -> Seen:
    """Each unit reads its window, in the channels of its group."""
    boxes, lattices = pooling(op, read)
    return Boxes(op.shape, grouped(boxes.sides, op.options.get("groups", 1), op.shape[1])), lattices


def conv_transpose2d(op: Op, read: Sequence[Cone]) -> Seen:
    cone, window = read[0], op.options["window"]
    sides = _read(cone, [spread_taps(window, cone.shape[axis + 2], op.shape[axis + 2], axis) for axis in (0, 1)])

    def move(lattice: Lattice, axis: int) -> Lattice:
        return lattice.spread(window.kernel[axis], window.stride[axis], window.dilation[axis], window.padding[2 * axis])

    return Boxes(op.shape, grouped(sides, op.options.get("groups", 1), op.shape[1])), _moved(cone, move)


def adaptive_pooling(op: Op, read: Sequence[Cone]) -> Seen:
    """Each unit reads its bin. Where all bins have one size they are windows; a single one is the whole map, without its padding."""
    cone = read[0]

    def move(lattice: Lattice, axis: int) -> Lattice | None:
        n, outputs = cone.shape[axis + 2], op.shape[axis + 2]
        k = n // outputs
        return lattice.stepped(0, k, range(k)) if n % outputs == 0 and (outputs > 1 or n == 1) else None

    taps = [_bin_taps(n, outputs) for n, outputs in zip(cone.shape[2:], op.shape[2:], strict=True)]
    return Boxes(op.shape, _read(cone, taps)), _moved(cone, move)


def _bin_taps(n: int, outputs: int) -> list[np.ndarray]:
    starts, ends = np.array(bins(n, outputs)).T
    return [np.where(starts + j < ends, starts + j, -1) for j in range(int((ends - starts).max()))]


def interpolate(op: Op, read: Sequence[Cone]) -> Seen:
    """Each unit reads the pixels that have a weight."""
    (cone,), resize = read, (op.options["rows"], op.options["columns"])
    taps = [[index if weights is None else np.where(weights == 0, -1, index) for index, weights in each] for each in resize]
    return Boxes(op.shape, _read(cone, taps)), _moved(cone, lambda lattice, axis: _resized(lattice, resize[axis], cone.shape[axis + 2]))


def _resized(lattice: Lattice, taps: Taps, n: int) -> Lattice | None:
    """Enlarged by a whole number, units repeat; `taps` must say so away from the borders, where they are cut off."""
    outputs = len(taps[0][0])
    if outputs == n and all(weights is None or set(np.unique(weights)) <= {0, 1} for _, weights in taps):
        return lattice
    factor = outputs // n
    if outputs % n or factor < 2 or n < 3:
        return None
    read = [[int(index[o]) for index, weights in taps if weights is None or weights[o]] for o in range(outputs)]
    inside = range(factor, outputs - factor)
    offsets = [[i - 1 for i in read[o]] for o in range(factor, 2 * factor)]
    if any([i - o // factor for i in read[o]] != offsets[o % factor] for o in inside):
        return None
    return lattice.repeated(factor, offsets)


def unfold(op: Op, read: Sequence[Cone]) -> Seen:
    """Each patch becomes a column: (N, C, H, W) -> (N, C·KH·KW, OH·OW)."""
    cone, window = read[0], op.options["window"]
    sizes = window.output_size(cone.shape[2:])
    rows, columns = (window_taps(window, cone.shape[axis + 2], sizes[axis], axis) for axis in (0, 1))
    sides = cone.boxes.full()
    parts = [tapped(tapped(sides, [row], 3), [column], 4) for row in rows for column in columns]
    return compact(np.stack(parts, axis=3).reshape(4, *op.shape)), (None, None)   # (4, N, C, KH·KW, OH, OW)


def fold(op: Op, read: Sequence[Cone]) -> Seen:
    """Each pixel reads its copies."""
    cone, window = read[0], op.options["window"]
    (N, C, H, W), (KH, KW), (OH, OW) = op.shape, window.kernel, window.output_size(op.shape[2:])
    columns = cone.boxes.full().reshape(4, N, C, KH, KW, OH, OW)
    found = np.full((4, *op.shape), 2**30, np.int32)
    for kh, row in enumerate(spread_taps(window, OH, H, 0)):
        for kw, column in enumerate(spread_taps(window, OW, W, 1)):
            np.minimum(found, tapped(tapped(columns[:, :, :, kh, kw], [row], 3), [column], 4), out=found)
    return compact(found), (None, None)


WINDOWS: dict[str, Callable[[Op, Sequence[Cone]], Seen]] = {
    "conv2d": conv2d, "conv2d_relu": conv2d, "max_pool2d": pooling, "avg_pool2d": pooling, "conv_transpose2d": conv_transpose2d,
    "adaptive_avg_pool2d": adaptive_pooling, "adaptive_max_pool2d": adaptive_pooling, "interpolate": interpolate,
    "unfold": unfold, "fold": fold,
}
