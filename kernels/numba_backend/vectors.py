"""Vectors of channels: what code for channels-last memory is built of, where LLVM does not find the vectors by itself.

A vector holds as many numbers as a register of this CPU, or half of that. Few arrays have a multiple of that many channels, so the last
vector is loaded and stored behind a mask: lanes without a channel are neither read nor written.
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from minicnn.kernels.numba_backend.simd import registers

I32, I64 = ir.IntType(32), ir.IntType(64)
NUMBERS = {4: ir.FloatType(), 8: ir.DoubleType()}
BYTES = registers()[0] or 16                                     # LLVM makes do with smaller registers, and without any
FREE_MASKS = BYTES == 64                                         # AVX-512 alone has them; elsewhere a masked store may take as long as ten


class Vector:
    """The `lanes` numbers that lie in any array from a given place + c on: all of them, or the first C - c if masked."""

    def __init__(self, context: Any, builder: Any, itemsize: int, lanes: int, c: Any, C: Any, masked: bool) -> None:
        self.context, self.builder, self.lanes, self.c = context, builder, lanes, c
        self.numbers, self.indices = ir.VectorType(NUMBERS[itemsize], lanes), ir.VectorType(I32, lanes)
        self.zero = ir.Constant(self.numbers, None)
        self.mask = None
        if masked:
            self.mask = builder.icmp_signed("<", ir.Constant(self.indices, list(range(lanes))), self.splat(builder.sub(C, c)))

    def splat(self, scalar: Any) -> Any:
        """The scalar in every lane; an i64 as an i32."""
        if scalar.type == I64:
            scalar = self.builder.trunc(scalar, I32)
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(self.indices, [0] * self.lanes))

    def variable(self, value: Any) -> Any:
        """A place on the stack, which LLVM makes a register of, that holds the value."""
        place = cgutils.alloca_once(self.builder, value.type)
        self.builder.store(value, place)
        return place

    def load(self, array_type: Any, array: Any, place: Any) -> Any:
        pointer, size = self._pointer(array_type, array, place)
        if self.mask is None:
            return self.builder.load(pointer, align=size)
        vector = pointer.type.pointee
        return self._masked("load", vector, vector, [pointer, I32(size), self.mask, ir.Constant(vector, None)])

    def store(self, value: Any, array_type: Any, array: Any, place: Any) -> None:
        pointer, size = self._pointer(array_type, array, place)
        if self.mask is None:
            self.builder.store(value, pointer, align=size)
        else:
            self._masked("store", ir.VoidType(), value.type, [value, pointer, I32(size), self.mask])

    def _pointer(self, array_type: Any, array: Any, place: Any) -> tuple[Any, int]:
        """The pointer to the vector, and the bytes of a number."""
        data = self.context.make_array(array_type)(self.context, self.builder, array).data
        pointer = self.builder.gep(data, [self.builder.add(place, self.c)])
        return self.builder.bitcast(pointer, ir.VectorType(pointer.type.pointee, self.lanes).as_pointer()), array_type.dtype.bitwidth // 8

    def _masked(self, what: str, result: Any, vector: Any, arguments: list[Any]) -> Any:
        name = {I32: "i32", NUMBERS[4]: "f32", NUMBERS[8]: "f64"}[vector.element]
        signature = ir.FunctionType(result, [argument.type for argument in arguments])
        name = f"llvm.masked.{what}.v{self.lanes}{name}.p0"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, signature, name), arguments)


@contextlib.contextmanager
def times(builder: Any, n: Any) -> Iterator[Any]:
    """for i in range(n), with an i that LLVM cannot see through.

    Else it keeps, and moves on, a pointer for every load in the loop, more than there are registers, and makes up to eight copies of the
    loop's body, which takes it half a second and gains nothing where the body is some fifty instructions.
    """
    before = builder.block
    condition, body, done = (builder.append_basic_block(name) for name in ("times", "once", "end_times"))
    builder.branch(condition)
    builder.position_at_end(condition)
    counter = builder.phi(I64)
    counter.add_incoming(I64(0), before)
    i = opaque(builder, counter)
    builder.cbranch(builder.icmp_signed("<", i, n), body, done)
    builder.position_at_end(body)
    yield i
    counter.add_incoming(builder.add(i, I64(1)), builder.block)
    builder.branch(condition)
    builder.position_at_end(done)


def opaque(builder: Any, value: Any) -> Any:
    """The value, by way of no instruction at all, of which LLVM only knows that it may be anything."""
    return builder.asm(ir.FunctionType(I64, [I64]), "", "=r,0", [value], False)
