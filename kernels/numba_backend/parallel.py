"""parallel_for: the iterations of a loop on all threads, with subnormal numbers flushed to zero.

    parallel_for(body, n, threads, (x, y))    is    for i in range(n): body(i, worker, x, y)

Each thread takes the next iteration that nobody has taken, so a thread that was interrupted delays nobody. What an iteration computes
must not depend on which thread it is: then neither does the result. `worker` numbers the threads that take part, 0..threads-1, for
scratch memory of their own.

Why not Numba's prange: it compiles every loop twice and more slowly, cuts it into fixed parts, and leaves no place to set the processor's
mode. Its threads are used: `numba_parallel_for` of the layer that Numba has loaded (OpenMP where there is one) calls a function once a
thread.
"""
from __future__ import annotations

import contextlib
import os
import platform
import threading
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _intrinsic
from numba.extending import overload
from numba.np.ufunc import parallel as _layer

from minicnn.kernels.numba_backend.program import INLINED

layer: Any = _layer
intrinsic: Any = _intrinsic      # its own type hints do not know that the first parameter is not the caller's
if "NUMBA_THREADING_LAYER_PRIORITY" not in os.environ:
    config: Any = numba.config
    config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]    # a launch costs 1 µs with OpenMP, 85 with workqueue

I32, I64, POINTER, VOID = ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer(), ir.VoidType()
WORKER = ir.FunctionType(VOID, [POINTER] * 4)                    # (arguments, sizes, steps, data), as Numba's layers call it
WORTH_THREADS = 50_000                                           # operations: some 10 µs of one thread, a launch takes 1 to 3
SPIN = "10000"                                                   # 0.1 ms, longer than from one kernel to the next; then a thread sleeps.
                                                                 # OpenMP's own 300,000 take the cores from other programs, whose turns then
                                                                 # delay a launch by 10 ms: training is ten times as slow on a busy machine
LAUNCH = ir.FunctionType(VOID, [POINTER, POINTER, POINTER, POINTER, POINTER, I64, I64, I32])


def parallel_for(body: Any, n: int, threads: int, arguments: tuple[Any, ...]) -> None:
    """body(i, worker, *arguments) for every i in 0..n-1, on up to `threads` threads; with 1 none is started."""
    for i in range(n):
        body(i, 0, *arguments)


@overload(parallel_for, jit_options=INLINED)
def _parallel_for(body: Any, n: Any, threads: Any, arguments: Any) -> Any:
    def compiled(body: Any, n: Any, threads: Any, arguments: Any) -> Any:
        _run(body, n, threads, arguments)
    return compiled


@intrinsic
def _run(typing: Any, body: Any, n: Any, threads: Any, arguments: Any) -> Any:
    """A job {next iteration, next worker, n, arguments} on the caller's stack, and a worker function that takes iterations from it."""
    pool()
    called = body.get_call_type(typing, (types.int64, types.int64, *arguments.types), {})

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, n, threads, packed = values
        job_type = ir.LiteralStructType([I64, I64, I64, packed.type])
        worker = _worker(context, builder.module, job_type, body.dispatcher.part.overloads[called.args], called)
        job = cgutils.alloca_once(builder, job_type)
        for field, value in enumerate((I64(0), I64(0), n, packed)):
            builder.store(value, _field(builder, job, field))
        null, data = ir.Constant(POINTER, None), builder.bitcast(job, POINTER)
        with builder.if_else(builder.icmp_signed("<=", threads, I64(1))) as (serial, parallel):
            with serial:
                builder.call(worker, [null, null, null, data])
            with parallel:
                count, step = (cgutils.alloca_once_value(builder, v) for v in (threads, I64(0)))
                argument = cgutils.alloca_once_value(builder, null)
                launch = cgutils.get_or_insert_function(builder.module, LAUNCH, "numba_parallel_for")
                builder.call(launch, [builder.bitcast(p, POINTER) for p in (worker, argument, count, step, job)]
                             + [I64(0), I64(1), builder.trunc(threads, I32)])
        return context.get_dummy_value()

    return types.none(body, types.int64, types.int64, arguments), generate


