"""What the simulator counts, against what can be told by hand. The kernels: cuda/counts.cu."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minicnn.kernels.cuda_backend import simulator
from minicnn.kernels.cuda_backend.simulator import ENGINE, Access, Counts
from minicnn.kernels.cuda_backend.simulator.counts import sectors, wavefronts
from tests.kernels.on_device import needs_nvrtc

pytestmark = needs_nvrtc
COUNTS = (Path(__file__).parent / "cuda" / "counts.cu").read_text()
FLOAT, INT = np.float32, np.int32


def counted(name: str, *args: Any, threads: int = 32, blocks: int = 1, shared: int = 0) -> Counts:
    with ENGINE.counting() as counts:
        ENGINE.run_source(COUNTS, name, (blocks,), (threads,), args, shared)
    found, = counts
    return found


def numbers(access: Access) -> tuple[int, int, int, int]:
    return access.requests, access.units, access.ideal, access.bytes


@pytest.mark.parametrize(("stride", "offset", "active", "units", "ideal"), [
    (1, 0, 32, 4, 4),            # neighbours: 128 bytes are 4 sectors
    (1, 1, 32, 5, 4),            # not where a sector begins: one more
    (1, 8, 32, 4, 4),            # a sector further on
    (2, 0, 32, 8, 4),            # every other element: half of each sector is for nothing
    (8, 0, 32, 32, 4),           # a sector for each thread
    (100, 3, 32, 32, 4),
    (0, 5, 32, 1, 4),            # all the same: one
    (1, 0, 5, 1, 1),             # five threads
    (1, 0, 9, 2, 2),
])
def test_sectors_of_floats(stride: int, offset: int, active: int, units: int, ideal: int) -> None:
    x, y = simulator.to_device(np.zeros(3200, FLOAT)), simulator.empty((32,), FLOAT)
    found = counted("global_pattern", x, y, INT(stride), INT(offset), INT(active))
    assert numbers(found.total("global", "read")) == (1, units, ideal, 4 * active)
    assert numbers(found.total("global", "write")) == (1, -(-active // 8), -(-active // 8), 4 * active)


@pytest.mark.parametrize(("name", "dtype", "size", "units"), [("global_vector", FLOAT, 128, 16), ("global_double", np.float64, 32, 8)])
def test_sectors_of_wider_types(name: str, dtype: type, size: int, units: int) -> None:
    x, y = simulator.to_device(np.zeros(size, dtype)), simulator.empty((size,), dtype)
    found = counted(name, x, y)
    assert numbers(found.total("global", "read")) == numbers(found.total("global", "write")) == (1, units, units, 32 * units)


@pytest.mark.parametrize(("name", "stride", "units", "ideal"), [
    ("shared_float", 1, 1, 1), ("shared_float", 2, 2, 1), ("shared_float", 3, 1, 1), ("shared_float", 4, 4, 1), ("shared_float", 16, 16, 1),
    ("shared_float", 31, 1, 1), ("shared_float", 32, 32, 1), ("shared_float", 0, 1, 1),
    ("shared_double", 1, 2, 2), ("shared_double", 16, 32, 2), ("shared_double", 0, 2, 2), ("shared_double", 17, 2, 2),
    ("shared_float4", 1, 4, 4), ("shared_float4", 2, 8, 4), ("shared_float4", 8, 32, 4), ("shared_float4", 9, 4, 4),
])
def test_wavefronts(name: str, stride: int, units: int, ideal: int) -> None:
    """Stride 2 puts two threads on each bank, stride 32 all on one; odd strides none; one word for all is sent to all at once."""
    width = {"shared_float": 4, "shared_double": 8, "shared_float4": 16}[name]
    y = simulator.empty((8 * width,), FLOAT)
    found = counted(name, y, INT(stride), shared=1024 * width)
    assert numbers(found.total("shared", "read")) == (1, units, ideal, 32 * width)
    assert found.total("shared", "read").per_request == units
    assert numbers(found.total("shared", "write")) == (32, 32 * ideal, 32 * ideal, 1024 * width)


def test_instructions() -> None:
    """Per warp: so a branch that two of four warps take counts for two."""
    y = simulator.empty((128,), FLOAT)
    counts = {n: counted("rounds", y, FLOAT(0.5), INT(n), threads=128) for n in (3, 4)}
    for n, found in counts.items():
        assert (found.multiply_adds, found.barriers, found.tensor_products) == (n * (4 * 2 + 2 * 2), n * 4, 0)
        assert found.multiply_add_share == found.multiply_adds / found.instructions
        assert found.count("st") == 4
    a_round = counts[4].instructions - counts[3].instructions
    assert a_round >= 12 + 4 + 4 * 3                           # the work, the barrier, and a counter, a comparison and a branch
    assert (counts[3].kernel, counts[3].grid, counts[3].block, counts[3].shared_bytes) == ("rounds", (1, 1, 1), (128, 1, 1), 0)


def test_blocks_and_waves_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    y = simulator.empty((48,), FLOAT)
    monkeypatch.setattr(ENGINE, "races", False)                # every block writes the same
    one = counted("rounds", y, FLOAT(1), INT(5), threads=48)
    monkeypatch.setattr("minicnn.kernels.cuda_backend.simulator.engine.LANES", 128)
    assert counted("rounds", y, FLOAT(1), INT(5), threads=48, blocks=7).instructions == 7 * one.instructions


def test_tensor_products() -> None:
    x, y = simulator.to_device(np.zeros(64, FLOAT)), simulator.empty((64,), FLOAT)
    assert counted("product", y, x, threads=64).tensor_products == 2


def test_asynchronous_copies_read_global_and_write_shared_memory() -> None:
    x, y = simulator.to_device(np.zeros(128, FLOAT)), simulator.empty((32,), FLOAT)
    found = counted("copies", y, x, INT(24), shared=512)
    assert numbers(found.total("global", "read")) == (1, 12, 12, 24 * 16)
    assert numbers(found.total("shared", "write")) == (1, 4, 4, 512)


def test_by_line() -> None:
    x, y = simulator.to_device(np.zeros(64, FLOAT)), simulator.empty((32,), FLOAT)
    lines = counted("global_pattern", x, y, INT(2), INT(0), INT(32)).by_line()
    number = next(i for i, line in enumerate(COUNTS.splitlines(), 1) if "x[t * stride + offset]" in line)
    assert {key: numbers(access) for key, access in lines.items()} == {
        (f"source.cu:{number}", "global", "read"): (1, 8, 4, 128), (f"source.cu:{number}", "global", "write"): (1, 4, 4, 128)}


def test_each_launch_has_counts_of_its_own_and_none_outside() -> None:
    x, y = simulator.to_device(np.zeros(64, FLOAT)), simulator.empty((32,), FLOAT)
    with ENGINE.counting() as outer:
        counted("global_pattern", x, y, INT(1), INT(0), INT(32))
        counted("global_pattern", x, y, INT(2), INT(0), INT(32))
    ENGINE.run_source(COUNTS, "global_pattern", (1,), (32,), (x, y, INT(1), INT(0), INT(32)))
    assert [found.total("global", "read").units for found in outer] == [4, 8]


def test_tracing_records_one_warp(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second warp of block 1, in a block of 40: eight threads."""
    x, y = simulator.to_device(np.zeros(128, FLOAT)), simulator.empty((40,), FLOAT)
    monkeypatch.setattr(ENGINE, "races", False)                # both blocks write the same
    with ENGINE.tracing("global_pattern", block=(1,), warp=1) as requests:
        ENGINE.run_source(COUNTS, "global_pattern", (2,), (40,), (x, y, INT(3), INT(2), INT(38)))
    read, write = requests
    active = np.arange(32) < 6
    assert (read.space, read.kind, read.width, write.kind) == ("global", "read", 4, "write")
    assert (read.active == active).all()
    assert (read.addresses[:6] == x.address + 4 * (3 * np.arange(32, 38) + 2)).all()
    assert (write.addresses[:6] == y.address + 4 * np.arange(32, 38)).all()
    assert read.instruction.opcode[:2] == ("ld", "global")
    assert read.instruction.source.startswith("source.cu:")


