"""The rows of a summary: what each layer of a recording makes, has, computes, keeps and sees."""
from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from minicnn.inspect.receptive_fields.cones import cones
from minicnn.inspect.recorder import Layer, Op, Recording
from minicnn.inspect.summarizing.saved import saved_bytes
from minicnn.inspect.summarizing.work import Work, work
from minicnn.inspect.summarizing.workspace import workspace_bytes
from minicnn.tensor import Tensor

Pair = tuple[Any, Any]
UNKNOWN: Pair = (None, None)    # of a layer that only runs in training


@dataclass(frozen=True)
class LayerSummary:
    """One layer in one of its calls.

    name, kind: as in `minicnn.inspect.recorder.Layer`. output_shape: (N, C, H, W) or (N, features), with the batch of the summary.
    parameters, trainable: how many numbers; 0 where an earlier layer, or an earlier call, has them already.
    macs, macs_backward: multiply-adds of the whole batch (1 MAC = 2 FLOP), those with padding zeros included; macs_inside and
        macs_backward_inside: without these. others: see `minicnn.inspect.summarizing.work.Work`.
    saved_bytes: memory that the layer keeps for backward, as it is written, each array counted for the first layer that keeps it.
    workspace_bytes: temporary arrays of the forward pass, the most at a time, on the backend of the summary.
    receptive_field, jump, centre: (height, width) in pixels of the input: what a unit sees, the step from one unit to the next, and the
        middle of what unit (0, 0) sees; None where there is no such thing.
    """
    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    trainable: int
    macs: int
    macs_inside: int
    macs_backward: int
    macs_backward_inside: int
    others: int
    saved_bytes: int
    workspace_bytes: int
    receptive_field: Pair
    jump: Pair
    centre: Pair

    @property
    def not_trainable(self) -> int:
        return self.parameters - self.trainable

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "not_trainable": self.not_trainable}


def summarized(recording: Recording, one: Recording) -> list[LayerSummary]:
    """A row for each layer of a recording. one: of a single input in eval mode, for receptive fields: in training, batch norm's mean makes
    every unit depend on the whole image."""
    fields, saved = cones(one), saved_bytes(recording)
    seen = {layer.name: fields[layer.output] for layer in one.layers}
    wants = _wanting(recording)
    counted: set[int] = set()
    rows = []
    for layer in recording.layers:
        total = sum((work(op, _input_wants(op, wants)) for op in layer.ops), Work())
        own = [p for p in _parameters(layer, recording) if id(p) not in counted]
        counted |= {id(p) for p in own}
        cone = seen.get(layer.name)
        rows.append(LayerSummary(
            layer.name, layer.kind, tuple(layer.shape), sum(p.numel() for p in own), sum(p.numel() for p in own if p.requires_grad),
            total.macs, total.inside, total.macs_backward, total.inside_backward, total.others, saved[layer.name],
            max(workspace_bytes(op) for op in layer.ops), *((cone.size, cone.jump, cone.centre) if cone else (UNKNOWN,) * 3)))
    return rows


def _wanting(recording: Recording) -> set[Op]:
    """The operations whose results have a gradient in training: those that a trainable parameter leads to."""
    found: set[Op] = set()
    for op in recording.ops:
        if any(i in found if isinstance(i, Op) else bool(getattr(i, "requires_grad", False)) for i in op.inputs):
            found.add(op)
    return found


def _input_wants(op: Op, wanting: set[Op]) -> bool:
    first = op.inputs[0] if op.inputs else None
    return first in wanting if isinstance(first, Op) else bool(getattr(first, "requires_grad", False))


def _parameters(layer: Layer, recording: Recording) -> list[Tensor]:
    """Of its module; and those of other modules that it reads."""
    own = list(layer.module.parameters()) if layer.module else []
    known = {id(p.array): p for p in recording.model.parameters()}
    read = [known[id(i.array)] for op in layer.ops for i in op.inputs if isinstance(i, Tensor) and id(i.array) in known]
    return list({id(p): p for p in own + read}.values())
