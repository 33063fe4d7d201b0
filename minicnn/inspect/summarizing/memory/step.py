"""A training step on ghosts: forward, loss, backward, optimiser, with arrays made and let go in the order of the real one."""
from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.inspect.summarizing.memory.ledger import (
    FLOWING,
    GRADIENTS,
    INPUT,
    KINDS,
    PARAMETERS,
    SAVED,
    STATE,
    WORKSPACE,
    Block,
    Ghost,
    Ledger,
)
from minicnn.inspect.summarizing.memory.numpy_kernels import NumPyKernels
from minicnn.inspect.summarizing.memory.operations import operation
from minicnn.inspect.summarizing.memory.tape import IMAGES, Tape, tape
from minicnn.nn import Module

OPTIMIZERS = {"none": 0, "sgd": 0, "momentum": 1, "adam": 2, "adamw": 2}          # arrays of state for each parameter
WARM = 2                       # steps before the one that counts: then there is an optimiser state, and memory to use again


@dataclass(frozen=True)
class Memory:
    """peak: bytes; parts: what they are, adding up to the peak; moment: when in the step."""
    peak: int
    parts: dict[str, int]
    moment: str


def kernels_for(ledger: Ledger) -> NumPyKernels:
    """Of the backend in use on the CPU."""
    if kernels.backend() == "numba":                           # these need Numba
        from minicnn.inspect.summarizing.memory.numba_kernels import NumbaKernels
        from minicnn.kernels.numba_backend.simd import usable

        if usable():
            return NumbaKernels(ledger)
    return NumPyKernels(ledger)


