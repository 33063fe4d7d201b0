"""What the simulator's instructions compute: against Python's integers and NumPy's floats, one thread a case."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from minicnn.kernels.cuda_backend import simulator
from minicnn.kernels.cuda_backend.simulator import ENGINE
from tests.compare import assert_equal
from tests.kernels.on_device import needs_nvrtc

pytestmark = needs_nvrtc
C_TYPES = {"u16": ("unsigned short", "h"), "s32": ("int", "r"), "u32": ("unsigned", "r"), "s64": ("long long", "l"), "f64": ("double", "d"),
           "u64": ("unsigned long long", "l"), "f32": ("float", "f")}
DTYPES = {"u16": np.uint16, "s32": np.int32, "u32": np.uint32, "s64": np.int64, "u64": np.uint64, "f32": np.float32, "f64": np.float64}
TINY = np.float32(1e-39)         # subnormal

VALUES: dict[str, list[Any]] = {
    "u16": [0, 1, 255, 256, 0x8000, 0xFFFF],
    "s32": [0, 1, -1, 7, -7, 31, 100, -100, 2**31 - 1, -2**31, 123456789],
    "u32": [0, 1, 7, 31, 32, 33, 255, 0x80000000, 0xFFFFFFFF, 0x12345678, 0x00F0F0F0],
    "s64": [0, 1, -1, 5, -5, 2**31, -2**31, 2**63 - 1, -2**63, 0x123456789ABCDEF],
    "u64": [0, 1, 5, 63, 64, 2**32, 2**32 - 1, 2**63, 2**64 - 1, 0x123456789ABCDEF],
    "f32": [0.0, -0.0, 1.0, -1.0, 1.5, -2.5, 0.1, 3e38, -3e38, 1e-30, np.inf, -np.inf, np.nan, 16777216.0],
    "f64": [0.0, -0.0, 1.0, -1.0, 1.5, -2.5, 0.1, 1e300, -1e300, 1e-300, np.inf, -np.inf, np.nan],
}


@dataclass
class Case:
    """An instruction, its destination first; %0 is the result, %1, %2, ... the arguments. types: of the result and of each argument."""
    assembly: str
    types: str
    function: Callable[..., Any]
    values: Sequence[Sequence[Any]] | None = None              # for each argument; else VALUES of its type

    @property
    def kinds(self) -> list[str]:
        return self.types.split()

    def kernel(self, number: int) -> str:
        result, *arguments = self.kinds
        pointers = "".join(f", const {C_TYPES[kind][0]} *a{i}" for i, kind in enumerate(arguments))
        inputs = ", ".join(f'"{C_TYPES[kind][1]}"(a{i}[t])' for i, kind in enumerate(arguments))
        name, letter = C_TYPES[result]
        return (f'extern "C" __global__ void case_{number}({name} *result{pointers}) {{ int t = blockIdx.x * 64 + threadIdx.x; {name} r;'
                f' asm volatile("{self.assembly}" : "={letter}"(r) : {inputs}); result[t] = r; }}')

    def arguments(self) -> list[np.ndarray]:
        """Every combination, filled up to whole blocks of 64."""
        given = self.values or [VALUES[kind] for kind in self.kinds[1:]]
        arrays = [a.ravel() for a in np.meshgrid(*(np.array(v, DTYPES[kind]) for v, kind in zip(given, self.kinds[1:], strict=True)))]
        return [np.resize(a, -(-a.size // 64) * 64) for a in arrays]


def wrapped(value: int, kind: str) -> Any:
    """An integer of any size, in the bits of the type."""
    size = np.dtype(DTYPES[kind]).itemsize
    return np.frombuffer((int(value) % (1 << 8 * size)).to_bytes(size, "little"), DTYPES[kind])[0]


def truncated(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) if b else -1


def clamped(x: float, kind: str, rounding: Callable[[float], float]) -> int:
    limits = np.iinfo(DTYPES[kind])
    return 0 if math.isnan(x) else limits.max if x > limits.max else limits.min if x < limits.min else int(rounding(x))


def fused(a: float, b: float, c: float) -> float:
    """a · b + c, rounded to double once; where it is not finite as floats have it."""
    if math.isinf(c) and math.isfinite(a) and math.isfinite(b):
        return c
    if not all(map(math.isfinite, (a, b, c))) or abs(a * b + c) > 1e308:
        return float(np.float64(a) * np.float64(b) + np.float64(c))
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    return float(exact) if exact else float(np.float64(a) * np.float64(b) + np.float64(c))


def bits(x: Any) -> int:
    return int(np.float32(x).view(np.uint32))


def tf32(x: float) -> int:
    return bits(x) if not math.isfinite(x) else (bits(x) + 0x1000) & 0xFFFFE000


def permuted(a: int, b: int, c: int) -> int:
    data, result = a | b << 32, 0
    for i in range(4):
        chosen = c >> 4 * i & 15
        byte = data >> 8 * (chosen & 7) & 255
        result |= (255 * (byte >> 7) if chosen & 8 else byte) << 8 * i
    return result


def extracted(a: int, start: int, length: int, signed: bool) -> int:
    """bfe as the PTX manual's pseudo-code has it."""
    start, length = start & 255, length & 255
    last = min(start + length - 1, 31)
    fill = a >> last & 1 if signed and length else 0
    return sum((a >> i + start & 1 if i < length and i + start <= 31 else fill) << i for i in range(32))


