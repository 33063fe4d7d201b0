"""One training by a recipe, in a process of its own: `python -m minicnn.benchmarks.recipe_worker`, as `minicnn train --recipe` does it.

It reads one line of JSON, {"name", "text", "seed", "backend", "first"}, and answers with lines of JSON: {"epoch"} after each epoch, then
the Training's fields, or {"error"}. first: only that many training images, tests and all, for one epoch: compiles what the recipe needs.
"""
from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from minicnn import kernels
from minicnn.benchmarks import memory
from minicnn.data import ArrayDataset
from minicnn.training import Epoch, Experiment, Observer, Recipe, recipe_file
from minicnn.training.experiment import parameter_count
from minicnn.training.recipe import changed


class Watcher(Observer):
    """Keeps the epochs, and tells of each."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self.tell, self.epochs = tell, list[Epoch]()

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)
        self.tell({"epoch": epoch.number})


def train(recipe: Recipe, backend: str | None, first: int, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Prepare, train, test once, save into a folder that is thrown away: what is known of it afterwards."""
    started, watcher = time.perf_counter(), Watcher(tell)
    with kernels.computing_with(backend) as device, tempfile.TemporaryDirectory(prefix="minicnn-bench-") as folder:
        experiment = Experiment.prepare(recipe, device=device)
        if first:
            held_out = experiment.validation and _beginning(experiment.validation, first)
            experiment = dataclasses.replace(experiment, recipe=changed(recipe, epochs=1), train=_beginning(experiment.train, first),
                                             validation=held_out, test=_beginning(experiment.test, first))
        test = experiment.run(folder, lambda *_: contextlib.nullcontext(watcher)).test
        wall = time.perf_counter() - started
        seconds = sum(epoch.seconds for epoch in watcher.epochs)
        images = sum(epoch.seconds * epoch.images_per_second for epoch in watcher.epochs)
        best = max((epoch.validation.accuracy for epoch in watcher.epochs if epoch.validation), default=None)
        return {"test_accuracy": test.accuracy, "validation_accuracy": best, "seconds": seconds, "wall": wall,
                "images_per_second": images / seconds, "parameters": parameter_count(experiment.model), "backend": experiment.backend}


def _beginning(images: ArrayDataset, first: int) -> ArrayDataset:
    return ArrayDataset(images.images[:first], images.labels[:first], images.classes, images.max_value)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")                        # whatever else is printed goes to stderr
    os.dup2(2, 1)
    memory.die_with_parent()

    def tell(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    request = json.loads(sys.stdin.readline())
    try:
        recipe = changed(recipe_file.parse(request["text"], request["name"]), seed=request["seed"])
        tell(train(recipe, request["backend"], request["first"], tell))
    except Exception as error:
        tell({"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"})


if __name__ == "__main__":
    main()
