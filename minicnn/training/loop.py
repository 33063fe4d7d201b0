"""The training loop: for every batch, forget the old gradients, go forward, go back, take a step."""
from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.autograd import no_grad
from minicnn.device import device
from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.nn.functional import cross_entropy
from minicnn.optim import Optimizer
from minicnn.optim.swa_utils import AveragedModel
from minicnn.random import get_rng_state
from minicnn.tensor import Tensor
from minicnn.training import divergence
from minicnn.training.history import Epoch, Evaluation, Position
from minicnn.training.metrics import confusion_matrix, predictions

if TYPE_CHECKING:
    from minicnn.inspect.health import Doctor

Loss = Callable[[Any, Any], Any]
QUIETLY = np.errstate(over="ignore", invalid="ignore")         # the loops look for NaN themselves, and say where it came up


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
        loss_function: Loss = cross_entropy, observers: Iterable[Observer | Doctor] = (), doctor: bool = False,
        average: AveragedModel | None = None, position: Position | None = None) -> list[Epoch]:
    """Train `model` for `epochs` passes over `train`, measuring it on `validation` after each. Returns one Epoch a pass.

    train, validation: loaders of (images (N, C, H, W), labels (N,)) batches. Each batch is copied to the device of the model's
    parameters; what comes back of a step is its loss and how many it predicted right, in one copy.
    scheduler: stepped after every *batch*. observers: told of every batch and epoch.
    doctor: watch the training (loss at step 0, sizes of steps and gradients, filters that do not move, dead units) and print the verdicts
        on stderr at its end, also when it fails; to have them as an object, pass a `minicnn.inspect.health.Doctor` as an observer.
    average: takes in the weights after every step; then it is the average that is measured on `validation`.
    position: where to go on from, and kept up to date; by default the beginning. Model, optimiser, scheduler, average and
        `minicnn.random` must stand there already; `train` is told by its `set_epoch(epoch, batch)`, or is passed over up to there.

    Raises Diverged, a FloatingPointError, when a loss or a gradient is NaN or infinite, before that batch has changed a weight; it says
    where the first such number came up.
    """
    if epochs < 1:
        raise ValueError(f"fit: epochs is {epochs}, expected at least 1")
    observers = list(observers)
    if doctor:
        with _examined() as examiner:
            watched = [*observers, examiner]
            return fit(model, train, validation, optimizer, epochs, scheduler, loss_function, watched, False, average, position)
    rest = None if position is None or position.at_start else _rest(train, position)
    position = position or Position()
    clock = _Clock(position)
    while position.epoch <= epochs:
        batches, rest = train if rest is None else rest, None
        _train_epoch(model, batches, optimizer, scheduler, loss_function, observers, average, position, clock)
        divergence.check_weights(f"after epoch {position.epoch}", model, average)
        found = None if validation is None else evaluate(average.module if average else model, validation, loss_function)
        done = position.next_epoch(found)
        clock.tick()
        for observer in observers:
            observer.epoch(done)
    return position.history


class _Clock:
    """Counts in a Position the seconds of its epoch's training and of everything, from where an earlier training stopped."""

    def __init__(self, position: Position) -> None:
        self.position, self.begun = position, time.perf_counter() - position.elapsed
        self.start()

    def start(self) -> None:
        """The epoch's training begins, or goes on."""
        self.epoch_begun = time.perf_counter() - self.position.seconds

    def tick(self, epoch: bool = False) -> None:
        """A batch of the epoch is done, or something else."""
        now = time.perf_counter()
        self.position.elapsed = now - self.begun
        if epoch:
            self.position.seconds = now - self.epoch_begun


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


def _train_epoch(model: Module, train: Iterable[Any], optimizer: Optimizer, scheduler: Any, loss_function: Loss,
                 observers: Iterable[Observer | Doctor], average: AveragedModel | None, position: Position, clock: _Clock) -> None:
    """One pass, or what is left of it."""
    model.train()
    where = device_of(model)
    if not position.batch:
        position.lr = optimizer.param_groups[0]["lr"]
    clock.start()
    for images, labels in train:
        images, labels = images.to(where), labels.to(where)
        stream = get_rng_state()
        optimizer.zero_grad()
        logits = model(images)
        loss = loss_function(logits, labels)
        loss.backward()
        value, right = _fetched(loss, logits, labels)
        if not (math.isfinite(value) and divergence.finite_gradients(model)):
            raise divergence.explained(model, images, labels, loss_function, stream, value,
                                       f"in epoch {position.epoch}, batch {position.batch + 1}, at learning rate "
                                       f"{optimizer.param_groups[0]['lr']:.3g}")
        for observer in observers:
            observer.before_step(model, images, labels, logits, value)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        if average is not None:
            average.update_parameters(model)
        position.add(len(images), value, right)
        clock.tick(epoch=True)
        for observer in observers:
            observer.batch(position.epoch, position.images, *position.means)
    if not position.batch:
        raise ValueError("fit: the training loader gave no batch")


def _rest(train: Iterable[Any], position: Position) -> Iterable[Any]:
    """The batches of the position's epoch that are not done yet."""
    if hasattr(train, "set_epoch"):
        train.set_epoch(position.epoch - 1, position.batch)
        return train
    return islice(train, position.batch, None)


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