def predicate(comparison: str) -> str:
    return f"{{.reg .pred p; setp.{comparison} p, %1, %2; selp.u32 %0, 1, 0, p;}}"


def unordered(function: Callable[[float, float], bool]) -> Callable[[float, float], bool]:
    return lambda a, b: math.isnan(a) or math.isnan(b) or function(a, b)


SMALL = [[0, 1, 5, 31, 32, 40, 255]]
INTEGERS = [
    Case("add.s32 %0, %1, %2;", "s32 s32 s32", lambda a, b: a + b),
    Case("add.s64 %0, %1, %2;", "s64 s64 s64", lambda a, b: a + b),
    Case("sub.s32 %0, %1, %2;", "s32 s32 s32", lambda a, b: a - b),
    Case("mul.lo.s32 %0, %1, %2;", "s32 s32 s32", lambda a, b: a * b),
    Case("mul.hi.s32 %0, %1, %2;", "s32 s32 s32", lambda a, b: a * b >> 32),
    Case("mul.hi.u32 %0, %1, %2;", "u32 u32 u32", lambda a, b: a * b >> 32),
    Case("mul.hi.s64 %0, %1, %2;", "s64 s64 s64", lambda a, b: a * b >> 64),
    Case("mul.hi.u64 %0, %1, %2;", "u64 u64 u64", lambda a, b: a * b >> 64),
    Case("mul.lo.u64 %0, %1, %2;", "u64 u64 u64", lambda a, b: a * b),
    Case("mul.wide.s32 %0, %1, %2;", "s64 s32 s32", lambda a, b: a * b),
    Case("mul.wide.u32 %0, %1, %2;", "u64 u32 u32", lambda a, b: a * b),
    Case("mad.lo.s32 %0, %1, %2, %3;", "s32 s32 s32 s32", lambda a, b, c: a * b + c),
    Case("mad.hi.u32 %0, %1, %2, %3;", "u32 u32 u32 u32", lambda a, b, c: (a * b >> 32) + c),
    Case("mad.wide.s32 %0, %1, %2, %3;", "s64 s32 s32 s64", lambda a, b, c: a * b + c),
    Case("div.s32 %0, %1, %2;", "s32 s32 s32", truncated),
    Case("div.u32 %0, %1, %2;", "u32 u32 u32", truncated),
    Case("div.s64 %0, %1, %2;", "s64 s64 s64", truncated),
    Case("div.u64 %0, %1, %2;", "u64 u64 u64", truncated),
    Case("rem.s32 %0, %1, %2;", "s32 s32 s32", lambda a, b: a - truncated(a, b) * b),
    Case("rem.u64 %0, %1, %2;", "u64 u64 u64", lambda a, b: a - truncated(a, b) * b),
    Case("min.s32 %0, %1, %2;", "s32 s32 s32", min),
    Case("max.u32 %0, %1, %2;", "u32 u32 u32", max),
    Case("neg.s32 %0, %1;", "s32 s32", lambda a: -a),
    Case("abs.s32 %0, %1;", "s32 s32", abs),
    Case("and.b32 %0, %1, %2;", "u32 u32 u32", lambda a, b: a & b),
    Case("or.b64 %0, %1, %2;", "u64 u64 u64", lambda a, b: a | b),
    Case("xor.b32 %0, %1, %2;", "u32 u32 u32", lambda a, b: a ^ b),
    Case("not.b32 %0, %1;", "u32 u32", lambda a: ~a),
    Case("shl.b32 %0, %1, %2;", "u32 u32 u32", lambda a, n: a << min(n, 32)),
    Case("shl.b64 %0, %1, %2;", "u64 u64 u32", lambda a, n: a << min(n, 64)),
    Case("shr.u32 %0, %1, %2;", "u32 u32 u32", lambda a, n: a >> min(n, 32)),
    Case("shr.s32 %0, %1, %2;", "s32 s32 u32", lambda a, n: a >> min(n, 31)),
    Case("shr.s64 %0, %1, %2;", "s64 s64 u32", lambda a, n: a >> min(n, 63)),
    Case("bfe.u32 %0, %1, %2, %3;", "u32 u32 u32 u32", lambda a, s, n: extracted(a, s, n, False), [VALUES["u32"], *SMALL * 2]),
    Case("bfe.s32 %0, %1, %2, %3;", "u32 u32 u32 u32", lambda a, s, n: extracted(a, s, n, True), [VALUES["u32"], *SMALL * 2]),
    Case("bfi.b32 %0, %1, %2, %3, %4;", "u32 u32 u32 u32 u32",
         lambda a, b, s, n: (b & ~(((1 << n) - 1) << s)) | ((a & (1 << n) - 1) << s & 0xFFFFFFFF), [*[VALUES["u32"]] * 2, *SMALL * 2]),
    Case("prmt.b32 %0, %1, %2, %3;", "u32 u32 u32 u32", permuted, [VALUES["u32"], VALUES["u32"], [0x3210, 0x7654, 0x9A4F, 0x0123]]),
    Case("popc.b32 %0, %1;", "u32 u32", int.bit_count),
    Case("popc.b64 %0, %1;", "u32 u64", int.bit_count),
    Case("clz.b32 %0, %1;", "u32 u32", lambda a: 32 - a.bit_length()),
    Case("clz.b64 %0, %1;", "u32 u64", lambda a: 64 - a.bit_length()),
    Case("brev.b32 %0, %1;", "u32 u32", lambda a: int(f"{a:032b}"[::-1], 2)),
    Case("lop3.b32 %0, %1, %2, %3, 0xE8;", "u32 u32 u32 u32", lambda a, b, c: a & b | a & c | b & c),
    Case("shf.l.wrap.b32 %0, %1, %2, %3;", "u32 u32 u32 u32", lambda a, b, n: (b << 32 | a) << (n & 31) >> 32),
    Case("shf.r.clamp.b32 %0, %1, %2, %3;", "u32 u32 u32 u32", lambda a, b, n: (b << 32 | a) >> min(n, 32)),
    Case(predicate("lt.s32"), "u32 s32 s32", lambda a, b: a < b),
    Case(predicate("lo.u32"), "u32 u32 u32", lambda a, b: a < b),
    Case(predicate("hs.u32"), "u32 u32 u32", lambda a, b: a >= b),
    Case(predicate("ne.s64"), "u32 s64 s64", lambda a, b: a != b),
    Case("{.reg .pred p, q, r; setp.gt.s32 r, %2, 5; setp.lt.and.s32 p|q, %1, %2, !r; selp.u32 %0, 1, 0, p; @q add.u32 %0, %0, 2;}",
         "u32 s32 s32", lambda a, b: (a < b and not b > 5) + 2 * (not a < b and not b > 5)),
    Case("slct.s32.s32 %0, %1, %2, %3;", "s32 s32 s32 s32", lambda a, b, c: a if c >= 0 else b),
    Case("cvt.s64.s32 %0, %1;", "s64 s32", lambda a: a),
    Case("cvt.u32.u64 %0, %1;", "u32 u64", lambda a: a),
    Case("cvt.u32.u16 %0, %1;", "u32 u16", lambda a: a),
    Case("cvt.s32.s16 %0, %1;", "s32 u16", lambda a: a - (a >> 15 << 16)),
    Case("cvt.s32.s8 %0, %1;", "s32 u32", lambda a: (a & 255) - ((a & 128) << 1)),
    Case("cvt.u16.u32 %0, %1;", "u16 u32", lambda a: a),
    Case("cvt.sat.s32.s64 %0, %1;", "s32 s64", lambda a: max(-2**31, min(2**31 - 1, a))),
    Case("mov.b64 %0, {%1, %2};", "u64 u32 u32", lambda a, b: a | b << 32),
    Case("{.reg .b32 low; mov.b64 {low, %0}, %1;}", "u32 u64", lambda a: a >> 32),
    Case("cvt.rzi.s32.f32 %0, %1;", "s32 f32", lambda x: clamped(x, "s32", math.trunc)),
    Case("cvt.rni.s32.f32 %0, %1;", "s32 f32", lambda x: clamped(x, "s32", round)),
    Case("cvt.rmi.s32.f64 %0, %1;", "s32 f64", lambda x: clamped(x, "s32", math.floor)),
    Case("cvt.rpi.u32.f32 %0, %1;", "u32 f32", lambda x: clamped(x, "u32", math.ceil)),
    Case("cvt.rzi.s64.f32 %0, %1;", "s64 f32", lambda x: clamped(x, "s64", math.trunc)),
    Case("cvt.rna.tf32.f32 %0, %1;", "u32 f32", tf32),
    Case(predicate("lt.f32"), "u32 f32 f32", lambda a, b: a < b),
    Case(predicate("ne.f32"), "u32 f32 f32", lambda a, b: a < b or a > b),
    Case(predicate("neu.f32"), "u32 f32 f32", lambda a, b: a != b),
    Case(predicate("equ.f64"), "u32 f64 f64", unordered(lambda a, b: a == b)),
    Case(predicate("ltu.f32"), "u32 f32 f32", unordered(lambda a, b: a < b)),
    Case(predicate("leu.f32"), "u32 f32 f32", unordered(lambda a, b: a <= b)),
    Case(predicate("gtu.f64"), "u32 f64 f64", unordered(lambda a, b: a > b)),
    Case(predicate("geu.f32"), "u32 f32 f32", unordered(lambda a, b: a >= b)),
    Case(predicate("nan.f32"), "u32 f32 f32", unordered(lambda a, b: False)),
    Case(predicate("num.f32"), "u32 f32 f32", lambda a, b: not unordered(lambda a, b: False)(a, b)),
    Case(predicate("eq.ftz.f32"), "u32 f32 f32", lambda a, b: (a if abs(a) > TINY else 0) == b, [[TINY, -TINY, 1, 0], [0, 1]]),
    Case("{.reg .pred p; testp.finite.f32 p, %1; selp.u32 %0, 1, 0, p;}", "u32 f32", math.isfinite),
    Case("{.reg .pred p; testp.subnormal.f32 p, %1; selp.u32 %0, 1, 0, p;}", "u32 f32", lambda x: x == TINY, [[TINY, 0, 1, np.nan]]),
]


