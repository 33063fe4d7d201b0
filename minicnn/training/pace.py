"""How fast a training goes, and how long it takes still."""
from __future__ import annotations

import time
from collections.abc import Callable

FORWARD = 1 / 3                    # of the time that an image takes in training, until it has been measured


class Pace:
    """Told of every batch and epoch, it knows the images a second and the seconds left of the whole training, validation included.

    epochs: of the training. images, validated: that an epoch trains on, and is validated on.
    The first batch waits for memory and compilation, so nothing is concluded from it; later, the present epoch and the one before
    it count. What is spent on saving between epochs counts as training. clock: seconds.
    """

    def __init__(self, epochs: int, images: int, validated: int = 0, clock: Callable[[], float] = time.perf_counter) -> None:
        self.epochs, self.images, self.validated, self.clock = epochs, images, validated, clock
        self.last = clock()                                    # when something ended last
        self.spent, self.seen = 0.0, 0                         # seconds of training, and its images
        self.marks: list[tuple[float, int]] = []               # (spent, seen) where the measuring begins
        self.number, self.within = 1, 0                        # the present epoch, and its images so far
        self.validation: float | None = None                   # seconds of the last one
        self.began = (0.0, 0)                                  # (spent, seen) when the epoch began
        self.validating = False

    def start(self) -> None:
        """The first batch begins now."""
        self.last = self.clock()

    def lost(self, seconds: float) -> None:
        """So much of the present step went into something that does not come again, such as compilation."""
        self.last += seconds

    def batch(self, epoch: int, images: int) -> None:
        """A batch has ended: `images` since the epoch began."""
        now = self.clock()
        if epoch != self.number:
            self.number, self.within, self.began = epoch, 0, (self.spent, self.seen)
        self.spent += max(0.0, now - self.last)
        self.seen += images - self.within
        self.within, self.last = images, now
        if not self.marks:
            self.began = (self.spent, self.seen)
            self.marks = [self.began]
        self.validating = self.validated > 0 and images >= self.images

    def epoch(self) -> None:
        """An epoch has ended, and its validation."""
        now = self.clock()
        if self.validating:
            self.validation = max(0.0, now - self.last)
        self.last, self.validating, self.within = now, False, 0
        self.number += 1
        self.began = (self.spent, self.seen)
        self.marks = [*self.marks, self.began][-2:]

    @property
    def images_per_second(self) -> float:
        """Of the present epoch; 0 where that is not known yet."""
        spent, seen = self.spent - self.began[0], self.seen - self.began[1]
        return seen / spent if spent > 0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds until the training ends; None before anything can be said."""
        spent, seen = self.marks[0] if self.marks else (0.0, 0)
        if self.seen <= seen:
            return None
        each = (self.spent - spent) / (self.seen - seen)
        validation = self.validated * each * FORWARD if self.validation is None else self.validation
        left = self.epochs - self.number + 1                   # epochs, the present one included
        seconds = each * (left * self.images - self.within) + left * validation
        return max(0.0, seconds - max(0.0, self.clock() - self.last))


def clock(seconds: float) -> str:
    """As short as it may be.

    >>> [clock(s) for s in (0.4, 59, 75, 3725)]
    ['0:00', '0:59', '1:15', '1:02:05']
    """
    minutes, rest = divmod(int(seconds + 0.5), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
