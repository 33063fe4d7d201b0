"""The tape: it remembers which function made each Tensor, and runs their backward functions in reverse order.

An operation is a pair of plain functions on arrays, and one line that puts the pair on the tape:

    y, cache = forward(*arrays, **options)
    gradients = backward(dy, cache)            one for each array of forward, None where there is none

    def conv2d(x, weight, ...): return record(conv2d_forward, conv2d_backward, x, weight, ..., window=window)

Everything backward needs is in `cache`. The tape itself knows no mathematics but one rule: what is used twice gets the sum of its
gradients.

The first gradient of a leaf is copied, for a backward function may return dy itself, or a view of it, and two tensors must not share
one .grad; unless the function is marked `fresh`.

A backward function may have two more parameters: `needs`, which of its gradients are wanted, and `inplace`, that dy's memory is nobody
else's and may be written over. What it alone holds of its cache is gone as soon as it lets go of it.
"""
from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn import tensor as _tensor
from minicnn.kernels import devices
from minicnn.recording import enable_grad, is_grad_enabled, no_grad, recording, set_grad_enabled
from minicnn.tensor import Tensor

__all__ = ["Node", "backward", "enable_grad", "fresh", "grad", "is_grad_enabled", "no_grad", "quietly", "record", "set_grad_enabled",
           "unrecorded"]

quietly = np.errstate(divide="ignore", over="ignore", invalid="ignore")     # as in torch: 1 / 0 is inf and 0 / 0 NaN, without a warning


class Node:
    """One recorded call: its two functions, what backward needs, and where each gradient goes (a Node, a leaf Tensor, or None)."""
    __slots__ = ("backward", "cache", "dtype", "forward", "hooks", "inputs", "keep", "shape")

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Sequence[Any]], cache: Any,
                 inputs: list[Node | Tensor | None], y: Any) -> None:
        self.forward, self.backward, self.cache, self.inputs = forward, backward, cache, inputs
        self.shape, self.dtype = y.shape, y.dtype
        self.hooks: dict[Any, Callable[[Tensor], Any]] | None = None        # of register_hook()
        self.keep: weakref.ref[Tensor] | None = None         # a tensor that asked for its gradient with retain_grad()

    @property
    def name(self) -> str:
        return _name(self.forward)

    def gradients(self, dy: Any, own: bool = False, keep: bool = True) -> Sequence[Any]:
        """The gradient of each input, given the gradient dy of the output.

        own: whether dy may be written over. keep: the cache, for another call.
        """
        if self.cache is _FREED:
            raise RuntimeError(f"backward through {self.name} a second time: the first backward() freed what it had saved; "
                               "call backward(retain_graph=True) the first time to keep it")
        backward, inplace = self.backward, own and _takes(self.backward, "inplace")
        if _takes(backward, "needs"):                          # spelt out: a call with ** would hold the cache until it returns
            needs = [i is not None for i in self.inputs]
            return backward(dy, self._given(keep), needs, True) if inplace else backward(dy, self._given(keep), needs)
        return backward(dy, self._given(keep), inplace=True) if inplace else backward(dy, self._given(keep))

    def _given(self, keep: bool) -> Any:
        """The cache; unless it is kept, whoever is given it holds it alone."""
        cache = self.cache
        if not keep:
            self.cache = _FREED
        return cache


def _name(forward: Callable[..., Any]) -> str:
    return forward.__name__.removesuffix("_forward")


_FREED = object()


def _takes(backward: Callable[..., Any], name: str) -> bool:
    """Whether a backward function has this parameter."""
    code = backward.__code__
    parameters = code.co_argcount + code.co_kwonlyargcount
    return parameters > 2 and name in code.co_varnames[:parameters]


