"""Loads, stores and atomic operations: each thread its own address, one request a warp."""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.kernels.cuda_backend.simulator.faults import SimulatorError
from minicnn.kernels.cuda_backend.simulator.machine import Step, Wave
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction
from minicnn.kernels.cuda_backend.simulator.registers import Operands, parts, unknown
from minicnn.kernels.cuda_backend.simulator.rounding import has_subnormals
from minicnn.kernels.cuda_backend.simulator.spaces import WINDOW_END, WINDOWS, Piece, check_races

SPACES = ("param", "shared", "global", "local", "const")


class Address:
    """[%rd1+8]"""

    def __init__(self, text: str, operands: Operands) -> None:
        found = re.match(r"\[\s*([%\w$@]+)\s*(?:([+-])\s*(-?\w+))?\s*\]$", text)
        if not found:
            raise SimulatorError(f"kernel {operands.program.name}: cannot read the address {text!r}")
        self.base = found[1]
        self.offset = int(found[3] or "0", 0) * (-1 if found[2] == "-" else 1)
        is_wide = not operands.is_register(self.base) or np.dtype(operands.natural(self.base)).itemsize == 8
        self.slot = operands.slot(self.base, np.int64 if is_wide else np.uint32)

    def of(self, wave: Wave) -> np.ndarray:
        """(active,), int64"""
        base = wave.slots[self.slot][wave.active]
        base = base if base.dtype == np.int64 else base.astype(np.int64)
        return base + self.offset if self.offset else base


def space_of(instruction: Instruction) -> str:
    return next((part for part in instruction.opcode if part in SPACES), "generic")


def reach(wave: Wave, instruction: Instruction, space: str, addresses: np.ndarray, width: int, action: str) -> list[Piece]:
    """The bytes that the active threads access, checked and counted. action: "read", "write", "update"."""
    verb = {"read": "reads", "write": "writes", "update": "updates", "fill": "writes"}[action]
    if space == "generic":
        return _generic(wave, instruction, addresses, width, action)
    if wave.launch.meter is not None:
        wave.launch.meter.note(wave, instruction, space, "read" if action == "read" else "write", addresses, width)
    if space == "shared":
        pieces, granule = wave.shared.reach(wave, instruction, addresses, width, verb), wave.shared.granule
    elif space == "local":
        return wave.local.reach(wave, instruction, addresses, width, verb)
    else:
        pieces, granule = wave.launch.memory.reach(wave, instruction, addresses, width, verb), wave.launch.memory.granule
    for piece in pieces:
        check_races(wave, instruction, piece, width, granule, action)
    return pieces


def _generic(wave: Wave, instruction: Instruction, addresses: np.ndarray, width: int, action: str) -> list[Piece]:
    """An address that may be in any space: its value tells."""
    shared, local = WINDOWS["shared"], WINDOWS["local"]
    kinds = {"shared": (addresses >= shared) & (addresses < local), "local": (addresses >= local) & (addresses < WINDOW_END)}
    kinds["global"] = ~(kinds["shared"] | kinds["local"])
    for space, chosen in kinds.items():
        if chosen.all():
            return reach(wave, instruction, space, addresses - WINDOWS.get(space, 0), width, action)
    raise SimulatorError(f"kernel {wave.launch.kernel}: threads access several memories at once, at {instruction}")


def typed(data: np.ndarray, kind: type) -> np.ndarray:
    """Bytes as an array of `kind`, without the last few that make no whole one."""
    size = np.dtype(kind).itemsize
    return data[:len(data) - len(data) % size].view(kind)


def _lanes(wave: Wave, piece: Piece) -> Any:
    return wave.active if isinstance(piece.chosen, slice) else wave.active_lanes()[piece.chosen]


def _wider(operands: Operands, register: str, kind: type) -> type | None:
    """The unsigned type of a register that is wider than `kind`."""
    size = np.dtype(operands.natural(register)).itemsize if operands.is_register(register) else 0
    return np.dtype(f"u{size}").type if size > np.dtype(kind).itemsize else None


