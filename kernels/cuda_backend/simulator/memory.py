"""The simulated device's memory: every array has addresses of its own, with a gap after it, and no address is ever used twice.

So an access beyond an array's end, even by one byte, hits nothing, and so does one to an array that was freed.
"""
from __future__ import annotations

import bisect
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

ALIGNMENT = 256                  # bytes, as cudaMalloc and CuPy's memory pool give
RED_ZONE = 256                   # bytes that belong to nobody after each allocation, at least
FIRST_ADDRESS = 1 << 32          # far from what a kernel may compute by mistake: null pointers, indices, shared addresses


class Allocation:
    """Some bytes of device memory. bytes: a flat uint8 array; address: where the device sees it."""
    __slots__ = ("__weakref__", "address", "bytes")

    def __init__(self, address: int, bytes: np.ndarray) -> None:
        self.address, self.bytes = address, bytes


class Memory:
    """All allocations that are alive, in the order of their addresses."""

    def __init__(self) -> None:
        self._next = FIRST_ADDRESS
        self._starts: list[int] = []
        self._alive: dict[int, weakref.ref[Allocation]] = {}

    def adopt(self, array: np.ndarray) -> Allocation:
        """Make the memory of a C-contiguous array device memory: the array must not be used as a host array any more."""
        data = array.reshape(-1).view(np.uint8)
        found = Allocation(self._next, data)
        self._next += -(-(len(data) + RED_ZONE) // ALIGNMENT) * ALIGNMENT
        self._starts.append(found.address)
        self._alive[found.address] = weakref.ref(found, lambda _, address=found.address: self._free(address))  # type: ignore[misc]  # a lambda's default
        return found

    def find(self, address: int) -> Allocation | None:
        """The last allocation that begins at or before the address: the one it lies in, or has run out of."""
        i = bisect.bisect_right(self._starts, address) - 1
        return self._alive[self._starts[i]]() if i >= 0 else None

    def _free(self, address: int, place: Callable[..., int] = bisect.bisect_left) -> None:    # at the end of the program, modules go first
        del self._alive[address]
        del self._starts[place(self._starts, address)]


class Transfers:
    """What was copied between host and device: the number of copies and their bytes, since the last `reset`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.to_device = self.to_host = self.bytes_to_device = self.bytes_to_host = 0

    def note_to_device(self, array: Any) -> None:
        self.to_device += 1
        self.bytes_to_device += array.nbytes

    def note_to_host(self, array: Any) -> None:
        self.to_host += 1
        self.bytes_to_host += array.nbytes


MEMORY = Memory()
TRANSFERS = Transfers()
