"""The memories of a GPU: global memory, which all threads see; shared memory, one for each block; local memory, one for each thread.

A space checks an access, and says which bytes it reaches.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minicnn.kernels.cuda_backend.simulator.memory import MEMORY, Allocation
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction
from minicnn.kernels.cuda_backend.simulator.races import Accesses, Races

if TYPE_CHECKING:
    from minicnn.kernels.cuda_backend.simulator.machine import Wave

WINDOWS = {"shared": 1 << 24, "local": 1 << 26}                # where shared and local memory begin among generic addresses
WINDOW_END = 1 << 28
FIRST_PAGE = 1 << 16             # addresses below it come from a null pointer, with an offset
ALL: Any = slice(None)


class Piece(NamedTuple):
    """Some of an access's threads (chosen: a slice or indices into the active ones), all in one array: where in its bytes."""
    bytes: np.ndarray
    chosen: Any
    offsets: np.ndarray
    races: Races | None = None


def words_of(offsets: np.ndarray, width: int, granule: int) -> np.ndarray:
    """The words, of `granule` bytes, that accesses of `width` bytes touch: (accesses · words each,)."""
    first = offsets >> (granule.bit_length() - 1)              # a power of two
    each = max(width // granule, 1)
    return first if each == 1 else (first[:, None] + np.arange(each)).ravel()


def check_races(wave: Wave, instruction: Instruction, piece: Piece, width: int, granule: int, action: str) -> None:
    """action: "read", "write", "update" or "fill"."""
    if piece.races is not None:
        words = words_of(piece.offsets, width, granule)
        getattr(piece.races, action)(wave, instruction, Accesses(wave, instruction.place, piece.chosen, words, max(width // granule, 1)))


def check_alignment(wave: Wave, instruction: Instruction, addresses: np.ndarray, width: int) -> None:
    """A GPU loads and stores 2, 4, 8 or 16 bytes only at multiples of as many."""
    if addresses.size and int(np.bitwise_or.reduce(addresses)) & (width - 1):
        i = int(np.flatnonzero(addresses & (width - 1))[0])
        wave.fault(instruction, int(wave.active_lanes()[i]), f"misaligned: {width} bytes at address {int(addresses[i]):#x}, which is no "
                                                             f"multiple of {width}")


class SharedSpace:
    """Shared memory of a wave's blocks, one after the other. At first every byte is 0xFF, so floats are NaN."""

    def __init__(self, wave: Wave, size: int, granule: int, races: bool) -> None:
        self.size, self.granule = size, granule
        stride = -(-size // 16) * 16
        self.bytes = np.full(wave.count * stride, 0xFF, np.uint8)
        self.base = np.arange(wave.lanes) // wave.padded * stride
        self.races = Races(-(-len(self.bytes) // granule), own=True) if races else None

    def reach(self, wave: Wave, instruction: Instruction, addresses: np.ndarray, width: int, verb: str) -> list[Piece]:
        check_alignment(wave, instruction, addresses, width)
        if addresses.size and (int(addresses.min()) < 0 or int(addresses.max()) + width > self.size):
            i = int(np.flatnonzero((addresses < 0) | (addresses + width > self.size))[0])
            wave.fault(instruction, int(wave.active_lanes()[i]), f"{verb} {width} bytes of shared memory at {int(addresses[i])}, but the "
                                                                 f"block has {self.size} bytes")
        return [Piece(self.bytes, ALL, addresses + self.base[wave.active], self.races)]


class LocalSpace:
    """A thread's own memory: arrays that are indexed by a variable, and what does not fit in registers. (lanes, size)"""

    def __init__(self, wave: Wave, size: int) -> None:
        self.size = size
        self.bytes = np.full(wave.lanes * size, 0xFF, np.uint8)
        self.base = np.arange(wave.lanes) * size

    def reach(self, wave: Wave, instruction: Instruction, addresses: np.ndarray, width: int, verb: str) -> list[Piece]:
        check_alignment(wave, instruction, addresses, width)
        outside = (addresses < 0) | (addresses + width > self.size)
        if outside.any():
            i = int(np.flatnonzero(outside)[0])
            wave.fault(instruction, int(wave.active_lanes()[i]), f"{verb} {width} bytes of local memory at {int(addresses[i])}, but the "
                                                                 f"thread has {self.size} bytes")
        return [Piece(self.bytes, ALL, addresses + self.base[wave.active])]


@dataclass
class Region:
    """An array that a kernel may reach. name: of the argument; about: "float32, shape (2, 3)"."""
    allocation: Allocation
    name: str
    about: str
    writable: bool
    races: Races | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.about}, {len(self.allocation.bytes)} bytes)"


class GlobalSpace:
    """The arrays that were given to a kernel, and the module's own. A kernel may touch no others."""

    def __init__(self, regions: list[Region], granule: int, races: bool) -> None:
        self.granule = granule
        self.regions = sorted(regions, key=lambda region: region.allocation.address)
        self.starts = np.array([region.allocation.address for region in self.regions], np.int64)
        self.ends = self.starts + np.array([len(region.allocation.bytes) for region in self.regions], np.int64)
        self._bounds = list(zip(self.starts.tolist(), self.ends.tolist(), self.regions, strict=True))
        for region in self.regions:                            # what nobody writes is not raced for
            if region.writable and races:
                region.races = Races(-(-len(region.allocation.bytes) // granule), own=False)

    def reach(self, wave: Wave, instruction: Instruction, addresses: np.ndarray, width: int, verb: str) -> list[Piece]:
        if not addresses.size:
            return []
        low, high = int(addresses.min()), int(addresses.max()) + width
        inside = next((region for start, end, region in self._bounds if start <= low and high <= end), None)
        if inside is None:
            return self._several(wave, instruction, addresses, width, verb)
        check_alignment(wave, instruction, addresses, width)
        self._check_const(wave, instruction, inside, verb)
        return [Piece(inside.allocation.bytes, ALL, addresses - inside.allocation.address, inside.races)]

    def _several(self, wave: Wave, instruction: Instruction, addresses: np.ndarray, width: int, verb: str) -> list[Piece]:
        """Not all threads are in one array: they may be in several, or out of bounds."""
        number = np.searchsorted(self.starts, addresses, "right") - 1
        outside = (number < 0) | (addresses + width > np.append(self.ends, 0)[number])
        if outside.any():
            i = int(np.flatnonzero(outside)[0])
            wave.fault(instruction, int(wave.active_lanes()[i]), self._outside(int(addresses[i]), width, verb))
        check_alignment(wave, instruction, addresses, width)
        pieces = []
        for n in np.unique(number):
            region, chosen = self.regions[n], np.flatnonzero(number == n)
            self._check_const(wave, instruction, region, verb)
            pieces.append(Piece(region.allocation.bytes, chosen, addresses[chosen] - region.allocation.address, region.races))
        return pieces

    def _check_const(self, wave: Wave, instruction: Instruction, region: Region, verb: str) -> None:
        if not region.writable and verb != "reads":
            wave.fault(instruction, int(wave.active_lanes()[0]), f"{verb} {region}, which the kernel declares const")

    def _outside(self, address: int, width: int, verb: str) -> str:
        """Where an address is that is in none of the arrays."""
        access = f"{verb} {width} bytes at {address:#x}"
        if address < FIRST_PAGE:
            return f"{access}: a null pointer"
        found = MEMORY.find(address)
        if found and address < found.address + len(found.bytes) and all(found is not region.allocation for region in self.regions):
            return f"{access}, in an array of {len(found.bytes)} bytes that is no argument of the kernel; {self._nearest(address, width)}"
        if any(abs(address - bound) < 1 << 20 for start, end, _ in self._bounds for bound in (start, end)):
            return f"{access}, {self._nearest(address, width)}"
        return f"{access}, where there is no array: one that was freed, or never was; {self._nearest(address, width)}"

    def _nearest(self, address: int, width: int) -> str:
        if not self._bounds:
            return "the kernel was given no array"
        start, end, region = min(self._bounds, key=lambda bounds: max(bounds[0] - address, address + width - bounds[1]))
        if address < start:
            return f"{start - address} bytes before the beginning of {region}"
        beyond = address - end
        return f"{beyond} bytes after the end of {region}" if beyond >= 0 else f"{-beyond} bytes before the end of {region}"
