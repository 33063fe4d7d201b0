"""cp.async: copies from global to shared memory that go on while the thread does something else.

A thread starts copies, commits those it has started as a group, and later waits until all but its N newest groups have landed. Only
then has it the data, and other threads after a barrier. Here a copy lands at that wait and not earlier: a wait that is missing shows.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minicnn.kernels.cuda_backend.simulator.access import Address, reach
from minicnn.kernels.cuda_backend.simulator.machine import Step, Wave
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction
from minicnn.kernels.cuda_backend.simulator.races import keys_of
from minicnn.kernels.cuda_backend.simulator.registers import Operands, unknown
from minicnn.kernels.cuda_backend.simulator.spaces import words_of


@dataclass
class _Copy:
    """What one instruction has started. lanes: of its threads; offsets: in the wave's shared memory; data: (threads, width) bytes;
    groups: the group of each thread that it will be committed in."""
    lanes: np.ndarray
    offsets: np.ndarray
    data: np.ndarray
    groups: np.ndarray

    def split(self, chosen: np.ndarray) -> _Copy:
        return _Copy(self.lanes[chosen], self.offsets[chosen], self.data[chosen], self.groups[chosen])


class AsyncCopies:
    """The copies of a wave that have not landed. groups, (lanes,): how many groups each thread has committed."""

    def __init__(self, lanes: int) -> None:
        self.groups = np.zeros(lanes, np.int64)
        self.pending: list[_Copy] = []

    def land(self, wave: Wave, before: np.ndarray, place: int) -> None:
        """The active threads' copies of groups before `before`, (lanes,), land."""
        kept = []
        keys = np.zeros(wave.lanes, np.int64)
        keys[wave.active] = keys_of(wave, place)
        for copy in self.pending:
            done = wave.mask[copy.lanes] & (copy.groups < before[copy.lanes])
            if not done.all():
                kept.append(copy.split(~done))
                copy = copy.split(done)
            if len(copy.lanes):
                width = copy.data.shape[1]
                wave.shared.bytes[copy.offsets[:, None] + np.arange(width)] = copy.data
                if wave.shared.races is not None:
                    granule = wave.shared.granule
                    wave.shared.races.filled(words_of(copy.offsets, width, granule), np.repeat(keys[copy.lanes], max(width // granule, 1)))
        self.pending = kept


def _start(instruction: Instruction, operands: Operands) -> Step:
    """cp.async.ca.shared.global [to], [from], 16, n: 16 bytes, of which the first n are read and the others are zeros."""
    to, source = Address(instruction.operands[0], operands), Address(instruction.operands[1], operands)
    width, last = int(instruction.operands[2], 0), instruction.operands[3] if len(instruction.operands) > 3 else ""
    ignored = bool(last) and operands.is_register(last) and operands.natural(last) is np.bool_    # a predicate: read nothing
    size = operands.slot(last, np.bool_ if ignored else np.uint32) if last else None
    operands.touches("shared", width)
    operands.touches("global", 4)

    def step(wave: Wave) -> None:
        addresses = source.of(wave)
        data = np.zeros((wave.size, width), np.uint8)
        if size is None:
            count = np.full(wave.size, width)
        else:
            given = wave.slots[size][wave.active]
            count = np.where(given, 0, width) if ignored else np.minimum(given.astype(np.int64), width)
        lanes = wave.active_lanes()
        _fetch(wave, addresses, count, lanes, data)
        pieces = reach(wave, instruction, "shared", to.of(wave), width, "fill")
        wave.copies.pending.append(_Copy(lanes, pieces[0].offsets, data, wave.copies.groups[lanes]))

    def _fetch(wave: Wave, addresses: np.ndarray, count: np.ndarray, lanes: np.ndarray, data: np.ndarray) -> None:
        """Read what is asked for: each number of bytes by itself, as most threads read all or nothing."""
        saved = wave.mask, wave.active, wave.size
        for n in np.unique(count[count > 0]).tolist():
            chosen = np.flatnonzero(count == n)
            mask = np.zeros(wave.lanes, bool)
            mask[lanes[chosen]] = True
            wave.activate(mask)
            if (addresses[chosen] & (width - 1)).any():
                i = int(np.flatnonzero(addresses[chosen] & (width - 1))[0])
                wave.fault(instruction, int(lanes[chosen[i]]), f"misaligned: copies {width} bytes from address "
                                                               f"{int(addresses[chosen[i]]):#x}, which is no multiple of {width}")
            for start, part in _powers(n):
                for piece in reach(wave, instruction, "global", addresses[chosen] + start, part, "read"):
                    data[chosen[piece.chosen], start:start + part] = piece.bytes[piece.offsets[:, None] + np.arange(part)]
            wave.mask, wave.active, wave.size = saved
    return step


def _powers(count: int) -> list[tuple[int, int]]:
    """12 -> [(0, 8), (8, 4)]: (start, bytes) of aligned accesses."""
    found, start = [], 0
    for part in (16, 8, 4, 2, 1):
        if count & part:
            found.append((start, part))
            start += part
    return found


def _decode(instruction: Instruction, operands: Operands) -> Step:
    opcode = instruction.opcode
    if opcode[1] != "async" or "bulk" in opcode or "mbarrier" in opcode:
        raise unknown(instruction)
    if "commit_group" in opcode:
        def commit(wave: Wave) -> None:
            wave.copies.groups[wave.active] += 1
        return commit
    if "wait_group" in opcode:
        newest = int(instruction.operands[0], 0)
        return lambda wave: wave.copies.land(wave, wave.copies.groups - newest, instruction.place)
    if "wait_all" in opcode:
        return lambda wave: wave.copies.land(wave, wave.copies.groups + 1, instruction.place)
    return _start(instruction, operands)


DECODERS: dict[str, Callable[[Instruction, Operands], Step]] = {"cp": _decode}
