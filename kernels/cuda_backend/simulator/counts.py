"""What a profiler would count, of each launch and each of its instructions.

A GPU steps warps, so instructions are counted in warps. It serves a warp's request for global memory in sectors of 32 bytes: 32
neighbouring floats need 4, and floats 32 bytes or more apart need 32. Shared memory has 32 banks, each 4 bytes wide and serving one word
at a time; threads that ask one bank for different words wait for one another, in wavefronts. Requests of 8 and 16 bytes a thread are
served half a warp, or a quarter, at a time. PTX instructions are counted; the GPU's own (SASS) are somewhat different.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from minicnn.kernels.cuda_backend.simulator.machine import WARP, Three, Wave
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction

SECTOR, BANKS, BANK = 32, 32, 4  # bytes of a sector; the banks of shared memory, and bytes of one
PHASE = BANKS * BANK             # bytes that shared memory serves at a time


@dataclass
class Access:
    """The requests of one instruction, or of several added up, one request for each warp that executes it.

    units: sectors of global memory, wavefronts of shared. ideal: as few as there could be if each thread asked for other bytes.
    """
    space: str
    kind: str                                                  # "read" or "write"
    requests: int = 0
    units: int = 0
    ideal: int = 0
    bytes: int = 0                                             # that the threads asked for

    @property
    def per_request(self) -> float:
        return self.units / self.requests if self.requests else 0.0

    @property
    def ideal_per_request(self) -> float:
        return self.ideal / self.requests if self.requests else 0.0

    def add(self, other: Access) -> None:
        self.requests += other.requests
        self.units += other.units
        self.ideal += other.ideal
        self.bytes += other.bytes


@dataclass
class Counts:
    """Of one launch. executed: how many warps have executed each instruction of `code`; accesses: by instruction (its place), space and
    kind (cp.async reads global memory and writes shared)."""
    kernel: str
    grid: Three
    block: Three
    shared_bytes: int
    code: list[Instruction]
    executed: np.ndarray
    accesses: dict[tuple[int, str, str], Access] = field(default_factory=dict)

    @property
    def instructions(self) -> int:
        """Warp instructions, all kinds."""
        return int(self.executed.sum())

    def count(self, *opcodes: str) -> int:
        """Warp instructions whose opcode begins with one of these, as in count("fma", "bar")."""
        return int(sum(n for n, instruction in zip(self.executed.tolist(), self.code, strict=True) if instruction.opcode[0] in opcodes))

    @property
    def multiply_adds(self) -> int:
        """fma, in warp instructions: 32 multiply-adds each."""
        return self.count("fma")

    @property
    def tensor_products(self) -> int:
        """mma: 16 · 8 · 8 multiply-adds each."""
        return self.count("mma")

    @property
    def barriers(self) -> int:
        return self.count("bar", "barrier")

    @property
    def multiply_add_share(self) -> float:
        """What part of all instructions is the work itself."""
        return self.multiply_adds / self.instructions if self.instructions else 0.0

    def total(self, space: str, kind: str) -> Access:
        """All accesses of a space, "global" or "shared", and a kind, "read" or "write"."""
        found = Access(space, kind)
        for (_, its_space, its_kind), access in self.accesses.items():
            if (its_space, its_kind) == (space, kind):
                found.add(access)
        return found

    def by_line(self) -> dict[tuple[str, str, str], Access]:
        """(source line, space, kind) -> its accesses."""
        found: dict[tuple[str, str, str], Access] = {}
        for (place, space, kind), access in sorted(self.accesses.items()):
            found.setdefault((self.code[place].source, space, kind), Access(space, kind)).add(access)
        return found


@dataclass
class Request:
    """One request of one warp, to draw. addresses, (32,): device addresses, or offsets in the block's shared memory; active, (32,)."""
    instruction: Instruction
    space: str
    kind: str
    width: int                                                 # bytes of each thread
    addresses: np.ndarray
    active: np.ndarray


class Meter:
    """Notes the accesses of one launch: into counts, and into `requests` those of one warp. watched: (block, warp), block as a number."""

    def __init__(self, counts: Counts, requests: list[Request] | None = None, watched: tuple[int, int] = (0, 0)) -> None:
        self.counts, self.requests, self.watched = counts, requests, watched

    def note(self, wave: Wave, instruction: Instruction, space: str, kind: str, addresses: np.ndarray, width: int) -> None:
        lanes = np.zeros(wave.lanes, np.int64)
        lanes[wave.active] = addresses
        every, active = lanes.reshape(-1, WARP), wave.mask.reshape(-1, WARP)
        if self.requests is not None:
            self._trace(wave, instruction, space, kind, every, active, width)
        if space not in ("global", "shared"):
            return
        some = active.any(1)
        count = sectors if space == "global" else wavefronts
        units, ideal = count(every[some], active[some], width)
        key = instruction.place, space, kind
        self.counts.accesses.setdefault(key, Access(space, kind)).add(
            Access(space, kind, int(np.count_nonzero(some)), units, ideal, wave.size * width))

    def _trace(self, wave: Wave, instruction: Instruction, space: str, kind: str, addresses: np.ndarray, active: np.ndarray,
               width: int) -> None:
        block, warp = self.watched
        row = (block - wave.first) * (wave.padded // WARP) + warp
        if 0 <= block - wave.first < wave.count and active[row].any():
            assert self.requests is not None
            self.requests.append(Request(instruction, space, kind, width, addresses[row].copy(), active[row].copy()))


def sectors(addresses: np.ndarray, active: np.ndarray, width: int) -> tuple[int, int]:
    """(different sectors, ideally), of all requests. addresses, active: (requests, 32)."""
    number = np.where(active, addresses // SECTOR, -1)         # aligned accesses of at most 16 bytes lie in one sector
    number.sort(axis=1)
    different = np.count_nonzero(number[:, 1:] != number[:, :-1]) + len(number) - np.count_nonzero(number[:, 0] < 0)
    asked = active.sum(1) * width
    return int(different), int((-(-asked // SECTOR)).sum())


def wavefronts(addresses: np.ndarray, active: np.ndarray, width: int) -> tuple[int, int]:
    """(wavefronts, ideally), of all requests: of each part of a warp that is served at a time, the most words asked of a bank."""
    together = min(PHASE // width, WARP)                       # threads
    each = max(width // BANK, 1)
    first = np.where(active, addresses // BANK, -1).reshape(-1, together)
    words = (first[:, :, None] + np.where(first[:, :, None] < 0, 0, np.arange(each))).reshape(len(first), -1)
    words.sort(axis=1)
    new = np.ones(words.shape, bool)
    new[:, 1:] = words[:, 1:] != words[:, :-1]
    new &= words >= 0
    part, _ = np.nonzero(new)
    load = np.bincount(part * BANKS + words[new] % BANKS, minlength=len(words) * BANKS).reshape(len(words), BANKS)
    return int(load.max(1).sum()), int(np.count_nonzero((first >= 0).any(1)))
