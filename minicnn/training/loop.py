"""The training loop: for every batch, forget the old gradients, go forward, go back, take a step."""
from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.autograd import no_grad
from minicnn.device import device
from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.nn.functional import cross_entropy
from minicnn.optim import Optimizer
from minicnn.tensor import Tensor
from minicnn.training.metrics import confusion_matrix, predictions

if TYPE_CHECKING:
    from minicnn.inspect.health import Doctor

Loss = Callable[[Any, Any], Any]
QUIETLY = np.errstate(over="ignore", invalid="ignore")         # the loops look for NaN themselves, and say where it came up


@dataclass(frozen=True)
class Evaluation:
    """How a network did on a set of images: the mean loss, and confusion[t, p], the images of class t taken for class p."""
    loss: float
    confusion: np.ndarray

    @property
    def images(self) -> int:
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        return self.correct / self.images


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images. `loss` and `accuracy` are means over the batches as they were trained on.

    validation: how the network did after it on the images that were held out; None when there are none.
    """
    number: int
    lr: float
    loss: float
    accuracy: float
    validation: Evaluation | None
    seconds: float
    images_per_second: float


class Observer:
    """Is told how training goes; this one ignores it. Progress bars and saving are observers."""

    def before_step(self, model: Module, images: Tensor, labels: Tensor, logits: Tensor, loss: float) -> None:
        """After a batch's gradients are known, before the optimiser changes the weights."""

    def batch(self, epoch: int, images: int, loss: float, accuracy: float) -> None:
        """After a batch: images trained on, mean loss and accuracy, all since the epoch began."""

    def epoch(self, epoch: Epoch) -> None:
        """After an epoch and its validation."""


@QUIETLY
def fit(model: Module, train: Iterable[Any], validation: Iterable[Any] | None, optimizer: Optimizer, epochs: int, scheduler: Any = None,
        loss_function: Loss = cross_entropy, observers: Iterable[Observer | Doctor] = (), doctor: bool = False) -> list[Epoch]:
    """Train `model` for `epochs` passes over `train`, measuring it on `validation` after each.

    train, validation: loaders of (images (N, C, H, W), labels (N,)) batches. Each batch is copied to the device of the model's
    parameters; what comes back of a step is its loss and how many it predicted right, in one copy.
    scheduler: stepped after every *batch*. observers: told of every batch and epoch.
    doctor: watch the training (loss at step 0, sizes of steps and gradients, filters that do not move, dead units) and print the verdicts
        on stderr at its end, also when it fails; to have them as an object, pass a `minicnn.inspect.health.Doctor` as an observer.

    Raises FloatingPointError when the loss is NaN or infinite, before that batch has changed a weight.
    """
    if epochs < 1:
        raise ValueError(f"fit: epochs is {epochs}, expected at least 1")
    observers = list(observers)
    if doctor:
        with _examined() as examiner:
            return fit(model, train, validation, optimizer, epochs, scheduler, loss_function, [*observers, examiner])
    history = []
    for number in range(1, epochs + 1):
        lr, started = optimizer.param_groups[0]["lr"], time.perf_counter()
        images, loss, share = _train_epoch(number, model, train, optimizer, scheduler, loss_function, observers)
        seconds = time.perf_counter() - started
        found = None if validation is None else evaluate(model, validation, loss_function)
        history.append(Epoch(number, lr, loss, share, found, seconds, images / seconds))
        for observer in observers:
            observer.epoch(history[-1])
    return history


@contextlib.contextmanager
def _examined() -> Iterator[Doctor]:
    """A doctor to observe training with; what it found is printed on stderr, whatever ends the training."""
    from minicnn.inspect.health import Doctor

    watching = Doctor()
    try:
        yield watching
    finally:
        if watching.steps:
            print(watching.report(), file=sys.stderr)


def _train_epoch(number: int, model: Module, train: Iterable[Any], optimizer: Optimizer, scheduler: Any, loss_function: Loss,
                 observers: Iterable[Observer | Doctor]) -> tuple[int, float, float]:
    """One pass. Returns the number of images, their mean loss and the share predicted right."""
    model.train()
    where = device_of(model)
    seen, total, correct = 0, 0.0, 0
    for batch, (images, labels) in enumerate(train, 1):
        images, labels = images.to(where), labels.to(where)
        optimizer.zero_grad()
        logits = model(images)
        loss = loss_function(logits, labels)
        loss.backward()
        value, right = _fetched(loss, logits, labels)
        if not math.isfinite(value):
            raise FloatingPointError(f"training diverged: the loss is {value} in epoch {number}, batch {batch}, at learning rate "
                                     f"{optimizer.param_groups[0]['lr']:.3g}; try a smaller learning rate")
        for observer in observers:
            observer.before_step(model, images, labels, logits, value)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        seen += len(images)
        total += value * len(images)
        correct += right
        for observer in observers:
            observer.batch(number, seen, total / seen, correct / seen)
    if not seen:
        raise ValueError("fit: the training loader gave no batch")
    return seen, total / seen, correct / seen


def device_of(model: Module) -> device:
    """Where the parameters are; a network without any is on the CPU."""
    return next((p.device for p in model.parameters()), device("cpu"))


def _fetched(loss: Tensor, logits: Tensor, labels: Tensor) -> tuple[float, int]:
    """The loss, and how many predictions are right, copied from their device at once: what is asked of it last is what it is waited for."""
    right = (predictions(logits.array) == labels.array).sum()
    both = devices.host(np.stack([loss.array.reshape(()).astype(np.float64), right.astype(np.float64)]))
    return float(both[0]), int(both[1])


@no_grad()
@QUIETLY
def evaluate(model: Module, loader: Iterable[Any], loss_function: Loss = cross_entropy) -> Evaluation:
    """Mean loss and confusion matrix of `model`, in eval mode, over the batches of `loader`; the mode is put back afterwards."""
    was_training = model.training
    model.eval()
    where = device_of(model)
    total, counts = 0.0, np.zeros((0, 0), np.int64)
    for images, labels in loader:
        logits = model(images.to(where))
        total += loss_function(logits, labels.to(where)).item() * len(images)
        found, K = devices.host(predictions(logits.array)), logits.shape[1]
        if (found < 0).any():
            raise FloatingPointError("the network's output is NaN: its weights have diverged; train with a smaller learning rate")
        part = confusion_matrix(found, devices.host(labels.array), K)
        counts = counts + part if counts.size else part
    model.train(was_training)
    if not counts.size:
        raise ValueError("evaluate: the loader gave no batch")
    return Evaluation(total / int(counts.sum()), counts)
