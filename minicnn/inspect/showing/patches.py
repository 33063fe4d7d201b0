"""maximal_patches(model, images): the parts of images that activate each channel most."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.document import Block, Column, Table
from minicnn.inspect.receptive_fields.cones import Box, Cone, cones
from minicnn.inspect.recorder import Layer, Recording, record
from minicnn.inspect.result import Result
from minicnn.inspect.showing import drawing
from minicnn.inspect.showing.about import About
from minicnn.inspect.showing.choice import last_feature_maps
from minicnn.inspect.showing.inputs import batches, host
from minicnn.nn import Module
from minicnn.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LISTED = 12


@dataclass(frozen=True, eq=False)
class Patch:
    """What a unit sees of one image: the pixels of `box`. unit: (row, column), or () for a unit of a linear layer.

    full: the box with padding, pixels outside the image included; None where units lie in no regular order.
    """
    image: int
    unit: tuple[int, ...]
    activation: float
    box: Box
    full: Box | None

    def cut(self, images: np.ndarray) -> np.ndarray:
        """The patch (C, h, w) of images (N, C, H, W)."""
        return images[self.image, :, self.box.top:self.box.bottom + 1, self.box.left:self.box.right + 1]


@dataclass(repr=False, eq=False)
class MaximalPatches(Result):
    """patches: for each channel, the one with the largest activation first. x: the images."""
    layer: str
    kind: str
    patches: dict[int, list[Patch]]
    x: np.ndarray
    top: int
    about: About

    @property
    def strongest(self) -> list[int]:
        """The channels, the one with the largest activation first."""
        return sorted(self.patches, key=lambda c: -self.patches[c][0].activation)

    def blocks(self) -> list[Block]:
        shown = self.strongest[:LISTED]
        rows = [[str(c), f"{p[0].activation:.4g}", f"{p[-1].activation:.4g}", self.about.image(p[0].image), _place(p[0]), self._classes(p)]
                for c in shown for p in [self.patches[c]]]
        columns = [Column("channel"), Column("largest"), Column(f"no. {len(self.patches[shown[0]])}"), Column("for", True),
                   Column("rows, columns", True), Column("classes of the images", True, aside=True)]
        if self.about.labels is None:
            columns, rows = columns[:-1], [row[:-1] for row in rows]
        notes = ["rows, columns: the pixels of that image that the unit sees.", "Of each image only its largest unit counts."]
        if more := drawing.left_out(len(shown), len(self.patches), "channels", "those with the largest activations"):
            notes.append(more)
        title = f"{self.about.network}, {self.layer}: what activates its channels most, in {len(self.x):,} images"
        return [Table(title, columns, rows, notes), self.verdict]

    def _classes(self, patches: list[Patch]) -> str:
        """"Sneaker 7, Boot 2": how many of the images are of which class."""
        if self.about.labels is None:
            return ""
        labels, counts = np.unique([int(self.about.labels[p.image]) for p in patches], return_counts=True)
        order = np.argsort(-counts, kind="stable")[:3]
        return ", ".join(f"{self.about.class_name(int(labels[i]))} {counts[i]}" for i in order)

    @property
    def verdict(self) -> str:
        """One sentence: what to look at."""
        silent = [c for c, found in self.patches.items() if found[0].activation <= 0]
        said = f"{len(silent)} of {len(self.patches)} channels are positive for none of the images. " if silent else ""
        if self.about.labels is None:
            best = self.strongest[0]
            return f"{said}Channel {best} of {self.layer} gives the largest value, {self.patches[best][0].activation:.4g}."
        labels = np.asarray(self.about.labels)
        pure = [c for c, found in self.patches.items() if c not in silent and len({int(labels[p.image]) for p in found}) == 1]
        if not pure:
            return f"{said}No channel of {self.layer} finds all of its {self.top} strongest patches in images of one class."
        first = pure[0]
        example = f"channel {first} ({self.about.class_name(int(labels[self.patches[first][0].image]))})"
        return (f"{said}{len(pure)} of {len(self.patches)} channels of {self.layer} find all of their {self.top} strongest patches "
                f"in images of one class, such as {example}.")

    def as_dict(self) -> dict[str, Any]:
        channels = {c: [self._patch(p) for p in found] for c, found in self.patches.items()}
        return {"network": self.about.network, "layer": self.layer, "kind": self.kind, "images": len(self.x), "verdict": self.verdict,
                "channels": channels}

    def _patch(self, p: Patch) -> dict[str, Any]:
        return {"image": p.image, "name": self.about.image(p.image), "true": self.about.true(p.image), "unit": list(p.unit),
                "activation": p.activation, "box": p.box._asdict(), "box_with_padding": p.full._asdict() if p.full else None}

    def figure(self) -> Figure:
        """A row a channel: its strongest patches, with the activation above each."""
        from minicnn.inspect.showing.patch_picture import draw

        return draw(self)


def maximal_patches(model: Module, images: Any, layer: str | None = None, channels: int | Sequence[int] | None = None,
                    top: int = 9, *, about: About | None = None) -> MaximalPatches:
    """For each channel of a layer the `top` units, each of another image, with the largest values, and what they see, to the pixel.

    images: (N, C, H, W) as the network is fed with them, or a loader of batches. layer: a name as in a summary; None: the last
    convolution with feature maps, with the normalisation, addition and activation after it. channels: which; all if None.
    What a unit sees is its receptive field: see `receptive_field`. Of equal values the first counts. The model is left as it was.

    After Girshick et al. ("Rich feature hierarchies", 2014), figure 4, and Zeiler and Fergus (2013).

    Raises ValueError for an unknown layer, with all names, for a channel that does not exist and for top below 1.
    """
    if isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1:
        raise ValueError(f"maximal_patches: top is {top!r}, expected a number from 1")
    found = batches("maximal_patches", model, images)
    if found[0].ndim != 4:
        raise ValueError(f"maximal_patches: images must be (N, C, H, W), got shape {found[0].shape}")
    best, where, used, cone = [], [], None, None
    for x in found:
        recording = record(model, x)
        used = _layer(recording, layer)
        y = host(used.output.output)
        if y.ndim not in (2, 4):
            raise ValueError(f"maximal_patches: the output of {used.name} has shape {y.shape}: choose a layer with channels, (N, C, H, W), "
                             "or with units in a row, (N, F)")
        flat = y.reshape(*y.shape[:2], -1)
        where.append(flat.argmax(axis=2))
        best.append(np.take_along_axis(flat, where[-1][..., None], axis=2)[..., 0])
    assert used is not None
    one = record(model, Tensor(found[0].array[:1]))              # what units see is the same for all images
    cone = cones(one)[_layer(one, layer).output]
    values, places = np.concatenate(best), np.concatenate(where)
    chosen = _channels(channels, values.shape[1], used.name)
    patches = {c: [_patch(cone, int(n), c, int(places[n, c]), float(values[n, c]), used.shape)
                   for n in np.argsort(-values[:, c], kind="stable")[:top]] for c in chosen}
    pixels = np.concatenate([host(x) for x in found])
    return MaximalPatches(used.name, used.kind, patches, pixels, int(top), (about or About()).named(model))


def _layer(recording: Recording, layer: str | None) -> Layer:
    return recording.layer(layer) if layer is not None else last_feature_maps("maximal_patches", recording)


def _channels(channels: Any, C: int, layer: str) -> list[int]:
    if channels is None:
        return list(range(C))
    chosen = [int(c) for c in ([channels] if isinstance(channels, int | np.integer) else channels)]
    if not chosen or min(chosen) < 0 or max(chosen) >= C:
        raise ValueError(f"maximal_patches: channels is {channels!r}; {layer} has {C}: give numbers from 0 to {C - 1}")
    return list(dict.fromkeys(chosen))


def _patch(cone: Cone, image: int, channel: int, place: int, value: float, shape: tuple[int, ...]) -> Patch:
    H, W = cone.image
    if len(shape) == 2:
        return Patch(image, (), value, cone.box((channel,)) or Box(0, H - 1, 0, W - 1), None)
    unit = tuple(int(i) for i in np.unravel_index(place, shape[2:]))
    box = cone.box((channel, *unit))
    if box is None:
        raise ValueError(f"maximal_patches: unit {unit} of channel {channel} sees nothing of the image")
    return Patch(image, unit, value, box, cone.unclipped((unit[0], unit[1])))


def _place(p: Patch) -> str:
    return f"{p.box.top}–{p.box.bottom}, {p.box.left}–{p.box.right}"
