"""effective_receptive_field(model, input_shape): how much each input pixel counts for a unit, by gradients over random inputs."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import random
from minicnn.autograd import grad
from minicnn.document import Block, Column, Table
from minicnn.inspect.receptive_fields.cone import Box
from minicnn.inspect.receptive_fields.cones import cones
from minicnn.inspect.receptive_fields.field import locate
from minicnn.inspect.recorder import example_input, record
from minicnn.inspect.result import Result
from minicnn.nn import Module
from minicnn.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HELD = 0.95                      # the share of the squared gradient that the shortest range of rows, and of columns, must hold
ABOVE = 1 - 0.9545               # Luo and others count the pixels whose gradient is at least this part of the largest


@dataclass(repr=False, eq=False)
class EffectiveField(Result):
    """energy: (H, W), the squared gradient at each pixel, adding up to 1. box: what the unit sees in theory, within the image.

    core: the shortest range of rows that holds 95 % of the energy, and of columns. centre, deviation: mean and standard deviation of the
    energy, (rows, columns). area: the pixels whose gradient is at least 4.55 % of the largest. Sizes in pixels of the input.
    """
    model: str
    layer: str
    unit: tuple[int, ...]
    image: tuple[int, int]
    seeds: int
    redrawn: bool
    energy: np.ndarray
    box: Box
    core: Box
    centre: tuple[float, float]
    deviation: tuple[float, float]
    area: int

    @property
    def share(self) -> float:
        """The core's part of the theoretical field's area."""
        return float(np.prod(self.core.size) / np.prod(self.box.size))

    def blocks(self) -> list[Block]:
        (rows, columns), (core_rows, core_columns) = self.box.size, self.core.size
        table = [["theoretical field, within the image", f"{rows} rows", f"{columns} columns", f"{rows * columns:,} pixels"],
                 [f"{100 * HELD:g} % of the squared gradient", f"{core_rows} rows", f"{core_columns} columns",
                  f"{core_rows * core_columns:,} pixels, {100 * self.share:.1f} %"],
                 ["standard deviation", f"{self.deviation[0]:.2f} rows", f"{self.deviation[1]:.2f} columns", ""],
                 ["centre", f"row {self.centre[0]:.2f}", f"column {self.centre[1]:.2f}", ""],
                 [f"gradient at least {100 * ABOVE:.2f} % of the largest", "", "", f"{self.area:,} pixels, "
                  f"{100 * self.area / (rows * columns):.1f} %"]]
        weights = "weights drawn anew for each" if self.redrawn else "the weights as they are"
        return [Table(f"{self.model}, effective receptive field of unit {self.unit} of {self.layer}",
                      [Column("", left=True), Column("height"), Column("width"), Column("area")], table,
                      [f"Mean of {self.seeds} random inputs, {weights}. Percentages of areas: of the theoretical field. The "
                       f"{100 * HELD:g} % are held by the rows, and by the columns, each for itself."])]

    def as_dict(self) -> dict[str, Any]:
        return {"model": self.model, "layer": self.layer, "unit": self.unit, "image": self.image, "seeds": self.seeds,
                "weights_redrawn": self.redrawn, "theoretical": self.box._asdict(), "core": self.core._asdict(), "core_holds": HELD,
                "core_size": self.core.size, "core_share_of_theoretical_area": self.share, "centre": self.centre,
                "standard_deviation": self.deviation, "pixels_above_4.55_percent_of_the_largest": self.area, "energy": self.energy}

    def figure(self) -> Figure:
        """The heat map with both boxes, and the energy of rows and columns."""
        from minicnn.inspect.receptive_fields import drawing

        return drawing.heat(self)


def effective_receptive_field(model: Module | Callable[[], Module], input_shape: Sequence[int], layer: str | None = None,
                              unit: Sequence[int] | None = None, seeds: int = 5) -> EffectiveField:
    """How much each pixel counts for a unit (Luo, Li, Urtasun, Zemel: "Understanding the Effective Receptive Field in Deep CNNs", 2016).

        energy[h, w] = mean over seeds of the sum over c of (d y / d x[c, h, w])²

    x: normally distributed numbers, drawn for each seed. y: the unit's channels, each with a random sign, so that over the seeds they do
    not cancel. The share of all energy is given. In eval mode.

    model: a Module, whose weights stay as they are; or a function that makes one, such as a class, which is called after
    `minicnn.manual_seed(seed)` for each seed: what an architecture does before training.
    layer, unit: as for `receptive_field`. seeds: how many, from 1.

    Raises ValueError for an unknown layer or unit, for a unit that sees nothing, and where the gradient is 0 or not finite everywhere.
    """
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise ValueError(f"seeds is {seeds!r}: give how many random inputs to draw, from 1")
    redrawn = not isinstance(model, Module)
    total: Any = 0.0
    for seed in range(seeds):
        made: Any = model
        if redrawn:
            with random.fork_rng(seed):
                made = model()
        recording = record(made, example_input(input_shape, seed))
        chosen, index = locate(recording, layer, unit)
        total = total + _energy(recording.input.output, chosen.output.output, index, seed)
    cone = cones(recording)[chosen.output]
    box = cone.box(index)
    if box is None:
        raise ValueError(f"unit {index} of {chosen.name} sees nothing of the image")
    if not np.isfinite(total).all() or not total.any():
        what = "0 everywhere: a dead unit, or a step that has no gradient" if np.isfinite(total).all() else "not finite"
        raise ValueError(f"the gradient of unit {index} of {chosen.name} with respect to the input is {what}")
    return _measured(type(made).__name__, chosen.name, index, cone.image, seeds, redrawn, total, box)


def _energy(x: Tensor, y: Tensor, index: tuple[int, ...], seed: int) -> np.ndarray:
    """(H, W): the squared gradient of one unit of the first image, its channels with random signs."""
    dy = np.zeros(y.shape, y.dtype)
    place: Any = (0, Ellipsis, *index) if len(index) < len(y.shape) else index
    dy[place] = np.random.default_rng([seed, 1]).choice([-1.0, 1.0], np.shape(dy[place]))
    (dx,) = grad(y, x, Tensor(dy), allow_unused=True)
    squared = np.square(np.zeros(x.shape) if dx is None else dx.array.astype(np.float64))
    return squared.reshape(-1, *squared.shape[-2:]).sum(axis=0) if squared.ndim > 2 else squared[:1]


def _measured(model: str, layer: str, unit: tuple[int, ...], image: tuple[int, int], seeds: int, redrawn: bool, total: np.ndarray,
              box: Box) -> EffectiveField:
    energy = total / total.sum()
    margins = energy.sum(axis=1), energy.sum(axis=0)
    core = Box(*_shortest(margins[0]), *_shortest(margins[1]))
    centre = [float(np.arange(len(m)) @ m) for m in margins]
    deviation = [float(np.sqrt(np.square(np.arange(len(m)) - c) @ m)) for m, c in zip(margins, centre, strict=True)]
    area = int((np.sqrt(energy) >= ABOVE * np.sqrt(energy.max())).sum())
    return EffectiveField(model, layer, unit, image, seeds, redrawn, energy, box, core, (centre[0], centre[1]),
                          (deviation[0], deviation[1]), area)


def _shortest(margin: np.ndarray) -> tuple[int, int]:
    """The first and last position of the shortest range that holds 95 % of a distribution; of several the one that holds most."""
    sums = np.concatenate([[0.0], np.cumsum(margin)])
    for length in range(1, len(margin) + 1):
        held = sums[length:] - sums[:-length]
        if held.max() >= HELD * sums[-1]:
            return int(held.argmax()), int(held.argmax()) + length - 1
    return 0, len(margin) - 1
