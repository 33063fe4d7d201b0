"""The tape: it remembers which function made each Tensor, and runs their backward functions in reverse order.

An operation is a pair of plain functions on arrays, and one line that puts the pair on the tape:

    y, cache = forward(*arrays, **options)
    gradients = backward(dy, cache)            one for each array of forward, None where there is none

    def conv2d(x, weight, ...): return record(conv2d_forward, conv2d_backward, x, weight, ..., window=window)

Everything backward needs is in `cache`. The tape itself knows no mathematics but one rule: what is used twice gets the sum of its
gradients.
"""
from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ContextDecorator
from typing import Any

import numpy as np

from minicnn import tensor as _tensor
from minicnn.tensor import Tensor


class _Switch(threading.local):
    """Whether operations are recorded: each thread's own, so that no_grad() in a background thread leaves training alone."""
    on = True


_recording = _Switch()


def _quiet() -> np.errstate:
    """1 / 0 is inf and 0 / 0 is NaN without a warning, as in torch."""
    return np.errstate(divide="ignore", over="ignore", invalid="ignore")


class Node:
    """One recorded call: its backward function, what that needs, and where each gradient goes (a Node, a leaf Tensor, or None)."""
    __slots__ = ("backward", "cache", "dtype", "hooks", "inputs", "keep", "name", "shape")

    def __init__(self, name: str, backward: Callable[..., Sequence[Any]], cache: Any, inputs: list[Node | Tensor | None], y: Any) -> None:
        self.name, self.backward, self.cache, self.inputs = name, backward, cache, inputs
        self.shape, self.dtype = y.shape, y.dtype
        self.hooks: dict[Any, Callable[[Tensor], Any]] | None = None        # of register_hook()
        self.keep: weakref.ref[Tensor] | None = None         # a tensor that asked for its gradient with retain_grad()

    def gradients(self, dy: Any) -> Sequence[Any]:
        """The gradient of each input, given the gradient dy of the output."""
        if self.cache is _FREED:
            raise RuntimeError(f"backward through {self.name} a second time: the first backward() freed what it had saved; "
                               "call backward(retain_graph=True) the first time to keep it")
        if _takes_needs(self.backward):
            return self.backward(dy, self.cache, needs=[i is not None for i in self.inputs])
        return self.backward(dy, self.cache)


_FREED = object()


def _takes_needs(backward: Callable[..., Any]) -> bool:
    """Whether a backward function has a parameter `needs`: which of its gradients are wanted, so that it can leave out the others."""
    code = backward.__code__
    return "needs" in code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]


def record(forward: Callable[..., tuple[Any, Any]], backward: Callable[..., Sequence[Any]], *inputs: Any, **options: Any) -> Any:
    """Call forward on the arrays of `inputs` and put the call on the tape. Returns the output as a Tensor.

    inputs: Tensors, arrays, numbers or None; only Tensors with requires_grad get a gradient. options: passed to forward as they are.
    A forward that returns several outputs, ((y, extra, ...), cache), has a gradient for y alone; the others become constant Tensors.
    """
    with _quiet():
        y, cache = forward(*(t.array if isinstance(t, Tensor) else t for t in inputs), **options)
    y, *extras = y if isinstance(y, tuple) else (y,)
    out = Tensor(y)
    if _recording.on and any(isinstance(t, Tensor) and t.requires_grad for t in inputs):
        edges = [(t.node or t) if isinstance(t, Tensor) and t.requires_grad else None for t in inputs]
        out.node = Node(forward.__name__.removesuffix("_forward"), backward, cache, edges, out.array)
    return (out, *(Tensor(e) for e in extras)) if extras else out


def backward(tensor: Tensor, gradient: Any = None, retain_graph: bool = False) -> None:
    """Add d(tensor)/d(leaf) to the .grad of every leaf that requires one: the chain rule, from the end of the tape to its beginning.

    gradient: the gradient to start from, of tensor's shape; may be left out for a scalar (1).
    retain_graph: keep what was saved, to call it again.
    """
    start = _start("backward()", tensor, gradient)
    with _quiet():
        for target, dy in _run({tensor.node or tensor: start}, retain_graph):
            kept = target if isinstance(target, Tensor) else target.keep() if target.keep else None
            if kept is not None:
                _accumulate(kept, dy)


