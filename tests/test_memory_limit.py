"""--memory-limit: what is allowed stays below the limit, what is refused gets a batch that fits, and nothing else happens."""
from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import kernels, random
from minicnn.cli.memory_limit import check, largest, mib, parse_size, resident
from tests.compare import assert_equal
from tests.memory_of_training import experiment

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
MIB = 1 << 20


@pytest.mark.parametrize(("text", "size"), [
    ("2GB", 2 * 10**9), ("512MiB", 512 * MIB), ("1.5g", 3 << 29), ("1.5 GiB", 3 << 29), ("4096", 4096), (" 300m ", 300 * MIB), ("7b", 7),
    (".5kB", 500), ("1TiB", 1 << 40), ("3Kib", 3072)])
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0", "0.2", "1e9", "5 apples", "1.2.3M", "12MM", "1,5GB", "1GBs", "٣GB", "1\u212aB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=rf"^memory-limit is {re.escape(repr(text))}, expected a size such as 2GB, 512MiB or a number of "):
        parse_size(text)


@given(st.integers(1, 1000), st.integers(2, 1001))
def test_the_largest_that_fits(threshold: int, too_many: int) -> None:
    assert largest(lambda n: n <= threshold, too_many) == min(threshold, too_many - 1)


@pytest.mark.parametrize("backend", kernels.CPU_BACKENDS)
def test_a_refusal_suggests_the_largest_batch_that_fits(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minicnn.cli.memory_limit.resident", lambda: 200 * MIB)        # that of a process full of tests goes up and down
    found = experiment("lenet", 1, 28, 600, batch_size=512, optimizer="sgd", ema=0.9)
    with kernels.use_backend(backend):
        need, least = check(found, "1TB"), check(replace(found, recipe=replace(found.recipe, batch_size=1)), "1TB")
        assert need.batch == 512
        assert sum(need.parts.values()) == need.total > least.total
        assert need.parts["images"] == 1200 * 28 * 28
        limit = (need.total + least.total) // 2
        with pytest.raises(ValueError, match=r"^training lenet with batches of 512 needs about [\d.]+ [MG]iB \(") as raised:
            check(found, str(limit))
        suggested = re.fullmatch(rf".*\); the limit is {mib(limit)}: use --batch-size (\d+) or less", str(raised.value))
        assert suggested
        fits = check(replace(found, recipe=replace(found.recipe, batch_size=int(suggested[1]))), str(limit))
        assert limit - 10 * MIB < fits.total, "what the process holds by itself changes a little in between"
        with pytest.raises(ValueError, match=r": too little even for batches of 1, which need [\d.]+ [MG]iB \(interpreter and libraries "):
            check(found, "30MB")


def test_checking_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the disk, nor the weights and running statistics, nor the random numbers that follow."""
    monkeypatch.chdir(tmp_path)
    found = experiment("digits", 1, 8, 600, batch_size=64)     # batch norm and dropout
    before = copy.deepcopy(found.model.state_dict())
    random.manual_seed(3)
    drawn = random.generator().random(4)
    random.manual_seed(3)
    with kernels.use_backend("numpy"), pytest.raises(ValueError, match="too little even for batches of 1"):
        check(found, "1MB")
    assert_equal(random.generator().random(4), drawn)
    assert list(tmp_path.iterdir()) == []
    for name, value in found.model.state_dict().items():
        assert_equal(value, before[name].array)
    assert all(p.grad is None for p in found.model.parameters())


def test_other_devices_and_bad_limits_are_refused() -> None:
    found = experiment("digits", 1, 8, 64)
    with pytest.raises(ValueError, match=r"^memory-limit is 'much', expected a size such as 2GB, 512MiB or a number of bytes$"):
        check(found, "much")
    with kernels.use_backend("numpy"):
        whole = check(replace(found, recipe=replace(found.recipe, batch_size=10_000)), "1TB")
    assert whole.batch == 64, "a batch has no more than all images"


def test_resident_bytes_grow_with_an_array() -> None:
    before = resident()
    array = np.ones(64 * MIB, np.uint8)
    assert 60 * MIB < resident() - before < 80 * MIB or sys.platform != "linux"
    del array


CASES = [("tinyvgg", 1, 28, "numpy", 192, "190MiB")] + DEEP * [
    ("tinyvgg", 1, 28, "numba", 256, "300MiB"), ("tinyvgg", 1, 28, "numba", 1024, "500MiB"), ("tinyvgg", 1, 28, "numpy", 512, "300MiB"),
    ("resnet8", 3, 32, "numba", 512, "450MiB"), ("resnet8", 3, 32, "numpy", 256, "250MiB"), ("lenet", 1, 28, "numba", 4096, "400MiB")]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak of a process cannot be read")
@pytest.mark.parametrize(("model", "C", "size", "backend", "batch", "limit"), CASES)
def test_a_training_stays_below_its_limit(model: str, C: int, size: int, backend: str, batch: int, limit: str) -> None:
    """In a process of its own, with the batch that the refusal suggests: below the limit, and not for being far from it."""
    done = subprocess.run([sys.executable, "-m", "tests.memory_of_training", model, str(C), str(size), backend, str(batch), limit],
                          capture_output=True, text=True, cwd=Path(__file__).parents[1], env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert f"; the limit is {mib(parse_size(limit))}: use --batch-size {found['batch']} or less" in found["refused"]
    assert 0.6 * parse_size(limit) <= found["peak"] <= parse_size(limit), found
