"""cones(recording): what every unit of every operation of a network sees of the input."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.inspect.receptive_fields.boxes import Boxes
from minicnn.inspect.receptive_fields.cone import Box, Cone
from minicnn.inspect.receptive_fields.lattice import Lattice
from minicnn.inspect.receptive_fields.rules import RULES, whole
from minicnn.inspect.recorder import Op, Recording

__all__ = ["Box", "Cone", "cones"]


def cones(recording: Recording) -> dict[Op, Cone]:
    """For each operation, the input among them: the box of input pixels that each of its values depends on.

    The hull is exact: its first and last row and column are read, through at least one path. It may have holes, as with dilation.
    What steps without a gradient do, such as comparisons and argmax, is not recorded, so what goes through them alone is not seen.
    Operations without a rule, such as one's own, are taken to see the whole image, and their cone has a note that says so.

    Raises ValueError for an input of fewer than two axes.
    """
    start = recording.input
    if len(start.shape) < 2:
        raise ValueError(f"receptive fields need an input with height and width, got shape {start.shape}")
    ndim, (H, W) = len(start.shape), start.shape[-2:]
    image = (H, W) if ndim > 2 else (1, W)
    lattices = Lattice.of_image(ndim - 2) if ndim > 2 else None, Lattice.of_image(ndim - 1)
    found = {start: Cone(Boxes.of_image(start.shape), lattices, image)}
    for op in recording.ops:
        read = [found[i] if isinstance(i, Op) else _constant(i, image) for i in op.inputs]
        rule = RULES.get(op.name)
        boxes, seen = (rule or whole)(op, read)
        note = "" if rule else f"minicnn has no rule for what {op.name} sees: it is taken to see the whole image"
        found[op] = Cone(boxes, seen, image, note)
    return found


def _constant(value: Any, image: tuple[int, int]) -> Cone:
    return Cone(Boxes.nothing(() if value is None else np.shape(getattr(value, "array", value))), (None, None), image)