def nan_loses(function: Callable[[float, float], float]) -> Callable[[float, float], float]:
    return lambda a, b: b if math.isnan(a) else a if math.isnan(b) else function(a, b)


FLOATS = [
    Case("add.f32 %0, %1, %2;", "f32 f32 f32", np.add),
    Case("sub.f64 %0, %1, %2;", "f64 f64 f64", np.subtract),
    Case("mul.f32 %0, %1, %2;", "f32 f32 f32", np.multiply),
    Case("add.ftz.f32 %0, %1, %2;", "f32 f32 f32", lambda a, b: np.copysign(b, b), [[0.0], [1, TINY * 0, 2]]),
    Case("add.ftz.f32 %0, %1, %2;", "f32 f32 f32", lambda a, b: b, [[TINY, TINY / 2], [1, 2.5, -3]]),
    Case("mul.ftz.f32 %0, %1, %2;", "f32 f32 f32", lambda a, b: np.copysign(0, b), [[1e-30], [1e-10, -1e-10]]),
    Case("fma.rn.f32 %0, %1, %2, %3;", "f32 f32 f32 f32", lambda a, b, c: np.float32(np.float64(a) * np.float64(b) + np.float64(c))),
    Case("fma.rn.f64 %0, %1, %2, %3;", "f64 f64 f64 f64", fused, [[*VALUES["f64"][:7], 1 / 3, np.inf, np.nan], *[VALUES["f64"]] * 2]),
    Case("fma.rm.f32 %0, %1, %2, %3;", "f32 f32 f32 f32", lambda a, b, c: np.float32(1), [[1], [1], [1e-10]]),
    Case("add.rp.f32 %0, %1, %2;", "f32 f32 f32", lambda a, b: np.nextafter(np.float32(1), np.float32(2)), [[1], [1e-10]]),
    Case("add.rz.f32 %0, %1, %2;", "f32 f32 f32", lambda a, b: np.nextafter(np.float32(-1), np.float32(0)), [[-1], [1e-10]]),
    Case("mul.rz.f32 %0, %1, %2;", "f32 f32 f32", lambda a, b: np.float32(0.01), [[0.1], [0.1]]),
    Case("div.rn.f32 %0, %1, %2;", "f32 f32 f32", np.divide),
    Case("div.rn.f64 %0, %1, %2;", "f64 f64 f64", np.divide),
    Case("min.f32 %0, %1, %2;", "f32 f32 f32", nan_loses(min), [VALUES["f32"][2:]] * 2),
    Case("max.f64 %0, %1, %2;", "f64 f64 f64", nan_loses(max), [VALUES["f64"][2:]] * 2),
    Case("max.NaN.f32 %0, %1, %2;", "f32 f32 f32", np.maximum, [VALUES["f32"][2:]] * 2),
    Case("neg.f32 %0, %1;", "f32 f32", np.negative),
    Case("abs.f64 %0, %1;", "f64 f64", np.abs),
    Case("copysign.f32 %0, %1, %2;", "f32 f32 f32", lambda a, b: np.copysign(b, a)),
    Case("rcp.rn.f64 %0, %1;", "f64 f64", np.reciprocal),
    Case("sqrt.rn.f32 %0, %1;", "f32 f32", np.sqrt),
    Case("rsqrt.approx.f32 %0, %1;", "f32 f32", lambda x: np.float32(1 / np.sqrt(np.float64(x)))),
    Case("ex2.approx.f32 %0, %1;", "f32 f32", lambda x: np.float32(np.exp2(np.float64(x)))),
    Case("lg2.approx.f32 %0, %1;", "f32 f32", lambda x: np.float32(np.log2(np.float64(x)))),
    Case("sin.approx.f32 %0, %1;", "f32 f32", lambda x: np.float32(np.sin(np.float64(x)))),
    Case("tanh.approx.f32 %0, %1;", "f32 f32", lambda x: np.float32(np.tanh(np.float64(x)))),
    Case("cvt.rn.f32.f64 %0, %1;", "f32 f64", np.float32),
    Case("cvt.rz.f32.f64 %0, %1;", "f32 f64", lambda x: np.nextafter(np.float32(0.1), np.float32(0)), [[0.1]]),
    Case("cvt.f64.f32 %0, %1;", "f64 f32", np.float64),
    Case("cvt.rn.f32.s32 %0, %1;", "f32 s32", np.float32),
    Case("cvt.rn.f32.u64 %0, %1;", "f32 u64", np.float32),
    Case("cvt.rzi.f32.f32 %0, %1;", "f32 f32", np.trunc),
    Case("cvt.sat.f32.f32 %0, %1;", "f32 f32", lambda x: 0.0 if math.isnan(x) else min(max(x, 0.0), 1.0), [VALUES["f32"][2:]]),
    Case("mov.b32 %0, %1;", "f32 u32", lambda a: np.uint32(a).view(np.float32)),
    Case("{.reg .pred p; setp.gt.f32 p, %2, 0f00000000; selp.f32 %0, %1, %2, p;}", "f32 f32 f32", lambda a, b: a if b > 0 else b),
]
CASES = INTEGERS + FLOATS
SOURCE = "\n".join(case.kernel(i) for i, case in enumerate(CASES))