def grad(outputs: Tensor | Sequence[Tensor], inputs: Tensor | Sequence[Tensor], grad_outputs: Any = None, retain_graph: bool = False,
         *, allow_unused: bool = False) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of `outputs` with respect to each of `inputs`, as a tuple; no .grad changes.

    grad_outputs: what each output's gradient starts from, where it is no scalar. allow_unused: None for an input that no output depends on,
    instead of a RuntimeError.
    """
    outputs, inputs = ([t] if isinstance(t, Tensor) else list(t) for t in (outputs, inputs))
    starts = grad_outputs if isinstance(grad_outputs, tuple | list) else [grad_outputs] * len(outputs)
    pending: dict[Node | Tensor, Any] = {}
    for tensor, start in zip(outputs, starts, strict=True):
        _add(pending, tensor.node or tensor, _start("grad()", tensor, start))
    wanted = {t.node or t for t in inputs}
    with _quiet():
        found = {target: dy for target, dy in _run(pending, retain_graph) if target in wanted}
    gradients = [found.get(t.node or t) for t in inputs]
    for i, gradient in enumerate(gradients):
        if gradient is None and not allow_unused:
            raise RuntimeError(f"grad(): the outputs do not depend on input {i}; with allow_unused=True its gradient is None")
    return tuple(None if g is None else Tensor(g.copy()) for g in gradients)


def _start(what: str, tensor: Tensor, gradient: Any) -> Any:
    """The gradient to start from, as an array of tensor's shape and dtype."""
    if not tensor.requires_grad:
        raise RuntimeError(f"{what} on a tensor that does not require a gradient: nothing it was computed from has requires_grad=True")
    if gradient is None:
        if tensor.array.size != 1:
            raise RuntimeError(f"{what} on a tensor of shape {tensor.shape}: without an argument it works for scalars only; "
                               "reduce it to one number first, for instance with .sum(), or pass the gradient")
        gradient = np.ones_like(tensor.array)
    dy = np.asarray(gradient.array if isinstance(gradient, Tensor) else gradient, dtype=tensor.dtype, like=tensor.array)
    if dy.shape != tensor.shape:
        raise RuntimeError(f"{what}: the gradient has shape {dy.shape}, the tensor {tensor.shape}")
    return dy


def _run(pending: dict[Node | Tensor, Any], retain_graph: bool) -> Iterator[tuple[Node | Tensor, Any]]:
    """The chain rule over all that led to the nodes in `pending`: every node and every leaf with its whole gradient.

    What several nodes send to one input is added up in `pending` until its turn comes.
    """
    for target in _outputs_first(pending):
        dy = pending.pop(target, None)
        if dy is None:                                         # nothing that mattered used it
            continue
        dy = _hooked(target, dy)
        yield target, dy
        if isinstance(target, Tensor):
            continue
        for source, gradient in zip(target.inputs, target.gradients(dy), strict=True):
            if source is None or gradient is None:
                continue
            if gradient.shape != source.shape:
                raise RuntimeError(f"the backward of {target.name} returned a gradient of shape {gradient.shape} "
                                   f"for an input of shape {source.shape}")
            _add(pending, source, gradient.astype(source.dtype, copy=False))
        if not retain_graph:
            target.cache = _FREED


def _add(pending: dict[Node | Tensor, Any], target: Node | Tensor, gradient: Any) -> None:
    pending[target] = pending[target] + gradient if target in pending else gradient


def _hooked(target: Node | Tensor, dy: Any) -> Any:
    """The gradient after the hooks of register_hook() have seen, and perhaps replaced, it."""
    for hook in list((target.hooks or {}).values()):
        changed = hook(Tensor(dy))
        if changed is not None:
            dy = changed.array
    return dy


def _accumulate(tensor: Tensor, gradient: Any) -> None:
    """tensor.grad += gradient; the first one is copied, since other tensors may hold the same array."""
    if tensor.grad is None:
        tensor.grad = Tensor(gradient.copy())
    else:
        tensor.grad.array += gradient


def _outputs_first(last: Iterable[Node | Tensor]) -> list[Node | Tensor]:
    """All that led to `last`, each before everything it depends on: a depth-first search without recursion, reversed."""
    order: list[Node | Tensor] = []
    seen: set[Node | Tensor] = set()
    stack = [(target, False) for target in last]
    while stack:
        target, done = stack.pop()
        if done:
            order.append(target)
        elif target not in seen:
            seen.add(target)
            stack.append((target, True))
            if isinstance(target, Node):
                stack.extend((i, False) for i in target.inputs if i is not None and i not in seen)
    return order[::-1]


def is_grad_enabled() -> bool:
    """Whether operations are recorded at the moment, in this thread."""
    return _recording.on


class no_grad(ContextDecorator):
    """`with no_grad():` or `@no_grad()`: nothing inside is recorded, so nothing is saved for backward."""
    _mode = False

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_recording.on)
        _recording.on = self._mode

    def __exit__(self, *_: object) -> None:
        _recording.on = self._before.pop()


class enable_grad(no_grad):
    """`with enable_grad():` records again inside a no_grad block."""
    _mode = True


class set_grad_enabled:
    """Switch recording on or off: at once, and until the end of the block when used with `with`."""

    def __init__(self, mode: bool) -> None:
        self._before, _recording.on = _recording.on, bool(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _recording.on = self._before


_tensor.autograd = sys.modules[__name__]
