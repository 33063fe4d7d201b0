"""feature_maps(model, x): what a layer makes of images, channel by channel."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.document import Block, Column, Table
from minicnn.inspect.recorder import record
from minicnn.inspect.result import Result
from minicnn.inspect.showing import drawing
from minicnn.inspect.showing.about import About
from minicnn.inspect.showing.choice import first_feature_maps, maps_of
from minicnn.inspect.showing.inputs import given, host
from minicnn.nn import Module

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LISTED, ONE, MANY, IMAGES = 12, 32, 10, 6        # channels in the table, of one image, of each of several; images


@dataclass(repr=False, eq=False)
class FeatureMaps(Result):
    """maps: (N, C, H, W), the layer's output. x: the images."""
    layer: str
    kind: str
    maps: np.ndarray
    x: np.ndarray
    about: About

    @property
    def strength(self) -> np.ndarray:
        """The mean of |map| of each channel (C), over all images and positions."""
        return np.abs(self.maps).mean(axis=(0, 2, 3))

    def strongest(self, most: int) -> list[int]:
        """The channels with the largest strength, in their order in the layer."""
        return sorted(np.argsort(-self.strength, kind="stable")[:most].tolist())

    def blocks(self) -> list[Block]:
        N, C, H, W = self.maps.shape
        order = np.argsort(-self.strength, kind="stable")[:LISTED]
        rows = [[str(c), f"{self.maps[:, c].mean():.4g}", f"{self.maps[:, c].min():.4g}", f"{self.maps[:, c].max():.4g}",
                 f"{(self.maps[:, c] == 0).mean():.0%}"] for c in order]
        note = drawing.left_out(len(rows), C, "channels", "those with the largest mean of |value|")
        return [Table(f"{self.about.network}, {self.layer}: {self.kind}, {C} maps of {H} x {W}, for {_images(N)}",
                      [Column("channel"), Column("mean"), Column("min"), Column("max"), Column("zeros")], rows, [note] if note else []),
                self.verdict]

    @property
    def verdict(self) -> str:
        """One sentence: what to look at."""
        N, C = self.maps.shape[:2]
        silent = np.flatnonzero((self.maps == 0).all(axis=(0, 2, 3)))
        n, c, h, w = np.unravel_index(int(self.maps.argmax()), self.maps.shape)
        seen = f"; {len(silent)} of {C} channels are 0 everywhere" if len(silent) else ""
        return (f"The largest value, {self.maps[n, c, h, w]:.4g}, is at row {h}, column {w} of channel {c}"
                f"{f' for {self.about.image(int(n))}' if N > 1 else ''}{seen}.")

    def as_dict(self) -> dict[str, Any]:
        return {"network": self.about.network, "layer": self.layer, "kind": self.kind, "shape": self.maps.shape,
                "images": [self.about.image(i) for i in range(len(self.maps))], "strength": self.strength, "verdict": self.verdict,
                "maps": self.maps}

    def figure(self) -> Figure:
        """The image and its maps; for several images a row each."""
        N, C, H, W = self.maps.shape
        title = f"{self.about.network}, {self.layer}: what the {C} channels make of {_images(N)} ({H} x {W} values each)"
        return _one(self, title) if N == 1 else _several(self, title)


def feature_maps(model: Module, x: Any, layer: str | None = None, *, about: About | None = None) -> FeatureMaps:
    """The output of a layer for images, as pictures: where each channel answers.

    x: (N, C, H, W), or (C, H, W) for one image, as the network is fed with it; the model runs in eval mode and is left as it was.
    layer: a name as in a summary; None: the first convolution with the normalisation and activation after it.

    Raises ValueError for an unknown layer, with all names, and for one whose output has no height and width.
    """
    x = given("feature_maps", model, x)
    recording = record(model, x)
    chosen = recording.layer(layer) if layer is not None else first_feature_maps("feature_maps", recording)
    maps_of("feature_maps", chosen)
    return FeatureMaps(chosen.name, chosen.kind, host(chosen.output.output), host(x), (about or About()).named(model))


def _images(N: int) -> str:
    return "one image" if N == 1 else f"{N} images"


def _one(found: FeatureMaps, title: str) -> Figure:
    channels = found.strongest(ONE)
    rows, columns = drawing.grid(len(channels))
    figure = drawing.new(3 + 0.95 * columns, max(3.2, 1.2 * rows + 0.9), title)
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 0.95 * columns))
    drawing.image(left, found.about.shown(found.x)[0])
    left.set_title(found.about.image(0), fontsize=8)
    tiles = [found.maps[0, c] for c in channels]
    shown = drawing.mosaic(right, tiles, columns, [f"channel {c}" for c in channels], **drawing.colours_for(np.stack(tiles)))
    drawing.colour_bar(figure, shown, right, "activation")
    drawing.note(figure, drawing.left_out(len(channels), found.maps.shape[1], "channels", "the strongest"))
    return figure


def _several(found: FeatureMaps, title: str) -> Figure:
    channels, N = found.strongest(MANY), min(IMAGES, len(found.maps))
    figure = drawing.new(2.6 + 0.9 * len(channels), 1.05 * N + 1.2, title)
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 0.95 * len(channels)))
    pixels = found.about.shown(found.x)
    drawing.mosaic(left, [np.repeat(p[..., None], 3, 2) if p.ndim == 2 else p for p in map(drawing.displayable, pixels[:N])], 1,
                   [found.about.true(i) or found.about.image(i) for i in range(N)])
    tiles = [found.maps[i, c] for i in range(N) for c in channels]
    labels = [f"channel {c}" if i == 0 else "" for i in range(N) for c in channels]
    shown = drawing.mosaic(right, tiles, len(channels), labels, **drawing.colours_for(np.stack(tiles)))
    drawing.colour_bar(figure, shown, right, "activation")
    drawing.note(figure, "; ".join(filter(None, [drawing.left_out(len(channels), found.maps.shape[1], "channels", "the strongest"),
                                                 drawing.left_out(N, len(found.maps), "images", "the first")])))
    return figure