def test_shared_addresses_are_offsets_in_the_block() -> None:
    y = simulator.empty((32,), FLOAT)
    with ENGINE.tracing("shared_float") as requests:
        ENGINE.run_source(COUNTS, "shared_float", (1,), (32,), (y, INT(2)), 4096)
    read = next(request for request in requests if (request.space, request.kind) == ("shared", "read"))
    assert (read.addresses == 8 * np.arange(32)).all()


def test_against_sets() -> None:
    """Random requests, counted the slow way."""
    rng = np.random.default_rng(0)
    for width in (4, 8, 16):
        addresses = rng.integers(0, 100, (50, 32)) * width
        active = rng.random((50, 32)) < 0.7
        active[:, 0] = True
        units = ideal = 0
        waves = parts = 0
        for row, on in zip(addresses, active, strict=True):
            units += len({a // 32 for a in row[on]})
            ideal += -(-int(on.sum()) * width // 32)
            for start in range(0, 32, 128 // width):
                part = row[start:start + 128 // width][on[start:start + 128 // width]]
                words = {(a + i) // 4 for a in part for i in range(0, width, 4)}
                waves += max((sum(word % 32 == bank for word in words) for bank in range(32)), default=0)
                parts += bool(len(part))
        assert sectors(addresses, active, width) == (units, ideal)
        assert wavefronts(addresses, active, width) == (waves, parts)
