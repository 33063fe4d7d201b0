"""Arrays in channels-last order, in memory that is used again.

A fresh array of some megabytes costs more than a pass over it: the system hands it out page by page. So the memory of results is kept
here, and given to the next result of its size, or of half its size, once nobody holds an array in it any more. A training step finds all
of the last step's.
"""
from __future__ import annotations

import math
import sys
import threading
from typing import Any

import numpy as np

SMALL = 1 << 14                                                # bytes; below, NumPy's own allocation is as fast
LINE = 64                                                      # of the cache: a vector that lies across two of them takes two accesses
ROOMY = 2                                                      # a gradient may lie where one of twice its size lay, and will again
KEPT = 1 << 26                                                 # bytes to keep at least before memory that nobody uses is given back

Buffer = tuple[np.ndarray, int]                                # memory, and where in it the buffer begins


class _Pool(threading.local):
    """Buffers by size, each thread's own. A buffer is free when this pool holds the only reference to it."""

    def __init__(self) -> None:
        self.buffers: dict[int, list[Buffer]] = {}
        self.held, self.most = 0, KEPT                         # bytes in all buffers, and how many there may be

    def take(self, nbytes: int) -> np.ndarray:
        """nbytes bytes that begin at a multiple of LINE: of a free buffer that is no more than ROOMY times as large, the smallest, or of a
        new one."""
        found = self._free(nbytes, nbytes)
        if found is not None:
            return found
        for size in sorted(size for size in self.buffers if nbytes < size <= ROOMY * nbytes):
            found = self._free(size, nbytes)
            if found is not None:
                return found
        if self.held + nbytes > self.most:
            self.give_back()
        memory = np.empty(nbytes + LINE, np.uint8)
        start = -memory.ctypes.data % LINE
        self.buffers.setdefault(nbytes, []).append((memory, start))
        self.held += nbytes
        return memory[start:start + nbytes]

    def _free(self, size: int, nbytes: int) -> np.ndarray | None:
        for memory, start in self.buffers.get(size, ()):
            if sys.getrefcount(memory) == FREE:
                return memory[start:start + nbytes]
        return None

    def give_back(self) -> None:
        """Keep the buffers in use only; look again when there are twice as many bytes, or KEPT."""
        for nbytes, buffers in list(self.buffers.items()):
            used = []
            for memory, start in buffers:
                if sys.getrefcount(memory) > FREE:
                    used.append((memory, start))
            self.held -= nbytes * (len(buffers) - len(used))
            if used:
                self.buffers[nbytes] = used
            else:
                del self.buffers[nbytes]
        self.most = max(KEPT, 2 * self.held)


def _references() -> int:
    """What getrefcount says of memory that only a pool holds, asked in a loop as above."""
    for memory, _ in [(np.empty(1), 0)]:
        return sys.getrefcount(memory)
    raise AssertionError


FREE = _references()
_pool = _Pool()


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An uninitialised array in C order."""
    dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < SMALL:
        return np.empty(shape, dtype)
    return _pool.take(nbytes).view(dtype).reshape(shape)


def channels_last(N: int, C: int, H: int, W: int, dtype: Any) -> np.ndarray:
    """An uninitialised (N, C, H, W) array whose memory is (N, H, W, C)."""
    return empty((N, H, W, C), dtype).transpose(0, 3, 1, 2)
