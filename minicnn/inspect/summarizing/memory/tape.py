"""The operations of a training step, as the tape will have them: fused, in training mode, and with shapes for any size of batch."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minicnn.inspect.recorder import in_mode
from minicnn.inspect.summarizing.saved import arrays, root
from minicnn.nn import Module
from minicnn.ops import cross_entropy
from minicnn.recording import enable_grad, watch
from minicnn.tensor import Tensor

Shape = tuple[int, ...]
SMALL_BATCHES = 2, 3          # a size that the batch decides differs between them, and tells how


@dataclass
class Step:
    """One operation.

    inputs: the number of another step, -1 - i for parameter i, IMAGES, or None for anything else; edges: likewise, where gradients go.
    own: shapes and itemsizes of what it saved that nothing else holds; saves: whose results it saved; keeps_result: that it saved its own.
    is_view: its result lies in its first input's memory. recorded: it is on the tape. fresh: so are the gradients that it makes.
    """
    name: str
    options: dict[str, Any]
    inputs: list[int | None]
    edges: list[int | None]
    shape: Shape
    own: list[tuple[Shape, int]]
    saves: list[int]
    keeps_result: bool
    is_view: bool
    recorded: bool
    fresh: bool = False


IMAGES = -(1 << 30)


@dataclass
class Tape:
    """steps: in order; the last one makes the loss. images: the shape of the input."""
    steps: list[Step]
    parameters: Sequence[tuple[str, Tensor]]
    images: Shape
    itemsize: int
    logits: int = 0
    labels: int = 0
    names: list[str] = field(default_factory=list)


def tape(model: Module, image_shape: Shape, batch: int, dtype: Any = np.float32) -> Tape:
    """Of forward and loss for `batch` inputs of image_shape: `Growing(model, image_shape, dtype).tape(batch)`."""
    return Growing(model, image_shape, dtype).tape(batch)


class Growing:
    """Tapes of any size of batch, found by running two small ones: what depends on the batch grows with it.

    The loss is cross-entropy. Raises ValueError for a model that runs other operations for another size of batch.
    """

    def __init__(self, model: Module, image_shape: Shape, dtype: Any = np.float32) -> None:
        self.image_shape = tuple(image_shape)
        self.small, self.other = (_traced(model, (n, *image_shape), dtype) for n in SMALL_BATCHES)
        if [s.name for s in self.small.steps] != [s.name for s in self.other.steps]:
            raise ValueError(f"{type(model).__name__}.forward runs other operations for another size of batch: its memory cannot be "
                             "predicted")

    def tape(self, batch: int) -> Tape:
        """For `batch` inputs."""
        steps = [replace(a, own=[(grown(s, t, batch), size) for (s, size), (t, _) in zip(a.own, b.own, strict=True)],
                         shape=grown(a.shape, b.shape, batch)) for a, b in zip(self.small.steps, self.other.steps, strict=True)]
        return replace(self.small, steps=steps, images=(batch, *self.image_shape), labels=self.small.labels // SMALL_BATCHES[0] * batch)


def grown(a: Shape, b: Shape, batch: int) -> Shape:
    """A shape for `batch`, from those for the two SMALL_BATCHES: every size is a number plus another times the batch.

    >>> grown((2, 8, 12), (3, 8, 18), 10)
    (10, 8, 60)
    """
    return tuple(n + (m - n) * (batch - SMALL_BATCHES[0]) for n, m in zip(a, b, strict=True))


def _traced(model: Module, shape: Shape, dtype: Any) -> Tape:
    parameters = list(model.named_parameters())
    places: dict[int, int] = {id(t): -1 - i for i, (_, t) in enumerate(parameters)}
    x = Tensor(np.random.default_rng(0).standard_normal(shape).astype(dtype))
    made: dict[int, int] = {id(t.array): -1 - i for i, (_, t) in enumerate(parameters)} | {id(x.array): IMAGES}
    nodes: dict[int, int] = {}
    owners: dict[int, int] = {id(root(x.array)): IMAGES} | {id(root(t.array)): -1 - i for i, (_, t) in enumerate(parameters)}
    alive: list[Any] = []
    steps: list[Step] = []

    def note(function: Any, inputs: Any, options: Any, y: Tensor) -> None:
        number, node = len(steps), y.node
        alive.append((y.array, node, inputs))
        read = [made.get(id(i.array)) if isinstance(i, Tensor) else None for i in inputs]
        is_view = id(root(y.array)) in owners
        own: list[tuple[Shape, int]] = []
        saves: list[int] = []
        keeps_result = False
        owners.setdefault(id(root(y.array)), number)
        for array in arrays(node.cache if node else None):
            owner = owners.get(id(root(array)))
            keeps_result = keeps_result or owner == number
            if owner is None:
                own.append((array.shape, array.itemsize))
                alive.append(array)
            elif owner != number:
                saves.append(owner)
        edges = [None if e is None else places[id(e)] if isinstance(e, Tensor) else nodes.get(id(e)) for e in (node.inputs if node else ())]
        steps.append(Step(function.__name__.removesuffix("_forward"), options, read, edges, y.shape, own, saves, keeps_result, is_view,
                          node is not None, node is not None and hasattr(node.backward, "fresh")))
        made[id(y.array)] = number
        if node:
            nodes[id(node)] = number

    with in_mode(model, True), enable_grad(), watch(note):
        y = model(x)
        if not isinstance(y, Tensor) or not steps:
            raise ValueError(f"{type(model).__name__}.forward must return one Tensor that it computed from its input")
        logits = made[id(y.array)]
        labels = Tensor(np.zeros((*y.shape[:1], *y.shape[2:]), np.int64))
        cross_entropy(y, labels)
    return Tape(steps, parameters, shape, np.dtype(dtype).itemsize, logits, labels.numel(), _names(steps, [n for n, _ in parameters]))


def _names(steps: list[Step], parameters: list[str]) -> list[str]:
    """What to call each step: by the layer whose parameters it reads, or after the last such layer."""
    names: list[str] = []
    last = ""
    for step in steps:
        layer = next((parameters[-1 - i].rpartition(".")[0] for i in step.inputs if i is not None and IMAGES < i < 0), None)
        last = last if layer is None else layer or step.name
        names.append(f"{last} ({step.name})" if layer is not None else f"{step.name} after {last}" if last else step.name)
    return names
