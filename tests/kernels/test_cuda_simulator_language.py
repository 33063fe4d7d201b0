"""What kernels do in the simulator: control flow, memories, warps, asynchronous copies, tensor cores. The kernels: cuda/language.cu."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minicnn.kernels.cuda_backend import simulator
from minicnn.kernels.cuda_backend.simulator import ENGINE, SimulatorError
from tests.compare import assert_equal
from tests.kernels.on_device import needs_nvrtc

pytestmark = needs_nvrtc
LANGUAGE = (Path(__file__).parent / "cuda" / "language.cu").read_text()


def run(name: str, n: int, *args: Any, grid: Sequence[int] = (1,), block: Sequence[int] = (32,), dtype: type = np.int32, shared: int = 0,
        ) -> np.ndarray:
    """The n results of a kernel."""
    result = simulator.empty((n,), dtype)
    values = [simulator.to_device(a) if isinstance(a, np.ndarray) and a.ndim else a for a in args]
    ENGINE.run_source(LANGUAGE, name, grid, block, (result, *values), shared)
    return result.get()


# Control flow

def test_loops_of_different_lengths_and_nested_branches() -> None:
    def collatz(n: int) -> int:
        steps = 0
        while n != 1:
            steps += 1
            if n % 2:
                n = 3 * n + 1
                steps += 100 * (n % 7) * (n % 3 == 1)
            else:
                n //= 2
        return steps
    assert run("collatz", 150, grid=(3,), block=(50,)).tolist() == [collatz(n + 1) for n in range(150)]


def test_threads_that_return_early() -> None:
    assert run("early_return", 64, block=(64,)).tolist() == [1 if t % 7 == 3 else 3 if t >= 40 else 12 for t in range(64)]


def test_a_switch() -> None:
    x = np.arange(64, dtype=np.int32) % 8
    expected = [[5, x[t + 32] // 3, 17 - t, t * t, 1000, 1000, t ^ 21, 9][t % 8] for t in range(32)]
    assert run("jump_table", 32, x).tolist() == expected


def test_special_registers() -> None:
    result = run("special_registers", 1152, grid=(2, 3, 4), block=(4, 6, 2))
    assert result.tolist() == [i * 1000 + i % 48 // 32 * 100 + i % 48 % 32 for i in range(1152)]


def test_more_blocks_than_a_wave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minicnn.kernels.cuda_backend.simulator.engine.LANES", 64)
    assert run("block_numbers", 330, grid=(11,), block=(30,)).tolist() == [t // 30 for t in range(330)]


# Memory

def test_widths_and_vectors() -> None:
    """Bytes, halves, and vectors of 16 bytes, in and out."""
    x, b = np.arange(128, dtype=np.int32).reshape(32, 4), np.arange(-16, 16, dtype=np.int8)
    h, d = np.arange(65500, 65532, dtype=np.uint16), np.arange(64.0)[::-1].copy()
    result = run("widths", 128, x, b, h, d).reshape(32, 4)
    assert_equal(result, np.stack([x[:, 0] + b, x[:, 1] + h, d[::2].astype(np.int32) - d[1::2].astype(np.int32), x[:, 3]], 1))


def test_local_constant_and_struct_memory() -> None:
    x = np.arange(32, dtype=np.int32)
    numbers = np.array((1, 100, 7.5), [("a", np.int32), ("b", np.int32), ("c", np.float32)])
    expected = [(t % 8) * t + [3, 1, 4, 1, 5][t % 5] + [10, 20, 30][t % 3] + 107 for t in range(32)]
    assert run("other_memories", 32, x, numbers).tolist() == expected


def test_generic_pointers() -> None:
    x = np.arange(32, dtype=np.int32)
    assert run("generic_pointer", 32, x, np.int32(1)).tolist() == [2 * (31 - t) for t in range(32)]
    assert run("generic_pointer", 32, x, np.int32(0)).tolist() == [31 - t for t in range(32)]


def test_static_and_dynamic_shared_memory_are_apart() -> None:
    assert run("static_and_dynamic", 32, shared=128).tolist() == [(31 - t) * 102000 + 100 + (t ^ 1) for t in range(32)]


def test_atomics() -> None:
    """Whatever the order: sums, extremes, exchanges, and each old value once."""
    arrays = [simulator.to_device(a) for a in (np.zeros(65, np.int32), np.zeros(1, np.float32), np.array([0, 20, 7], np.uint32),
                                               np.zeros(1, np.uint64), np.zeros(64, np.int32))]
    ENGINE.run_source(LANGUAGE, "atomics", (2,), (32,), arrays)
    result, total, extremes, wide, old = (a.get() for a in arrays)
    assert (result[0], total[0], wide[0]) == (64, 0.5 * 63 * 32, 64 << 33)
    assert extremes.view(np.int32).tolist() == [max(t * 7 % 61 for t in range(64)), 99, -5]
    assert (result[1:] == -1).all()
    assert sorted(old.tolist()) == list(range(64))


# Warps

@pytest.mark.parametrize(("name", "source"), [
    ("shuffle_xor", lambda lane: lane ^ 5), ("shuffle_up", lambda lane: lane - 3 if lane >= 3 else lane),
    ("shuffle_down", lambda lane: lane + 9 if lane < 23 else lane), ("shuffle_from_one", lambda lane: 8),
    ("shuffle_from_each", lambda lane: lane % 5), ("shuffle_xor_eighths", lambda lane: lane ^ 1),
    ("shuffle_down_eighths", lambda lane: lane + 2 if lane % 8 < 6 else lane), ("shuffle_halves", lambda lane: lane // 16 * 16 + 3),
])
def test_shuffles(name: str, source: Callable[[int], int]) -> None:
    assert run(name, 64, block=(64,)).tolist() == [1000 * (t // 32 * 32 + source(t % 32)) for t in range(64)]


def test_the_predicate_of_a_shuffle_and_votes() -> None:
    expected = [(t % 32 < 28) + 2 * (t < 32) + 4 * (t >= 32) + 8 * (t % 3 == 0) + 16 + 32 * (496 if t < 32 else 496 + 1024)
                + ((31 if t < 32 else 63) << 20) for t in range(64)]
    assert run("votes", 64, block=(64,)).tolist() == expected


def test_threads_of_a_warp_exchange_through_shared_memory() -> None:
    assert run("within_a_warp", 64, block=(64,)).tolist() == [10 * (t // 32 * 32 + (t % 32 + 1) % 32) + 2 for t in range(64)]


# Asynchronous copies and tensor cores

def test_asynchronous_copies_of_each_size() -> None:
    x = np.arange(1, 129, dtype=np.float32)
    result = run("async_copies", 224, x, np.int32(20), dtype=np.float32, shared=896)
    pairs, fours = x[:64].reshape(32, 2).copy(), x.reshape(32, 4).copy()
    pairs[20:], fours[20:, 1:] = 0, 0
    assert_equal(result, np.concatenate([x[31::-1], pairs.ravel(), fours.ravel()]))


def test_a_tensor_core_multiplies() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((16, 8), (8, 8)))
    assert_equal(run("tensor_core", 128, a, b, dtype=np.float32).reshape(16, 8), a @ b + 1)
    wrong = run("tensor_core_swapped", 128, a, b, dtype=np.float32).reshape(16, 8)
    assert not np.array_equal(wrong, a @ b + 1)                # a fragment in the wrong register shows


def test_a_tensor_core_drops_bits() -> None:
    """It does not round its arguments to TF32: 13 bits are cut off."""
    a, b = np.zeros((16, 8), np.float32), np.zeros((8, 8), np.float32)
    a[0, 0], b[0, 0] = 1 + 2**-10 + 2**-11, 1
    assert run("tensor_core", 128, a, b, dtype=np.float32)[0] == 2 + 2**-10


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_ldmatrix(number: int, transposed: bool) -> None:
    """Register i of lane l: the elements (l / 4, 2 (l % 4)) and the next of matrix i, or of its transpose."""
    matrices = np.arange(4 * 64, dtype=np.uint16).reshape(4, 8, 8)
    result = run(f"ldmatrix_{number}{'_transposed' * transposed}", 128, matrices.view(np.uint32), dtype=np.uint32)
    expected = np.ascontiguousarray(matrices.swapaxes(1, 2) if transposed else matrices).view(np.uint32).reshape(4, 32)
    expected[number:] = 0
    assert_equal(result, expected.ravel())


# What is not simulated is said

def test_what_is_not_simulated_is_named() -> None:
    result = simulator.empty((32,), np.int32)
    kernel = 'extern "C" __global__ void k(int *result) { '
    with pytest.raises(SimulatorError, match=r"does not know the instruction 'nanosleep\.u32': .*nanosleep.u32 5"):
        ENGINE.run_source(kernel + 'asm volatile("nanosleep.u32 5;"); }', "k", (1,), (32,), (result,))
    call = "__device__ __noinline__ int f(int a) { return a * a + 1; }" + kernel + "result[threadIdx.x] = f(threadIdx.x); }"
    with pytest.raises(SimulatorError, match=r"calls a function that was not inlined .*: st\.param"):
        ENGINE.run_source(call, "k", (1,), (32,), (result,))
    with pytest.raises(SimulatorError, match="there is no kernel other, only k"):
        ENGINE.run_source(kernel + "}", "other", (1,), (32,), (result,))
