"""Multiply-adds and nothing else: a loop in LLVM's own language, compiled for this CPU, so that what is written is what runs."""
from __future__ import annotations

import ctypes

import llvmlite.binding as llvm
import numpy as np

# The registers are named by LLVM: {i} is the accumulator, {V} the vector type, such as <16 x float>.
LOOP = """
declare {V} @llvm.fmuladd.v{lanes}f32({V}, {V}, {V})

define void @fma_loop(ptr %x, i64 %n, float %a, float %b) {{
entry:
  %a0 = insertelement {V} poison, float %a, i32 0
  %va = shufflevector {V} %a0, {V} poison, <{lanes} x i32> zeroinitializer
  %b0 = insertelement {V} poison, float %b, i32 0
  %vb = shufflevector {V} %b0, {V} poison, <{lanes} x i32> zeroinitializer
  {loads}
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  {phis}
  {fmas}
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  {stores}
  ret void
}}
"""
ACCUMULATOR = {
    "loads": "%p{i} = getelementptr {V}, ptr %x, i64 {i}\n  %x{i} = load {V}, ptr %p{i}, align 4",
    "phis": "%s{i} = phi {V} [%x{i}, %entry], [%t{i}, %loop]",
    "fmas": "%t{i} = call {V} @llvm.fmuladd.v{lanes}f32({V} %va, {V} %vb, {V} %s{i})",
    "stores": "store {V} %t{i}, ptr %p{i}, align 4",
}


class FmaLoop:
    """x = x + a * b, n times, on `shape` = (accumulators, lanes) float32 values that stay in vector registers throughout.

    Lanes: those of the widest vectors of this CPU. Accumulators: no multiply-add waits for the one before it if there are at least
    latency * units of them (5 cycles * 2 units on x86, 4 * 4 on Arm), and all fit into the registers (16 on x86, 32 on Arm). The sum
    is what changes because Arm's instruction overwrites it. x, a, b and n come from the caller and no optimiser runs, so nothing can
    be computed beforehand. On x86 before FMA, where adder and multiplier are units apart, additions alone are timed and count as both.
    """

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        features = llvm.get_host_cpu_features()
        target = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=3, jit=True)
        x86 = target.triple.startswith(("x86", "i686"))
        self.shape = (12 if x86 else 24, 16 if features.get("avx512f") else 8 if features.get("avx") else 4)
        module = llvm.parse_assembly(_loop_text(*self.shape))
        self.assembly = target.emit_assembly(module)
        self._engine = llvm.create_mcjit_compiler(module, target)              # owns the code
        self._engine.finalize_object()
        x_type = np.ctypeslib.ndpointer(np.float32, shape=self.shape, flags=["C_CONTIGUOUS", "WRITEABLE"])
        function_type = ctypes.CFUNCTYPE(None, x_type, ctypes.c_int64, ctypes.c_float, ctypes.c_float)
        self._function = function_type(self._engine.get_function_address("fma_loop"))

    def __call__(self, x: np.ndarray, n: int, a: float, b: float) -> None:
        """Changes x in place; n is at least 1. ctypes lets other threads run meanwhile."""
        self._function(x, n, a, b)


def _loop_text(accumulators: int, lanes: int) -> str:
    vector = f"<{lanes} x float>"
    parts = {name: "\n  ".join(line.format(i=i, V=vector, lanes=lanes) for i in range(accumulators)) for name, line in ACCUMULATOR.items()}
    return LOOP.format(V=vector, lanes=lanes, **parts)