def fresh(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a backward function: every gradient it returns is a new array, in memory that nothing else uses."""
    backward.fresh = True  # type: ignore[attr-defined]  # a function has whatever attributes it is given
    return backward


def record(forward: Callable[..., tuple[Any, Any]], backward: Callable[..., Sequence[Any]], *inputs: Any, **options: Any) -> Any:
    """Call forward on the arrays of `inputs` and put the call on the tape. Returns the output as a Tensor.

    inputs: Tensors, arrays, numbers or None; only Tensors with requires_grad get a gradient. options: passed to forward as they are.
    A forward that returns several outputs, ((y, extra, ...), cache), has a gradient for y alone; the others become constant Tensors.
    """
    arrays: list[Any] = []
    edges: list[Node | Tensor | None] = []
    wanted = False
    for t in inputs:
        edge = None
        if isinstance(t, Tensor):
            edge = t.node or (t if t._requires_grad else None)
            wanted = wanted or edge is not None
            t = t.array
        arrays.append(t)
        edges.append(edge)
    try:
        y, cache = _call(forward, arrays, options)
    except Exception as error:
        y, cache = _call(forward, _together(forward, arrays, edges, error), options)
    y, extras = (y[0], y[1:]) if isinstance(y, tuple) else (y, ())
    out = Tensor(y)
    if wanted and recording.on:
        out.node = Node(forward, backward, cache, edges, out.array)
    if recording.watcher:
        recording.watcher(forward, inputs, options, out)
    return (out, *(Tensor(e) for e in extras)) if extras else out


def unrecorded(what: str, function: Callable[..., Any], *inputs: Any) -> Tensor:
    """function(*arrays of inputs) as a constant Tensor, for operations that have no gradient."""
    arrays = [t.array if isinstance(t, Tensor) else t for t in inputs]
    try:
        return Tensor(function(*arrays))
    except Exception as error:
        return Tensor(function(*devices.together(what, arrays, error)))


@quietly
def _call(forward: Callable[..., tuple[Any, Any]], arrays: list[Any], options: dict[str, Any]) -> tuple[Any, Any]:
    return forward(*arrays, **options)


def _together(forward: Callable[..., Any], arrays: list[Any], edges: list[Node | Tensor | None], error: Exception) -> list[Any]:
    """As in torch, a single number of the host's goes with tensors on any device, unless it wants a gradient. See `devices.together`."""
    found = devices.together(_name(forward), arrays, error)
    if any(new is not old and edge is not None for new, old, edge in zip(found, arrays, edges, strict=True)):
        raise error
    return found


@quietly
def backward(tensor: Tensor, gradient: Any = None, retain_graph: bool = False) -> None:
    """Add d(tensor)/d(leaf) to the .grad of every leaf that requires one: the chain rule, from the end of the tape to its beginning.

    gradient: the gradient to start from, of tensor's shape; may be left out for a scalar (1).
    retain_graph: keep what was saved, to call it again.
    """
    for target, dy, own in _run({tensor.node or tensor: _start("backward()", tensor, gradient)}, retain_graph):
        kept = target if isinstance(target, Tensor) else target.keep() if target.keep else None
        if kept is None:
            continue
        if kept.grad is None:
            kept.grad = Tensor(dy if own else dy.copy())
        else:
            kept.grad.array += dy


@quietly
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
        target, dy = tensor.node or tensor, _start("grad()", tensor, start)
        pending[target] = _sum(pending[target], dy) if target in pending else dy
    wanted = {t.node or t for t in inputs}
    found = {target: dy for target, dy, _ in _run(pending, retain_graph, wanted) if target in wanted}
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
        return np.ones_like(tensor.array)
    value = gradient.array if isinstance(gradient, Tensor) else gradient
    if isinstance(gradient, Tensor) and gradient.device != tensor.device:
        raise RuntimeError(f"{what}: the gradient is on {gradient.device}, the tensor on {tensor.device}")
    dy = devices.beside(value if hasattr(value, "dtype") else np.asarray(value), tensor.array).astype(tensor.dtype, copy=False)
    if dy.shape != tensor.shape:
        raise RuntimeError(f"{what}: the gradient has shape {dy.shape}, the tensor {tensor.shape}")
    return dy


def _run(pending: dict[Node | Tensor, Any], retain_graph: bool,
         wanted: Collection[Node | Tensor] = ()) -> Iterator[tuple[Node | Tensor, Any, bool]]:
    """The chain rule over all that led to the nodes in `pending`: every leaf, and every node that is wanted or kept, with its gradient.

    A node's turn comes when all that used it have had theirs; what they send to it is added up in `pending` until then.
    The third value: whether the gradient's memory is its own.
    """
    uses, own = _uses(pending), set[Node | Tensor]()
    ready = [target for target, n in uses.items() if n == 0]
    while ready:
        target = ready.pop()
        dy = pending.pop(target, None)
        if dy is not None and target.hooks:
            dy = _hooked(target, dy)
            own.discard(target)
        if isinstance(target, Tensor):
            if dy is not None:
                yield target, dy, target in own
            continue
        gradients: Sequence[Any]
        if dy is None:                                         # nothing that mattered used it
            gradients = [None] * len(target.inputs)
        else:
            if target.keep or target in wanted:
                own.discard(target)
                yield target, dy, False                        # not its own: the backward function may hand it on
            gradients = target.gradients(dy, target in own, retain_graph)
        for source, gradient in zip(target.inputs, gradients, strict=True):
            if source is None:
                continue
            if gradient is not None:
                if gradient.shape != source.shape:
                    raise RuntimeError(f"the backward of {target.name} returned a gradient of shape {gradient.shape} "
                                       f"for an input of shape {source.shape}")
                if gradient.dtype != source.dtype:
                    gradient = gradient.astype(source.dtype)
                if source in pending:
                    pending[source] = _sum(pending[source], gradient)
                    own.add(source)
                else:
                    pending[source] = gradient
                    if hasattr(target.backward, "fresh"):
                        own.add(source)
            uses[source] -= 1
            if uses[source] == 0:
                ready.append(source)


def _hooked(target: Node | Tensor, dy: Any) -> Any:
    """The gradient after the hooks of register_hook() have seen, and perhaps replaced, it."""
    for hook in list((target.hooks or {}).values()):
        changed = hook(Tensor(dy))
        if changed is not None:
            dy = changed.array
    return dy


def _sum(a: Any, b: Any) -> Any:
    """a + b; images, which residual connections send here, by the backend's kernel."""
    return kernels.of(a).add(a, b) if a.ndim == 4 else a + b


def _uses(last: Iterable[Node | Tensor]) -> dict[Node | Tensor, int]:
    """All that led to `last`, and how often each is used on the way there."""
    uses = dict.fromkeys(last, 0)
    found = list(uses)
    while found:
        target = found.pop()
        for source in target.inputs if isinstance(target, Node) else ():
            if source in uses:
                uses[source] += 1
            elif source is not None:
                uses[source] = 1
                found.append(source)
    return uses


_tensor.autograd = sys.modules[__name__]
