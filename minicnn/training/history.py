"""How a training went, epoch by epoch, and where it stands."""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


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


@dataclass
class Position:
    """Where a training stands, between two batches: `fit` starts from one and keeps it up to date.

    epoch: the one that is being trained, from 1; after the last it is one more. batch: how many batches of it are done.
    lr: at its beginning. images, loss, correct: how many images its batches had, the sum of their losses, how many were predicted right.
    seconds: of training since the epoch began. elapsed: of training and validation since the first epoch began, without breaks.
    history: the epochs that are done.
    """
    epoch: int = 1
    batch: int = 0
    lr: float = 0.0
    images: int = 0
    loss: float = 0.0
    correct: int = 0
    seconds: float = 0.0
    elapsed: float = 0.0
    history: list[Epoch] = field(default_factory=list)

    @property
    def at_start(self) -> bool:
        """Whether nothing has been trained yet."""
        return (self.epoch, self.batch) == (1, 0)

    def add(self, images: int, loss: float, correct: int) -> None:
        """One more batch is done: its images, their mean loss, how many were predicted right."""
        self.batch += 1
        self.images += images
        self.loss += loss * images
        self.correct += correct

    @property
    def means(self) -> tuple[float, float]:
        """Mean loss and accuracy of the batches of this epoch."""
        return self.loss / self.images, self.correct / self.images

    def next_epoch(self, validation: Evaluation | None) -> Epoch:
        """Note the epoch that is done, and stand at the beginning of the next."""
        done = Epoch(self.epoch, self.lr, *self.means, validation, self.seconds, self.images / self.seconds)
        self.history.append(done)
        self.epoch, self.batch, self.images, self.loss, self.correct, self.seconds = self.epoch + 1, 0, 0, 0.0, 0, 0.0
        return done
