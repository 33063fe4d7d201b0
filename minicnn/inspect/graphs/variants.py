"""The same small network with stride 1, with pooling and with strides: what each does to equivariance and invariance, side by side."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minicnn import nn
from minicnn.document import Block, Column, Table
from minicnn.inspect.graphs.shifts import Shifts, equivariance, error, invariance
from minicnn.inspect.result import Result
from minicnn.nn import Module
from minicnn.random import fork_rng
from minicnn.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def variants(in_channels: int = 1, channels: int = 8, seed: int = 0) -> dict[str, Module]:
    """Two 3x3 convolutions with ReLU, all with the same random weights: as they are, with a 2x2 max or average pool after each, with
    stride 2, and with the mean of each channel over the whole map."""
    @fork_rng(seed)
    def net(stride: int, pool: Callable[[int], Module] | None, last: Sequence[Module] = ()) -> Module:
        layers: list[Module] = []
        for before in (in_channels, channels):
            layers += [nn.Conv2d(before, channels, 3, stride, padding=1), nn.ReLU(), *([pool(2)] if pool else [])]
        return nn.Sequential(*layers, *last).eval()

    return {"stride 1": net(1, None), "max pool": net(1, nn.MaxPool2d), "average pool": net(1, nn.AvgPool2d), "stride 2": net(2, None),
            "global mean": net(1, None, [nn.AdaptiveAvgPool2d(1), nn.Flatten()])}


@dataclass(repr=False, eq=False)
class ShiftStudy(Result):
    """equivariance, invariance: by the name of the network."""
    title: str
    equivariance: dict[str, Shifts]
    invariance: dict[str, Shifts]

    def blocks(self) -> list[Block]:
        notes = ["Errors: ||difference|| / ||expected||; 0 is equality, bit by bit.",
                 "~: the shift is no whole number of units, and the map was moved by the nearest.",
                 "interior: units that saw neither the border of the image nor what the shift brought in."]
        return [_table("equivariance inside: f(shift(x)) against shift(f(x))", self.equivariance, "interior"),
                _table("equivariance at borders", self.equivariance, "border"),
                _table("invariance: f(shift(x)) against f(x)", self.invariance, "all", notes)]

    def as_dict(self) -> dict[str, Any]:
        return {"title": self.title, "equivariance": {name: r.as_dict() for name, r in self.equivariance.items()},
                "invariance": {name: r.as_dict() for name, r in self.invariance.items()}}

    def figure(self) -> Figure:
        """Both against the shift, a line for each network."""
        from minicnn.inspect.graphs import shift_drawing

        return shift_drawing.study(self)


def _table(title: str, results: dict[str, Shifts], part: str, notes: Sequence[str] = ()) -> Table:
    shifts = [row.shift for row in next(iter(results.values())).rows]
    rows = [[str(shift), *(_cell(result, i, part) for result in results.values())] for i, shift in enumerate(shifts)]
    return Table(title, [Column("shift"), *(Column(name) for name in results)], rows, list(notes))


def _cell(result: Shifts, i: int, part: str) -> str:
    row = result.rows[i]
    return error(getattr(row, part)) + ("" if row.whole else " ~")


def shift_study(shift: int | Sequence[int] = 8, input_shape: Sequence[int] = (1, 48, 48), seed: int = 0, axis: str = "width") -> ShiftStudy:
    """equivariance and invariance of `variants`, on smooth noise."""
    found = {name: (equivariance(net, shift, input_shape, axis=axis) if name != "global mean" else None,
                    invariance(net, shift, input_shape, axis=axis)) for name, net in variants(input_shape[0], seed=seed).items()}
    return ShiftStudy("Two 3x3 convolutions", {name: e for name, (e, _) in found.items() if e is not None},
                      {name: i for name, (_, i) in found.items()})


def network_study(name: str, model: Module, shift: int | Sequence[int], input_shape: Sequence[int] | None = None, x: Tensor | None = None,
                  layer: str | None = None, axis: str = "width") -> NetworkStudy:
    """The map of a layer, and the output, of one network."""
    return NetworkStudy(name, {name: equivariance(model, shift, input_shape, x, layer=layer, axis=axis)},
                        {name: invariance(model, shift, input_shape, x, axis=axis)})


class NetworkStudy(ShiftStudy):
    """Of one network: its two tables."""

    def blocks(self) -> list[Block]:
        return [*self.equivariance[self.title].blocks(), *self.invariance[self.title].blocks()]
