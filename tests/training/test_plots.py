"""Pictures of small and odd runs: one epoch, two images, classes with names that neither fonts nor file systems like."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from minicnn import Tensor, nn
from minicnn.data import ArrayDataset, Normalize
from minicnn.training import Epoch, Evaluation, plots

TEST = ArrayDataset(np.zeros((3, 1, 4, 4), np.uint8), np.arange(3), ("кот\n猫", "long" * 60, "???"))


class FirstClass(nn.Module):
    """Takes everything for class 0."""

    def forward(self, x: Tensor) -> Tensor:
        return Tensor(np.eye(3, dtype=np.float32)[[0] * len(x)])


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    saved: list[Figure] = []
    save = plots.figures.save
    monkeypatch.setattr(plots.figures, "save", lambda figure, *args: (saved.append(figure), save(figure, *args)))
    return saved


def test_epochs_are_whole_numbers(tmp_path: Path, figures: list[Figure]) -> None:
    one = Epoch(1, 0.1, 0.5, 0.5, Evaluation(0.2, np.eye(2, dtype=int)), 1.5, 100)
    plots.learning_curve(tmp_path / "curve.png", [one])
    for axes in figures[0].axes:
        assert [tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]] == [1]


def test_a_grid_of_few_images_has_no_empty_places(tmp_path: Path, figures: list[Figure]) -> None:
    plots.prediction_grid(tmp_path / "grid.png", FirstClass(), TEST, Normalize((0.5,), (0.5,)))
    assert [axes.get_title() for axes in figures[0].axes] == ["кот 猫", "кот 猫\nnot " + "long" * 3 + "lon…", "кот 猫\nnot ???"]
    assert figures[0].get_size_inches().tolist() == pytest.approx([3 * 1.3, 1.5])
    with Image.open(tmp_path / "grid.png") as image:
        image.load()


def test_example_files_have_names_that_any_system_takes(tmp_path: Path) -> None:
    names = [path.name for path in plots.example_images(tmp_path / "examples", TEST)]
    assert names == ["0-кот-猫.png", f"1-{'long' * 10}.png", "2.png"]
    assert sorted(path.name for path in (tmp_path / "examples").iterdir()) == sorted(names)
