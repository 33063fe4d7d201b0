"""Heat: what the maps of saliency, occlusion and Grad-CAM have in common: an image, a class, and a number for every pixel."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.document import Block, Column, Table
from minicnn.inspect.result import Result
from minicnn.inspect.showing import drawing
from minicnn.inspect.showing.about import About

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS, ROWS, LISTED = 6, 2, 12


@dataclass(frozen=True)
class Manner:
    """name: of the method. meaning: of the numbers. overlaid: on the image, else the image's outline on it. own: each image has a scale of
    its own. empty: what it may mean that a map has no positive value."""
    name: str
    meaning: str
    overlaid: bool
    own: bool
    empty: str = "nothing there speaks for the class asked about"


@dataclass(repr=False, eq=False)
class Heat(Result):
    """heat: (N, H, W), a number for every pixel. target (N): the class it is about. probabilities: (N, K).

    x: the images (N, C, H, W). values: what the method found before it was spread over the pixels. settings: how it was done.
    """
    manner: Manner
    heat: np.ndarray
    target: np.ndarray
    probabilities: np.ndarray
    x: np.ndarray
    about: About
    values: np.ndarray
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each image (N)."""
        return self.probabilities.argmax(axis=1)

    def peak(self, i: int) -> tuple[int, int]:
        """Row and column of the largest value of image i."""
        h, w = np.unravel_index(int(self.heat[i].argmax()), self.heat[i].shape)
        return int(h), int(w)

    def area(self, i: int) -> float | None:
        """The smallest share of the pixels of image i that holds half of all positive heat; None where there is none."""
        positive = np.sort(np.maximum(self.heat[i], 0).astype(np.float64), axis=None)[::-1]
        total = positive.sum()
        return float((int(np.searchsorted(np.cumsum(positive), total / 2)) + 1) / positive.size) if total > 0 else None

    def blocks(self) -> list[Block]:
        columns = [Column("image", True), Column("predicted", True), Column("asked about", True), Column("largest"), Column("at"),
                   Column("half in")]
        rows = [[self.about.image(i), f"{self.about.class_name(int(self.predicted[i]))} {self.probabilities[i].max():.1%}",
                 f"{self.about.class_name(int(t))} {self.probabilities[i, t]:.1%}", f"{self.heat[i].max():.3g}",
                 "{}, {}".format(*self.peak(i)), "–" if (area := self.area(i)) is None else f"{area:.1%}"]
                for i, t in enumerate(self.target[:LISTED])]
        notes = [f"largest: of the numbers, {self.manner.meaning}.", "at: its row and column.",
                 "half in: the share of the pixels that holds half of all that is positive."]
        if (self.target == self.predicted).all():
            columns, rows = [*columns[:2], *columns[3:]], [[*row[:2], *row[3:]] for row in rows]
            notes.insert(0, "For the class that is predicted.")
        if more := drawing.left_out(len(rows), len(self.heat), "images", "the first"):
            notes.append(more)
        return [Table(self.title, columns, rows, notes), self.verdict]

    @property
    def title(self) -> str:
        said = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return f"{self.about.network}: {self.manner.name}{f' ({said})' if said else ''}"

    @property
    def verdict(self) -> str:
        """One sentence: what to look at."""
        areas = [area for i in range(len(self.heat)) if (area := self.area(i)) is not None]
        nothing = len(self.heat) - len(areas)
        none = f"{nothing} of {len(self.heat)} maps have no positive value: {self.manner.empty}"
        if not areas:
            return f"{none}."
        return (f"Half of the positive heat lies in {np.median(areas):.1%} of an image"
                f"{' (median)' if len(areas) > 1 else ''}: the smaller, the fewer pixels decide{f'; {none}' if nothing else ''}.")

    def as_dict(self) -> dict[str, Any]:
        return {"network": self.about.network, "method": self.manner.name, "meaning": self.manner.meaning, **self.settings,
                "verdict": self.verdict, "images": [self._image(i) for i in range(len(self.heat))]}

    def _image(self, i: int) -> dict[str, Any]:
        target, predicted = int(self.target[i]), int(self.predicted[i])
        return {"image": self.about.image(i), "true": self.about.true(i), "predicted": self.about.class_name(predicted),
                "predicted_probability": float(self.probabilities[i, predicted]), "target": self.about.class_name(target),
                "target_probability": float(self.probabilities[i, target]), "peak": self.peak(i), "half_in": self.area(i),
                "heat": self.heat[i]}

    def figure(self) -> Figure:
        """Each image, and below it its map."""
        count = min(len(self.heat), COLUMNS * ROWS)
        rows, columns = drawing.grid(count, COLUMNS)
        figure = drawing.new(max(6.0, 1.65 * columns + 1.2), rows * 3.9 + 1.0, self.title)
        panels = figure.subplots(2 * rows, columns, squeeze=False)
        pixels = self.about.shown(self.x)
        lower = [panels[2 * r + 1, c] for r in range(rows) for c in range(columns)]
        shown: Any = None
        for axes in panels.flat:
            axes.set_axis_off()
        for i in range(count):
            upper = panels[2 * (i // columns), i % columns]
            drawing.image(upper, pixels[i])
            self._headings(upper, lower[i], i)
            shown = self._map(lower[i], pixels[i], i, count)
        scale = ", in each image divided by its largest" if self.manner.own else ""
        drawing.colour_bar(figure, shown, list(panels.flat), f"{self.manner.meaning}{scale}")
        drawing.note(figure, drawing.left_out(count, len(self.heat), "images", "the first"))
        return figure

    def _headings(self, upper: Any, lower: Any, i: int) -> None:
        true, predicted = self.about.true(i), self.about.class_name(int(self.predicted[i]))
        wrong = true is not None and self.about.labels is not None and int(self.about.labels[i]) != self.predicted[i]
        first = f"true: {true}\n" if true is not None else f"{self.about.image(i)[:24]}\n"
        colour = drawing.WRONG if wrong else drawing.RIGHT
        upper.set_title(f"{first}seen: {predicted} ({self.probabilities[i].max():.0%})", fontsize=8, color=colour)
        target = int(self.target[i])
        largest = f"\nlargest {self.heat[i].max():.2g}" if self.manner.own else ""
        lower.set_title(f"for {self.about.class_name(target)} ({self.probabilities[i, target]:.0%}){largest}", fontsize=8)

    def _map(self, axes: Any, pixels: np.ndarray, i: int, count: int) -> Any:
        heat = self.heat[i]
        if not self.manner.own:
            most = float(np.abs(self.heat[:count]).max()) or 1.0
            shown = axes.imshow(heat, cmap=drawing.SIGNED, vmin=-most, vmax=most, interpolation="nearest")
        else:
            heat = heat / (heat.max() if heat.max() > 0 else 1)
            if self.manner.overlaid:
                axes.imshow(pixels.mean(axis=0), cmap="gray", vmin=0, vmax=1.25, interpolation="nearest")
            alpha = 0.75 * np.clip(heat, 0, 1) ** 0.5 if self.manner.overlaid else None          # where there is no heat the image is seen
            shown = axes.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=alpha, interpolation="nearest")
        if not self.manner.overlaid and not self.manner.own:
            drawing.outlined(axes, pixels)
        return shown
