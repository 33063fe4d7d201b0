"""Faults that the simulator must find, each seeded in a kernel of cuda/faults.cu; and the same kernels without them, which must pass."""
from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minicnn.kernels.cuda_backend import simulator, source
from minicnn.kernels.cuda_backend.launcher import Kernel, launch
from minicnn.kernels.cuda_backend.simulator import ENGINE, DeviceArray, Fault
from minicnn.kernels.window import Window2d
from tests.compare import assert_equal
from tests.kernels.on_device import needs_nvrtc

pytestmark = needs_nvrtc
FAULTS = Path(__file__).parent / "cuda" / "faults.cu"
Files = Callable[[int], str]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The file without the faults (0), and with them (1)."""
    folder = tmp_path_factory.mktemp("cuda")
    for fault in (0, 1):
        (folder / f"faults{fault}.cu").write_text(f'#define FAULT {fault}\n#line 1 "faults.cu"\n{FAULTS.read_text()}')
    return lambda fault: str(folder / f"faults{fault}.cu")


X = np.arange(256, dtype=np.float32) + 1


@dataclass
class Case:
    """args: what stands before and after y; expected: y, without the fault; message: of the fault, a regular expression."""
    args: tuple[Any, ...]
    expected: np.ndarray
    message: str
    blocks: int = 1
    threads: int = 64
    shared: int = 0

    def run(self, file: str, name: str) -> np.ndarray:
        y = simulator.empty(self.expected.shape, np.float32)
        before, *after = (simulator.to_device(a) if isinstance(a, np.ndarray) else a for a in self.args)
        launch(Kernel(file, name), (self.blocks,), (self.threads,), (before, y, *after), self.shared)
        return y.get()


FIRST = X[:64]
CASES = {
    "missing_barrier": Case((X[:128],), X[:128].reshape(2, 64)[:, ::-1].ravel(), blocks=2, message=(
        r"block \(0, 0, 0\), thread \(0, 0, 0\): race in shared memory \(read after write\): block \(0, 0, 0\), thread \(63, 0, 0\) \(at "
        r"faults1.cu:\d+: st.shared.f32 .*\) wrote the same word, and no barrier is between them; at faults1.cu:\d+: ld.shared.f32")),
    "write_after_read": Case((X, 4), X.reshape(4, 64)[:, ::-1].sum(0), (
        r"thread \(0, 0, 0\): race in shared memory \(write after read\): block \(0, 0, 0\), thread \(63, 0, 0\) .* read the same word")),
    "two_writers": Case((FIRST,), FIRST, r"race in shared memory \(two threads write one word\): .* no barrier is between them"),
    "uninitialised": Case((FIRST,), FIRST, r"thread \(63, 0, 0\): reads shared memory that no thread has written; at .*ld.shared"),
    "shared_out_of_bounds": Case((FIRST,), FIRST, shared=256, message=(
        r"thread \(63, 0, 0\): reads 4 bytes of shared memory at 256, but the block has 256 bytes; at .*ld.shared")),
    "missing_warp_barrier": Case((FIRST,), FIRST.reshape(32, 2)[:, ::-1].ravel(), r"race in shared memory \(read after write\)"),
    "other_warp": Case((FIRST,), FIRST.reshape(32, 2)[:, ::-1].ravel(), r"race in shared memory \(read after write\)"),
    "divergent_barrier": Case((FIRST,), FIRST + 1, (
        r"thread \(0, 0, 0\): divergent barrier: the thread waits at another barrier, faults1.cu:\d+: bar.sync 0, while other threads of "
        r"its block wait at this one; at faults1.cu:\d+: bar.sync 0")),
    "return_before_barrier": Case((FIRST,), FIRST + 1, (
        r"thread \(60, 0, 0\): divergent barrier: the thread has returned, while other threads of its block wait at this one; at .*bar")),
    "divergent_shuffle": Case((FIRST,), FIRST.reshape(32, 2).sum(1).repeat(2), (
        r"thread \(0, 0, 0\): divergent warp: the mask 0xffffffff names block \(0, 0, 0\), thread \(16, 0, 0\), which is elsewhere")),
    "unnamed_shuffle": Case((FIRST,), FIRST.reshape(32, 2).sum(1).repeat(2), (
        r"thread \(16, 0, 0\): the mask 0xffff does not name the thread, which executes this all the same; at faults1.cu:\d+: shfl")),
    "divergent_mma": Case((FIRST * 0,), FIRST * 0, r"divergent warp: only 31 of its 32 threads execute this; at .*mma.sync"),
    "behind_a_mask": Case((X[:30], 3, 10), X[:30].reshape(3, 10).sum(1), threads=32, message=(
        r"thread \(2, 0, 0\): reads 4 bytes at 0x\w+, 0 bytes after the end of x \(float32, shape \(30,\), 120 bytes\); at .*ld.global")),
    "before_the_beginning": Case((FIRST,), FIRST, (
        r"thread \(0, 0, 0\): reads 4 bytes at 0x\w+, 4 bytes before the beginning of x \(float32, shape \(64,\), 256 bytes\)")),
    "null_pointer": Case((None,), FIRST * 0, r"thread \(0, 0, 0\): reads 4 bytes at 0x0: a null pointer; at .*ld.global"),
    "writes_const": Case((FIRST,), FIRST * 0 + 1, (
        r"thread \(0, 0, 0\): writes x \(float32, shape \(64,\), 256 bytes\), which the kernel declares const; at .*st.global")),
    "between_blocks": Case((X[:4],), X[:4] * 2, blocks=4, message=(
        r"block \(0, 0, 0\), thread \(1, 0, 0\): race in global memory \(read after write\): block \(1, 0, 0\), thread \(0, 0, 0\) .* "
        r"wrote the same word, and blocks run in any order")),
    "misaligned": Case((X,), X.reshape(64, 4).sum(1)[:63], threads=63, message=(
        r"thread \(0, 0, 0\): misaligned: 16 bytes at address 0x\w+4, which is no multiple of 16; at .*ld.global.*v4")),
    "missing_wait": Case((FIRST,), FIRST[::-1], (
        r"thread \(0, 0, 0\): reads shared memory that a cp.async is still filling, started by block \(0, 0, 0\), thread \(63, 0, 0\) \(at "
        r"faults1.cu:\d+: cp.async.*that thread must wait for it first")),
    "wait_without_barrier": Case((FIRST,), FIRST[::-1], (
        r"race in shared memory \(read after write\): block \(0, 0, 0\), thread \(63, 0, 0\) \(at .*: cp.async.wait_all\) wrote")),
    "copy_over_readers": Case((FIRST,), FIRST[::-1] + FIRST, r"race in shared memory \(write after read\): .*cp.async.ca"),
    "copy_out_of_bounds": Case((X[:100], 100), np.where(np.arange(64) < 25, np.resize(X[:100:4], 64), 0), (
        r"thread \(25, 0, 0\): reads 16 bytes at 0x\w+, 0 bytes after the end of x .*, 400 bytes\); at .*cp.async")),
}


@pytest.mark.parametrize("name", CASES)
def test_without_the_fault(files: Files, name: str) -> None:
    assert_equal(CASES[name].run(files(0), name), np.asarray(CASES[name].expected, np.float32))


@pytest.mark.parametrize("name", CASES)
def test_fault(files: Files, name: str) -> None:
    with pytest.raises(Fault, match=rf"^kernel {name} \(faults1.cu\): .*{CASES[name].message}"):
        CASES[name].run(files(1), name)


def accumulated(file: str, name: str, grid: int, block: int, size: int = 4) -> np.ndarray:
    y = simulator.to_device(np.zeros(size, np.float32))
    launch(Kernel(file, name), (grid,), (block,), (simulator.to_device(X[:grid * block]), y))
    return y.get()


@pytest.mark.parametrize(("grid", "block", "message"), [
    (1, 64, r"race in global memory \(write after read\): several threads of block \(0, 0, 0\) \(at .*\) read the same word, and no"),
    (16, 4, r"race in global memory \(write after read\): threads of several blocks \(at .*\) read the same word, and blocks run in any"),
])
def test_accumulation_without_atomics(files: Files, grid: int, block: int, message: str) -> None:
    """Within a block, and between blocks."""
    assert_equal(accumulated(files(0), "not_atomic", grid, block), X[:64].reshape(16, 4).sum(0))
    with pytest.raises(Fault, match=rf"kernel not_atomic .*{message}"):
        accumulated(files(1), "not_atomic", grid, block)


def test_races_between_waves(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that are simulated one after the other race as those that are simulated together."""
    monkeypatch.setattr("minicnn.kernels.cuda_backend.simulator.engine.LANES", 32)
    with pytest.raises(Fault, match=r"race in global memory \(.* after write\): block \(0, 0, 0\), thread \(0, 0, 0\) .*any order"):
        accumulated(files(1), "not_atomic", 2, 4)