def bits_of(a: np.ndarray) -> np.ndarray:
    """So that -0 is not 0; a NaN is a NaN, whatever its bits."""
    return np.where(np.isnan(a), a.dtype.type(np.nan), a).view(f"u{a.itemsize}") if a.dtype.kind == "f" else a


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.assembly for case in CASES])
def test_instruction(number: int) -> None:
    case = CASES[number]
    arguments = case.arguments()
    result = simulator.empty(arguments[0].shape, DTYPES[case.kinds[0]])
    grid = (len(arguments[0]) // 64,)
    ENGINE.run_source(SOURCE, f"case_{number}", grid, (64,), (result, *map(simulator.to_device, arguments)))
    is_integer = case.kinds[0][0] != "f"
    with np.errstate(all="ignore"):
        rows = zip(*(a.tolist() if is_integer else a for a in arguments), strict=True)
        expected = [wrapped(case.function(*row), case.kinds[0]) if is_integer else case.function(*row) for row in rows]
    assert_equal(bits_of(result.get()), bits_of(np.array(expected, DTYPES[case.kinds[0]])))


@pytest.mark.parametrize("number", range(0, len(CASES), 4), ids=[case.assembly for case in CASES[::4]])
def test_some_threads_only(number: int) -> None:
    """The same under a branch that only some threads take: the others keep what they had."""
    case = CASES[number]
    text = case.kernel(0).replace(" asm", " r = 7; if (t % 3 == 1) asm")
    arguments = case.arguments()
    results = [simulator.empty(arguments[0].shape, DTYPES[case.kinds[0]]) for _ in range(2)]
    for source, result in zip((text, case.kernel(0)), results, strict=True):
        ENGINE.run_source(source, "case_0", (len(arguments[0]) // 64,), (64,), (result, *map(simulator.to_device, arguments)))
    some, every = (result.get() for result in results)
    assert_equal(bits_of(some), bits_of(np.where(np.arange(len(every)) % 3 == 1, every, every.dtype.type(7))))
