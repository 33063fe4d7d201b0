"""What is shown while training: a bar on a terminal, a line an epoch elsewhere."""
from __future__ import annotations

import contextlib
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from minicnn.kernels import compilation
from minicnn.training import Epoch, Evaluation, progress
from minicnn.training.compiling import Compilation
from minicnn.training.progress import Bar, Download, Lines, show

EPOCH = Epoch(3, 0.1, 0.12345, 0.5, Evaluation(0.2, np.array([[3, 1], [0, 4]])), 1.5, 12345.6)


def plain(text: str) -> str:
    """Without colours and movements of the cursor; what was overwritten is a line of its own."""
    return re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "\n")


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=120), file


def test_lines() -> None:
    screen, file = console(False)
    display = show(screen, 10, 100)
    assert type(display) is Lines
    with display:
        display.batch(3, 50, 0.1, 0.5)
        display.epoch(EPOCH)
    assert file.getvalue() == "epoch  3/10  loss 0.1235  accuracy  50.00%  validation  87.50%  12,346 images/s\n"


def test_a_long_training_prints_a_line_every_few_seconds_the_first_epoch_and_the_last() -> None:
    screen, file = console(False)
    with show(screen, 200, 100) as display:
        for number in range(1, 201):
            if number == 120:
                display.printed -= progress.EVERY              # seconds later
            display.epoch(replace(EPOCH, number=number))
    assert [line.split()[1] for line in file.getvalue().splitlines()] == ["1/200", "120/200", "200/200"]


def test_lines_say_the_time_left_of_a_training_that_takes_minutes() -> None:
    screen, file = console(False)
    with show(screen, 10, 100) as display:
        display.batch(1, 50, 0.5, 0.5)
        display.pace.last -= 10                                # the second half of the epoch takes 10 s
        display.batch(1, 100, 0.5, 0.5)
        display.epoch(replace(EPOCH, number=1))
        display.epoch(replace(EPOCH, number=10))
    first, last = file.getvalue().splitlines()
    assert first.endswith("12,346 images/s  3:00 left")        # 9 epochs of 20 s
    assert last.endswith("12,346 images/s")


def test_outside_a_terminal_nothing_but_text_is_printed() -> None:
    screen, file = console(False)
    with show(screen, 3, 100, 50) as display:
        for number in (1, 2, 3):
            display.batch(number, 100, 0.5, 0.25)
            display.epoch(replace(EPOCH, number=number))
    assert file.getvalue().count("\n") == 3
    assert re.fullmatch(r"[ -~\n]*", file.getvalue()), "a control character"


def test_the_bar_shows_loss_accuracy_speed_and_time_left() -> None:
    screen, file = console(True)
    display = show(screen, 10, 100)
    assert type(display) is Bar
    with display:
        display.batch(3, 50, 0.5, 0.25)
        display.bar.refresh()
        assert display.bar.tasks[0].completed == 250
        display.epoch(EPOCH)
    text = file.getvalue()
    assert "epoch 3/10" in text
    assert "loss 0.5000  accuracy  25.00%  " in text
    assert " -:-- left" in plain(text)                         # after one batch nothing is known yet
    assert "validation  87.50%  12,346 images/s" in text


def test_the_bar_says_when_it_validates() -> None:
    screen, file = console(True)
    with show(screen, 2, 100, 50) as display:
        for images in (50, 100):
            display.batch(1, images, 0.5, 0.25)
        display.bar.refresh()
        assert "accuracy  25.00%  validating" in plain(file.getvalue()).splitlines()[-1]
    screen, file = console(True)
    with show(screen, 2, 100) as display:                      # nothing is held out
        display.batch(1, 100, 0.5, 0.25)
        assert "validating" not in display.bar.tasks[0].fields["now"]


