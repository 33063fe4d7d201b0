"""How explanations read and look: the words with the reader's numbers, the window on the patch, pictures, and long lists."""
from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from minicnn import nn
from minicnn.inspect import explain, explain_grad
from minicnn.inspect.explaining import Explanation
from tests.inspect.explaining.checks import filled
from tests.strategies import integers

X = np.arange(16, dtype=np.float32).reshape(1, 4, 4)


def strided() -> nn.Conv2d:
    layer = nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False)
    layer.weight.array[...] = np.arange(1, 10).reshape(3, 3)
    return layer


def test_an_output_by_hand() -> None:
    found = explain(strided(), X, (0, 0, 1))
    text = str(found).splitlines()
    assert "rows: oh*SH + kh*DH - top = 0*2 + kh*1 - 1 = -1 (padding), 0, 1" in text
    assert "columns: ow*SW + kw*DW - left = 1*2 + kw*1 - 1 = 1, 2, 3" in text
    grid = text.index(next(line for line in text if line.startswith("x[0, 0] (")))
    assert text[grid:grid + 6] == [
        "x[0, 0] ([ ] takes part, . padding)   |   weight[0, 0]   |   products",
        "h\\w  -1    0    1    2    3   4  |  kh\\kw  0  1  2  |  kh\\kw   0   1   2",
        " -1   .    .  [.]  [.]  [.]   .  |      0  1  2  3  |      0   0   0   0",
        "  0   .    0  [1]  [2]  [3]   .  |      1  4  5  6  |      1   4  10  18",
        "  1   .    4  [5]  [6]  [7]   .  |      2  7  8  9  |      2  35  48  63",
        "  2   .    8    9   10   11   .  |                  |"]
    assert found.total == 4 + 10 + 18 + 35 + 48 + 63
    assert found.words[-1] == ("3 of the 9 terms read padding, which is 0, and add nothing: at the border fewer pixels decide than inside.")


def test_why_col2im_adds_and_why_the_gradient_is_dilated() -> None:
    dy = np.array([[[10, 20], [30, 40]]], np.float32)
    found = explain_grad(strided(), X, dy, (0, 1, 1))
    assert found.total == 10 * 9 + 20 * 7 + 30 * 3 + 40 * 1
    assert found.words[0] == (
        "Why col2im adds: im2col copied pixel (1, 1) of channel 0 into 4 cells of its matrix, for the outputs at (0, 0), (0, 1), (1, 0), "
        "(1, 1). In the matrix product each copy is a number of its own and gets its own gradient. But there is only one pixel: moving it "
        "moves all its copies at once, so what they do to the loss adds up: 90 + 140 + 90 + 40 = 360. Storing instead of adding would "
        "leave the last of them, 40.")
    assert found.words[1].startswith(
        "Why the gradient is dilated: the stride is (2, 2), so going back from this pixel, padded position (ph, pw) = (2, 2), tap (kh, kw) "
        "leads to output ((ph - kh*1)/2, (pw - kw*1)/2), and only whole numbers are outputs. 5 of the 9 taps fall between two outputs and "
        "contribute nothing: (0, 1) -> (1, 0.5), (1, 0) -> (0.5, 1), (1, 1) -> (0.5, 0.5), (1, 2) -> (0.5, 0), (2, 1) -> (0, 0.5). It is "
        "the same as spreading dy out, with 1 row and 1 column of zeros between its own, and sliding over that with stride 1.")
    assert found.words[2] == "This pixel is read 4 times by the windows of one channel; others 1 to 4 times."
    assert [t["gradient"] for t in found.numbers["copies"]] == [90, 140, 90, 40]
    assert "With a stride of 2" in explain_grad(nn.Conv2d(1, 1, 2), X, np.ones((1, 3, 3)), (0, 0, 0)).words[1]


def test_long_lists_are_summed_up() -> None:
    layer, x = filled(nn.Conv2d(20, 2, 3), 0), integers((20, 5, 5), 1)
    found = explain(layer, x, (1, 1, 1))
    text = str(found)
    assert "By channel, the 16 largest of 20" in text
    assert "The 30 largest of 180 terms" in text
    assert len(found.as_dict()["terms"]) == 180
    dy = np.zeros((2, 6, 6), np.float32)
    dy[0, 1, 1:3] = 5                                          # of its 36 terms all but these two are 0
    sparse = explain_grad(nn.Conv2d(20, 2, 2), np.ones((20, 7, 7), np.float32), dy, (0, 0, 0, 0), "weight")
    assert "The 2 largest of 36 terms (all of them: --all, most = None, or JSON)" in str(sparse)
    found.most = None
    assert "All 180 terms" in str(found)


def shown(found: Explanation, width: int) -> list[str]:
    file = io.StringIO()
    found.show(Console(file=file, width=width, force_terminal=True, color_system=None, soft_wrap=True))
    return file.getvalue().splitlines()


@pytest.mark.parametrize("wrt", [None, "input", "weight"])
def test_it_fits_a_terminal(wrt: str | None) -> None:
    layer, x = filled(nn.Conv2d(3, 4, 3, stride=2, padding=1), 0), integers((3, 12, 12), 1)
    dy, index = integers((4, 6, 6), 2), (1, 2, 1, 1) if wrt == "weight" else (1, 2, 2)
    found = explain(layer, x, index) if wrt is None else explain_grad(layer, x, dy, index, wrt)
    for width in (80, 120):
        assert max(map(len, shown(found, width))) <= width


def explanations() -> list[Callable[[], Explanation]]:
    x, bn = integers((1, 2, 30, 30), 1), filled(nn.BatchNorm2d(2), 0, whole=False)
    conv, up = filled(nn.Conv2d(2, 2, 3, stride=2, padding=1), 0), filled(nn.ConvTranspose2d(2, 2, 3, stride=2), 1)
    dy = integers((1, 2, 15, 15), 2)
    return [lambda: explain(conv, x, (0, 0, 0)), lambda: explain_grad(conv, x, dy, (0, 15, 15)),
            lambda: explain_grad(conv, x, dy, (0, 0, 1, 1), "weight"), lambda: explain_grad(conv, x, dy, 0, "bias"),
            lambda: explain(up, x, (0, 4, 4)), lambda: explain(nn.MaxPool2d(3, 2, 1), x, (0, 0, 0)),
            lambda: explain_grad(nn.MaxPool2d(2), x, dy, (0, 0, 0)), lambda: explain(nn.AvgPool2d(2), x, (0, 0, 0)),
            lambda: explain(bn, x, (0, 1, 1)), lambda: explain_grad(bn, x, x, (0, 1, 1)),
            lambda: explain(filled(nn.Linear(30, 2), 1), x, (0, 0, 0, 0))]


@pytest.mark.parametrize("which", range(11))
def test_pictures(which: int, tmp_path: Path) -> None:
    found = explanations()[which]()
    figure = found.figure()
    figure.canvas.draw()
    assert max(figure.get_size_inches()) < 20
    for axes in figure.axes:
        assert axes.get_xlabel()
    assert found.name in figure.get_suptitle()
    if which == 1:
        assert found.save(tmp_path / "pixel.svg").read_text().count("spread out") == 2
