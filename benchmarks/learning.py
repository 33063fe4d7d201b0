"""Training to a target accuracy: the task that all contestants of `bench accuracy` share, and one contestant at work on it."""
from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minicnn.benchmarks.problems import Arrays, Network


@dataclass(frozen=True)
class Task:
    """A network, a dataset, and what to reach: `target` test accuracy within `epochs`. SGD with momentum 0.9; the learning rate rises to
    lr over the first fifth of the steps and falls to 0 as a cosine. Everything random is drawn from the seed, the same for everyone."""
    dataset: str
    model: str
    target: float
    epochs: int
    batch_size: int
    lr: float

    @cached_property
    def images(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Training images and labels, test images and labels; the images float32 (N, C, H, W) with mean 0 and deviation 1."""
        from minicnn import data

        train, test = data.load(self.dataset, download=False)
        pixels = train.images / np.float32(train.max_value)
        mean, std = pixels.mean(dtype=np.float64), pixels.std(dtype=np.float64)
        x, test_x = (((d.images / np.float32(train.max_value) - mean) / std).astype(np.float32) for d in (train, test))
        return x, train.labels, test_x, test.labels

    @property
    def problem(self) -> Network:
        _, C, _, W = self.images[0].shape
        return Network(self.model, self.batch_size, C, W)

    @property
    def steps_per_epoch(self) -> int:
        return len(self.images[0]) // self.batch_size

    def learning_rate(self, step: int) -> float:
        """Of step 0, 1, ...: a linear rise, then a cosine to 0."""
        steps = self.epochs * self.steps_per_epoch
        rise = steps / 5
        if step < rise:
            return self.lr * (step + 1) / (rise + 1)
        return self.lr * (1 + math.cos(math.pi * (step - rise) / (steps - rise))) / 2

    def order(self, epoch: int, seed: int) -> np.ndarray:
        """Which images each batch of an epoch holds: (steps, batch_size); the few that fill no batch are left out."""
        shuffled = np.random.default_rng((seed, epoch)).permutation(len(self.images[0]))
        return shuffled[:self.steps_per_epoch * self.batch_size].reshape(-1, self.batch_size)


TASKS = {
    "digits": Task("digits", "tinyvgg", 0.97, 12, 64, 0.05),
    "fashion-mnist": Task("fashion-mnist", "lenet", 0.88, 5, 64, 0.05),
}


class Learner:
    """A contestant at work: `epoch` trains, `predict` tests. The seed decides the order of the batches; initial weights are the same."""

    def __init__(self, contestant: Any, task: Task, seed: int) -> None:
        self.task, self.seed, self.step = task, seed, 0
        self.trainer = contestant.load().trainer(contestant.setting, task.problem)

    def epoch(self) -> list[float]:
        """One epoch. Returns the seconds of each step, from a NumPy batch to the updated weights."""
        x, labels, *_ = self.task.images
        times: list[float] = []
        for picked in self.task.order(self.step // self.task.steps_per_epoch, self.seed):
            batch = x[picked], labels[picked]
            start = time.perf_counter()
            loss = float(self.trainer.step(self.trainer.batch(*batch), self.task.learning_rate(self.step)))
            times.append(time.perf_counter() - start)
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss} at step {self.step}")
            self.step += 1
        return times

    def predict(self) -> Arrays:
        """The logits of all test images, a thousand at a time."""
        x = self.task.images[2]
        return {"logits": np.concatenate([self.trainer.predict(x[i:i + 1000]) for i in range(0, len(x), 1000)])}