@pytest.mark.parametrize(("width", "expected"), [
    (80, r"epoch 900/1000 .+ loss 12\.3456  accuracy 100\.00%  60,000 images/s 1:40:40 left"),
    (60, r"epoch 900/1000  12\.3456 100\.00% 60,000 images/s 1:40:40 left"),
])
def test_the_bar_fits_narrow_terminals(width: int, expected: str) -> None:
    file = io.StringIO()
    display = show(Console(file=file, force_terminal=True, width=width, color_system=None), 1000, 3_600_000)
    with display:
        display.pace.clock = lambda: 0.0
        display.pace.start()
        display.batch(900, 600_000, 12.3456, 1.0)
        display.pace.clock = lambda: 10.0
        display.batch(900, 1_200_000, 12.3456, 1.0)
        display.bar.refresh()
    last = [line for line in re.split("[\r\n]", file.getvalue()) if "images/s" in line][-1]
    last = plain(last)
    assert len(last) <= width
    assert re.fullmatch(expected, last)


def test_downloads() -> None:
    screen, file = console(False)
    with Download(screen) as progress:
        for done in (0, 500, 1000):
            progress("a.gz", done, 1000)
    assert file.getvalue() == "downloading a.gz (1,000 bytes)\n"
    screen, file = console(True)
    with Download(screen) as progress:
        progress("a.gz", 1000, 1000)
    assert "a.gz" in file.getvalue()


def compile(count: int) -> None:
    for i in range(count):
        compilation.began(f"kernel {i}")
        compilation.ended(f"kernel {i}", 0.5, lambda: "kept in ~/.cache")


def test_compilation_on_a_terminal_is_counted_and_then_one_line() -> None:
    screen, file = console(True)
    with Compilation(screen) as shown:
        compile(3)
        assert shown.status.status == "compiling kernel 3 for this CPU (once), 1 s"
    assert file.getvalue().endswith("compiled 3 kernels in 1.5 s (kept in ~/.cache)\n")


def test_compilation_elsewhere_is_two_lines() -> None:
    screen, file = console(False)
    with Compilation(screen):
        compile(2)
    assert file.getvalue() == "compiling kernels for this CPU (once)\ncompiled 2 kernels in 1.0 s (kept in ~/.cache)\n"


def test_what_was_not_compiled_is_not_shown() -> None:
    for terminal in (True, False):
        screen, file = console(terminal)
        with Compilation(screen), show(screen, 1, 1):
            pass
        compile(1)                                             # nobody listens any more
        assert "compil" not in file.getvalue()


def test_an_error_is_not_followed_by_a_report() -> None:
    screen, file = console(False)
    with contextlib.suppress(KeyError), Compilation(screen):
        compile(1)
        raise KeyError
    assert file.getvalue() == "compiling kernels for this CPU (once)\n"


def test_compilation_is_shown_in_the_bar_and_reported_before_the_epoch() -> None:
    screen, file = console(True)
    display = show(screen, 10, 100)
    assert isinstance(display, Bar)
    with display:
        compile(2)
        assert display.bar.tasks[0].fields["now"] == "compiling kernel 2 for this CPU (once), 0 s"
        display.batch(3, 50, 0.5, 0.25)
        assert display.bar.tasks[0].fields["now"].startswith("loss 0.5000")
        display.epoch(EPOCH)
        display.epoch(EPOCH)
    text = file.getvalue()
    assert text.count("compiled 2 kernels in 1.0 s (kept in ~/.cache)") == 1
    assert text.index("compiled 2 kernels") < text.index("epoch  3/10")


def test_lines_report_before_the_epoch() -> None:
    screen, file = console(False)
    with show(screen, 10, 100) as display:
        compile(1)
        display.epoch(EPOCH)
        compile(1)
    said = [line.partition(" ")[0] for line in file.getvalue().splitlines()]
    assert said == ["compiling", "compiled", "epoch", "compiling", "compiled"]
    assert "compiled 1 kernel in 0.5 s" in file.getvalue()
