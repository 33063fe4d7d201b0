"""Doctor: watches a training run from inside, at little cost, and says at its end how it went."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.inspect.health import checks
from minicnn.inspect.health.batches import Data, weights
from minicnn.inspect.health.measures import dead_channels, gradient_norms, relative_changes
from minicnn.inspect.health.trials import typical
from minicnn.inspect.health.verdict import Checkup
from minicnn.kernels import devices
from minicnn.nn import Module

EVERY = 50                       # steps between two looks


class Doctor:
    """An observer for `minicnn.training.fit`: fit(..., observers=[doctor]), then print(doctor.report()); fit(..., doctor=True) does both.

    It looks at the first step and at every 50th: copies of the weights before and after, and the norms of their gradients.
    steps: how many there were.
    """

    def __init__(self) -> None:
        self._model: Module | None = None
        self._forget()

    def _forget(self) -> None:
        """Before another training: everything anew."""
        self._loss = float("nan")
        self._classes = 0
        self.steps = 0
        self._start: dict[str, Any] = {}
        self._before: dict[str, Any] | None = None
        self._norms: list[dict[str, float]] = []
        self._ratios: list[dict[str, float]] = []
        self._images = Data(np.empty(0), np.empty(0))

    def before_step(self, model: Module, images: Any, labels: Any, logits: Any, loss: float) -> None:
        """After backward, before the optimiser changes the weights."""
        if self._model is not model:
            self._forget()
            self._model, self._loss, self._classes, self._start = model, loss, logits.shape[1], weights(model)
        if self.steps % EVERY == 0:
            self._before = weights(model)
            self._norms.append(gradient_norms(model))
            self._images = Data(devices.host(images.array), devices.host(labels.array))

    def batch(self, epoch: int, images: int, loss: float, accuracy: float) -> None:
        """After the step."""
        if self._before is not None and self._model is not None:
            self._ratios.append(relative_changes(self._before, weights(self._model)))
            self._before = None
        self.steps += 1

    def epoch(self, epoch: Any) -> None:
        """Nothing: the report is for the end."""

    def report(self) -> Checkup:
        """The verdicts so far. Raises ValueError before the first step."""
        if self._model is None:
            raise ValueError("Doctor: there was no step to watch yet: pass it to fit(..., observers=[doctor])")
        names = list(self._start)
        ratios = {name: typical([r[name] for r in self._ratios]) for name in names} if self._ratios else {}
        norms = {name: float(np.median([n.get(name, 0.0) for n in self._norms])) for name in names} if any(self._norms) else {}
        verdicts = [
            checks.input_scale(self._images.x),
            checks.loss_at_start(self._loss, self._classes),
            checks.first_gradient(norms),
            checks.update_ratio(ratios),
            checks.filters_moved(checks.movement(self._start, weights(self._model))),
            checks.dead_units(dead_channels(self._model, self._images)),
        ]
        return Checkup(type(self._model).__name__, verdicts, [f"Watched while it trained, {self.steps} steps; "
                                                              "minicnn.inspect.checkup and `minicnn doctor` examine more."])
