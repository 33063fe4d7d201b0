"""record(model, x): every operation of one forward pass, with the layer it belongs to and what it read.

    Recording   the operations in the order in which they ran, and the layers they make up
    Layer       what a summary shows in one row: a module without sub-modules, or a function that a larger module called itself
    Op          one operation: y = function(*inputs, **options)

Layers run one by one here, as they are written: a module that is watched is not fused with its neighbours (see `minicnn.nn.fusion`).
"""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.nn import Module
from minicnn.nn.module import join
from minicnn.random import fork_rng
from minicnn.recording import enable_grad, watch
from minicnn.tensor import Tensor


@dataclass(eq=False)
class Op:
    """One operation of a forward pass.

    function, options: as in `minicnn.autograd.record`, for instance conv2d_forward with its window and groups; None for the input itself.
    inputs: what it read, in order: another Op, a Tensor (a parameter, a buffer or a constant), an array, a number or None.
    output: what it made; output.node.cache is what it saved for backward.
    path, module, call: the innermost module that was running, its name in the model ("" is the model itself), and which of its calls.
    """
    function: Callable[..., Any] | None
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    output: Tensor
    path: str
    module: Module
    call: int

    @property
    def name(self) -> str:
        """conv2d, relu, add, ...; input."""
        return self.function.__name__.removesuffix("_forward") if self.function else "input"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.output.shape

    @property
    def sources(self) -> list[Op]:
        """The operations whose results it read."""
        return [i for i in self.inputs if isinstance(i, Op)]

    def __repr__(self) -> str:
        return f"<{self.name} in {self.path or 'the model'} -> {self.shape}>"


