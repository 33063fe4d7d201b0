"""Whatever is done to the files that commands read, a clear error is the worst that comes of it; see tests/training/fuzz.py."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from safetensors.numpy import save as serialize

from minicnn.nn.arguments import at_most
from minicnn.training import Description, Experiment, recipe_file
from minicnn.training.checkpoint import arrays_of, digest, load
from tests.data.errors import says

MUTATIONS = {15: 2_000, 100: 10_000}.get(settings.default.max_examples, 100_000)
MOST = 64                                                      # MiB that reading may take beyond what the files themselves need


def test_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path         # 10,000 small files: in memory where there is such a place
    seed = "0" if MUTATIONS <= 10_000 else str(int.from_bytes(os.urandom(4), "little"))
    done = subprocess.run([sys.executable, "-m", "tests.training.fuzz", str(folder), seed, str(MUTATIONS)], capture_output=True, text=True,
                          check=False, cwd=Path(__file__).parents[2],
                          env={**os.environ, "MINICNN_BACKEND": "numpy", "OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["failures"] == [], seed
    assert found["grown_mib"] < MOST
    outcomes = found["outcomes"]
    assert sum(count for what, count in outcomes.items() if not what.endswith("whole")) == MUTATIONS
    for name in ("weights", "checkpoint", "config", "recipe"):
        assert outcomes[f"{name}: read"] > MUTATIONS / 1000, "all is refused: what is behind the first check was never reached"
        assert outcomes[f"{name}: refused"] > MUTATIONS / 100


@pytest.mark.parametrize("change", [
    {"options": {"layers": [10**9, 10**9]}}, {"model": "vgg16", "image_size": [32, 32], "options": {}},
    {"options": {"layers": [3, "pool", 4], "head": "flatten"}, "image_size": [4096, 4096]}, {"classes": [""] * 100_000},
], ids=["channels", "model", "image", "classes"])
def test_a_network_is_no_larger_than_its_file(tmp_path: Path, change: dict[str, Any]) -> None:
    """Nothing of the size that a file speaks of is allocated before it is compared with the arrays that the file has."""
    about = Description("convnet", 1, (6, 6), ("a", "b"), (0.5,), (0.5,), 0.0, {"layers": [3, "pool", 4]})
    arrays, text = arrays_of(about.build()), json.dumps(asdict(about) | change)
    header = json.dumps({"version": 1, "sha256": digest(arrays, text), "description": text})
    (tmp_path / "w").write_bytes(serialize(arrays, {"minicnn": header}))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"is larger than what the file holds, 175 numbers in 14 arrays: there is no room for "):
        load(tmp_path / "w")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(text) + 100_000


@pytest.mark.parametrize(("text", "error"), [
    ("layers = [1000000000]", "the network is larger than this machine's memory allows: there is no room for a weight of shape "
                              "(1000000000, 1, 3, 3)"),
    (f"layers = {['pool'] * 1001}", "ConvNet: layers has 1,001 entries, expected at most 1,000"),
    ("dropout = 'x'", "ConvNet: dropout is x, expected a number"),
])
def test_recipes_of_networks_that_fit_no_machine(text: str, error: str) -> None:
    about = recipe_file.parse(f'[model]\nname = "convnet"\n{text}\n[data]\ndataset = "digits"')
    with says(ValueError, error):
        Experiment.prepare(about)


@pytest.mark.parametrize(("line", "error"), [
    ("image_size = 1000000000", "image-size is 1000000000, expected at most 4,096"),
    ("crop = 5000", "crop is 5000, expected at most 4,096"),
    ("epochs = 10000000", "epochs is 10000000, expected at most 1,000,000"),
    (f"lr = {'9' * 400}", f"optimizer.lr is {'9' * 18}...{'9' * 19}, expected a number"),
])
def test_recipes_out_of_range(line: str, error: str) -> None:
    section = {"image_size": "data", "crop": "augment", "epochs": "schedule", "lr": "optimizer"}[line.split()[0]]
    data = 'dataset = "digits"'
    with says(ValueError, error):
        recipe_file.parse(f'[model]\nname = "lenet"\n[data]\n{data}\n' + (line if section == "data" else f"[{section}]\n{line}"))


def test_limits() -> None:
    from minicnn import nn

    with at_most(30, 3):
        nn.Linear(4, 5)                                        # 25 numbers
        with says(ValueError, "the network is larger than it may be: there is no room for a weight of shape (2, 3)"):
            nn.Linear(3, 2)
    nn.Linear(3, 2)
    with at_most(10**6, 1, "x"), says(ValueError, "the network is larger than x: there is no room for a weight of shape (2,)"):
        nn.Linear(3, 2)
