"""How training is shown: a live bar on a terminal, a line an epoch elsewhere."""
from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from minicnn.training.compiling import Compilation
from minicnn.training.loop import Epoch, Observer
from minicnn.training.pace import Pace, clock

MANY, EVERY = 50, 5.0              # of more epochs than so many, a line every so many seconds
NARROW = 72                        # columns: on fewer the bar uses fewer words


class Quiet(Observer):
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass


class Lines(Quiet):
    """One plain line an epoch: for logs, pipes and files. Of a long training, a line every few seconds, the first epoch and the last."""

    def __init__(self, console: Console, epochs: int, images: int, validated: int = 0) -> None:
        self.console, self.epochs = console, epochs
        self.pace = Pace(epochs, images, validated)
        self.compilation = self._compilation()
        self.printed = 0.0                                     # when

    def _compilation(self) -> Compilation:
        return Compilation(self.console, lost=self.pace.lost)

    def __enter__(self) -> Self:
        self.compilation.__enter__()
        self.pace.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.compilation.__exit__(kind, error, trace)

    def batch(self, epoch: int, images: int, loss: float, accuracy: float) -> None:
        self.pace.batch(epoch, images)

    def epoch(self, epoch: Epoch) -> None:
        self.compilation.report()
        self.pace.epoch()
        now = time.monotonic()
        if self.epochs <= MANY or epoch.number in (1, self.epochs) or now - self.printed >= EVERY:
            self.printed = now
            self.console.print(self._line(epoch), soft_wrap=True, highlight=False, markup=False)

    def _line(self, epoch: Epoch) -> str:
        remaining = self.pace.remaining or 0
        left = f"  {clock(remaining)} left" if remaining >= 60 else ""
        return (f"epoch {epoch.number:>{len(str(self.epochs))}}/{self.epochs}  loss {epoch.loss:.4f}  accuracy {epoch.accuracy:7.2%}  "
                f"{_validation(epoch)}{epoch.images_per_second:,.0f} images/s{left}")


def _validation(epoch: Epoch) -> str:
    return f"validation {epoch.validation.accuracy:7.2%}  " if epoch.validation else ""


class Bar(Lines):
    """One bar for the whole run, with the loss, accuracy and speed of the present epoch and the time left; lines of past epochs above."""

    def __init__(self, console: Console, epochs: int, images: int, validated: int = 0) -> None:
        super().__init__(console, epochs, images, validated)
        self.images = images
        self.bar = Progress(TextColumn("epoch {task.fields[number]}/{task.fields[epochs]}"), BarColumn(),
                            TextColumn("{task.fields[now]}", table_column=Column(no_wrap=True)), _Left(self.pace), console=console,
                            transient=True)
        self.task = self.bar.add_task("", total=epochs * images, number=1, epochs=epochs, now="")

    def _compilation(self) -> Compilation:
        return Compilation(self.console, self._now, self.pace.lost)

    def _now(self, text: str) -> None:
        self.bar.update(self.task, now=text, refresh=True)

    def batch(self, epoch: int, images: int, loss: float, accuracy: float) -> None:
        super().batch(epoch, images, loss, accuracy)
        speed = self.pace.images_per_second
        what = "validating" if self.pace.validating else f"{speed:,.0f} images/s" if speed else ""
        text = f"loss {loss:.4f}  accuracy {accuracy:7.2%}  {what}" if self.console.width >= NARROW else f"{loss:.4f} {accuracy:.2%} {what}"
        self.bar.update(self.task, completed=(epoch - 1) * self.images + images, number=epoch, now=text)

    def __enter__(self) -> Self:
        super().__enter__()
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.stop()
        super().__exit__(kind, error, trace)


class _Left(ProgressColumn):
    """The time left of the whole training, as its pace says it."""

    def __init__(self, pace: Pace) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self.pace = pace

    def render(self, task: Task) -> Text:
        remaining = self.pace.remaining
        return Text(f"{'-:--' if remaining is None else clock(remaining)} left", style="progress.remaining")


def show(console: Console, epochs: int, images: int, validated: int = 0) -> Lines:
    """The display that suits the console; images: how many an epoch trains on; validated: how many it is validated on."""
    return (Bar if console.is_terminal else Lines)(console, epochs, images, validated)


class Download:
    """Shows the files that are downloaded: a bar on a terminal, a line a file elsewhere. Called with (file, bytes so far, all bytes)."""

    def __init__(self, console: Console) -> None:
        self.console, self.tasks = console, dict[str, TaskID]()
        self.started = False
        self.bar = Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console)

    def __call__(self, file: str, done: int, total: int) -> None:
        if file not in self.tasks:
            if self.console.is_terminal and not self.started:
                self.started = True
                self.bar.start()
            elif not self.console.is_terminal:
                self.console.print(f"downloading {file} ({total:,} bytes)", soft_wrap=True, highlight=False, markup=False)
            self.tasks[file] = self.bar.add_task(file, total=total)
        self.bar.update(self.tasks[file], completed=done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.started:
            self.bar.stop()
