"""Integer instructions: high halves of products, division, shifts, bit fields. Registers wrap around, as NumPy's arrays do."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicnn.kernels.cuda_backend.simulator.elementwise import elementwise, same_type
from minicnn.kernels.cuda_backend.simulator.machine import Step
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction
from minicnn.kernels.cuda_backend.simulator.registers import Operands, unknown

WIDER: dict[type, type] = {np.int16: np.int32, np.uint16: np.uint32, np.int32: np.int64, np.uint32: np.uint64}


def high_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The upper half of the bits of a · b. Of 64 bits by halves of 32, as schoolbooks multiply."""
    kind = a.dtype.type
    if kind in WIDER:
        return (np.multiply(a, b, dtype=WIDER[kind]) >> (8 * a.itemsize)).astype(kind)
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    x, y = a.view(np.uint64), b.view(np.uint64)
    middle = (x >> half) * (y & low) + (((x & low) * (y & low)) >> half)
    high = (x >> half) * (y >> half) + (middle >> half) + (((x & low) * (y >> half) + (middle & low)) >> half)
    if kind is np.int64:                                       # a negative factor counted as 2^64 more
        high = high - np.where(a < 0, y, np.uint64(0)) - np.where(b < 0, x, np.uint64(0))
    return high.view(kind)


def quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rounded to zero, as C does. Division by zero gives all ones, as on the GPUs there are."""
    if a.dtype.itemsize < 8:                                   # exact in float64
        result = np.trunc(np.true_divide(a, b)).astype(np.int64).astype(a.dtype)
    else:
        result = a // b
        if a.dtype.kind == "i":
            result = result + ((result < 0) & (result * b != a))
    return np.where(b == 0, ~a.dtype.type(0), result)


def remainder(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a - quotient(a, b) * b


def _shift(left: bool) -> Callable[[Instruction, Operands], Step]:
    """Shifts by as many bits as there are, or more, leave nothing but, to the right, the sign."""
    def decode(instruction: Instruction, operands: Operands) -> Step:
        kind = instruction.type
        bits, signed = 8 * np.dtype(kind).itemsize, np.dtype(kind).kind == "i"

        def shifted(a: np.ndarray, n: np.ndarray) -> np.ndarray:
            most = int(n.max(initial=0))
            by = np.minimum(n, bits - 1).astype(kind)
            result = a << by if left else a >> by
            return result if most < bits or (signed and not left) else np.where(n < bits, result, kind(0))
        return elementwise(shifted, instruction, operands, kind, kind, np.uint32)
    return decode


def _mask(length: np.ndarray, bits: int) -> np.ndarray:
    """length ones, at most `bits`, in uint64."""
    n = np.minimum(length & np.uint32(255), bits).astype(np.uint64)
    return np.where(n == 64, ~np.uint64(0), (np.uint64(1) << (n % np.uint64(64))) - np.uint64(1))


def _extract(instruction: Instruction, operands: Operands) -> Step:
    """bfe: `length` bits of a from `start` on; of a signed type with the sign of the last of them."""
    kind = instruction.type
    bits, signed = 8 * np.dtype(kind).itemsize, np.dtype(kind).kind == "i"

    def extracted(a: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
        first, n = (start & np.uint32(255)).astype(np.int64), (length & np.uint32(255)).astype(np.int64)
        wide = a.astype(np.int64) if signed else a.astype(np.uint64)
        shifted = wide >> np.minimum(first, 63).astype(wide.dtype)           # beyond the last bit: signs, or zeros
        wide, shifted = wide.view(np.uint64), np.where((first < 64) | signed, shifted, 0).view(np.uint64)
        field = shifted & _mask(length, bits)
        last = np.minimum(first + n - 1, bits - 1)
        negative = ((wide >> np.maximum(last, 0).astype(np.uint64)) & np.uint64(1)).astype(bool) & (n > 0) & signed
        return np.where(negative, field | ~_mask(length, bits), field).astype(kind)
    return elementwise(extracted, instruction, operands, kind, kind, np.uint32, np.uint32)


def _insert(instruction: Instruction, operands: Operands) -> Step:
    """bfi: the lowest `length` bits of a in b, from `start` on."""
    kind = instruction.type
    bits = 8 * np.dtype(kind).itemsize

    def inserted(a: np.ndarray, b: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
        first = (start & np.uint32(255)).astype(np.uint64)
        field = np.where(first < bits, _mask(length, bits) << np.minimum(first, np.uint64(63)), np.uint64(0))
        moved = a.astype(np.uint64) << np.minimum(first, np.uint64(63))
        return ((b.astype(np.uint64) & ~field) | (moved & field)).astype(kind)
    return elementwise(inserted, instruction, operands, kind, kind, kind, np.uint32, np.uint32)


def _permute(instruction: Instruction, operands: Operands) -> Step:
    """prmt: four bytes chosen from the eight of a and b, each by four bits of c; bit 3 spreads the byte's sign over it."""
    if instruction.opcode != ("prmt", "b32"):
        raise unknown(instruction)

    def permuted(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        every = np.stack([a, b], 1).view(np.uint8)             # (lanes, 8)
        result = np.zeros(len(a), np.uint32)
        for i in range(4):
            chosen = (c >> np.uint32(4 * i)) & np.uint32(15)
            byte = np.take_along_axis(every, (chosen & np.uint32(7)).astype(np.intp)[:, None], 1)[:, 0]
            byte = np.where(chosen & np.uint32(8), np.where(byte & 128, 255, 0), byte).astype(np.uint32)
            result |= byte << np.uint32(8 * i)
        return result
    return elementwise(permuted, instruction, operands, *[np.uint32] * 4)


def _bits(a: np.ndarray) -> np.ndarray:
    """(lanes, bits) of zeros and ones, the lowest first."""
    return np.unpackbits(np.ascontiguousarray(a)[:, None].view(np.uint8), axis=1, bitorder="little")


def _leading_zeros(a: np.ndarray) -> np.ndarray:
    ones = _bits(a)[:, ::-1]
    return np.where(ones.any(1), ones.argmax(1), ones.shape[1]).astype(np.uint32)


def _counting(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Instruction, Operands], Step]:
    return lambda instruction, operands: elementwise(function, instruction, operands, np.uint32, instruction.type)


