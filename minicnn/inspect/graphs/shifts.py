"""equivariance and invariance: whether what a network sees moves with the image, or stays as it is."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.document import Block, Column, Table
from minicnn.inspect.graphs.moving import AXES, Compared, compared, shifted, smooth_noise
from minicnn.inspect.graphs.tables import size
from minicnn.inspect.receptive_fields import Cone, cones
from minicnn.inspect.recorder import Layer, Op, Recording, record
from minicnn.inspect.result import Result
from minicnn.nn import Module
from minicnn.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Shift:
    """shift: of the image, in pixels. units: what the map was moved by before it was compared; whole: whether that is exactly the shift.

    interior, border, all: ||difference|| / ||what was expected|| over the units there; None where there are none. interior: units that
    saw neither the border of the image nor what the shift brought in. exact: whether interior units are equal, bit by bit.
    interior_units: how many units are interior, of those that were compared, 0 to 1.
    changed: the part of the images whose largest output is another one; None where outputs are no row of scores.
    """
    shift: int
    units: int
    whole: bool
    interior: float | None
    border: float | None
    all: float | None
    exact: bool | None
    interior_units: float
    changed: float | None


@dataclass(repr=False, eq=False)
class Shifts(Result):
    """what: "equivariance" or "invariance". layer: the one that was compared, of that shape. images: how many. jump: pixels from a unit to
    the next. axis: "height" or "width". rows: one for each shift."""
    what: str
    model: str
    layer: str
    shape: tuple[int, ...]
    images: int
    axis: str
    jump: float | None
    rows: list[Shift]

    @property
    def spatial(self) -> bool:
        return len(self.shape) == 3

    def row(self, shift: int) -> Shift:
        """That of a shift. Raises ValueError if it was not measured."""
        for row in self.rows:
            if row.shift == shift:
                return row
        raise ValueError(f"no shift by {shift} was measured, but: {', '.join(str(row.shift) for row in self.rows)}")

    def blocks(self) -> list[Block]:
        columns = [Column("shift"), *([Column("units")] if self.what == "equivariance" else []),
                   *([Column("interior"), Column("border")] if self.spatial else []), Column("all"),
                   *([Column("class changes")] if self.rows[0].changed is not None else [])]
        cells = [[str(row.shift), *([str(row.units) if row.whole else f"{row.units} (nearest)"] if self.what == "equivariance" else []),
                  *([error(row.interior), error(row.border)] if self.spatial else []), error(row.all),
                  *([f"{row.changed:.1%}".replace("%", " %")] if row.changed is not None else [])] for row in self.rows]
        compares = {"equivariance": "f(shift(x)) against shift(f(x))", "invariance": "f(shift(x)) against f(x)"}[self.what]
        title = f"{self.what}: {compares}, {self.model}, {self.layer} ({size(self.shape)}), {self.images} images, by {self.axis}"
        return [Table(title, columns, cells, self._notes())]

    def _notes(self) -> list[str]:
        notes = ["Errors: ||difference|| / ||expected||; 0 is equality, bit by bit."]
        if self.spatial:
            notes.append("interior: units that saw neither the border of the image nor what the shift brought in. border: all others.")
        if self.what == "equivariance" and not all(row.whole for row in self.rows):
            notes.append(f"A unit is {self.jump:g} pixels from the next: other shifts are no whole number of units, and the map is moved "
                         "by the nearest whole number.")
        return notes

    def as_dict(self) -> dict[str, Any]:
        return {"what": self.what, "model": self.model, "layer": self.layer, "shape": self.shape, "images": self.images, "axis": self.axis,
                "jump": self.jump, "shifts": [asdict(row) for row in self.rows]}

    def figure(self) -> Figure:
        """Error against shift."""
        from minicnn.inspect.graphs import shift_drawing

        return shift_drawing.draw([(self.model, self)], f"{self.what} of {self.model}, {self.layer}")


def error(value: float | None) -> str:
    """0 only where it is 0.

    >>> from minicnn.inspect.graphs.shifts import error
    >>> error(0.0), error(1.5e-7), error(0.1234), error(None)
    ('0', '1.5e-07', '0.123', '-')
    """
    if value is None:
        return "-"
    return "0" if value == 0 else f"{value:.2g}" if value < 1e-3 else f"{value:.3f}"


def equivariance(model: Module, shift: int | Sequence[int] = 8, input_shape: Sequence[int] | None = None, x: Tensor | None = None, *,
                 layer: str | None = None, axis: str = "width", images: int = 4) -> Shifts:
    """How far f(shift(x)) is from shift(f(x)): whether a map moves with the image.

    A shift by s pixels moves the map by s / jump units, where jump is the pixels from one unit to the next (the product of strides);
    where that is no whole number there is no shifted map to compare with, and the nearest whole number is taken and said. Pixels that come
    in repeat the border's. Units whose receptive field touches neither the border (padding!) nor what came in are measured by themselves:
    a convolution with stride 1 is equivariant there, and nowhere else, unless its padding happens to continue the image. There backend
    numba gives the same bits, for it adds up the products of every unit in one order; with numpy the order is up to BLAS, which may take
    another one for another column of the same matrix, so that some are off by a rounding.

    shift: s for all of 0..s, or the shifts. input_shape: (C, H, W), for `images` images of smooth noise (see
    `minicnn.inspect.graphs.moving.smooth_noise`); or x (N, C, H, W) of one's own. layer: its name; by default the last whose units lie in
    rows and columns. axis: "width", to the right, or "height", downwards.

    Raises ValueError for a layer whose units lie in no rows and columns, and for shifts that leave no pixel.

    >>> conv = minicnn.nn.Sequential(minicnn.nn.Conv2d(1, 4, 3, padding=1), minicnn.nn.MaxPool2d(2))
    >>> [(row.units, row.whole) for row in minicnn.inspect.equivariance(conv, 4, (1, 16, 16)).rows]
    [(0, True), (0, False), (1, True), (2, False), (2, True)]
    """
    return _measured("equivariance", model, shift, input_shape, x, layer, axis, images)


def invariance(model: Module, shift: int | Sequence[int] = 8, input_shape: Sequence[int] | None = None, x: Tensor | None = None, *,
               layer: str | None = None, axis: str = "width", images: int = 4) -> Shifts:
    """How far f(shift(x)) is from f(x): whether the output stays as it is when the image moves.

    Of a classifier's scores also how often the largest is another one: give real images as x for that. Arguments as for `equivariance`,
    but layer is the last one by default.
    """
    return _measured("invariance", model, shift, input_shape, x, layer, axis, images)


def _measured(what: str, model: Module, shift: int | Sequence[int], input_shape: Sequence[int] | None, x: Tensor | None,
              layer: str | None, axis: str, images: int) -> Shifts:
    if axis not in AXES:
        raise ValueError(f"axis is {axis!r}: expected width or height")
    pixels = _images(input_shape, x, images)
    along = AXES[axis]
    steps = _steps(shift, pixels.shape[2 + along], axis)
    device = x.device if x is not None else None
    recording = record(model, _tensor(pixels, device))
    seen = cones(recording)
    chosen = _layer(recording, seen, layer, what)
    cone, before = seen[chosen.output], _output(chosen)
    if _is_map(cone):
        rows = [_map(what, cone, before, _run(model, shifted(pixels, by, along), chosen, device), by, along) for by in steps]
    elif what == "equivariance":
        raise ValueError(f"{chosen.name} has an output of shape {before.shape[1:]}, whose units lie in no rows and columns: nothing can "
                         "move in it; name a layer before, or measure invariance")
    else:
        rows = [_scores(before, _run(model, shifted(pixels, by, along), chosen, device), by) for by in steps]
    return Shifts(what, type(model).__name__, chosen.name, before.shape[1:], len(before), axis,
                  None if cone.jump[along] is None else float(cone.jump[along] or 0), rows)


def _images(input_shape: Sequence[int] | None, x: Tensor | None, images: int) -> np.ndarray:
    if (x is None) == (input_shape is None):
        raise ValueError("give either input_shape, such as (1, 28, 28), or images x of your own")
    if x is not None:
        if not isinstance(x, Tensor):
            raise TypeError(f"expected the images x as a Tensor, got {type(x).__name__}")
        if x.ndim != 4 or 0 in x.shape:
            raise ValueError(f"x must be images (N, C, H, W), got shape {x.shape}")
        found = np.asarray(x.detach().cpu().array)
        if not np.isfinite(found).all():
            raise ValueError("x has values that are infinite or no numbers: nothing can be compared with them")
        return found
    shape = tuple(input_shape or ())
    if len(shape) != 3 or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in shape) or images < 1:
        raise ValueError(f"input_shape is {input_shape!r} and images {images}: give (C, H, W), and a count, of numbers from 1")
    return smooth_noise((images, *shape))


def _steps(shift: int | Sequence[int], n: int, axis: str) -> list[int]:
    steps = [int(s) for s in shift] if isinstance(shift, Sequence) else list(range(shift + 1))
    if not steps or max(map(abs, steps)) >= n:
        raise ValueError(f"shift is {shift!r}: give a number from 0, or several; images of {axis} {n} can be moved by at most {n - 1}")
    return steps


def _tensor(pixels: np.ndarray, device: Any) -> Tensor:
    return Tensor(pixels) if device is None else Tensor(pixels).to(device)


def _is_map(cone: Cone) -> bool:
    """Whether units lie in regular rows and columns."""
    return len(cone.shape) == 4 and cone.shape[-2:] != (1, 1) and None not in cone.lattices


def _layer(recording: Recording, seen: dict[Op, Cone], name: str | None, what: str) -> Layer:
    if name is not None:
        return recording.layer(name)
    if what == "invariance":
        return recording.layer_of(recording.output) or recording.layers[-1]
    maps = [each for each in recording.layers if _is_map(seen[each.output])]
    return (maps or recording.layers)[-1]


def _output(layer: Layer) -> np.ndarray:
    return np.asarray(layer.output.output.detach().cpu().array)


def _run(model: Module, pixels: np.ndarray, layer: Layer, device: Any) -> np.ndarray:
    return _output(record(model, _tensor(pixels, device)).layer(layer.name))


def _map(what: str, cone: Cone, before: np.ndarray, after: np.ndarray, by: int, along: int) -> Shift:
    place: Compared = compared(cone, before.shape, by, along, follow=what == "equivariance")
    index = (..., place.there, slice(None)) if along == 0 else (..., place.there)
    old = (..., place.here, slice(None)) if along == 0 else (..., place.here)
    got, expected, inside = after[index], before[old], place.interior
    exact = bool((got[..., inside] == expected[..., inside]).all()) if inside.any() else None
    return Shift(by, place.by, place.whole, relative(got[..., inside], expected[..., inside]),
                 relative(got[..., ~inside], expected[..., ~inside]), relative(got, expected), exact,
                 float(inside.mean()) if inside.size else 0.0, None)


def _scores(before: np.ndarray, after: np.ndarray, by: int) -> Shift:
    changed = float((before.argmax(1) != after.argmax(1)).mean()) if before.ndim == 2 and before.shape[1] > 1 else None
    return Shift(by, 0, True, None, None, relative(after, before), None, 0.0, changed)


def relative(got: np.ndarray, expected: np.ndarray) -> float | None:
    """||got - expected|| / ||expected||; 0 if they are equal, None if there is nothing to compare."""
    if not got.size:
        return None
    difference = float(np.linalg.norm((got.astype(np.float64) - expected).reshape(-1)))
    scale = float(np.linalg.norm(expected.astype(np.float64).reshape(-1)))
    return difference / scale if scale else (0.0 if difference == 0 else float("inf"))
