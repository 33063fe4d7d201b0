"""dead_units(model, images): which ReLUs never give anything but 0."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn import figures
from minicnn.document import Block, Column, Table
from minicnn.inspect.recorder import Op, Recording, record
from minicnn.inspect.result import Result
from minicnn.inspect.showing import drawing
from minicnn.inspect.showing.about import About
from minicnn.inspect.showing.choice import RELUS
from minicnn.inspect.showing.inputs import batches, host
from minicnn.nn import Module

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALMOST = 0.01                    # of the images


@dataclass(frozen=True, eq=False)
class ReluActivity:
    """A ReLU. of_images: for each channel, or unit, the share of images for which it is not 0 everywhere. of_values: the share of all its
    values that are not 0. before: the layer that feeds it, "" for none with a name."""
    layer: str
    before: str
    of_images: np.ndarray
    of_values: np.ndarray

    @property
    def dead(self) -> list[int]:
        """Never anything but 0."""
        return np.flatnonzero(self.of_images == 0).tolist()

    @property
    def almost(self) -> list[int]:
        """Not dead, but 0 everywhere for all but 1 % of the images."""
        return np.flatnonzero((self.of_images > 0) & (self.of_images <= ALMOST)).tolist()


@dataclass(repr=False, eq=False)
class DeadUnits(Result):
    """relus: each ReLU of the network, in order. images: how many were looked at."""
    relus: list[ReluActivity]
    images: int
    about: About

    @property
    def count(self) -> int:
        """Dead channels and units of the whole network."""
        return sum(len(relu.dead) for relu in self.relus)

    def blocks(self) -> list[Block]:
        rows = [[relu.layer, relu.before, str(len(relu.of_images)), str(len(relu.dead)), str(len(relu.almost)),
                 f"{relu.of_values.mean():.1%}", _listed(relu.dead)] for relu in self.relus]
        table = Table(f"{self.about.network}: ReLUs that are never active on {self.images:,} images",
                      [Column("ReLU", True), Column("after", True), Column("channels"), Column("dead"), Column("almost"),
                       Column("active"), Column("dead channels", True, aside=True)], rows,
                      ["dead: 0 for every image, at every position. almost: for all but 1 % of them.",
                       "active: the share of all values that are not 0."])
        return [table, self.verdict]

    @property
    def verdict(self) -> str:
        """One sentence: what to look at."""
        total = sum(len(relu.of_images) for relu in self.relus)
        almost = sum(len(relu.almost) for relu in self.relus)
        more = f"; {almost} more {'is' if almost == 1 else 'are'} for at most 1 % of them" if almost else ""
        if not self.count:
            return f"All {total:,} channels and units behind ReLUs are active for some of the {self.images:,} images{more}."
        worst = max(self.relus, key=lambda relu: len(relu.dead))
        rest = self.count - len(worst.dead)
        return (f"{len(worst.dead)} of {len(worst.of_images)} channels of {worst.layer} are never active on {self.images:,} images"
                f"{f', and {rest} of other layers' if rest else ''}: images that leave a unit at 0 teach it nothing{more}.")

    def as_dict(self) -> dict[str, Any]:
        return {"network": self.about.network, "images": self.images, "verdict": self.verdict, "dead": self.count, "layers": [
            {"layer": r.layer, "after": r.before, "channels": len(r.of_images), "dead": r.dead, "almost_dead": r.almost,
             "active_share_of_images": r.of_images, "active_share_of_values": r.of_values} for r in self.relus]}

    def figure(self) -> Figure:
        """For each ReLU the channels in the order of how many images they answer to."""
        title = f"{self.about.network}: for how many of {self.images:,} images is a channel active?"
        figure = drawing.new(7.5, 0.42 * len(self.relus) + 1.9, title)
        axes = figure.add_subplot()
        width = max(len(relu.of_images) for relu in self.relus)
        canvas = np.full((len(self.relus), max(width, 2)), np.nan)
        for row, relu in zip(canvas, self.relus, strict=True):
            of_images = np.sort(relu.of_images)
            row[:] = of_images[np.minimum((np.arange(len(row)) * len(of_images)) // len(row), len(of_images) - 1)]
        shown = axes.imshow(np.where(canvas == 0, np.nan, 100 * canvas), aspect="auto", interpolation="nearest", cmap="viridis", vmin=0,
                            vmax=100, extent=(0, 100, len(self.relus) - 0.5, -0.5))
        axes.set_facecolor(figures.RED)
        names = [f"{relu.layer} ({len(relu.dead)} of {len(relu.of_images)} dead)" for relu in self.relus]
        axes.set_yticks(range(len(self.relus)), names, fontsize=8)
        axes.set_xlabel("channels of the layer in %, the least active first; dead ones are orange", fontsize=8)
        axes.hlines(np.arange(0.5, len(self.relus) - 0.5), 0, 100, color="white", linewidth=2)
        drawing.colour_bar(figure, shown, axes, "active for % of the images")
        return figure


def dead_units(model: Module, loader_or_x: Any, *, about: About | None = None) -> DeadUnits:
    """The channels, and units of linear layers, whose ReLU gives 0 for every image at every position.

    loader_or_x: images (N, ...) as the network is fed with them, or a loader of batches (images, labels). The more, the surer.
    The model runs in eval mode and is left as it was.

    Raises ValueError for a network without a ReLU, and for no image.
    """
    counts: dict[str, Any] = {}                                  # name -> (2, C): images, and values, with another number than 0
    before: dict[str, str] = {}
    images = 0
    for x in batches("dead_units", model, loader_or_x):
        recording = record(model, x)
        images += len(x)
        for name, op in _relus(recording).items():
            active = host(op.output) != 0                      # NaN is not 0 either
            rest = tuple(range(2, active.ndim))
            counts[name] = counts.get(name, 0) + np.stack([active.any(axis=rest).sum(axis=0), active.mean(axis=rest).sum(axis=0)])
            sources = [layer.name for source in op.sources if (layer := recording.layer_of(source))]
            before[name] = sources[0] if sources and sources[0] != name else ""
    if not counts:
        raise ValueError(f"dead_units: {type(model).__name__} has no ReLU")
    relus = [ReluActivity(name, before[name], *(found / images)) for name, found in counts.items()]
    return DeadUnits(relus, images, (about or About()).named(model))


def _relus(recording: Recording) -> dict[str, Op]:
    """By the name of the layer; ":2" marks the second in one layer."""
    found: dict[str, Op] = {}
    for layer in recording.layers:
        ops = [op for op in layer.ops if op.name in RELUS and len(op.shape) >= 2]
        found |= {layer.name if i == 1 else f"{layer.name}:{i}": op for i, op in enumerate(ops, 1)}
    return found


def _listed(numbers: list[int], most: int = 6) -> str:
    return ", ".join(map(str, numbers[:most])) + (", …" if len(numbers) > most else "")