def test_plain_reads_of_what_others_add_to(files: Files) -> None:
    assert accumulated(files(0), "after_an_atomic", 2, 64, 3)[0] == X[:128].sum()
    with pytest.raises(Fault, match=r"race in global memory \(read after write\): threads of several blocks .* blocks run in any order"):
        accumulated(files(1), "after_an_atomic", 2, 64, 3)


def test_addresses_that_are_no_arguments(files: Files) -> None:
    x, y = simulator.to_device(X), simulator.empty((64,), np.float32)
    kernel = Kernel(files(0), "through_an_address")
    launch(kernel, (1,), (64,), (y.address, y))                # an argument's own address is as good as the pointer
    with pytest.raises(Fault, match=r"reads 4 bytes at 0x\w+, in an array of 1024 bytes that is no argument of the kernel"):
        launch(kernel, (1,), (64,), (x.address, y))
    with pytest.raises(Fault, match=r"reads 4 bytes at 0x100000000000, where there is no array: one that was freed, or never was"):
        launch(kernel, (1,), (64,), (1 << 44, y))


def test_an_array_that_was_freed(files: Files) -> None:
    """The address of memory that belongs to nobody any more."""
    y, others = simulator.empty((64,), np.float32), [simulator.empty((2**21,), np.float32) for _ in range(2)]
    x = simulator.to_device(X)
    address = x.address
    del x, others
    with pytest.raises(Fault, match=r"where there is no array: one that was freed, or never was; \d+ bytes after the end of y"):
        launch(Kernel(files(0), "through_an_address"), (1,), (64,), (address, y))


