"""compile(model): inference as a flat list of kernel calls, recorded once for each shape of input.

The model runs once while every operation on Tensors is noted down. From then on the notes are followed: no modules, no checks, no tape.
Before that, neighbours are joined where one kernel does the work of several:

    conv2d [, batch_norm with constant statistics] [, relu] [, max_pool2d with windows side by side]    one pass, weights packed beforehand
    [reshape to rows,] linear [, relu]                                                                 one pass, no copy for the reshape
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.autograd import quietly
from minicnn.kernels import devices
from minicnn.nn.module import Module
from minicnn.ops.batch_norm import batch_norm_forward
from minicnn.ops.conv2d import conv2d_forward, conv2d_relu_forward
from minicnn.ops.linear import linear_forward
from minicnn.ops.max_pool2d import max_pool2d_forward
from minicnn.ops.relu import relu_forward
from minicnn.ops.shape import reshape_forward
from minicnn.recording import changes, is_grad_enabled, watch
from minicnn.tensor import Tensor


@dataclass(eq=False)
class Step:
    """One operation: y = function(*inputs, **options)[0]. What is no Step among `inputs`, and not INPUT, is a constant."""
    function: Any
    inputs: list[Any]
    options: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()

    def constants(self) -> list[Any]:
        return [None if isinstance(i, Step) else i for i in self.inputs]


class CompiledModule:
    """What `compile` returns: called like the model; `module` is the model itself."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._plans: dict[Any, Callable[[Any], Any]] = {}
        self._seen: Any = None

    def __call__(self, *args: Any, **options: Any) -> Any:
        if is_grad_enabled() or self.module.training or len(args) != 1 or options or not isinstance(args[0], Tensor):
            return self.module(*args, **options)
        x, = args
        weights = (changes(), kernels.backend())
        if weights != self._seen:
            self._plans, self._seen = {}, weights
        key = x.array.shape, x.array.dtype, type(x.array)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _plan(self.module, x)
        return Tensor(plan(x.array))

    def __repr__(self) -> str:
        return f"compiled {self.module!r}"


def compile(model: Module) -> CompiledModule:
    """The same network, faster in inference: in eval mode under no_grad() its operations are recorded and joined; else it runs as it is.

    Weights may change: after an optimiser step, load_state_dict or an in-place operation on a Tensor the next call records anew. Writing
    into `p.array` directly is not noticed.

    Raises RuntimeError, at the first call, when forward does something that cannot be recorded: decides by values, or leaves the Tensors.

    >>> import minicnn
    >>> model = minicnn.nn.Sequential(minicnn.nn.Conv2d(1, 4, 3), minicnn.nn.ReLU(), minicnn.nn.MaxPool2d(2)).eval()
    >>> fast = compile(model)
    >>> with minicnn.no_grad():
    ...     fast(minicnn.zeros(1, 1, 8, 8)).shape
    (1, 4, 3, 3)
    """
    if not isinstance(model, Module):
        raise TypeError(f"compile: expected a Module, got {type(model).__name__}")
    return CompiledModule(model)


def _plan(model: Module, x: Tensor) -> Callable[[Any], Any]:
    """Record model(x), join what can be joined, and hold the result against the model on other values."""
    steps, last = _record(model, x)
    run = _runner(_joined(steps, last), last)
    other = Tensor(x.array[..., ::-1] * x.dtype.type(-0.75))
    expected, got = (devices.host(y) for y in (model(other).array, run(other.array)))
    error, size = np.abs(got - expected).max(initial=0), np.abs(expected).max(initial=0)
    if got.shape != expected.shape or error > 1e-3 * size:
        raise RuntimeError(f"compile: {type(model).__name__}.forward cannot be recorded: on other values of the same shape the recording "
                           "gives another result, so it decides by values or computes outside of Tensors; call the model itself")
    return run


def _record(model: Module, x: Tensor) -> tuple[list[Step], Step]:
    """All operations of model(x) in order, and the one whose result it returns."""
    steps: list[Step] = []
    made: dict[int, Step] = {id(x): INPUT}
    alive = [x]                                                # an id is a name only while its object lives

    def note(forward: Any, inputs: Any, options: Any, y: Tensor) -> None:
        step = Step(forward, [made.get(id(i), i.array if isinstance(i, Tensor) else i) for i in inputs], options, y.shape)
        steps.append(step)
        made[id(y)] = step
        alive.append(y)

    with watch(note):
        y = model(x)
    last = made.get(id(y))
    if last is None or last is INPUT:
        raise RuntimeError(f"compile: {type(model).__name__}.forward must return one Tensor that it computed from its input, "
                           f"got {type(y).__name__}")
    return steps, last


INPUT = Step(None, [])


