"""receptive_field(model, input_shape): which part of the image the units of each layer see, and the exact pixels of one unit."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minicnn.document import Block, Column, Table
from minicnn.inspect.receptive_fields.cone import Box, Cone, Number
from minicnn.inspect.receptive_fields.cones import cones
from minicnn.inspect.recorder import Layer, Recording, example_input, record
from minicnn.inspect.result import Result
from minicnn.nn import Module

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pair = tuple[int, int]


@dataclass(frozen=True)
class LayerField:
    """One layer; pairs are (height, width), in pixels of the input. jump, centre: None where units lie in no regular order.

    whole: whether every unit sees the whole image. note: where minicnn could not tell.
    """
    name: str
    kind: str
    shape: tuple[int, ...]
    size: Pair
    jump: tuple[Number | None, Number | None]
    centre: tuple[Number | None, Number | None]
    whole: bool
    note: str


@dataclass(frozen=True)
class UnitField:
    """One unit. box: the pixels of the image that it sees, None if none. full: with the padding, None where that is not regular."""
    layer: str
    index: tuple[int, ...]
    box: Box | None
    full: Box | None

    @property
    def padding(self) -> float | None:
        """How much of its field lies outside the image, 0 to 1; None where that is not known."""
        if self.full is None or self.box is None:
            return None
        rows, columns = self.full.size
        inside = (self.box.size[0] * self.box.size[1]) / (rows * columns)
        return max(0.0, 1 - inside)

    def text(self) -> str:
        name = f"Unit {self.index} of {self.layer}"
        if self.box is None:
            return f"{name} sees nothing of the image."
        (rows, columns), box = self.box.size, self.box
        said = (f"{name} sees rows {box.top} to {box.bottom} and columns {box.left} to {box.right} of the image: "
                f"{rows} x {columns} = {rows * columns:,} pixels.")
        if self.full is None or self.full == self.box or self.padding is None:
            return said
        full = self.full
        return (f"{said} With padding its field is {full.size[0]} x {full.size[1]}, rows {full.top} to {full.bottom} and columns "
                f"{full.left} to {full.right}; {100 * self.padding:.1f} % of it lies in the padding.")


@dataclass(repr=False, eq=False)
class ReceptiveField(Result):
    """model: its class. image: (H, W). layers: in the order in which they ran. unit: the one that was asked for.

    growth: for each layer the box of the unit whose field is at the same place as that unit's: what `figure` draws.
    """
    model: str
    image: Pair
    layers: list[LayerField]
    unit: UnitField
    growth: dict[str, Box]

    def layer(self, name: str) -> LayerField:
        """The layer called `name`. Raises ValueError that lists all names."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"there is no layer {name!r}; there are: {', '.join(layer.name for layer in self.layers)}")

    def blocks(self) -> list[Block]:
        H, W = self.image
        columns = [Column("layer", left=True), Column("kind", left=True), Column("output"), Column("sees"), Column("stride"),
                   Column("centre")]
        rows = [[layer.name, layer.kind, " x ".join(map(str, layer.shape[1:])), _pair(layer.size) + (", all" if layer.whole else ""),
                 _pair(layer.jump), _pair(layer.centre)] for layer in self.layers]
        notes = ["sees: pixels that a unit depends on, padding included; all: every unit sees the whole image.",
                 "stride: pixels from a unit to the next. centre: of what unit (0, 0) sees, where pixel (0, 0) has its centre at 0.",
                 "Height x width, or one number where both are the same."]
        notes += dict.fromkeys(f"{layer.name}: {layer.note}" for layer in self.layers if layer.note)
        return [Table(f"{self.model}, receptive fields on an image of {H} x {W}", columns, rows, notes), self.unit.text()]

    def as_dict(self) -> dict[str, Any]:
        layers = [{"name": layer.name, "kind": layer.kind, "shape": layer.shape, "size": layer.size, "stride": layer.jump,
                   "centre": layer.centre, "whole_image": layer.whole, "note": layer.note} for layer in self.layers]
        unit = self.unit
        return {"model": self.model, "image": self.image, "layers": layers, "unit": {
            "layer": unit.layer, "index": unit.index, "box": unit.box and unit.box._asdict(),
            "with_padding": unit.full and unit.full._asdict(), "share_in_padding": unit.padding}}

    def figure(self) -> Figure:
        """What the unit sees, and what units at the same place of earlier layers do; and how the field grows from layer to layer."""
        from minicnn.inspect.receptive_fields import drawing

        return drawing.growth(self)