def _load(instruction: Instruction, operands: Operands) -> Step:
    """ld.global.v4.f32 {a, b, c, d}, [address]: 16 bytes a thread."""
    kind, space = instruction.type, space_of(instruction)
    targets = parts(instruction.operands[0])
    slots = [operands.sized(target, kind) for target in targets]
    wider = _wider(operands, targets[0], kind)
    size = np.dtype(kind).itemsize
    width, shift = size * len(slots), size.bit_length() - 1
    address = Address(instruction.operands[1], operands)
    if space == "param":
        return _load_parameter(address, slots, kind, wider)
    operands.touches(space, width)

    def step(wave: Wave) -> None:
        for piece in reach(wave, instruction, space, address.of(wave), width, "read"):
            data, first, lanes = typed(piece.bytes, kind), piece.offsets >> shift, _lanes(wave, piece)
            for i, slot in enumerate(slots):
                values = data.take(first + i if i else first)
                if kind is np.float32 and not wave.subnormal:
                    wave.subnormal = has_subnormals(values)
                wave.slots[slot][lanes] = values.astype(wider) if wider else values
    return step


def _load_parameter(address: Address, slots: list[int], kind: type, wider: type | None) -> Step:
    """An argument: the same for all threads, unless a struct is indexed by a variable."""
    size = np.dtype(kind).itemsize

    def step(wave: Wave) -> None:
        offsets = wave.slots[address.slot] + address.offset
        for i, slot in enumerate(slots):
            data = wave.launch.parameters
            if offsets.strides == (0,) or (offsets == offsets[0]).all():
                start = int(offsets[0]) + i * size
                values = data[start:start + size].view(kind)[0]
            else:
                values = data[offsets[:, None] + np.arange(i * size, (i + 1) * size)].view(kind)[:, 0]
            wave.put(slot, values.astype(wider) if wider else values)
            if kind is np.float32 and not wave.subnormal:
                wave.subnormal = has_subnormals(np.asarray(values))
    return step


def _store(instruction: Instruction, operands: Operands) -> Step:
    kind, space = instruction.type, space_of(instruction)
    if space == "param":
        raise SimulatorError(f"kernel {operands.program.name} calls a function that was not inlined (__noinline__, or recursion), which is "
                             f"not simulated: {instruction}")
    sources = [operands.sized(source, kind) for source in parts(instruction.operands[1])]
    size = np.dtype(kind).itemsize
    width = size * len(sources)
    address = Address(instruction.operands[0], operands)
    operands.touches(space, width)

    def step(wave: Wave) -> None:
        for piece in reach(wave, instruction, space, address.of(wave), width, "write"):
            data, first, lanes = typed(piece.bytes, kind), piece.offsets // size, _lanes(wave, piece)
            for i, slot in enumerate(sources):
                values = wave.slots[slot][lanes]
                data[first + i if i else first] = values if values.dtype == kind else values.astype(kind)
    return step


_ATOMIC: dict[str, Callable[..., Any]] = {
    "add": np.add, "min": np.minimum, "max": np.maximum, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "exch": lambda old, b: b, "cas": lambda old, expected, b: np.where(old == expected, b, old),
    "inc": lambda old, b: np.where(old >= b, 0, old + 1), "dec": lambda old, b: np.where((old == 0) | (old > b), b, old - 1),
}


def _atomic(instruction: Instruction, operands: Operands) -> Step:
    """atom d, [address], b: d is the old value; red has no d. Threads that update one address do so one after the other."""
    kind, space = instruction.type, space_of(instruction)
    name = next((part for part in instruction.opcode[1:] if part in _ATOMIC), None)
    if name is None or len(parts(instruction.operands[-1])) > 1:
        raise unknown(instruction)
    places = list(instruction.operands)
    target = operands.slot(places.pop(0), kind) if instruction.opcode[0] == "atom" else None
    address = Address(places.pop(0), operands)
    sources = [operands.slot(source, kind) for source in places]
    update, size = _ATOMIC[name], np.dtype(kind).itemsize
    operands.touches(space, size)

    def step(wave: Wave) -> None:
        for piece in reach(wave, instruction, space, address.of(wave), size, "update"):
            data, index, lanes = typed(piece.bytes, kind), piece.offsets // size, _lanes(wave, piece)
            arguments = [wave.slots[slot][lanes] for slot in sources]
            before: np.ndarray = np.empty(len(index), kind)
            for turn in _turns(index):
                before[turn] = data[index[turn]]
                data[index[turn]] = update(before[turn], *(a[turn] for a in arguments))
            if target is not None:
                wave.slots[target][lanes] = before
    return step


def _turns(index: np.ndarray) -> list[np.ndarray]:
    """Positions in `index`, in as many groups as needed that none has an index twice."""
    order = np.argsort(index, kind="stable")
    starts = np.flatnonzero(np.diff(index[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return [order[rank == r] for r in range(int(rank.max(initial=-1)) + 1)]


DECODERS: dict[str, Callable[[Instruction, Operands], Step]] = {"ld": _load, "ldu": _load, "st": _store, "atom": _atomic, "red": _atomic}