@dataclass(eq=False)
class Layer:
    """A module without sub-modules in one of its calls, or one function that a larger module called itself.

    name: unique: the module's ("layer1.0.conv1"), or that of the module and the function ("layer1.0.add_relu"); "#2" marks a second call.
    kind: the module's class, or the function.
    """
    name: str
    kind: str
    module: Module | None
    ops: list[Op]

    @property
    def output(self) -> Op:
        return self.ops[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.output.shape

    @property
    def inputs(self) -> list[Op]:
        """The operations of other layers, or the input, whose results it read."""
        return list(dict.fromkeys(source for op in self.ops for source in op.sources if source not in self.ops))


@dataclass(eq=False)
class Recording:
    """One forward pass of `model`: its input, its operations in order (the input is not among them) and the last one's result."""
    model: Module
    input: Op
    ops: list[Op]
    output: Op
    layers: list[Layer] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = list(_layers(self.ops))

    def layer(self, name: str) -> Layer:
        """The layer called `name`. Raises ValueError that lists all names."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"{type(self.model).__name__} has no layer {name!r}; it has: {', '.join(layer.name for layer in self.layers)}")

    def layer_of(self, op: Op) -> Layer | None:
        """The layer that an operation belongs to; None for the input."""
        return next((layer for layer in self.layers if op in layer.ops), None)


def record(model: Module, x: Tensor, *, training: bool = False) -> Recording:
    """Run model(x) once and note down every operation. The tape is on: autograd.grad(found.output.output, found.input.output, dy) works.

    training: in training mode rather than in eval mode; buffers such as running means are put back afterwards, so are all modes.

    Raises TypeError for a model that is no Module, ValueError when it does not return one Tensor that it computed from x.
    """
    if not isinstance(model, Module):
        raise TypeError(f"expected a Module, got {type(model).__name__}")
    if not isinstance(x, Tensor):
        raise TypeError(f"expected the input as a Tensor, got {type(x).__name__}")
    with enable_grad():
        x = ops.clone(Tensor(x.array, requires_grad=x.is_floating_point()))       # no leaf, so that forward may change it in place
    start = Op(None, (), {}, _same(x), "", model, 1)
    made: dict[int, Op] = {id(x.array): start}                 # by array, for x += 1 gives x another one
    found: list[Op] = []
    running: list[tuple[str, Module, int]] = [("", model, 1)]

    def note(function: Any, inputs: Any, options: Any, y: Tensor) -> None:
        path, module, call = running[-1]
        read = tuple(made.get(id(i.array), i) if isinstance(i, Tensor) else i for i in inputs)
        op = Op(function, read, options, _same(y), path, module, call)
        found.append(op)                                       # which keeps the array alive: an id is a name only so long
        made[id(y.array)] = op

    def pass_on(x: Any, y: Any) -> None:
        """A module that did nothing, such as dropout in eval mode, is an operation too."""
        if isinstance(x, Tensor) and x is y:
            note(identity_forward, (x,), {}, y)

    with _following(model, running, found, pass_on), in_mode(model, training), enable_grad(), watch(note):
        y = model(x)
    last = made.get(id(y.array)) if isinstance(y, Tensor) else None
    if last is None or last is start:
        raise ValueError(f"{type(model).__name__}.forward must return one Tensor that it computed from its input, got {type(y).__name__}")
    return Recording(model, start, found, last)


def example_input(input_shape: Sequence[int], seed: int = 0, dtype: Any = np.float32) -> Tensor:
    """A random input: (C, H, W) is one image, (N, C, H, W) a batch, anything else is itself. Raises ValueError for sizes below 1."""
    shape = tuple(input_shape) if isinstance(input_shape, Sequence) else (input_shape,)
    if not shape or any(isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1 for n in shape):
        raise ValueError(f"input_shape is {input_shape!r}: give (C, H, W), or (N, C, H, W) for a batch, of numbers from 1")
    shape = (1, *shape) if len(shape) == 3 else shape
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def identity_forward(x: Any) -> tuple[Any, Any]:
    """y = x"""
    return x, None


def _same(y: Tensor) -> Tensor:
    """Another Tensor of the same array and node: y itself may become something else in place."""
    copy = Tensor(y.array)
    copy.node = y.node
    return copy


@contextlib.contextmanager
def _following(model: Module, running: list[tuple[str, Module, int]], found: list[Op],
               pass_on: Callable[[Any, Any], None]) -> Iterator[None]:
    """Keep `running` the modules that are being called, the innermost last. Hooks on all modules also keep them from being fused.

    pass_on: told the input and the output of a module without sub-modules that found nothing to do.
    """
    calls: dict[int, int] = {}
    before: list[int] = []
    with contextlib.ExitStack() as hooks:
        for path, module in model.named_modules():
            def enter(module: Module, _: Any, path: str = path) -> None:
                calls[id(module)] = calls.get(id(module), 0) + 1
                running.append((path, module, calls[id(module)]))
                before.append(len(found))

            def leave(module: Module, args: Any, y: Any) -> None:
                if before.pop() == len(found) and _is_leaf(module) and args:
                    pass_on(args[0], y)
                running.pop()

            hooks.enter_context(module.register_forward_pre_hook(enter))
            hooks.enter_context(module.register_forward_hook(leave))
        yield


@contextlib.contextmanager
def in_mode(model: Module, training: bool) -> Iterator[None]:
    """In that mode for a while; afterwards modes, buffers and the stream of random numbers are what they were."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.array.copy()) for buffer in model.buffers()] if training else []
    model.train(training)
    try:
        with fork_rng():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for buffer, before in buffers:
            buffer.array[...] = before


def _layers(found: list[Op]) -> Iterator[Layer]:
    """The operations, one after the other, as layers: those of one call of a module without sub-modules are one."""
    names: dict[str, int] = {}
    for _, group in groupby(found, lambda op: (op.path, op.call) if _is_leaf(op.module) else id(op)):
        members = list(group)
        first = members[0]
        leaf = _is_leaf(first.module)
        kind = type(first.module).__name__ if leaf else first.name
        name = (first.path or kind) if leaf else join(first.path, first.name)
        names[name] = names.get(name, 0) + 1
        yield Layer(name if names[name] == 1 else f"{name}#{names[name]}", kind, first.module if leaf else None, members)


def _is_leaf(module: Module) -> bool:
    """Whether a module has no sub-modules: a layer."""
    return next(module.children(), None) is None
