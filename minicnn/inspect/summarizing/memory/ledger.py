"""Ledger: how many bytes are allocated, for what, and when it was the most. Ghost: an array without numbers."""
from __future__ import annotations

import math
from dataclasses import dataclass

SMALL, LINE, ROOMY, KEPT = 1 << 14, 64, 2, 1 << 26    # those of numba_backend.memory, which is not imported here, for it needs Numba
PARAMETERS, STATE, GRADIENTS = "parameters and buffers", "optimiser state", "gradients of parameters"
INPUT, SAVED, FLOWING, WORKSPACE, IDLE = "input and labels", "activations", "gradients of activations", "workspace", "kept for reuse"
KINDS = (PARAMETERS, STATE, GRADIENTS, INPUT, SAVED, FLOWING, WORKSPACE, IDLE)


class Ledger:
    """live: bytes by kind. peak, at_peak, moment: the most there were since `restart`, by kind, and what was going on then.

    Memory of numba_backend's results is kept for later results of its size, or half of it: see `minicnn.kernels.numba_backend.memory`.
    """

    def __init__(self) -> None:
        self.live, self.total = dict.fromkeys(KINDS, 0), 0
        self.free: dict[int, int] = {}                         # how many buffers of that many bytes nobody uses
        self.held, self.most = 0, KEPT                         # of all buffers, as in memory._Pool
        self.now = ""
        self.restart()

    def restart(self) -> None:
        self.peak, self.at_peak, self.moment = self.total, dict(self.live), self.now

    def add(self, kind: str, nbytes: int) -> None:
        self.live[kind] += nbytes
        self.total += nbytes
        if self.total > self.peak:
            self.peak, self.at_peak, self.moment = self.total, dict(self.live), self.now

    def take(self, nbytes: int) -> int:
        """A buffer: the smallest free one that is large enough and not too large, or a new one; before more are held than may be, the free
        ones are given back. Returns its size."""
        size = min((size for size, count in self.free.items() if count and nbytes <= size <= ROOMY * nbytes), default=0)
        if size:
            self.free[size] -= 1
            self.live[IDLE] -= size + LINE
            self.total -= size + LINE
        else:
            size = nbytes
            if self.held + nbytes > self.most:
                for other, count in self.free.items():
                    self.held -= other * count
                    self.add(IDLE, -(other + LINE) * count)
                self.free.clear()
                self.most = max(KEPT, 2 * self.held)
            self.held += nbytes
        self.add(WORKSPACE, size + LINE)
        return size

    def give(self, nbytes: int) -> None:
        self.free[nbytes] = self.free.get(nbytes, 0) + 1
        self.add(IDLE, nbytes + LINE)


class Block:
    """Memory that is accounted for as long as Python keeps this object: the arrays of the step live as long as these do."""
    __slots__ = ("kind", "ledger", "nbytes", "pooled")

    def __init__(self, ledger: Ledger, nbytes: int, kind: str = WORKSPACE, pooled: bool = False) -> None:
        self.ledger, self.nbytes, self.kind, self.pooled = ledger, nbytes, kind, pooled and nbytes >= SMALL
        if self.pooled:
            self.nbytes = ledger.take(nbytes)
            self.kind = WORKSPACE
        else:
            ledger.add(kind, nbytes)

    def __del__(self) -> None:
        self.ledger.add(self.kind, -self.size)
        if self.pooled:
            self.ledger.give(self.nbytes)

    @property
    def size(self) -> int:
        return self.nbytes + (LINE if self.pooled else 0)

    def becomes(self, kind: str) -> None:
        """What it is counted as from now on."""
        self.ledger.live[self.kind] -= self.size
        self.ledger.live[kind] += self.size
        self.kind = kind


@dataclass(eq=False)
class Ghost:
    """An array: its memory, shape, and whether that memory is channels-last. A view has the block of the array it is a view of."""
    block: Block
    shape: tuple[int, ...]
    itemsize: int = 4
    channels_last: bool = False
    gaps: bool = False                                         # a part of a larger array: to reshape it, it is copied

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def flat(self) -> bool:
        """One channel or one pixel: then both orders are the same."""
        return len(self.shape) != 4 or self.shape[1] == 1 or self.shape[2] * self.shape[3] == 1

    @property
    def is_last(self) -> bool:
        return not self.gaps and (self.channels_last or self.flat)

    @property
    def is_c(self) -> bool:
        return not self.gaps and (not self.channels_last or self.flat)

    def becomes(self, kind: str) -> Ghost:
        self.block.becomes(kind)
        return self

    def view(self, shape: tuple[int, ...]) -> Ghost:
        return Ghost(self.block, shape, self.itemsize)
