"""Instructions that compute: each decodes to a step that does it for all threads with NumPy."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicnn.kernels.cuda_backend.simulator import integers
from minicnn.kernels.cuda_backend.simulator.elementwise import Function, elementwise, same_type
from minicnn.kernels.cuda_backend.simulator.machine import Step, Wave
from minicnn.kernels.cuda_backend.simulator.ptx import TYPES, Instruction
from minicnn.kernels.cuda_backend.simulator.registers import Operands, parts, unknown
from minicnn.kernels.cuda_backend.simulator.rounding import flushed, fused, has_subnormals, rounded

# Sums and products

def _rounding(instruction: Instruction) -> str:
    return next((mode for mode in ("rz", "rm", "rp") if mode in instruction.opcode), "rn")


def _sum(function: np.ufunc) -> Callable[[Instruction, Operands], Step]:
    def decode(instruction: Instruction, operands: Operands) -> Step:
        kind, mode = instruction.type, _rounding(instruction)
        if "cc" in instruction.opcode:
            raise unknown(instruction)
        if mode == "rn":
            return elementwise(function, instruction, operands, kind, kind, kind)
        wide = np.float64 if kind is np.float32 else np.longdouble
        return elementwise(lambda a, b: rounded(function(a, b, dtype=wide), kind, mode), instruction, operands, kind, kind, kind)
    return decode


def _multiply(instruction: Instruction, operands: Operands) -> Step:
    kind, mode = instruction.type, _rounding(instruction)
    if "wide" in instruction.opcode:
        wide = integers.WIDER[kind]
        return elementwise(lambda a, b: np.multiply(a, b, dtype=wide), instruction, operands, wide, kind, kind)
    if "hi" in instruction.opcode:
        return elementwise(integers.high_product, instruction, operands, kind, kind, kind)
    if mode != "rn":
        wide = np.float64 if kind is np.float32 else np.longdouble
        return elementwise(lambda a, b: rounded(np.multiply(a, b, dtype=wide), kind, mode), instruction, operands, kind, kind, kind)
    return elementwise(np.multiply, instruction, operands, kind, kind, kind)


def _multiply_add(instruction: Instruction, operands: Operands) -> Step:
    """fma, and mad for integers: a · b + c."""
    kind, mode = instruction.type, _rounding(instruction)
    if np.dtype(kind).kind == "f":
        return elementwise(lambda a, b, c: rounded(fused(a, b, c), kind, mode), instruction, operands, kind, kind, kind, kind)
    if "wide" in instruction.opcode:
        wide = integers.WIDER[kind]
        return elementwise(lambda a, b, c: np.multiply(a, b, dtype=wide) + c, instruction, operands, wide, kind, kind, wide)
    if "hi" in instruction.opcode:
        return elementwise(lambda a, b, c: integers.high_product(a, b) + c, instruction, operands, kind, kind, kind, kind)
    return elementwise(lambda a, b, c: a * b + c, instruction, operands, kind, kind, kind, kind)


def _divide(instruction: Instruction, operands: Operands) -> Step:
    function = np.true_divide if np.dtype(instruction.type).kind == "f" else integers.quotient
    return same_type(function, 3)(instruction, operands)


def _extreme(number_wins: np.ufunc, nan_wins: np.ufunc) -> Callable[[Instruction, Operands], Step]:
    """min and max: of a number and NaN the number, unless the instruction says .NaN."""
    def decode(instruction: Instruction, operands: Operands) -> Step:
        kind = instruction.type
        function = nan_wins if "NaN" in instruction.opcode or np.dtype(kind).kind != "f" else number_wins
        return elementwise(function, instruction, operands, *[kind] * len(instruction.operands), exact=True)
    return decode


def _in_double(function: Function) -> Function:
    """Rounded from float64: the GPU's own approximations (ex2.approx and so on) are off by a unit or two in the last place."""
    return lambda x: function(x.astype(np.float64)).astype(x.dtype)


# Comparisons and choices

_ORDERED: dict[str, Function] = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
                                 "ge": np.greater_equal, "lo": np.less, "ls": np.less_equal, "hi": np.greater, "hs": np.greater_equal}
_COMBINED: dict[str, Function] = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def comparison(name: str, is_float: bool) -> Function:
    """A comparison with NaN is false, but for those that end in u (unordered), which are true, as NumPy's != is."""
    if not is_float:
        return _ORDERED[name]
    if name in ("num", "nan"):
        return lambda a, b: (np.isnan(a) | np.isnan(b)) == (name == "nan")
    if name == "ne":
        return lambda a, b: (a < b) | (a > b)
    if name == "neu":
        return np.not_equal
    if name.endswith("u"):
        opposite = {"equ": "ne", "ltu": "ge", "leu": "gt", "gtu": "le", "geu": "lt"}[name]
        return lambda a, b: ~comparison(opposite, True)(a, b)
    return _ORDERED[name]


