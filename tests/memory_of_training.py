"""python -m tests.memory_of_training MODEL C SIZE BACKEND BATCH LIMIT: train within the limit, in this process.

What is refused is trained with the batch that the refusal suggests. Prints JSON: refused (the text, or ""), batch, need, peak (bytes).
"""
from __future__ import annotations

import dataclasses
import json
import re
import sys
import tempfile

import numpy as np

from minicnn import kernels
from minicnn.benchmarks import memory
from minicnn.cli.memory_limit import check
from minicnn.data import ArrayDataset
from minicnn.training.checkpoint import Description
from minicnn.training.experiment import Experiment
from minicnn.training.images import Statistics
from minicnn.training.progress import Quiet
from minicnn.training.recipe import Recipe


def experiment(model: str, C: int, size: int, images: int, **settings: object) -> Experiment:
    """Random images of 10 classes; half as many for validation and for the test."""
    random = np.random.default_rng(0)

    def draw(number: int) -> ArrayDataset:
        return ArrayDataset(random.integers(0, 256, (number, C, size, size), np.uint8), random.integers(0, 10, number), tuple("0123456789"))

    train, validation, test = draw(images), draw(images // 2), draw(images // 2)
    statistics = Statistics.of(train)
    description = Description(model, C, (size, size), train.classes, statistics.mean, statistics.std, statistics.background, {})
    recipe = Recipe(model=model, epochs=1, **settings)
    return Experiment(recipe, train, validation, test, statistics, description.build(), description)


def main(model: str, C: str, size: str, backend: str, batch: str, limit: str) -> None:
    kernels.use_backend(backend)
    chosen, refused = experiment(model, int(C), int(size), 2 * int(batch), batch_size=int(batch)), ""
    try:
        need = check(chosen, limit)
    except ValueError as error:
        refused = str(error)
        suggested = int(re.findall(r"use --batch-size (\d+) or less", refused)[0])
        chosen = dataclasses.replace(chosen, recipe=dataclasses.replace(chosen.recipe, batch_size=suggested))
        need = check(chosen, limit)
    with tempfile.TemporaryDirectory() as folder:
        chosen.run(folder, lambda epochs, images: Quiet())
    print(json.dumps({"refused": refused, "batch": need.batch, "need": need.total, "peak": memory.peak()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