def training_memory(model: Module, image_shape: tuple[int, ...], batch: int, optimizer: str = "sgd", weight_decay: bool = False,
                    dtype: Any = np.float32) -> Memory:
    """The peak of one training step on the backend in use: the batch, parameters and state included, Python's own objects not.

    optimizer: none (forward and backward alone), sgd, momentum (SGD with it), adam or adamw. Raises ValueError for another.
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer is {optimizer!r}: must be one of {', '.join(OPTIMIZERS)}")
    step = TrainingStep(model, tape(model, image_shape, batch, dtype), optimizer, weight_decay)
    for _ in range(WARM):
        step.run()
    step.ledger.restart()
    step.run()
    return step.memory()


class TrainingStep:
    """What stays from one step to the next: parameters, gradients, the optimiser's state."""

    def __init__(self, model: Module, what: Tape, optimizer: str, weight_decay: bool) -> None:
        self.ledger = ledger = Ledger()
        self.tape, self.optimizer, self.weight_decay = what, optimizer, weight_decay
        self.k = kernels_for(ledger)
        self.parameters = [Ghost(Block(ledger, t.array.nbytes, PARAMETERS), t.shape, t.array.itemsize) for _, t in what.parameters]
        self.buffers = [Block(ledger, b.array.nbytes, PARAMETERS) for b in model.buffers()]
        self.images = Ghost(Block(ledger, math.prod(what.images) * what.itemsize, INPUT), what.images, what.itemsize)
        self.labels = Block(ledger, 8 * what.labels, INPUT)
        self.gradients: dict[int, Ghost] = {}
        self.state: dict[int, list[Block]] = {}

    def run(self) -> None:
        """One step of training."""
        self.gradients.clear()                                 # zero_grad()
        caches, held = self._forward(self.tape, self.images)
        self._backward(caches)
        held.clear()
        self._update()

    def evaluate(self, what: Tape) -> None:
        """The forward pass of a batch of another size, nothing kept for backward. The layers are those of training, not folded as in eval
        mode, which takes no more."""
        images = Ghost(Block(self.ledger, math.prod(what.images) * what.itemsize, INPUT), what.images, what.itemsize)
        self._forward(replace(what, steps=[replace(step, recorded=False) for step in what.steps]), images)

    def memory(self) -> Memory:
        """The most there was since the ledger's last restart."""
        at = self.ledger.at_peak
        return Memory(self.ledger.peak, {kind: at[kind] for kind in KINDS}, self.ledger.moment)

    def _forward(self, what: Tape, images: Ghost) -> tuple[dict[int, Any], dict[int, Ghost]]:
        steps, doing = what.steps, "forward" if what is self.tape else "test"
        last = {i: number for number, step in enumerate(steps) for i in step.inputs if i is not None and i >= 0}
        values: dict[int, Ghost] = {IMAGES: images} | {-1 - i: p for i, p in enumerate(self.parameters)}
        caches: dict[int, Any] = {}
        for number, step in enumerate(steps):
            self.ledger.now = f"{doing}: {what.names[number]}"
            inputs = [None if i is None else values.get(i) for i in step.inputs]
            shape = inputs[0].shape if inputs and inputs[0] is not None else ()
            y, cache = operation(step, shape).forward(self.k, step, inputs, values)
            del inputs
            for ghost in (y, *ghosts(cache)):
                if ghost.block.kind == WORKSPACE:
                    ghost.becomes(SAVED)
            values[number] = y
            if step.recorded:
                caches[number] = cache
            del y, cache
            for i in step.inputs:
                if i is not None and i >= 0 and last[i] == number and i != what.logits:
                    values.pop(i, None)
        return caches, {i: values[i] for i in (what.logits, len(steps) - 1) if i in values}

    def _backward(self, caches: dict[int, Any]) -> None:
        """autograd._run"""
        steps = self.tape.steps
        start = len(steps) - 1
        uses = self._uses(start)
        pending: dict[int, Ghost] = {start: self.k.new(steps[start].shape, self.tape.itemsize)}
        own: set[int] = set()
        ready = [start]
        while ready:
            target = ready.pop()
            dy = pending.pop(target, None)
            if target < 0:
                if dy is not None:
                    self._leaf(-1 - target, dy)
                continue
            step = steps[target]
            self.ledger.now = f"backward: {self.tape.names[target]}"
            gradients = self._gradients(target, dy, caches, target in own)
            for source, gradient in zip(step.edges, gradients, strict=True):
                if source is None:
                    continue
                if gradient is not None:
                    if gradient.block.kind == WORKSPACE:
                        gradient.becomes(GRADIENTS if source < 0 else FLOWING)
                    if source in pending:
                        other = pending[source]
                        pending[source] = self.k.add(other, gradient).becomes(GRADIENTS if source < 0 else FLOWING)
                        own.add(source)
                        del other
                    else:
                        pending[source] = gradient
                        if step.fresh:
                            own.add(source)
                uses[source] -= 1
                if not uses[source]:
                    ready.append(source)

    def _gradients(self, target: int, dy: Ghost | None, caches: dict[int, Any], own: bool) -> tuple[Ghost | None, ...]:
        """Node.gradients: the operation is given the cache to hold it alone."""
        step = self.tape.steps[target]
        if dy is None:
            del caches[target]
            return (None,) * len(step.edges)
        first = step.inputs[0] if step.inputs else None
        shape = () if first is None else self.tape.images if first == IMAGES else self._shape(first)
        return operation(step, shape).backward(self.k, step, dy, caches.pop(target), own)

    def _shape(self, i: int) -> tuple[int, ...]:
        return self.tape.steps[i].shape if i >= 0 else self.parameters[-1 - i].shape

    def _leaf(self, i: int, dy: Ghost) -> None:
        if i in self.gradients:
            return
        own = dy.block.kind == GRADIENTS
        self.gradients[i] = dy if own else self.k.like(dy).becomes(GRADIENTS)

    def _uses(self, start: int) -> dict[int, int]:
        uses, found = {start: 0}, [start]
        while found:
            target = found.pop()
            for source in self.tape.steps[target].edges if target >= 0 else ():
                if source in uses:
                    uses[source] += 1
                elif source is not None:
                    uses[source] = 1
                    found.append(source)
        return uses

    def _update(self) -> None:
        self.ledger.now = f"optimiser ({self.optimizer})"
        if self.optimizer == "none":
            return
        for i in self.gradients:
            p = self.parameters[i]
            if i not in self.state:
                self.state[i] = [Block(self.ledger, p.nbytes, STATE) for _ in range(OPTIMIZERS[self.optimizer])]
            if self.optimizer in ("adam", "adamw"):
                self.k.adam_step(p, self.weight_decay and self.optimizer == "adam")
            else:
                self.k.sgd_step(p, self.optimizer == "momentum", self.weight_decay)


def ghosts(cache: Any) -> Iterator[Ghost]:
    """All arrays in a cache."""
    if isinstance(cache, Ghost):
        yield cache
    elif isinstance(cache, tuple | list):
        for item in cache:
            yield from ghosts(item)
