"""What the 32 threads of a warp do together: exchange registers (shuffle), vote, reduce."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicnn.kernels.cuda_backend.simulator.control import warp_barrier
from minicnn.kernels.cuda_backend.simulator.machine import WARP, Step, Wave
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction
from minicnn.kernels.cuda_backend.simulator.registers import Operands, unknown

LANE = np.arange(WARP)


def check_members(wave: Wave, instruction: Instruction, members: np.ndarray) -> None:
    """All threads that a .sync instruction names must execute it together, and no others. members, (lanes,): a mask, bit i for the warp's
    thread i."""
    named = ((members[:, None] >> LANE.astype(np.uint32)) & np.uint32(1)).astype(bool)[wave.mask]    # (active, 32)
    lanes = wave.active_lanes()
    warps = lanes // WARP
    unnamed = ~named[np.arange(len(lanes)), lanes % WARP]
    if unnamed.any():
        lane = int(lanes[unnamed][0])
        wave.fault(instruction, lane, f"the mask {int(members[lane]):#x} does not name the thread, which executes this all the same")
    absent = named & (wave.alive & ~wave.mask).reshape(-1, WARP)[warps]
    if absent.any():
        i, j = (int(n) for n in np.argwhere(absent)[0])
        lane = int(wave.active_lanes()[i])
        wave.fault(instruction, lane, f"divergent warp: the mask {int(members[lane]):#x} names {wave.name(int(warps[i]) * WARP + j)}, "
                                      "which is elsewhere in the code")


def check_whole_warps(wave: Wave, instruction: Instruction) -> None:
    """.aligned instructions are for all 32 threads of a warp."""
    warps = wave.mask.reshape(-1, WARP)
    broken = warps.any(1) & ~warps.all(1)
    if broken.any():
        warp = int(np.flatnonzero(broken)[0])
        lane = warp * WARP + int(np.flatnonzero(warps[warp])[0])
        wave.fault(instruction, lane, f"divergent warp: only {int(np.count_nonzero(warps[warp]))} of its 32 threads execute this")


def _shuffle(instruction: Instruction, operands: Operands) -> Step:
    """shfl.sync.mode d|p, a, b, c, members: d is the a of another thread of the warp; p whether there is such a thread.

    c has the segment of the warp that a thread may read (bits 8 to 12) and its last thread (bits 0 to 4)."""
    if "sync" not in instruction.opcode:
        raise unknown(instruction)
    mode = instruction.opcode[2]
    target, _, found = instruction.operands[0].partition("|")
    d, p = operands.slot(target.strip(), np.uint32), operands.slot(found.strip(), np.bool_) if found else None
    a, b, c, m = (operands.slot(operand, np.uint32) for operand in instruction.operands[1:])

    def step(wave: Wave) -> None:
        check_members(wave, instruction, wave.slots[m])
        lane, by, limits = np.arange(wave.lanes) % WARP, wave.slots[b].astype(np.int64) & 31, wave.slots[c].astype(np.int64)
        segment = limits >> 8 & 31
        last = (lane & segment) | (limits & 31 & ~segment)
        other = {"up": lane - by, "down": lane + by, "bfly": lane ^ by, "idx": (lane & segment) | (by & ~segment)}[mode]
        inside = other >= last if mode == "up" else other <= last
        source = np.arange(wave.lanes) - lane + np.where(inside, other, lane)
        silent = wave.mask & ~wave.mask[source]
        if silent.any():
            i = int(np.flatnonzero(silent)[0])
            wave.fault(instruction, i, f"reads the register of {wave.name(int(source[i]))}, which does not take part")
        wave.put(d, wave.slots[a][source])
        if p is not None:
            wave.put(p, inside)
    return step


def _by_warp(wave: Wave, values: np.ndarray, otherwise: int) -> np.ndarray:
    """(warps, 32), with `otherwise` where a thread does not take part."""
    return np.where(wave.mask, values, values.dtype.type(otherwise)).reshape(-1, WARP)


def _as_mask(chosen: np.ndarray) -> np.ndarray:
    """(lanes,) bool -> (warps,): bit i for the warp's thread i."""
    return np.packbits(chosen.reshape(-1, WARP), axis=1, bitorder="little").view(np.uint32)[:, 0]


def _vote(instruction: Instruction, operands: Operands) -> Step:
    mode = instruction.opcode[2]
    kind = np.uint32 if mode == "ballot" else np.bool_
    target, source, members = instruction.operands
    d, p, m = operands.slot(target, kind), operands.slot(source.lstrip("!"), np.bool_), operands.slot(members, np.uint32)
    negated = source.startswith("!")

    def step(wave: Wave) -> None:
        check_members(wave, instruction, wave.slots[m])
        true = wave.slots[p] != negated
        every, some = _by_warp(wave, true, 1).all(1), _by_warp(wave, true, 0).any(1)
        result = {"all": every, "any": some, "uni": every | ~some, "ballot": _as_mask(true & wave.mask)}[mode]
        wave.put(d, np.repeat(result, WARP))
    return step


def _active_mask(instruction: Instruction, operands: Operands) -> Step:
    d = operands.slot(instruction.operands[0], np.uint32)
    return lambda wave: wave.put(d, np.repeat(_as_mask(wave.mask), WARP))


def _reduce(instruction: Instruction, operands: Operands) -> Step:
    """redux.sync: sum, minimum, maximum or bits over the warp."""
    kind = instruction.type
    bounds = np.iinfo(kind)
    function, neutral = {"add": (np.add, 0), "min": (np.minimum, bounds.max), "max": (np.maximum, bounds.min),
                         "and": (np.bitwise_and, bounds.max), "or": (np.bitwise_or, 0), "xor": (np.bitwise_xor, 0)}[instruction.opcode[2]]
    d, a, m = operands.slot(instruction.operands[0], kind), operands.slot(instruction.operands[1], kind), \
        operands.slot(instruction.operands[2], np.uint32)

    def step(wave: Wave) -> None:
        check_members(wave, instruction, wave.slots[m])
        wave.put(d, np.repeat(function.reduce(_by_warp(wave, wave.slots[a], neutral), axis=1, dtype=kind), WARP))
    return step


DECODERS: dict[str, Callable[[Instruction, Operands], Step]] = {
    "shfl": _shuffle, "vote": _vote, "activemask": _active_mask, "redux": _reduce, "bar.warp": warp_barrier,
}
