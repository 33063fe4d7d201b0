"""filters(model): the weights of a layer as small pictures, and which of them are empty or alike."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.document import Block, Column, Table
from minicnn.inspect.result import Result
from minicnn.inspect.showing import drawing
from minicnn.inspect.showing.about import About
from minicnn.inspect.showing.inputs import host
from minicnn.nn import ConvTranspose2d, Module

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EMPTY = 0.01                     # of the median norm: below it a filter does next to nothing
ALIKE = 0.98                     # cosine: above it two filters do the same
ROWS, COLUMNS, MOST, LISTED = 12, 16, 64, 12


@dataclass(repr=False, eq=False)
class Filters(Result):
    """weight: (F, C, KH, KW), or (F, C) of a linear layer; a transposed convolution's has the input's channels first.

    norms (F): the root of each filter's sum of squares. empty: filters whose norm is below 1 % of the median. alike: (i, j, cosine) of
    filters that point the same way or the opposite one, |cosine| at least 0.98.
    """
    layer: str
    kind: str
    weight: np.ndarray
    norms: np.ndarray
    empty: list[int]
    alike: list[tuple[int, int, float]]
    about: About

    def blocks(self) -> list[Block]:
        w = self.weight.reshape(len(self.weight), -1)
        order = np.argsort(-self.norms, kind="stable")[:LISTED]
        rows = [[str(i), f"{self.norms[i]:.4g}", f"{w[i].mean():+.4f}", f"{w[i].min():+.4f}", f"{w[i].max():+.4f}"] for i in order]
        table = Table(f"{self.about.network}, {self.layer}: {self.kind}, {len(w)} filters of {self._size()}",
                      [Column("filter"), Column("norm"), Column("mean"), Column("min"), Column("max")], rows,
                      [text for text in [drawing.left_out(len(rows), len(w), "filters", "those with the largest norms")] if text])
        return [table, self.verdict]

    @property
    def verdict(self) -> str:
        """One sentence: what to look at."""
        F = len(self.weight)
        if not np.isfinite(self.weight).all():
            return f"{int((~np.isfinite(self.weight)).sum())} weights of {self.layer} are not finite: the network is broken."
        said = []
        if self.empty:
            said.append(f"{len(self.empty)} of {F} filters are next to 0 (norm below 1 % of the median): {_listed(self.empty)}")
        if self.alike:
            i, j, cosine = max(self.alike, key=lambda pair: abs(pair[2]))
            pairs = f"{len(self.alike)} pairs" if len(self.alike) > 1 else "1 pair"
            said.append(f"{pairs} of filters do nearly the same (|cosine| at least {ALIKE}), such as {i} and {j} ({cosine:+.3f})")
        if not said:
            return f"None of the {F} filters of {self.layer} is next to 0, and no two of them do the same."
        return f"{self.layer}: {'; '.join(said)}."

    def _size(self) -> str:
        return " x ".join(map(str, self.weight.shape[1:])) + (" (channels, height, width)" if self.weight.ndim == 4 else " weights")

    def as_dict(self) -> dict[str, Any]:
        return {"network": self.about.network, "layer": self.layer, "kind": self.kind, "shape": self.weight.shape, "norms": self.norms,
                "empty": self.empty, "alike": [{"filters": [i, j], "cosine": c} for i, j, c in self.alike], "verdict": self.verdict,
                "weight": self.weight}

    def figure(self) -> Figure:
        """RGB filters in colour; of one channel side by side; of more a row a filter. A linear layer as a matrix."""
        title = f"{self.about.network}, {self.layer}: {self.kind}, {len(self.weight)} filters of {self._size()}"
        if self.weight.ndim == 2:
            return _matrix(title, self.weight)
        C = self.weight.shape[1]
        return _side_by_side(title, self.weight) if C in (1, 3) else _rows(title, self.weight)


def filters(model: Module, layer: str | None = None, *, about: About | None = None) -> Filters:
    """The weights of a layer, in small pictures: what each filter of it looks for.

    layer: the name of a module with a weight of two or more axes, such as "features.3"; None: the first convolution, or the first such
    module of a network without one. about: what to call things.

    Raises TypeError for a model that is no Module, ValueError for a layer that does not exist, or a network without weights.

    >>> from minicnn import models
    >>> found = filters(models.LeNet())
    >>> found.layer, found.weight.shape
    ('conv1', (6, 1, 5, 5))
    """
    if not isinstance(model, Module):
        raise TypeError(f"filters: expected a Module, got {type(model).__name__}")
    found: dict[str, Any] = {path or type(model).__name__: module for path, module in model.named_modules()
                             if getattr(module, "weight", None) is not None and module.weight.ndim in (2, 4)}
    if not found:
        raise ValueError(f"filters: {type(model).__name__} has no layer with a weight of two or four axes")
    if layer is None:
        layer = next((path for path, module in found.items() if module.weight.ndim == 4), next(iter(found)))
    if layer not in found:
        raise ValueError(f"filters: {type(model).__name__} has no layer {layer!r} with weights; it has: {', '.join(found)}")
    module = found[layer]
    weight = host(module.weight).copy()
    kind = type(module).__name__ + (" (a row a channel of the input)" if isinstance(module, ConvTranspose2d) else "")
    return Filters(layer, kind, weight, *_measured(weight), (about or About()).named(model))


def _measured(weight: np.ndarray) -> tuple[np.ndarray, list[int], list[tuple[int, int, float]]]:
    """Norms, empty filters, and pairs that are alike; a filter of one weight is always like the others, so those are not compared."""
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    norms = np.sqrt(np.square(flat).sum(axis=1))
    empty = np.flatnonzero(norms <= EMPTY * np.median(norms)).tolist() if np.isfinite(norms).all() else []
    if flat.shape[1] < 2 or not np.isfinite(norms).all():
        return norms, empty, []
    unit = np.where(norms[:, None] > 0, flat / np.where(norms, norms, 1)[:, None], 0)
    cosine = np.triu(unit @ unit.T, 1)
    pairs = np.argwhere(np.abs(cosine) >= ALIKE)
    return norms, empty, [(int(i), int(j), float(cosine[i, j])) for i, j in pairs if i not in empty and j not in empty]


def _listed(numbers: list[int], most: int = 8) -> str:
    return ", ".join(map(str, numbers[:most])) + (f" and {len(numbers) - most} more" if len(numbers) > most else "")


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
