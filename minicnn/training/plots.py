"""Pictures of a run: the learning curve, a grid of predictions, and some test images to try `minicnn predict` on."""
from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import figures
from minicnn.autograd import no_grad
from minicnn.data import ArrayDataset
from minicnn.data.augment import Transform
from minicnn.files import write_whole
from minicnn.nn import Module
from minicnn.tensor import Tensor
from minicnn.training.loop import Epoch, device_of
from minicnn.training.metrics import short

DPI = 110


def learning_curve(path: Path, history: Sequence[Epoch]) -> None:
    """Loss and accuracy after each epoch, on the training and on the validation images. Raises ImportError without matplotlib."""
    figure = figures.new(9, 3.5)
    epochs = [e.number for e in history]
    for i, name in enumerate(("loss", "accuracy")):
        axes = figure.add_subplot(1, 2, i + 1)
        axes.plot(epochs, [getattr(e, name) for e in history], marker=".", label="training")
        if all(e.validation for e in history):
            axes.plot(epochs, [getattr(e.validation, name) for e in history], marker=".", label="validation")
        axes.set(xlabel="epoch", ylabel=name)
        locator: Any = axes.xaxis.get_major_locator()
        locator.set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
        axes.legend()
    figures.save(figure, path, DPI)


@no_grad()
def prediction_grid(path: Path, model: Module, test: ArrayDataset, normalize: Transform, rows: int = 4, columns: int = 8) -> None:
    """Test images with what the network takes them for, in red where it is wrong. Raises ImportError without matplotlib."""
    picked = spread(test.labels, rows * columns)
    pixels = test.images[picked].astype(np.float32) / np.float32(test.max_value)
    model.eval()
    logits = model(Tensor(normalize(pixels, np.random.default_rng(0))).to(device_of(model)))
    found = logits.cpu().array.argmax(axis=1)
    columns = min(columns, len(picked))
    rows = -(-len(picked) // columns)                          # rounded up
    figure = figures.new(1.3 * columns, 1.5 * rows)
    for i, (image, guess, label) in enumerate(zip(pixels, found, test.labels[picked], strict=True)):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(image.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=1)      # (C, H, W) -> (H, W, C), or (H, W) when grey
        right = guess == label
        guessed, true = short(test.classes[guess], 16), short(test.classes[label], 16)
        title = guessed if right else f"{guessed}\nnot {true}"
        axes.set_title(title, fontsize=8, color="black" if right else "red")
        axes.set_axis_off()
    figures.save(figure, path, DPI)


def example_images(folder: Path, test: ArrayDataset, most: int = 10) -> list[Path]:
    """Write one test image of each class, of `most` classes at most, as <class>.png."""
    from PIL import Image

    folder.mkdir()
    paths = []
    for label in range(min(most, len(test.classes))):
        members = np.flatnonzero(test.labels == label)
        if members.size:
            name = re.sub(r"\W+", "-", test.classes[label])[:40].strip("-")
            paths.append(folder / (f"{label}.png" if name in ("", str(label)) else f"{label}-{name}.png"))
            write_whole(paths[-1], png(test.images[members[0]], test.max_value, Image))
    return paths


def png(image: np.ndarray, max_value: int, Image: Any) -> bytes:
    """A uint8 image (C, H, W) in 0..max_value as a PNG file in 0..255."""
    pixels = np.rint(image.transpose(1, 2, 0) * np.float32(255 / max_value)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def spread(labels: np.ndarray, count: int) -> np.ndarray:
    """The indices of `count` images (fewer if there are fewer), evenly spread over the dataset."""
    return np.unique(np.linspace(0, len(labels) - 1, min(count, len(labels))).astype(np.int64))
