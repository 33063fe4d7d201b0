"""Summary: what `summary` returns, as text, JSON and picture."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minicnn.document import Block, Bold, Column, Table
from minicnn.inspect.result import Result
from minicnn.inspect.summarizing.layers import LayerSummary
from minicnn.inspect.summarizing.memory.ledger import IDLE
from minicnn.inspect.summarizing.memory.step import Memory
from minicnn.inspect.summarizing.units import both, shape, short, size

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(repr=False, eq=False)
class Summary(Result):
    """layers: a row each. total_*: of the whole network, each parameter once; bytes of parameters, buffers, input and output.

    memory: the peak of a training step, or None, and then why_no_memory says why. mode: in which the layers were recorded.
    """
    model: str
    input_shape: tuple[int, ...]
    backend: str
    mode: str
    optimizer: str
    layers: list[LayerSummary]
    total_parameters: int
    trainable_parameters: int
    parameter_bytes: int
    buffer_bytes: int
    input_bytes: int
    output_bytes: int
    memory: Memory | None
    why_no_memory: str = ""

    @property
    def batch(self) -> int:
        return self.input_shape[0]

    @property
    def total_macs(self) -> int:
        return sum(row.macs for row in self.layers)

    @property
    def total_macs_inside(self) -> int:
        return sum(row.macs_inside for row in self.layers)

    @property
    def total_macs_backward(self) -> int:
        return sum(row.macs_backward for row in self.layers)

    @property
    def total_macs_backward_inside(self) -> int:
        return sum(row.macs_backward_inside for row in self.layers)

    @property
    def total_saved_bytes(self) -> int:
        return sum(row.saved_bytes for row in self.layers)

    @property
    def peak_memory(self) -> int | None:
        """Bytes of a training step at its peak."""
        return self.memory.peak if self.memory else None

    def blocks(self) -> list[Block]:
        return [self._work(), self._sight(), self._totals(), *([self._memory(self.memory)] if self.memory else [
            f"The memory of a training step was not predicted: {self.why_no_memory}."])]

    def _work(self) -> Table:
        columns = [Column("layer", True), Column("kind", True, aside=True), Column("output", True), Column("parameters"),
                   Column("MACs forward"), Column("MACs backward")]
        rows = [[row.name, row.kind, shape(row.output_shape), short(row.parameters), short(row.macs), short(row.macs_backward)]
                for row in self.layers]
        rows.append([Bold("total"), "", "", Bold(short(self.total_parameters)), Bold(short(self.total_macs)),
                     Bold(short(self.total_macs_backward))])
        return Table(f"{self.model} on {' x '.join(map(str, self.input_shape))}: what it computes", columns, rows, [
            "1 MAC = one multiply-add = 2 FLOP; those of the whole batch, and with padding.",
            "Backward: gradients of weights, and of inputs, but not of the network's own.",
            "The parameters of a layer that is called again are counted once."])

    def _sight(self) -> Table:
        columns = [Column("layer", True), Column("receptive field"), Column("jump"), Column("centre"), Column("saved"), Column("workspace")]
        rows = [[row.name, both(row.receptive_field), both(row.jump), both(row.centre), size(row.saved_bytes), size(row.workspace_bytes)]
                for row in self.layers]
        rows.append([Bold("total"), "", "", "", Bold(size(self.total_saved_bytes)), ""])
        mode = "" if self.mode == "training" else f" Layers ran in {self.mode} mode."
        return Table("What it sees and what it keeps", columns, rows, [
            "In pixels of the input, height x width where they differ: what a unit sees,",
            "the step from one unit to the next, the middle of what unit (0, 0) sees.",
            "saved: for backward, by the first layer that does, parameters and input left",
            "out, layers one by one as they are written.",
            f"workspace: temporary memory of the forward pass on backend {self.backend}.{mode}"])

    def _totals(self) -> list[str]:
        frozen = self.total_parameters - self.trainable_parameters
        return [
            f"parameters: {self.total_parameters:,} ({self.trainable_parameters:,} trainable, {frozen:,} not), {size(self.parameter_bytes)}"
            f"; buffers {size(self.buffer_bytes)}",
            f"forward: {self.total_macs:,} MACs, {self.total_macs_inside:,} without padding",
            f"backward: {self.total_macs_backward:,} MACs, {self.total_macs_backward_inside:,} without padding",
            f"input {size(self.input_bytes)}, output {size(self.output_bytes)}"]

    def _memory(self, memory: Memory) -> Table:
        rows = [[kind, size(nbytes), f"{nbytes / max(1, memory.peak):.0%}"] for kind, nbytes in memory.parts.items() if nbytes]
        rows.append([Bold("peak"), Bold(size(memory.peak)), ""])
        notes = [f"The peak is in the {memory.moment}.", "Predicted from shapes, layers fused as in training; Python's",
                 "own objects, some 0.1 MB, come on top."]
        if memory.parts[IDLE]:
            notes += ["kept for reuse: of results that are gone; numba_backend gives it to the next", "result of equal size."]
        return Table(f"Memory of a training step: batch {self.batch}, {self.optimizer}, backend {self.backend}",
                     [Column("at the peak", True), Column("memory"), Column("share")], rows,
                     notes)

    def as_dict(self) -> dict[str, Any]:
        totals = ("total_parameters", "trainable_parameters", "parameter_bytes", "buffer_bytes", "input_bytes", "output_bytes",
                  "total_macs", "total_macs_inside", "total_macs_backward", "total_macs_backward_inside", "total_saved_bytes")
        memory = self.memory
        return {
            "model": self.model, "input_shape": self.input_shape, "backend": self.backend, "mode": self.mode,
            **{name: getattr(self, name) for name in totals},
            "training_step": {"optimizer": self.optimizer, "peak_bytes": memory.peak, "parts": memory.parts, "moment": memory.moment}
            if memory else {"optimizer": self.optimizer, "peak_bytes": None, "why": self.why_no_memory},
            "layers": [row.as_dict() for row in self.layers]}

    def figure(self) -> Figure:
        """Bars of each layer: MACs, parameters, saved memory. Raises ImportError without matplotlib."""
        from minicnn.inspect.summarizing.picture import bars

        return bars(self)