def _worker(context: Any, module: Any, job_type: Any, body: Any, called: Any) -> Any:
    """The function that each thread runs: flush subnormals; while an iteration is left, take it; restore the mode."""
    context.active_code_library.add_linking_library(body.library)
    function = ir.Function(module, WORKER, module.get_unique_name("worker"))
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    take, work, done = (function.append_basic_block(name) for name in ("take", "work", "done"))
    job = builder.bitcast(function.args[3], job_type.as_pointer())
    restore = _flush_subnormals(builder)
    me = builder.atomic_rmw("add", _field(builder, job, 1), I64(1), "monotonic")
    n, arguments = (builder.load(_field(builder, job, field)) for field in (2, 3))
    builder.branch(take)
    builder.position_at_end(take)
    i = builder.atomic_rmw("add", _field(builder, job, 0), I64(1), "monotonic")
    builder.cbranch(builder.icmp_signed("<", i, n), work, done)
    builder.position_at_end(work)
    context.call_internal_no_propagate(builder, body.fndesc, called, [i, me, *cgutils.unpack_tuple(builder, arguments)])
    builder.branch(take)
    builder.position_at_end(done)
    restore()
    builder.ret_void()
    return function


def _field(builder: Any, job: Any, number: int) -> Any:
    return builder.gep(job, [I32(0), I32(number)])


def _flush_subnormals(builder: Any) -> Any:
    """Set "flush to zero" and "denormals are zero" in the floating-point control register. Returns what emits the restoring."""
    machine, module = platform.machine().lower(), builder.module
    if machine in ("x86_64", "amd64"):                           # MXCSR: FTZ is bit 15, DAZ bit 6
        read, write = (cgutils.get_or_insert_function(module, ir.FunctionType(VOID, [POINTER]), f"llvm.x86.sse.{name}")
                       for name in ("stmxcsr", "ldmxcsr"))
        before, during = (builder.bitcast(cgutils.alloca_once(builder, I32), I32.as_pointer()) for _ in range(2))
        builder.call(read, [builder.bitcast(before, POINTER)])
        builder.store(builder.or_(builder.load(before), I32(0x8040)), during)
        builder.call(write, [builder.bitcast(during, POINTER)])
        return lambda: builder.call(write, [builder.bitcast(before, POINTER)])
    if machine in ("aarch64", "arm64"):                          # FPCR: FZ is bit 24
        get = cgutils.get_or_insert_function(module, ir.FunctionType(I64, []), "llvm.aarch64.get.fpcr")
        put = cgutils.get_or_insert_function(module, ir.FunctionType(VOID, [I64]), "llvm.aarch64.set.fpcr")
        saved = builder.call(get, [])
        builder.call(put, [builder.or_(saved, I64(1 << 24))])
        return lambda: builder.call(put, [saved])
    return lambda: None


_started = False


def pool() -> int:
    """How many threads Numba's pool has. It is started now, if it was not: code that refers to numba_parallel_for can be loaded then."""
    global _started
    if not _started:
        _start()
        _started = True
    return int(layer._get_num_threads())                         # numba.get_num_threads takes a lock first: 1.5 µs


def _start() -> None:
    """With GNU's OpenMP, threads that wait for work look for it SPIN times. It reads the variable when it is loaded, which is now."""
    asked = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()
    if not asked:
        os.environ["GOMP_SPINCOUNT"] = SPIN
    try:
        numba.get_num_threads()
    finally:
        if not asked:
            os.environ.pop("GOMP_SPINCOUNT", None)


_forked = False


def _after_fork() -> None:
    global _forked
    with contextlib.suppress(ValueError):                        # no threads were started before the fork: the child may start its own
        _forked = numba.threading_layer() == "omp"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def workers(operations: int) -> int:
    """How many threads a loop of so many elementary operations is worth: 1 when it is done before a second thread has begun.

    And 1 where more would end the process: in a child that was forked, which GNU's OpenMP forbids; and in all threads but the main one
    with "workqueue", Numba's own pool where there is neither OpenMP nor TBB, which forbids two calls at once.
    """
    if operations < WORTH_THREADS or _forked:
        return 1
    count = pool()
    alone = numba.threading_layer() == "workqueue" and threading.current_thread() is not threading.main_thread()
    return 1 if alone else count
