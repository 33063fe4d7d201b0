"""design(input_size, target_rf, ...): small networks whose units see a given part of the image."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from minicnn import kernels
from minicnn.document import Block, Bold, Column, Table
from minicnn.inspect.receptive_fields.cones import cones
from minicnn.inspect.receptive_fields.plans import STYLES, LayerCall, Pair, Plan, build, code, plans
from minicnn.inspect.recorder import example_input, record
from minicnn.inspect.result import Result
from minicnn.kernels.window import pair
from minicnn.nn import Sequential

QUICK = 50_000_000               # multiply-adds: networks below are run without compiling anything for them
PER_STYLE = 2                    # networks shown of each


@dataclass(frozen=True)
class Candidate:
    """A network. field: what a unit of its last convolution or pooling sees. output: (channels, height, width) there.

    macs: multiply-adds of a forward pass of one image. All but macs was measured on the network itself.
    """
    style: str
    steps: tuple[str, ...]
    field: Pair
    stride: int
    output: tuple[int, int, int]
    channels: int
    parameters: int
    macs: int
    calls: tuple[LayerCall, ...]

    @property
    def plan(self) -> str:
        """5 of 3x3, pool 2x2, ..."""
        runs = [(text, len(list(run))) for text, run in groupby(self.steps)]
        return ", ".join(text if count == 1 else f"{count} of {text}" for text, count in runs)

    @property
    def code(self) -> str:
        """As Python."""
        return code(self.calls)

    def build(self) -> Sequential:
        """A new network with random weights."""
        return build(self.calls)


@dataclass(repr=False, eq=False)
class Design(Result, Sequence[Candidate]):
    """The networks found: first those with the very field, then those with the nearest above, by parameters. d[0].build() makes one."""
    image: Pair
    in_channels: int
    target: int
    networks: list[Candidate]

    def __getitem__(self, index: Any) -> Any:
        return self.networks[index]

    def __len__(self) -> int:
        return len(self.networks)

    def blocks(self) -> list[Block]:
        H, W = self.image
        columns = [Column("network", left=True), Column("sees"), Column("stride"), Column("output"), Column("parameters"), Column("MACs"),
                   Column("layers", left=True, aside=True)]
        rows = []
        for i, each in enumerate(self.networks):
            sees = f"{each.field[0]}x{each.field[1]}"
            rows.append([f"{i + 1} {each.style}", Bold(sees) if each.field[0] == self.target else sees, str(each.stride),
                         "x".join(map(str, (*each.output[1:], each.output[0]))), f"{each.parameters:,}", f"{each.macs:,}", each.plan])
        notes = ["sees: pixels that a unit of the last of these layers sees. stride: pixels from a unit to the next. "
                 "output: height x width x channels.", "Each network was built and run: its field, output and parameters are its own."]
        if not any(each.field[0] == self.target for each in self.networks):
            notes.append(f"None sees {self.target}x{self.target} exactly; these are the nearest above.")
        if self.target > min(H, W):
            notes.append(f"{self.target} pixels are more than the image has: part of every unit's field lies in the padding.")
        title = f"Networks that see {self.target}x{self.target} of a {H}x{W}x{self.in_channels} image"
        return [Table(title, columns, rows, notes), "Network 1, as code:", self.networks[0].code.split("\n")]

    def as_dict(self) -> dict[str, Any]:
        return {"image": self.image, "in_channels": self.in_channels, "receptive_field": self.target, "networks": [
            {"style": each.style, "exact": each.field[0] == self.target, "receptive_field": each.field, "stride": each.stride,
             "output": each.output, "parameters": each.parameters, "macs": each.macs, "layers": each.steps, "code": each.code}
            for each in self.networks]}


def design(input_size: int | Sequence[int], target_rf: int | Sequence[int], output_size: int | Sequence[int] | None = None,
           max_parameters: int | None = None, in_channels: int = 1, channels: int = 16, classes: int | None = None,
           max_layers: int = 20) -> Design:
    """Small networks whose units see target_rf x target_rf pixels: the inverse of `receptive_field`, which checks each of them.

        target_rf = 1 + sum over layers of d*(k - 1) * the strides before

    is solved for chains in a few styles: 3x3 only, with max pooling, with strides, with dilation, with large kernels. Odd kernels without
    pooling or stride give odd fields only; where a style cannot meet the target it is given with the nearest field above it.

    input_size: of the image, one number or (height, width). output_size: of the last feature map; any if None.
    max_parameters: all weights and biases, at most; layers are made narrower until they fit. channels: of the first layers, at most,
    doubled (at most twice) where the image is halved. classes: adds global average pooling and a linear layer of as many outputs.
    max_layers: convolutions and poolings, at most.

    The search is the same every time. Raises ValueError with what is possible when nothing fits.

    >>> found = minicnn.inspect.design(64, 32)
    >>> found[0].field, found[0].output[1:], len(found[0].build()(minicnn.rand(1, 1, 64, 64))[0])
    ((32, 32), (8, 8), 64)
    """
    image, target = pair(input_size, "input_size", least=1), pair(target_rf, "target_rf", least=1)
    if target[0] != target[1]:
        raise ValueError(f"target_rf is {target_rf}: a square field can be designed, give one number")
    wanted = None if output_size is None else pair(output_size, "output_size", least=1)
    _check(max_parameters=max_parameters, in_channels=in_channels, channels=channels, classes=classes, max_layers=max_layers)
    fitting = list(_fitting(target[0], image, wanted, max_layers))
    if not fitting:
        raise ValueError(_impossible(target[0], image, wanted, max_layers))
    sized = [(plan, width) for plan in fitting if (width := _width(plan, image, in_channels, channels, classes, max_parameters))]
    if not sized:
        least = min(plan.cost(image, in_channels, 1, classes)[0] for plan in fitting)
        raise ValueError(f"no network that sees {target[0]}x{target[0]} has at most {max_parameters} parameters: "
                         f"the smallest found, one channel wide, has {least}")
    chosen = _chosen(sized, image, in_channels, classes)
    networks = [_measured(plan, width, image, in_channels, classes) for plan, width in chosen]
    networks.sort(key=lambda each: (each.field[0] != target[0], each.parameters, each.macs))
    return Design(image, in_channels, target[0], networks)


def _check(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} is {value!r}: give a whole number from 1")


def _fitting(target: int, image: Pair, wanted: Pair | None, max_layers: int) -> Iterator[Plan]:
    """Plans that the image is large enough for, padded, or not where only that gives the output that is wanted."""
    for plan in plans(target, max_layers):
        for version in (plan.padded(), plan) if wanted else (plan.padded(),):
            if (sizes := version.sizes(image)) and wanted in (None, sizes[-1]):
                yield version
                break


def _width(plan: Plan, image: Pair, in_channels: int, channels: int, classes: int | None, max_parameters: int | None) -> int:
    """The most channels, up to `channels`, that stay within the budget; 0 if even one is too many."""
    for width in range(channels, 0, -1):
        if max_parameters is None or plan.cost(image, in_channels, width, classes)[0] <= max_parameters:
            return width
    return 0


def _chosen(sized: list[tuple[Plan, int]], image: Pair, in_channels: int, classes: int | None) -> list[tuple[Plan, int]]:
    """Of each style those with the nearest field, and of these the widest and then the cheapest."""
    chosen = []
    for style in STYLES:
        own = [(plan, width) for plan, width in sized if plan.style == style]
        nearest = min((plan.field for plan, _ in own), default=0)
        best = {plan.steps: (plan, width) for plan, width in own if plan.field == nearest}
        ranked = sorted(best.values(), key=lambda each: (-each[1], each[0].cost(image, in_channels, each[1], classes), len(each[0].steps)))
        chosen += ranked[:PER_STYLE]
    return chosen


def _measured(plan: Plan, width: int, image: Pair, in_channels: int, classes: int | None) -> Candidate:
    """Build it, run it, and look at what came of it: the other direction."""
    calls = tuple(plan.modules(in_channels, width, classes))
    network = build(calls)
    (expected, macs), sizes = plan.cost(image, in_channels, width, classes), plan.sizes(image) or [image]
    with kernels.use_backend("numpy") if macs < QUICK else contextlib.nullcontext():
        recording = record(network, example_input((in_channels, *image)))
    last = [layer for layer in recording.layers if layer.kind in ("Conv2d", "MaxPool2d")][-1]
    cone = cones(recording)[last.output]
    parameters = sum(p.numel() for p in network.parameters())
    if cone.size != (plan.field, plan.field) or parameters != expected or last.shape[2:] != sizes[-1]:
        raise RuntimeError(f"{plan}: planned field {plan.field}, {expected} parameters and output {sizes[-1]}; the network has "
                           f"{cone.size}, {parameters} and {last.shape[2:]}")
    return Candidate(plan.style, tuple(step.text for step in plan.steps), cone.size, int(cone.jump[0] or 0),
                     (last.shape[1], *sizes[-1]), width, parameters, macs, calls)


def _impossible(target: int, image: Pair, wanted: Pair | None, max_layers: int) -> str:
    """Why nothing fits, and what does."""
    what = f"no network of at most {max_layers} layers sees {target}x{target} of a {image[0]}x{image[1]} image"
    if wanted and (outputs := sorted({(plan.sizes(image) or [image])[-1] for plan in _fitting(target, image, None, max_layers)})):
        near = sorted(outputs, key=lambda size: (abs(size[0] - wanted[0]) + abs(size[1] - wanted[1]), size))[:4]
        return f"{what} and has an output of {wanted[0]}x{wanted[1]}; outputs that are possible: {', '.join(f'{h}x{w}' for h, w in near)}"
    low, high = 1, target                                      # a field of at least `low` is possible, none of at least `high`
    while high - low > 1:
        middle = (low + high) // 2
        possible = any(True for _ in _fitting(middle, image, None, max_layers))
        low, high = (middle, high) if possible else (low, middle)
    nearest = max((plan.field for plan in _fitting(low, image, None, max_layers)), default=1)
    return f"{what}; the largest field that is possible is {nearest}x{nearest}"