def _joined(steps: list[Step], last: Step) -> list[Step]:
    """The steps with neighbours joined; a joined step takes the place, and the identity, of its last one."""
    users: dict[int, list[Step]] = {}
    for step in steps:
        for i in step.inputs:
            if isinstance(i, Step):
                users.setdefault(id(i), []).append(step)
    done: set[int] = set()

    def follower(step: Step, function: Any) -> Step | None:
        """The only user of step's result, if it is a call of `function` on it."""
        after = users.get(id(step), [])
        fits = step is not last and len(after) == 1 and after[0].function is function and after[0].inputs[0] is step
        return after[0] if fits and sum(i is step for i in after[0].inputs) == 1 else None

    found = []
    for step in steps:
        if id(step) in done:
            continue
        parts = list(_chain(step, follower))
        done |= {id(part) for part in parts}
        found.append(_one(parts) if len(parts) > 1 or step.function in (conv2d_forward, conv2d_relu_forward, linear_forward) else step)
    return found


def _chain(step: Step, follower: Callable[[Step, Any], Step | None]) -> Iterator[Step]:
    """step and those after it that one kernel can do."""
    yield step
    if step.function in (conv2d_forward, conv2d_relu_forward):
        if step.function is conv2d_forward:
            after = follower(step, batch_norm_forward)
            if after and after.options.get("mean") is not None and not any(isinstance(i, Step) for i in after.inputs[1:]):
                yield (step := after)
            if not step.options.get("relu") and (after := follower(step, relu_forward)):
                yield (step := after)
        after = follower(step, max_pool2d_forward)
        if after and _side_by_side(after.options["window"]):
            yield after
        return
    if step.function is reshape_forward:
        flat = len(step.shape) == 2 and isinstance(step.inputs[0], Step) and step.inputs[0].shape[:1] == step.shape[:1]
        after = follower(step, linear_forward) if flat and len(step.inputs[0].shape) == 4 else None
        if not after:
            return
        yield (step := after)
    if step.function is linear_forward and (after := follower(step, relu_forward)):
        yield after


def _side_by_side(window: Any) -> bool:
    return window.stride == window.kernel and not any(window.padding) and window.dilation == (1, 1) and not window.ceil_mode


def _one(parts: list[Step]) -> Step:
    """The chain as one prepared kernel call, in the place of its last step."""
    first, final = parts[0], parts[-1]
    functions = [part.function for part in parts]
    relu = relu_forward in functions or conv2d_relu_forward in functions or any(part.options.get("relu") for part in parts)
    if first.function in (conv2d_forward, conv2d_relu_forward):
        _, w, b = first.constants()
        norm = next((part for part in parts if part.function is batch_norm_forward), None)
        if norm:
            w, b = _folded(w, b, norm)
        pool = final.options["window"].kernel if final.function is max_pool2d_forward else (1, 1)
        run = kernels.of(w).prepare_conv2d(w, b, first.options["window"], first.options.get("groups", 1), relu, pool)
    else:
        product = next(part for part in parts if part.function is linear_forward)
        _, w, b = product.constants()
        image = first.inputs[0].shape[1:] if first.function is reshape_forward else None
        run = kernels.of(w).prepare_linear(w, b, relu, image)
    final.function, final.inputs, final.options = lambda x: (run(x), None), first.inputs[:1], {}
    return final


def _folded(w: Any, b: Any, norm: Step) -> tuple[Any, Any]:
    """Weights and bias of the convolution that does what it and the batch norm after it do."""
    _, gamma, beta = norm.constants()
    scale = 1 / np.sqrt(norm.options["var"] + norm.options["eps"])
    scale = scale if gamma is None else scale * gamma
    shift = ((0 if b is None else b) - norm.options["mean"]) * scale
    return w * scale[:, None, None, None], shift if beta is None else shift + beta


def _runner(steps: list[Step], last: Step) -> Callable[[Any], Any]:
    """The function that follows the steps; a result is forgotten after its last use, so that its memory serves a later one."""
    place = {id(INPUT): 0, **{id(step): i for i, step in enumerate(steps, 1)}}
    used_last = {id(i): number for number, step in enumerate(steps, 1) for i in step.inputs if isinstance(i, Step)}
    calls = []
    for number, step in enumerate(steps, 1):
        arguments = [(place[id(i)], None) if isinstance(i, Step) else (-1, i) for i in step.inputs]
        over = [place[id(i)] for i in step.inputs if isinstance(i, Step) and used_last[id(i)] == number]
        calls.append((_bound(step.function, arguments, step.options), over))
    result = place[id(last)]

    @quietly
    def run(x: Any) -> Any:
        values: list[Any] = [x] + [None] * len(calls)
        for number, (call, over) in enumerate(calls, 1):
            y = call(values)
            values[number] = y[0] if type(y) is tuple else y
            for at in over:
                values[at] = None
        return values[result]
    return run


def _bound(function: Any, arguments: list[tuple[int, Any]], options: dict[str, Any]) -> Callable[[list[Any]], Any]:
    """The step as a function of the list of all values. arguments: (place in that list, or -1; the constant that stands there then)."""
    if len(arguments) == 1 and not options:
        at = arguments[0][0]
        return lambda values: function(values[at])[0]
    return lambda values: function(*[constant if at < 0 else values[at] for at, constant in arguments], **options)[0]
