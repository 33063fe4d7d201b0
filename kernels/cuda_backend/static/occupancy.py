"""How many blocks of a kernel a multiprocessor holds at a time: the more, the more warps there are to run while others wait.

The limits are those of the CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"; how they are rounded is as in
cuda_occupancy.h, the header that comes with the CUDA toolkit.
"""
from __future__ import annotations

from dataclasses import dataclass

REGISTERS = 65536                # of a multiprocessor, on every compute capability below
PARTITIONS = 4                   # a multiprocessor is four schedulers, each with a quarter of the registers and of the warps
REGISTER_UNIT = 256              # a warp's registers are a multiple of this
WARP = 32


@dataclass(frozen=True)
class Multiprocessor:
    """threads, blocks: at most, at a time. shared: bytes of shared memory. multipliers: float32 multiply-adds a cycle.
    reserved: bytes of shared memory that each block has for the system. unit: a block's shared memory is a multiple of this."""
    threads: int
    blocks: int
    shared: int
    multipliers: int
    reserved: int = 1024
    unit: int = 128


MULTIPROCESSORS = {              # by compute capability
    75: Multiprocessor(1024, 16, 64 << 10, 64, reserved=0, unit=256),
    80: Multiprocessor(2048, 32, 164 << 10, 64),
    86: Multiprocessor(1536, 16, 100 << 10, 128),
    89: Multiprocessor(1536, 24, 100 << 10, 128),
    90: Multiprocessor(2048, 32, 228 << 10, 128),
    100: Multiprocessor(2048, 32, 228 << 10, 128),
    120: Multiprocessor(1536, 24, 100 << 10, 128),
}


@dataclass(frozen=True)
class Occupancy:
    """blocks: of a multiprocessor at a time. share: of the warps that it can hold. limit: what allows no more blocks."""
    blocks: int
    share: float
    limit: str


def occupancy(arch: int, threads: int, registers: int, shared: int = 0) -> Occupancy:
    """How many blocks of `threads` threads fit, each thread with that many registers, each block with `shared` bytes, static and dynamic.

    Raises ValueError for a compute capability that is not in MULTIPROCESSORS.
    """
    if arch not in MULTIPROCESSORS:
        known = ", ".join(f"{a / 10}" for a in MULTIPROCESSORS)
        raise ValueError(f"no limits are known for compute capability {arch / 10}; there are {known}")
    on, warps = MULTIPROCESSORS[arch], _ceil(threads, WARP)
    warps_by_registers = REGISTERS // PARTITIONS // _multiple(max(registers, 1) * WARP, REGISTER_UNIT) * PARTITIONS
    fit = {"registers": warps_by_registers // _multiple(warps, PARTITIONS), "threads": on.threads // WARP // warps, "blocks": on.blocks}
    if bytes_used := _multiple(shared + on.reserved, on.unit):
        fit["shared memory"] = on.shared // bytes_used
    blocks = min(fit.values())
    return Occupancy(blocks, blocks * warps * WARP / on.threads, " and ".join(name for name, n in fit.items() if n == blocks))


def most_registers(arch: int, threads: int, blocks: int) -> int:
    """How many registers a thread may use if that many blocks shall fit: 255 at most, which is what an instruction can name."""
    return next(n for n in range(255, -1, -1) if n == 0 or occupancy(arch, threads, n).blocks >= blocks)


def _ceil(n: int, unit: int) -> int:
    return -(-n // unit)


def _multiple(n: int, unit: int) -> int:
    return _ceil(n, unit) * unit
