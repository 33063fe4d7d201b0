"""gradient_flow(model, x, labels): how large the gradient is, from the last layer back to the first."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.autograd import enable_grad, grad
from minicnn.document import Block, Column, Table
from minicnn.inspect.recorder import Layer, record
from minicnn.inspect.result import Result
from minicnn.inspect.showing.about import About
from minicnn.inspect.showing.classes import class_scores, targets
from minicnn.inspect.showing.inputs import given, host
from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.nn.functional import cross_entropy
from minicnn.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VANISHED, EXPLODED = 1e-3, 1e3               # first layer with weights against the last: three orders of magnitude


@dataclass(frozen=True)
class LayerGradient:
    """norm: of d loss / d output of the layer; None where the loss does not depend on it. weight: the parameter of two or more axes that
    it reads, as a convolution does; "" for none."""
    name: str
    kind: str
    norm: float | None
    weight: str = ""


@dataclass(frozen=True)
class ParameterGradient:
    """norm: of d loss / d parameter; None for a frozen one and where the loss does not depend on it. weight: norm of the parameter."""
    name: str
    norm: float | None
    weight: float

    @property
    def ratio(self) -> float | None:
        """norm / weight: the relative change that a step with learning rate 1 would make; None for a weight of 0."""
        return None if self.norm is None or not self.weight else self.norm / self.weight


@dataclass(repr=False, eq=False)
class GradientFlow(Result):
    """loss: the cross-entropy of the batch. layers, parameters: in the order of the forward pass. first, last: layers with weights."""
    loss: float
    layers: list[LayerGradient]
    parameters: list[ParameterGradient]
    first: LayerGradient | None
    last: LayerGradient | None
    images: int
    training: bool
    about: About

    def blocks(self) -> list[Block]:
        mode = "training" if self.training else "eval"
        weights = {p.name: p for p in self.parameters}
        rows = [[r.name, r.kind, _number(r.norm), _number(p.norm), f"{p.weight:.3g}", _number(p.ratio)]
                for r in self.layers if r.weight for p in [weights[r.weight]]]
        columns = [Column("layer", True), Column("kind", True), *map(Column, ("at output", "of weight", "weight", "ratio"))]
        title = f"{self.about.network}: gradient of the loss ({self.loss:.4g}) of {self.images} images, {mode} mode"
        notes = ["Norms of d loss / d output, of d loss / d weight, and of the weight itself.",
                 "ratio: of the weight's gradient to the weight. Layers without weights are in the", "picture and in the JSON."]
        return [Table(title, columns, rows, notes), self.verdict]

    @property
    def state(self) -> str:
        """"fine", "vanishing", "exploding", "not finite" or "unknown"."""
        norms = [r.norm for r in self.layers] + [p.norm for p in self.parameters]
        if not all(math.isfinite(n) for n in (*norms, self.loss) if n is not None):
            return "not finite"
        if self.first is None or self.last is None or self.last.norm is None:
            return "unknown"
        ratio = self.through
        return "vanishing" if ratio < VANISHED else "exploding" if ratio > EXPLODED else "fine"

    @property
    def through(self) -> float:
        """The gradient's norm at the output of the first layer with weights, divided by that at the last; NaN where there is none."""
        if self.first is None or self.last is None or self.last.norm is None:
            return math.nan
        first = self.first.norm or 0.0
        return first / self.last.norm if self.last.norm else (math.nan if first == 0 else math.inf)

    @property
    def verdict(self) -> str:
        """One sentence: what to look at."""
        state = self.state
        if state == "not finite":
            broken = next((r.name for r in reversed(self.layers) if r.norm is not None and not math.isfinite(r.norm)), "the loss")
            return f"The gradient is not finite; on its way back that is so from {broken} on: numbers overflow, or a layer divides by 0."
        if state == "unknown" or self.first is None or self.last is None:
            return "The loss depends on no layer with weights, so no gradient flows."
        said = (f"The gradient at {self.first.name}, the first layer with weights, is {self.through:.3g} times that at {self.last.name}, "
                "the last:")
        if state == "fine":
            return f"{said} it neither vanishes (below {VANISHED:g}) nor explodes (above {EXPLODED:g})."
        if state == "vanishing":
            return f"{said} it vanishes (below {VANISHED:g}), so the first layers hardly learn."
        return f"{said} it explodes (above {EXPLODED:g}), so the first layers change wildly."

    def as_dict(self) -> dict[str, Any]:
        return {"network": self.about.network, "images": self.images, "mode": "training" if self.training else "eval", "loss": self.loss,
                "state": self.state, "first_to_last": self.through, "verdict": self.verdict,
                "layers": [{"layer": r.name, "kind": r.kind, "norm": r.norm, "weight": r.weight or None} for r in self.layers],
                "parameters": [{"parameter": p.name, "norm": p.norm, "weight_norm": p.weight, "ratio": p.ratio} for p in self.parameters]}

    def figure(self) -> Figure:
        """Norms over depth, and the ratio of gradient to weight of each weight; logarithmic."""
        from minicnn.inspect.showing.flow_picture import draw

        return draw(self)


def gradient_flow(model: Module, x: Any, labels: Any, *, training: bool = True, about: About | None = None) -> GradientFlow:
    """The norm of the gradient of the cross-entropy loss (mean of the batch) at every layer's output and of every parameter.

    x: (N, ...) as the network is fed with it. labels (N), or one for all. training: in training mode (batch norm with the batch's own
    statistics, dropout active); buffers, modes, .grad and the stream of random numbers are left as they were.

    Vanishing or exploding: the norm at the first layer with weights is below 1/1000, or above 1000 times, that at the last.

    Raises ValueError for a network that gives no (N, classes), and for labels that are no classes of it or of another number.
    """
    x = given("gradient_flow", model, x, images=False)
    recording = record(model, x, training=training)
    y = recording.output.output
    scores = class_scores("gradient_flow", y)
    if labels is None:
        raise ValueError("gradient_flow: the loss needs labels: one class for each image")
    chosen = targets("gradient_flow", scores, labels)
    with enable_grad():
        loss = cross_entropy(y, Tensor(devices.beside(chosen, y.array)))
    parameters = dict(model.named_parameters())
    tensors = [layer.output.output for layer in recording.layers] + list(parameters.values())
    wanted = [t if t.requires_grad else None for t in tensors]
    found = iter(grad(loss, [t for t in wanted if t is not None], allow_unused=True)) if loss.requires_grad else iter(())
    norms = [None if t is None or (dt := next(found, None)) is None else _norm(host(dt)) for t in wanted]
    layers = [LayerGradient(layer.name, layer.kind, norm, _weight(layer, parameters))
              for layer, norm in zip(recording.layers, norms, strict=False)]
    weighted = [row for row in layers if row.norm is not None and row.weight]
    rows = [ParameterGradient(name, norm, _norm(host(p)))
            for (name, p), norm in zip(parameters.items(), norms[len(layers):], strict=True)]
    return GradientFlow(float(loss.item()), layers, rows, weighted[0] if weighted else None, weighted[-1] if weighted else None, len(x),
                        training, (about or About()).named(model))


def _weight(layer: Layer, parameters: dict[str, Any]) -> str:
    """The first parameter of two or more axes that an operation of the layer reads: of a convolution or a linear layer."""
    known = {id(p): name for name, p in parameters.items() if p.ndim >= 2}
    return next((known[id(i)] for op in layer.ops for i in op.inputs if id(i) in known), "")


def _norm(values: np.ndarray) -> float:
    """sqrt of the sum of squares, in float64."""
    return float(np.sqrt(np.square(values.astype(np.float64)).sum()))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
