"""cvt: numbers from one type to another; cvta: addresses from one space to another."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicnn.kernels.cuda_backend.simulator.machine import Step, Wave
from minicnn.kernels.cuda_backend.simulator.ptx import TYPES, Instruction
from minicnn.kernels.cuda_backend.simulator.registers import Operands, unknown
from minicnn.kernels.cuda_backend.simulator.rounding import flushed, rounded, saturated
from minicnn.kernels.cuda_backend.simulator.spaces import WINDOWS

TF32_DROPPED = 13                # of float32's 23 bits of fraction TF32 keeps 10
_TO_INTEGER = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def to_tf32(bits: np.ndarray) -> np.ndarray:
    """The bits of float32 numbers (uint32) rounded to TF32: to nearest, ties away from zero; NaN and infinities stay."""
    finite = (bits & np.uint32(0x7F800000)) != np.uint32(0x7F800000)
    half, kept = np.uint32(1 << (TF32_DROPPED - 1)), ~np.uint32((1 << TF32_DROPPED) - 1)
    return np.where(finite, (bits + half) & kept, bits)


def _converted(instruction: Instruction, to: type, of: type) -> Callable[[np.ndarray], np.ndarray]:
    opcode = instruction.opcode
    flush, saturate = "ftz" in opcode, "sat" in opcode
    integer_mode = next((_TO_INTEGER[part] for part in opcode if part in _TO_INTEGER), None)
    mode = next((part for part in opcode if part in ("rz", "rm", "rp")), "rn")
    from_float, to_float = np.dtype(of).kind == "f", np.dtype(to).kind == "f"

    def to_real(x: np.ndarray) -> np.ndarray:
        x = integer_mode(x) if integer_mode else x
        x = rounded(x.astype(np.longdouble) if mode != "rn" and not from_float else x, to, mode) if of is not to else x
        x = saturated(x) if saturate else x
        return flushed(x) if flush else x

    def to_integer(x: np.ndarray) -> np.ndarray:
        if from_float:                                         # out of range: the nearest that there is; NaN: 0
            x = integer_mode(x) if integer_mode else np.trunc(x)
            limits = np.iinfo(to)
            inside = (x >= float(limits.min)) & (x < float(limits.max) + 1)
            beyond = np.where(np.isnan(x), to(0), np.where(x > 0, to(limits.max), to(limits.min)))
            return np.where(inside, np.where(inside, x, x.dtype.type(0)).astype(to), beyond)
        if saturate:
            low, high = max(np.iinfo(of).min, np.iinfo(to).min), min(np.iinfo(of).max, np.iinfo(to).max)
            x = np.clip(x, of(low), of(high))
        return x.astype(to)

    convert = to_real if to_float else to_integer
    return (lambda x: convert(flushed(x))) if flush and of is np.float32 else convert


def _convert(instruction: Instruction, operands: Operands) -> Step:
    """cvt.rzi.s32.f32 d, a: to s32 from f32. A register may be wider than its type: then the lower bits count."""
    target, source = instruction.operands
    if "tf32" in instruction.opcode:
        if "rna" not in instruction.opcode:
            raise unknown(instruction)
        d, a = operands.slot(target, np.uint32), operands.slot(source, np.uint32)
        return lambda wave: wave.put(d, to_tf32(wave.slots[a]))
    to, of = [TYPES[part] for part in instruction.opcode if part in TYPES]
    convert = _converted(instruction, to, of)
    d, a = operands.sized(target, to), operands.sized(source, of)
    width = np.dtype(operands.natural(target)).itemsize if operands.is_register(target) else np.dtype(to).itemsize
    wider = None if width == np.dtype(to).itemsize else np.dtype(f"u{width}").type

    def step(wave: Wave) -> None:
        values = wave.slots[a]
        values = convert(values if values.dtype == of else values.astype(of))
        wave.put(d, values.astype(wider) if wider else values)
    return step


def _convert_address(instruction: Instruction, operands: Operands) -> Step:
    """Generic addresses tell the space by their value: shared and local memory have a window each, all else is global. cvta.shared goes
    from an address in shared memory to a generic one, cvta.to.shared back."""
    kind, (target, source) = instruction.type, instruction.operands
    window = WINDOWS.get(next(part for part in instruction.opcode if part in ("global", "shared", "local", "const", "param")), 0)
    difference = kind(window)
    back = "to" in instruction.opcode
    d, a = operands.slot(target, kind), operands.slot(source, kind)
    return lambda wave: wave.put(d, wave.slots[a] - difference if back else wave.slots[a] + difference)


DECODERS: dict[str, Callable[[Instruction, Operands], Step]] = {"cvt": _convert, "cvta": _convert_address}