def _reverse(instruction: Instruction, operands: Operands) -> Step:
    kind = instruction.type

    def reversed_bits(a: np.ndarray) -> np.ndarray:
        return np.packbits(_bits(a)[:, ::-1], axis=1, bitorder="little").view(kind)[:, 0]
    return elementwise(reversed_bits, instruction, operands, kind, kind)


def _three_inputs(instruction: Instruction, operands: Operands) -> Step:
    """lop3: any function of three bits, given as its table of eight."""
    table = int(instruction.operands[4], 0)

    def looked_up(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        result = np.zeros(len(a), np.uint32)
        for row in range(8):
            if table >> row & 1:
                result |= (a if row & 4 else ~a) & (b if row & 2 else ~b) & (c if row & 1 else ~c)
        return result
    short = Instruction(instruction.text, instruction.place, instruction.opcode, instruction.operands[:4])
    return elementwise(looked_up, short, operands, *[np.uint32] * 4)


def _funnel(instruction: Instruction, operands: Operands) -> Step:
    """shf: the 64 bits of b and a, shifted; the upper or the lower 32 of them."""
    left, wrap = "l" in instruction.opcode, "wrap" in instruction.opcode

    def shifted(a: np.ndarray, b: np.ndarray, n: np.ndarray) -> np.ndarray:
        by = (n & np.uint32(31) if wrap else np.minimum(n, np.uint32(32))).astype(np.uint64)
        both = b.astype(np.uint64) << np.uint64(32) | a
        return (both >> (np.uint64(32) - by) if left else both >> by).astype(np.uint32)
    return elementwise(shifted, instruction, operands, *[np.uint32] * 4)


DECODERS: dict[str, Callable[[Instruction, Operands], Step]] = {
    "and": same_type(np.bitwise_and, 3), "or": same_type(np.bitwise_or, 3), "xor": same_type(np.bitwise_xor, 3),
    "not": same_type(np.invert, 2), "shl": _shift(True), "shr": _shift(False), "bfe": _extract, "bfi": _insert, "prmt": _permute,
    "popc": _counting(lambda a: np.bitwise_count(a).astype(np.uint32)), "clz": _counting(_leading_zeros), "brev": _reverse,
    "lop3": _three_inputs, "shf": _funnel,
}
