"""The pictures of filters."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.inspect.showing import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minicnn.inspect.showing.weights import Filters

ROWS, COLUMNS, MOST = 12, 16, 64


def draw(found: Filters) -> Figure:
    """RGB filters in colour; of one channel side by side; of more a row a filter. A linear layer as a matrix."""
    title = f"{found.about.network}, {found.layer}: {found.kind}, {len(found.weight)} filters of {found.size()}"
    if found.weight.ndim == 2:
        return _matrix(title, found.weight)
    return _side_by_side(title, found.weight) if found.weight.shape[1] in (1, 3) else _rows(title, found.weight)


def _side_by_side(title: str, weight: np.ndarray) -> Figure:
    """Filters of one channel, or of three in colour."""
    shown = weight[:MOST]
    rows, columns = drawing.grid(len(shown), 8 if len(shown) <= 32 else 12)
    figure = drawing.new(max(6.5, 0.95 * columns + 1), 1.15 * rows + 1.0, title)
    axes = figure.add_subplot()
    labels = [f"filter {i}" if columns <= 8 else str(i) for i in range(len(shown))]
    missing = drawing.left_out(len(shown), len(weight), "filters")
    if weight.shape[1] == 3:
        most = float(np.abs(shown).max()) or 1.0
        drawing.mosaic(axes, [w.transpose(1, 2, 0) / (2 * most) + 0.5 for w in shown], columns, labels)
        colours = f"red, green, blue: the weights of the three channels; grey is 0, full colour ±{most:.2g}"
        drawing.note(figure, "; ".join(filter(None, [colours, missing])))
        return figure
    picture = drawing.mosaic(axes, [w[0] for w in shown], columns, labels, **_signed(shown))
    drawing.colour_bar(figure, picture, axes, "weight")
    drawing.note(figure, missing)
    return figure


def _rows(title: str, weight: np.ndarray) -> Figure:
    """A row a filter, a column a channel of its input: those with the largest norms."""
    norms = np.square(weight.astype(np.float64)).sum(axis=(1, 2, 3))
    picked = np.sort(np.argsort(-norms, kind="stable")[:ROWS])
    shown = weight[picked][:, :COLUMNS]
    F, C = shown.shape[:2]
    figure = drawing.new(max(6.5, 0.55 * C + 2), max(3.0, 0.62 * F + 1.4), title)
    axes = figure.add_subplot()
    labels = [str(c) if i == 0 else "" for i in range(F) for c in range(C)]
    KH, KW = shown.shape[2:]
    picture = drawing.mosaic(axes, [w for row in shown for w in row], C, labels, **_signed(shown))
    height = KH + max(1, round(KH * 0.38))
    for i, f in enumerate(picked):
        axes.text(-KW * 0.3, (i + 1) * height - KH / 2 - 0.5, f"filter {f}", fontsize=7, ha="right", va="center")
    drawing.colour_bar(figure, picture, axes, "weight")
    drawing.note(figure, "; ".join(filter(None, [
        "columns: channels of the layer's input", drawing.left_out(F, len(weight), "filters", "those with the largest norms"),
        drawing.left_out(C, weight.shape[1], "channels", "the first")])))
    return figure


def _matrix(title: str, weight: np.ndarray) -> Figure:
    figure = drawing.new(9, 4.5, title)
    axes = figure.add_subplot()
    picture = axes.imshow(weight, aspect="auto", interpolation="nearest", **_signed(weight))
    axes.set(xlabel="input feature", ylabel="output feature")
    drawing.colour_bar(figure, picture, axes, "weight")
    return figure


def _signed(weight: np.ndarray) -> dict[str, Any]:
    most = float(np.abs(weight).max()) or 1.0
    return {"cmap": drawing.SIGNED, "vmin": -most, "vmax": most}
