"""A training that takes a tenth of a second: 36 images of 6 x 6 pixels, a network of a few hundred weights, dropout, batch norm."""
from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minicnn import kernels
from minicnn.data import ArrayDataset
from minicnn.training import Experiment, Recipe, Result, Stopped, autosave, experiment, images
from minicnn.training.progress import Quiet

BATCHES = 4                                                    # an epoch: 27 images in batches of 6, the last one left out


def recipe(**settings: Any) -> Recipe:
    options = {"layers": [3, "pool", 4], "dropout": settings.pop("dropout", 0.3)}
    return Recipe(**{"model": "convnet", "options": options, "batch_size": 6, "epochs": 3, "validation": 0.25, "seeds": (5,)} | settings)


def datasets(changed: int = 0) -> tuple[ArrayDataset, ArrayDataset]:
    """Training and test images: brighter ones are of a higher class, more or less."""
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 3
    pixels = (rng.integers(0, 9, (48, 1, 6, 6)) + 3 * labels[:, None, None, None]).astype(np.uint8)
    pixels[0, 0, 0, 0] += changed
    return tuple(ArrayDataset(pixels[part], labels[part], ("a", "b", "c"), 16) for part in (slice(36), slice(36, None)))


def patch(setattr: Callable[..., None] = setattr, changed: int = 0) -> None:
    """Every experiment is about these images, draws no pictures and waits for no disk, all of which takes longer than the training."""
    setattr(images, "load", lambda *_: datasets(changed))
    setattr(experiment.Experiment, "_pictures", lambda *_: ([], False))
    setattr(autosave, "environment", dict)
    setattr(os, "fsync", lambda _: None)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    patch(monkeypatch.setattr)


def train(folder: Path, about: Recipe | None = None, observer: Quiet | None = None, device: str = "cpu", **options: Any) -> Result:
    """Begin the run in a folder, or go on with it."""
    with kernels.use_backend("numpy"):
        begun = Experiment.prepare(about, device=device) if about else Experiment.resume(Stopped.find(folder), device=device)
        return begun.run(folder.parent, lambda epochs, images: observer or Quiet(), name=folder.name, **options)


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run leaves, but for times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    ended = json.loads((folder / "result.json").read_text())
    del ended["seconds"]
    for line in lines:
        del line["seconds"], line["images_per_second"]
    weights = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    return {"metrics": lines, "result": ended, "weights": weights, "confusion": (folder / "confusion_matrix.csv").read_text()}