def _set_predicate(instruction: Instruction, operands: Operands) -> Step:
    """setp.lt.and.s32 p|q, a, b, c: p = (a < b) and c; q = not (a < b), and c."""
    kind, (targets, first, second, *rest) = instruction.type, instruction.operands
    compare = comparison(instruction.opcode[1], np.dtype(kind).kind == "f")
    a, b = operands.slot(first, kind), operands.slot(second, kind)
    combine = next((_COMBINED[part] for part in instruction.opcode[2:] if part in _COMBINED), None)
    other = operands.slot(rest[0].lstrip("!"), np.bool_) if rest else 0
    negated, flush = bool(rest) and rest[0].startswith("!"), "ftz" in instruction.opcode
    slots = [operands.slot(target.strip(), np.bool_) for target in targets.split("|")]

    def step(wave: Wave) -> None:
        x, y = wave.slots[a], wave.slots[b]
        result = compare(flushed(x), flushed(y)) if flush and wave.subnormal else compare(x, y)
        given = wave.slots[other] != negated if combine else None
        for target, value in zip(slots, (result, ~result) if len(slots) > 1 else (result,), strict=True):
            wave.put(target, combine(value, given) if combine else value)
    return step


def _select(instruction: Instruction, operands: Operands) -> Step:
    kind = instruction.type
    return elementwise(lambda a, b, p: np.where(p, a, b), instruction, operands, kind, kind, kind, np.bool_)


def _select_by_sign(instruction: Instruction, operands: Operands) -> Step:
    result, sign = [TYPES[part] for part in instruction.opcode if part in TYPES]
    return elementwise(lambda a, b, c: np.where(c >= 0, a, b), instruction, operands, result, result, result, sign, exact=True)


def _test_property(instruction: Instruction, operands: Operands) -> Step:
    tests: dict[str, Function] = {"finite": np.isfinite, "infinite": np.isinf, "number": lambda x: ~np.isnan(x), "notanumber": np.isnan,
                                  "subnormal": lambda x: (x != 0) & (np.abs(x) < np.finfo(x.dtype).smallest_normal),
                                  "normal": lambda x: np.isfinite(x) & (np.abs(x) >= np.finfo(x.dtype).smallest_normal)}
    return elementwise(tests[instruction.opcode[1]], instruction, operands, np.bool_, instruction.type)


# Moves

def _move(instruction: Instruction, operands: Operands) -> Step:
    """mov.b64 d, {a, b} puts two halves together and mov.b64 {a, b}, d takes them apart."""
    kind, (target, source) = instruction.type, instruction.operands
    if "{" in target or "{" in source:
        return _move_parts(kind, parts(target), parts(source), operands)
    to, a = operands.slot(target, kind), operands.slot(source, kind)
    becomes_float = operands.natural(target) is np.float32 and operands.is_register(source) and operands.natural(source) is not np.float32

    def step(wave: Wave) -> None:
        wave.put(to, wave.slots[a])
        if becomes_float and not wave.subnormal:
            wave.subnormal = has_subnormals(wave.slots[a].view(np.float32))
    return step


def _move_parts(whole: type, targets: list[str], sources: list[str], operands: Operands) -> Step:
    pieces = max(len(targets), len(sources))
    unsigned = np.dtype(f"u{np.dtype(whole).itemsize // pieces}").type
    to = [operands.slot(t, unsigned if len(targets) > 1 else whole) for t in targets]
    of = [operands.slot(s, unsigned if len(sources) > 1 else whole) for s in sources]

    def step(wave: Wave) -> None:
        values: np.ndarray = np.stack([wave.slots[a] for a in of], 1)       # (lanes, pieces), the lowest first
        values = values.view(unsigned if len(to) > 1 else whole)
        for i, target in enumerate(to):
            wave.put(target, values[:, i])
    return step


def _copy_sign(instruction: Instruction, operands: Operands) -> Step:
    return elementwise(lambda a, b: np.copysign(b, a), instruction, operands, *[instruction.type] * 3, exact=True)


DECODERS: dict[str, Callable[[Instruction, Operands], Step]] = {
    "add": _sum(np.add), "sub": _sum(np.subtract), "mul": _multiply, "mad": _multiply_add, "fma": _multiply_add, "div": _divide,
    "rem": same_type(integers.remainder, 3), "min": _extreme(np.fmin, np.minimum), "max": _extreme(np.fmax, np.maximum),
    "neg": same_type(np.negative, 2, exact=True), "abs": same_type(np.abs, 2, exact=True),
    "rcp": same_type(_in_double(np.reciprocal), 2), "sqrt": same_type(_in_double(np.sqrt), 2, exact=True),
    "rsqrt": same_type(_in_double(lambda x: 1 / np.sqrt(x)), 2), "ex2": same_type(_in_double(np.exp2), 2),
    "lg2": same_type(_in_double(np.log2), 2), "sin": same_type(_in_double(np.sin), 2), "cos": same_type(_in_double(np.cos), 2),
    "tanh": same_type(_in_double(np.tanh), 2), "copysign": _copy_sign, "testp": _test_property,
    "setp": _set_predicate, "selp": _select, "slct": _select_by_sign, "mov": _move,
}
