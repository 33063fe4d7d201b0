"""What the pictures of this package share: images, many small pictures as one, colours for signed numbers, notes below."""
from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGNED, POSITIVE = "RdBu_r", "viridis"           # colour-blind people can tell them apart
EMPTY = "#d9d9d9"                                # where there is nothing, such as beyond the border of an image
RIGHT, WRONG = figures.BLACK, figures.RED


def new(width: float, height: float, title: str) -> Figure:
    """An empty figure of that many inches, its title in lines that fit."""
    return figures.new(width, height, textwrap.fill(title, int(12 * width)))


def image(axes: Axes, pixels: np.ndarray) -> None:
    """An image (C, H, W) in 0..1, grey for one channel; of another number of channels than 1 and 3 their mean."""
    axes.imshow(displayable(pixels), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def displayable(pixels: np.ndarray) -> np.ndarray:
    """(C, H, W) -> (H, W), or (H, W, 3) for three channels."""
    C = len(pixels)
    return np.clip(pixels.transpose(1, 2, 0), 0, 1) if C == 3 else pixels.mean(axis=0) if C != 1 else pixels[0]


def grid(count: int, width: int = 8) -> tuple[int, int]:
    """Rows and columns for so many pictures, of nearly equal rows."""
    rows = -(-count // width)
    return rows, -(-count // rows)


def mosaic(axes: Axes, tiles: Sequence[np.ndarray], columns: int, labels: Sequence[str] = (), *, size: float = 6.5, **options: Any) -> Any:
    """Tiles (H, W) or (H, W, 3) of one size, `columns` in a row, each with its label above. options: of imshow. Returns the picture."""
    H, W = tiles[0].shape[:2]
    across, down = max(1, round(W * 0.12)), max(1, round(H * (0.38 if any(labels) else 0.12)))
    rows = -(-len(tiles) // columns)
    shape = (rows * (H + down), columns * (W + across) - across)
    coloured = tiles[0].ndim == 3
    canvas = np.ones((*shape, 3)) if coloured else np.full(shape, np.nan)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * (H + down) + down, (i % columns) * (W + across)
        canvas[top:top + H, left:left + W] = tile
        if i < len(labels):
            axes.text(left + W / 2 - 0.5, top - 0.5 - 0.04 * H, labels[i], fontsize=size, ha="center", va="bottom")
        axes.add_patch(_frame(left, top, H, W))
    shown = axes.imshow(canvas, interpolation="nearest", **options)
    axes.set_xlim(-1, shape[1])
    axes.set_ylim(shape[0], -1)
    axes.set_axis_off()
    return shown


def outlined(axes: Axes, pixels: np.ndarray) -> None:
    """Where the image is half bright, as a line: to see what lies below."""
    grey = pixels.mean(axis=0)
    if min(grey.shape) > 1 and grey.min() < grey.max():
        axes.contour(grey, levels=[(float(grey.min()) + float(grey.max())) / 2], colors="#555555", linewidths=0.8)


def _frame(left: int, top: int, H: int, W: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((left - 0.5, top - 0.5), W, H, fill=False, edgecolor="#888888", linewidth=0.4)


def colours_for(values: np.ndarray) -> dict[str, Any]:
    """Colours for numbers: blue to red with white at 0 when some are negative, else from 0 up."""
    most = float(np.nanmax(np.abs(values), initial=0)) or 1.0
    signed = np.nanmin(values, initial=0) < 0
    return {"cmap": SIGNED, "vmin": -most, "vmax": most} if signed else {"cmap": POSITIVE, "vmin": 0, "vmax": most}


def colour_bar(figure: Figure, shown: Any, axes: Any, label: str) -> None:
    bar = figure.colorbar(shown, ax=axes, shrink=0.9, aspect=30, pad=0.02)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def note(figure: Figure, text: str) -> None:
    """Lines below everything."""
    if text:
        figure.supxlabel(textwrap.fill(text, int(16 * figure.get_figwidth())), fontsize=8, color="#444444")


def left_out(shown: int, count: int, what: str, which: str = "") -> str:
    """"8 of 32 channels are shown, those ..."; nothing when all are."""
    return "" if shown >= count else f"{shown} of {count} {what} are shown{which and ', ' + which}"