def test_arguments_of_the_wrong_size(files: Files) -> None:
    """The launcher refuses them; whoever goes past it is stopped too."""
    x, y = simulator.to_device(X[:64]), simulator.empty((64,), np.float32)
    kernel = Kernel(files(0), "scaled")
    launch(kernel, (1,), (64,), (x, y, 2.0))
    assert_equal(y.get(), X[:64] * 2)
    with pytest.raises(TypeError, match=r"factor is .*float64"):
        launch(kernel, (1,), (64,), (x, y, np.float64(2)))
    with pytest.raises(Fault, match=r"kernel scaled \(faults0.cu\): argument 2 has 8 bytes \(float64\), the kernel takes 4"):
        ENGINE.launch(kernel, "float", (1, 1, 1), (64, 1, 1), (x, y, np.float64(2)), 0)
    with pytest.raises(Fault, match=r"2 arguments for 3 parameters"):
        ENGINE.launch(kernel, "float", (1, 1, 1), (64, 1, 1), (x, y), 0)


def test_too_much_shared_memory(files: Files) -> None:
    with pytest.raises(Fault, match=r"400000 bytes of shared memory a block, more than the 232448 that there are"):
        replace(CASES["shared_out_of_bounds"], shared=400000).run(files(0), "shared_out_of_bounds")


def test_races_can_be_left_out(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then threads step in lockstep, and what they read too early is what was there before."""
    monkeypatch.setattr(ENGINE, "races", False)
    assert np.isnan(CASES["missing_wait"].run(files(1), "missing_wait")).all()


def test_a_fault_leaves_the_arrays_usable(files: Files) -> None:
    y: DeviceArray = simulator.to_device(np.zeros(64, np.float32))
    with pytest.raises(Fault):
        launch(Kernel(files(1), "before_the_beginning"), (1,), (64,), (simulator.to_device(X[:64]), y))
    launch(Kernel(files(0), "before_the_beginning"), (1,), (64,), (simulator.to_device(X[:64]), y))
    assert_equal(y.get(), X[:64])


# The backend's own kernels, without one of their barriers

BARRIER = re.compile(r"__syncthreads\(\);|wait_for_groups<[^>]*>\(\);")
RUNGS = ("tiled", "blocked", "pipelined", "tensor_cores")
BARRIERS = [(rung, i) for rung in RUNGS for i in range(len(BARRIER.findall(source.text(f"conv2d_{rung}.cu"))))]


@pytest.mark.parametrize(("rung", "number"), BARRIERS)
def test_every_barrier_of_the_convolutions_is_missed(rung: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    module, file = importlib.import_module(f"minicnn.kernels.cuda_backend.conv2d_{rung}"), f"conv2d_{rung}.cu"
    text = source.text(file)
    barrier = list(BARRIER.finditer(text))[number]
    monkeypatch.setattr(source, "text", lambda _: f"{text[:barrier.start()]};{text[barrier.end():]}")
    x, w, dy = (simulator.to_device(np.ones(shape, np.float32)) for shape in ((3, 20, 9, 8), (70, 20, 3, 3), (3, 70, 9, 8)))
    window = Window2d.of(3, padding=1)

    def every_direction() -> None:
        module.conv2d(x, w, None, window, 1)
        module.conv2d_grad_input(dy, w, x.shape, window, 1)
        module.conv2d_grad_weight(dy, x, w.shape, window, 1)
    with pytest.raises(Fault, match=r"race in shared memory|that a cp.async is still filling"):
        every_direction()
