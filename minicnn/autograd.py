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
from collections.abc import Callable, Sequence
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
    __slots__ = ("backward", "cache", "dtype", "inputs", "keep", "name", "shape")

    def __init__(self, name: str, backward: Callable[..., Sequence[Any]], cache: Any, inputs: list[Node | Tensor | None], y: Any) -> None:
        self.name, self.backward, self.cache, self.inputs = name, backward, cache, inputs
        self.shape, self.dtype = y.shape, y.dtype
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
        y, cache = forward(*(t.data if isinstance(t, Tensor) else t for t in inputs), **options)
    y, *extras = y if isinstance(y, tuple) else (y,)
    out = Tensor(y)
    if _recording.on and any(isinstance(t, Tensor) and t.requires_grad for t in inputs):
        edges = [(t.node or t) if isinstance(t, Tensor) and t.requires_grad else None for t in inputs]
        out.node = Node(forward.__name__.removesuffix("_forward"), backward, cache, edges, out.data)
    return (out, *(Tensor(e) for e in extras)) if extras else out


def backward(tensor: Tensor, gradient: Any = None, retain_graph: bool = False) -> None:
    """Add d(tensor)/d(leaf) to the .grad of every leaf that requires one: the chain rule, from the end of the tape to its beginning.

    gradient: the gradient to start from, of tensor's shape; may be left out for a scalar (1).
    retain_graph: keep what was saved, to call it again.
    """
    if not tensor.requires_grad:
        raise RuntimeError("backward() on a tensor that does not require a gradient: nothing it was computed from has requires_grad=True")
    if gradient is None:
        if tensor.data.size != 1:
            raise RuntimeError(f"backward() on a tensor of shape {tensor.shape}: without an argument it works for scalars only; "
                               "reduce it to one number first, for instance with .sum(), or pass the gradient")
        gradient = np.ones_like(tensor.data)
    dy = np.asarray(gradient.data if isinstance(gradient, Tensor) else gradient, dtype=tensor.dtype, like=tensor.data)
    if dy.shape != tensor.shape:
        raise RuntimeError(f"backward(): the gradient has shape {dy.shape}, the tensor {tensor.shape}")
    if tensor.node is None:
        _accumulate(tensor, dy)
        return
    with _quiet():
        _run(tensor.node, dy, retain_graph)


def _run(last: Node, dy: Any, retain_graph: bool) -> None:
    """The chain rule over all nodes that led to `last`; what several nodes send to one input is added up in `pending`."""
    pending = {last: dy}
    for node in _outputs_first(last):
        dy = pending.pop(node, None)
        if dy is None:                                         # nothing that mattered used it
            continue
        kept = node.keep() if node.keep is not None else None
        if kept is not None:
            _accumulate(kept, dy)
        for target, gradient in zip(node.inputs, node.gradients(dy), strict=True):
            if target is None or gradient is None:
                continue
            if gradient.shape != target.shape:
                raise RuntimeError(f"the backward of {node.name} returned a gradient of shape {gradient.shape} "
                                   f"for an input of shape {target.shape}")
            gradient = gradient.astype(target.dtype, copy=False)
            if isinstance(target, Node):
                pending[target] = pending[target] + gradient if target in pending else gradient
            else:
                _accumulate(target, gradient)
        if not retain_graph:
            node.cache = _FREED


def _accumulate(tensor: Tensor, gradient: Any) -> None:
    """tensor.grad += gradient; the first one is copied, since other tensors may hold the same array."""
    if tensor.grad is None:
        tensor.grad = Tensor(gradient.copy())
    else:
        tensor.grad.data += gradient


def _outputs_first(last: Node) -> list[Node]:
    """Every node that led to `last`, each before all nodes it depends on: a depth-first search without recursion, reversed."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(last, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((i, False) for i in node.inputs if isinstance(i, Node) and i not in seen)
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
