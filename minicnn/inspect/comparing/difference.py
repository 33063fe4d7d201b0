"""What diff() found: a table of layers, the first element where the two sides part, and the verdict."""
from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from minicnn.document import Block, Bold, Column, Table
from minicnn.inspect.comparing.judged import Judged
from minicnn.inspect.result import Result


@dataclass(frozen=True)
class LayerDifference:
    """All that was compared of one layer."""
    name: str
    kind: str
    judged: list[Judged]

    def worst(self, direction: str) -> Judged | None:
        """The array that is furthest from what rounding allows; None where there is none."""
        return max((j for j in self.judged if j.direction == direction), key=lambda j: j.ratio, default=None)


@dataclass(repr=False)
class Difference(Result):
    """Two networks, layer by layer, each layer on A's numbers.

    a, b: names of the two sides. weights: the first weight that is not the same in both, in words, or None. layers: in the order in which
    they ran. output_apart, output_relative: the largest difference of the two networks' own outputs, where all that the layers did wrong
    has added up, and that divided by the largest output; None where they cannot be compared.
    """
    a: str
    b: str
    model: str
    input_shape: tuple[int, ...]
    weights: str | None
    layers: list[LayerDifference]
    output_apart: float | None
    output_relative: float | None

    @cached_property
    def first(self) -> Judged | None:
        """The first layer, pass and element where the two part by more than rounding: forward in the order of the layers, then backward
        in the opposite order. None where they do not."""
        forward = [layer.worst("forward") for layer in self.layers]
        backward = [layer.worst("backward") for layer in reversed(self.layers)]
        return next((j for j in (*forward, *backward) if j is not None and j.ratio > 1), None)

    @property
    def worst(self) -> Judged | None:
        """Of all elements, the one that is furthest from what rounding allows."""
        return max((j for layer in self.layers for j in layer.judged), key=lambda j: j.ratio, default=None)

    @property
    def verdict(self) -> str:
        """"rounding" or "bug"."""
        return "bug" if self.first else "rounding"

    @property
    def sentence(self) -> str:
        """The verdict with its reason."""
        first, worst = self.first, self.worst
        because = f"; their weights are not the same: {self.weights}" if self.weights else ""
        if first is not None and first.problem:
            return f"BUG: {first.place}: {first.problem}{because}"
        if first is not None:
            times = f"{first.ratio:.2g} times what rounding allows" if math.isfinite(first.ratio) else "which no rounding explains"
            return f"BUG: {first.place}: {first.a:.9g} in {self.a} against {first.b:.9g} in {self.b}, {times}{because}"
        if worst is None or worst.ratio == 0:
            return f"rounding: there is no difference at all{because}"
        return f"rounding: the largest difference is {worst.ratio:.2g} of what rounding allows ({worst.place}){because}"

    def blocks(self) -> list[Block]:
        rows = [[layer.name, layer.kind, *self._cells(layer, "forward"), *self._cells(layer, "backward")] for layer in self.layers]
        columns = [Column("layer", left=True), Column("kind", left=True), Column("forward"), Column("apart"),
                   Column("backward"), Column("apart"), Column("largest in", left=True)]
        for row, layer in zip(rows, self.layers, strict=True):
            backward = layer.worst("backward")
            row.append(backward.what.removeprefix("gradient of ") if backward and backward.ratio else "")
        title = f"{self.model} on {'x'.join(map(str, self.input_shape))}: {self.a} against {self.b}"
        notes = ["forward, backward: the largest difference as a multiple of what rounding allows: up to 1 is rounding. Each layer is "
                 f"judged alone: both got the numbers that {self.a} had there. apart: the largest |a - b|."]
        if any(j.rough for layer in self.layers for j in layer.judged):
            notes.append("~: made of several operations, or one without an error analysis: a generous rule of thumb is the bound.")
        found: list[Block] = [Table(title, columns, rows, notes)]
        part = self.first or self.worst
        if part is not None and part.ratio and not part.problem:
            found.append(self._element(part))
        if self.output_apart is not None:
            relative = "" if self.output_relative is None else f", {self.output_relative:.2g} of the largest output"
            found.append(f"The outputs of the two networks, through all layers: at most {self.output_apart:.3g} apart{relative}.")
        return [*found, self.sentence]

    def _cells(self, layer: LayerDifference, direction: str) -> list[str]:
        worst = layer.worst(direction)
        if worst is None:
            return ["", ""]
        if worst.problem:
            return [Bold("BUG"), ""]
        largest = max(j.largest for j in layer.judged if j.direction == direction)
        ratio = "0" if worst.ratio == 0 else f"{'~' if worst.rough else ''}{worst.ratio:.2g}"
        return [Bold(ratio) if worst.ratio > 1 else ratio, "0" if largest == 0 else f"{largest:.1e}"]

    def _element(self, part: Judged) -> Table:
        rows = [[self.a, f"{part.a:.9g}", f"{part.error_a:.2g}"], [self.b, f"{part.b:.9g}", f"{part.error_b:.2g}"],
                ["float64", f"{part.exact:.9g}", ""]]
        head = "Where they part first" if self.first else "Where they are furthest apart"
        return Table(f"{head}: {part.place}", [Column("", left=True), Column("value"), Column("error / bound")], rows)

    def as_dict(self) -> dict[str, Any]:
        def plain(j: Judged | None) -> Any:
            return None if j is None else {**asdict(j), "place": j.place}
        return {"model": self.model, "a": self.a, "b": self.b, "input_shape": list(self.input_shape), "verdict": self.verdict,
                "sentence": self.sentence, "weights": self.weights, "first": plain(self.first), "worst": plain(self.worst),
                "output_apart": self.output_apart, "output_relative": self.output_relative,
                "layers": [{"name": layer.name, "kind": layer.kind, "judged": [plain(j) for j in layer.judged]} for layer in self.layers]}
