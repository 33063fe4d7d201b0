"""Training by a recipe: what all contestants of `bench accuracy` share, and one contestant at work on it."""
from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from minicnn import nn
from minicnn.benchmarks import networks
from minicnn.benchmarks.problems import Arrays, Network
from minicnn.benchmarks.rule import Rule
from minicnn.data import ArrayDataset, Compose, DataLoader
from minicnn.training import Recipe, images
from minicnn.training.images import Statistics

TOGETHER = 1000      # images that are tested at a time


@dataclass(frozen=True)
class Lesson:
    """A recipe and its images: network, initial weights, batches and learning rates are those of `minicnn train` with it and a seed."""
    recipe: Recipe
    train: ArrayDataset
    test: ArrayDataset

    @classmethod
    def of(cls, recipe: Recipe) -> Lesson:
        """With its images read. The validation images are left out of the training here too."""
        train, test = images.load(recipe.dataset, None, recipe.image_size)
        return cls(recipe, images.split(train, recipe.validation)[0], test)

    @cached_property
    def statistics(self) -> Statistics:
        return Statistics.of(self.train)

    def problem(self, seed: int) -> Network:
        """The network with the initial weights of that seed, its batches, and the rule of a step."""
        _, C, H, W = self.train.images.shape
        if H != W:
            raise ValueError(f"recipe {self.recipe.name}: its images are {H} x {W}, and the benchmarks know square ones only")
        return Network(networks.write(self.recipe.model, self.recipe.options), min(self.recipe.batch_size, len(self.train)), C, H,
                       len(self.train.classes), Rule.of(self.recipe), seed, drops=True)

    def loader(self, seed: int) -> DataLoader:
        """The batches of each epoch, augmented, all of the same size."""
        transform = Compose([self.recipe.augmentation(self.train.images.shape[2:]), self.statistics.normalize()])
        return DataLoader(self.train, min(self.recipe.batch_size, len(self.train)), shuffle=True, drop_last=True, seed=seed,
                          transform=transform)

    def rates(self) -> list[tuple[float, ...]]:
        """The learning rates of each step, one a group of parameters."""
        optimizer = self.recipe.build_optimizer(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)))
        schedule = self.recipe.build_schedule(optimizer, len(self.loader(0)))
        found = []
        for _ in range(schedule.total_steps):
            found.append(tuple(group["lr"] for group in optimizer.param_groups))
            schedule.step()
        return found

    def test_images(self) -> np.ndarray:
        """float32 (N, C, H, W), as the network takes them."""
        x = self.test.images / np.float32(self.test.max_value)
        return self.statistics.normalize()(x).astype(np.float32, copy=False)


def store_epoch(loader: DataLoader, folder: Path) -> None:
    """Save the loader's next epoch: x.npy (steps, batch, C, H, W) and labels.npy (steps, batch), for contestants in other processes."""
    labels = np.zeros((len(loader), loader.batch_size), np.int64)
    x = open_memmap(folder / "x.npy", "w+", np.float32, (*labels.shape, *loader.dataset.images.shape[1:]))
    for step, (images_, labels_) in enumerate(loader):
        x[step], labels[step] = images_.array, labels_.array
    x.flush()
    np.save(folder / "labels.npy", labels)


class Learner:
    """A contestant at work: `epoch` trains, `predict` tests."""

    def __init__(self, contestant: Any, problem: Network, folder: Path) -> None:
        self.folder = folder
        self.trainer = contestant.load().trainer(contestant.setting, problem)

    def epoch(self, rates: Sequence[Sequence[float]]) -> list[float]:
        """Train on the stored epoch. Returns the seconds of each step, from a NumPy batch to the updated weights."""
        stored, labels = np.load(self.folder / "x.npy", mmap_mode="r"), np.load(self.folder / "labels.npy")
        times: list[float] = []
        for step, rate in enumerate(rates):
            x = np.array(stored[step])
            start = time.perf_counter()
            loss = float(self.trainer.step(self.trainer.batch(x, labels[step]), rate))
            times.append(time.perf_counter() - start)
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss} at step {step} of its epoch")
        return times

    def predict(self) -> Arrays:
        """The logits of all test images."""
        x = np.load(self.folder / "test.npy", mmap_mode="r")
        parts = [self.trainer.predict(np.array(x[i:i + TOGETHER])) for i in range(0, len(x), TOGETHER)]
        return {"logits": np.concatenate(parts)}
