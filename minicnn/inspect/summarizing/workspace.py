"""The temporary memory of one operation's forward pass, on the backend in use."""
from __future__ import annotations

import math
from typing import Any

from minicnn.inspect.recorder import Op
from minicnn.inspect.summarizing.memory.ledger import IDLE, Block, Ghost, Ledger
from minicnn.inspect.summarizing.memory.operations import KNOWN, operation
from minicnn.inspect.summarizing.memory.step import ghosts, kernels_for
from minicnn.inspect.summarizing.memory.tape import Step


def workspace_bytes(op: Op) -> int:
    """The most bytes of temporary arrays alive at a time beside what the operation reads and makes; 0 for operations not known here.

    On numba_backend that is packed weights, padded bands of the image and copies to channels-last order; on numpy_backend blocks of
    padded images and columns, as `conv2d_cost` of its convolution has it.
    """
    if op.name not in KNOWN or op.name in ("reshape", "cross_entropy"):
        return 0
    ledger = Ledger()
    k = kernels_for(ledger)
    inputs = [_ghost(ledger, i) for i in op.inputs]
    given = ledger.total
    step = Step(op.name, op.options, [0 if i else None for i in inputs], [], tuple(op.shape), [], [], False, False, True)
    ledger.restart()
    y, cache = operation(step, inputs[0].shape if inputs[0] else ()).forward(k, step, inputs, {})
    kept = {id(g.block): g.block for g in (y, *ghosts(cache))}
    made = sum(block.size for block in kept.values()) - sum(i.block.size for i in inputs if i and id(i.block) in kept)
    idle = ledger.at_peak[IDLE]
    return max(0, ledger.peak - idle - given - made)


def _ghost(ledger: Ledger, value: Any) -> Ghost | None:
    array = value.output.array if isinstance(value, Op) else getattr(value, "array", None)
    if array is None:
        return None
    last = array.ndim == 4 and array.transpose(0, 2, 3, 1).flags.c_contiguous
    gaps = not last and not array.flags.c_contiguous
    return Ghost(Block(ledger, math.prod(array.shape) * array.itemsize), tuple(array.shape), array.itemsize, last, gaps)