def receptive_field(model: Module, input_shape: Sequence[int], layer: str | None = None,
                    unit: Sequence[int] | None = None) -> ReceptiveField:
    """What the units of every layer see of the input: size, stride and centre, through branches, dilation, uneven padding and upsampling.

        size' = size + d*(k - 1) * stride        stride' = stride * s        centre' = centre + (d*(k - 1)/2 - p) * stride

    along a chain of windows, and the hull of all paths where there are several. Found from what each operation reads, not from gradients,
    so weights do not matter. The fields of units that differ, after upsampling, have the size of the largest. Units that are in no
    regular order (after `flatten`, adaptive pooling with uneven bins, ...) are given what they see of the image itself.

    input_shape: (C, H, W), or (N, C, H, W).
    layer: its name, as in the table; the last one whose units lie in rows and columns by default.
    unit: (row, column) in that layer, all channels together, or an index along its last axes; the one in the middle by default.

    Raises ValueError for an unknown layer, which lists their names, and for a unit that does not exist. Source of the formulas: Araujo,
    Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019.

    >>> net = minicnn.nn.Sequential(minicnn.nn.Conv2d(1, 4, 3, padding=1), minicnn.nn.MaxPool2d(2), minicnn.nn.Conv2d(4, 4, 3))
    >>> found = minicnn.inspect.receptive_field(net, (1, 8, 8))
    >>> [(layer.size, layer.jump, layer.centre) for layer in found.layers]
    [((3, 3), (1, 1), (0, 0)), ((4, 4), (2, 2), (0.5, 0.5)), ((8, 8), (2, 2), (2.5, 2.5))]
    >>> receptive = minicnn.inspect.receptive_field(net, (1, 8, 8), layer="0", unit=(0, 7)).unit
    >>> receptive.box, receptive.full
    (Box(top=0, bottom=1, left=6, right=7), Box(top=-1, bottom=1, left=6, right=8))
    """
    recording = record(model, example_input(input_shape))
    seen = cones(recording)
    chosen, index = locate(recording, layer, unit)
    cone = seen[chosen.output]
    image = cone.image
    layers = [LayerField(each.name, each.kind, each.shape, own.size, own.jump, own.centre, own.whole,
                         next((seen[op].note for op in each.ops if seen[op].note), ""))
              for each in recording.layers for own in (seen[each.output],)]
    found = UnitField(chosen.name, index, cone.box(index), cone.unclipped(index) if len(index) == 2 else None)
    upto = recording.layers[:recording.layers.index(chosen) + 1]
    return ReceptiveField(type(model).__name__, image, layers, found, _growth(upto, {each.name: seen[each.output] for each in upto}, found))


def locate(recording: Recording, layer: str | None, unit: Sequence[int] | None) -> tuple[Layer, tuple[int, ...]]:
    """The layer and the unit that are meant. Raises ValueError for those that do not exist."""
    if layer is None:
        spatial = [each for each in recording.layers if len(each.shape) == 4 and each.shape[-2:] != (1, 1)]
        chosen = (spatial or recording.layers)[-1]
    else:
        chosen = recording.layer(layer)
    axes = chosen.shape[-2:] if len(chosen.shape) > 2 else chosen.shape[1:]
    if unit is None:
        return chosen, tuple(n // 2 for n in axes)
    index = tuple(unit) if isinstance(unit, Sequence) else (unit,)
    last = chosen.shape[len(chosen.shape) - len(index):] if len(index) <= len(chosen.shape) else ()
    if any(isinstance(o, bool) or not isinstance(o, int) for o in index):
        raise ValueError(f"unit is {unit!r}: give whole numbers, such as (3, 4) for row 3 and column 4")
    if not index or len(last) != len(index) or any(not 0 <= o < n for o, n in zip(index, last, strict=True)):
        wanted = "(row, column)" if len(axes) == 2 else "its number"
        raise ValueError(f"{chosen.name} has no unit {index}: its output is {' x '.join(map(str, chosen.shape[1:]))}; give {wanted}, "
                         f"up to {tuple(n - 1 for n in axes)}")
    return chosen, index


def _growth(layers: Sequence[Layer], seen: dict[str, Cone], unit: UnitField) -> dict[str, Box]:
    """For each layer, what the unit sees whose field is nearest to the middle of that unit's."""
    if unit.box is None:
        return {}
    target = unit.full or unit.box
    middle = (target.top + target.bottom) / 2, (target.left + target.right) / 2
    found = {}
    for layer in layers:
        cone = seen[layer.name]
        if layer.name == unit.layer:
            found[layer.name] = unit.box
            continue
        if len(cone.shape) < 3 or cone.empty:
            continue
        ndim = len(cone.shape)
        axes = [lattice.axis if lattice else ndim - 2 + axis for axis, lattice in enumerate(cone.lattices)]
        if sorted(axes) == [ndim - 2, ndim - 1]:
            near = {own: _nearest(cone, axis, middle[axis]) for axis, own in enumerate(axes)}
            if (box := cone.box((near[ndim - 2], near[ndim - 1]))) is not None:
                found[layer.name] = box
    return found


def _nearest(cone: Cone, axis: int, middle: float) -> int:
    """The row (axis 0) or column of units whose field, padding included, is nearest to `middle`; one that sees nothing is far away."""
    if lattice := cone.lattices[axis]:
        spans = [lattice(o) for o in range(cone.shape[lattice.axis])]
    else:
        spans = [(int(first), int(last)) if first <= last else None for first, last in zip(*cone.ends(axis), strict=True)]
    far = [abs(sum(span) / 2 - middle) if span else float("inf") for span in spans]
    return far.index(min(far))


def _pair(values: Sequence[Number | None]) -> str:
    """3 x 5; one number for both where they are the same."""
    texts = ["-" if value is None else f"{value:g}" for value in values]
    return texts[0] if texts[0] == texts[1] else " x ".join(texts)
