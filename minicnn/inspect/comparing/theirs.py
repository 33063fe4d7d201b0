"""A network of minicnn beside a torch module: torch's layers, matched by name, get the input that A's layer had.

What a torch network computes between its layers (torch.relu(x), x + y, flatten) has no name there. It is checked all the same: torch's
layers' outputs are put through A's functions, and what comes out must be what torch's next layer was given.
"""
from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.autograd import grad
from minicnn.inspect.comparing.bounds import exact, largest
from minicnn.inspect.comparing.judged import Judged, judge
from minicnn.inspect.comparing.replay import call_of, run
from minicnn.inspect.comparing.sides import Side
from minicnn.inspect.recorder import Layer, Op, Recording, identity_forward, record
from minicnn.inspect.rounding import gamma
from minicnn.kernels import devices
from minicnn.tensor import Tensor

Seen = dict[tuple[str, int], tuple[Any, Any]]              # (name, which call): input and output of one of torch's layers


def compare_all(recording: Recording, a: Side, b: Side, x: Any, dys: dict[Op, Any], names: dict[int, str], dtype: Any,
                training: bool) -> tuple[list[Judged], Any]:
    """All layers judged, and torch's output; None where torch's forward fails."""
    leaves = {name: m for name, m in b.model.named_modules() if not list(m.children())}
    try:
        seen, y = _watched(b.model, leaves, x, training)
    except Exception:                                          # its layers, one by one, will say what is wrong
        seen, y = {}, None
    judged: list[Judged] = []
    values: dict[Op, Any] = {recording.input: x}
    for layer in recording.layers:
        path, call = layer.ops[0].path, layer.ops[0].call
        if layer.module is not None and path in leaves and len(layer.inputs) == 1:
            if y is not None and (path, call) in seen:
                given, made = seen[path, call]
                judged += _glue(layer, given, values.get(layer.inputs[0]), dtype)
                values[layer.output] = made
            if not (training and layer.kind.startswith("Dropout")):
                judged += _layer(layer, leaves[path], a, b, dys, names, dtype, training)
        elif layer.module is not None and next(layer.module.parameters(), None) is not None:
            judged.append(Judged(layer.name, "forward", "output", ratio=np.inf, problem=f"torch has no layer {path}"))
        elif y is not None:
            _through(layer, values, a)
    if y is not None and recording.output in values:
        judged += _glue(recording.layers[-1], y, values[recording.output], dtype, "the network's output")
    return judged, y


def _watched(model: Any, leaves: dict[str, Any], x: Any, training: bool) -> tuple[Seen, Any]:
    import torch

    seen: Seen = {}
    calls: dict[str, int] = {}
    watched = copy.deepcopy(model).train(training)             # running statistics move in the copy

    def note(name: str) -> Any:
        def hook(_: Any, args: Any, y: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            if args and isinstance(args[0], torch.Tensor) and isinstance(y, torch.Tensor):
                seen[name, calls[name]] = (before.pop(name), y.detach().numpy().copy())
        return hook

    before: dict[str, Any] = {}

    def note_input(name: str) -> Any:                          # before an inplace layer changes it
        def hook(_: Any, args: Any) -> None:
            if args and isinstance(args[0], torch.Tensor):
                before[name] = args[0].detach().numpy().copy()
        return hook

    for name, module in watched.named_modules():
        if name in leaves:
            module.register_forward_pre_hook(note_input(name))
            module.register_forward_hook(note(name))
    with torch.no_grad():
        return seen, watched(torch.tensor(x)).numpy()


def _through(layer: Layer, values: dict[Op, Any], a: Side) -> None:
    """A's function, or a layer torch has as a function, on what torch's layers made."""
    for op in layer.ops:
        call, arrays = call_of(op), []
        for source, array in zip(op.inputs, call.arrays, strict=True):
            if isinstance(source, Op) and source not in values:
                return
            arrays.append(values[source] if isinstance(source, Op) else array)
        try:
            values[op] = run(call.fed(arrays), a.backend)[0]
        except Exception:                                      # shapes that do not fit: torch's layer before was already found wrong
            return


def _glue(layer: Layer, given: Any, expected: Any, dtype: Any, what: str = "its input") -> Iterator[Judged]:
    """What torch fed to a layer, beside A's functions applied to torch's own values. Silent where they agree within a rule of thumb."""
    if expected is None:
        return
    bound = gamma(64 + max(expected.shape, default=1) ** 2, dtype) * largest(expected) + float(np.finfo(dtype).tiny)
    found = judge(layer.name, "forward", what, expected, given, expected, bound, rough=True)
    if found.ratio > 1:
        yield found


def _layer(layer: Layer, module: Any, a: Side, b: Side, dys: dict[Op, Any], names: dict[int, str], dtype: Any,
           training: bool) -> Iterator[Judged]:
    """Forward and backward of one layer: torch's module on A's input."""
    source, last = layer.inputs[0], layer.output
    x, dy = devices.host(source.output.array), dys.get(last)
    parameters = [i for op in layer.ops for i in op.inputs if isinstance(i, Tensor) and id(i) in names]
    keys = [names[id(p)].removeprefix(f"{layer.ops[0].path}.") for p in parameters]
    try:
        z, theirs = _torch_run(module, x, dy, keys, training)
    except Exception as error:
        problem = f"{b.name} cannot take {a.name}'s input: {str(error).splitlines()[0]}"
        yield Judged(layer.name, "forward", "output", ratio=np.inf, problem=problem)
        return
    y, mine = devices.host(last.output.array), _own_gradients(layer, x, dy, parameters, a, training)
    if last.function is identity_forward:
        true_y, true, bound, bounds, rough = x, [dy], np.zeros(1), [np.zeros(1)], False
    elif len(layer.ops) == 1:
        truth = exact(call_of(last), dy, dtype, (a.backend,))
        inputs = [i for i, read in enumerate(last.inputs) if read is source or any(read is p for p in parameters)]
        true = [truth.gradients[i] for i in inputs] if dy is not None else []
        bounds = [truth.bounds[i] for i in inputs] if dy is not None else []
        true_y, bound, rough = truth.y, truth.bound, False
    else:
        true_y, true, bound, bounds = _by_thumb(layer, x, dy, keys, a, dtype, training)
        rough = True
    found = judge(layer.name, "forward", "output", y, z, true_y, bound, rough)
    yield found
    if dy is None or found.problem:
        return
    for key, g, h, t, limit in zip(["the input", *keys], mine, theirs, true, bounds, strict=True):
        what = f"gradient of {key}"
        if (g is None) != (h is None):
            yield Judged(layer.name, "backward", what, ratio=np.inf, problem=f"only {a.name if h is None else b.name} has a {what}")
        elif g is not None:
            yield judge(layer.name, "backward", what, g, h, t, limit, rough)


def _torch_run(module: Any, x: Any, dy: Any, keys: list[str], training: bool) -> tuple[Any, list[Any]]:
    import torch

    module = copy.deepcopy(module).train(training)
    held = dict(module.named_parameters())
    leaf = torch.tensor(x, requires_grad=True)
    z = module(leaf.clone())                                   # it may be changed in place
    if dy is None or z.shape != dy.shape or not z.requires_grad:
        return z.detach().numpy(), []
    wanted = [leaf, *(held[key] for key in keys if key in held)]
    found = iter(torch.autograd.grad(z, wanted, torch.tensor(dy), allow_unused=True))
    gradients = [next(found), *(next(found) if key in held else None for key in keys)]
    return z.detach().numpy(), [None if g is None else g.numpy() for g in gradients]


def _own_gradients(layer: Layer, x: Any, dy: Any, parameters: list[Tensor], a: Side, training: bool) -> list[Any]:
    """A's, of this call alone: a layer may be used several times."""
    if layer.output.function is identity_forward or dy is None:
        return [dy]
    assert layer.module is not None
    with kernels.use_backend(a.cpu_backend):
        again = record(layer.module, Tensor(x).to(a.device), training=training)
        return _gradients(again.input, again.output, parameters, dy)


def _gradients(source: Op, last: Op, parameters: Sequence[Tensor], dy: Any) -> list[Any]:
    """A's own, of the layer's input and parameters."""
    if dy is None:
        return []
    start = devices.move(np.ascontiguousarray(dy), devices.device_of(last.output.array))
    found = grad(last.output, [source.output, *parameters], start, retain_graph=True, allow_unused=True)
    return [None if g is None else devices.host(g.array) for g in found]


def _by_thumb(layer: Layer, x: Any, dy: Any, keys: list[str], a: Side, dtype: Any, training: bool) -> tuple[Any, Any, Any, Any]:
    """A layer of several operations (layer norm, a convolution with reflected padding): in float64, and gamma of all its terms times the
    largest value on the way."""
    assert layer.module is not None
    module = copy.deepcopy(layer.module).cpu().double()
    with kernels.use_backend("numpy"):
        again = record(module, Tensor(x.astype(np.float64)), training=training)
        held = dict(module.named_parameters())
        parameters = [held[key] for key in keys]
        gradients = _gradients(again.input, again.output, parameters, None if dy is None else dy.astype(np.float64))
    size = max(largest(op.output.array) for op in [again.input, *again.ops]) * max(1, *(largest(p.array) for p in held.values()), 1)
    g = gamma(x.size + 64, dtype)
    tiny = float(np.finfo(dtype).tiny)
    bounds = [None if d is None else g * (size * largest(dy) + largest(d)) + tiny for d in gradients]
    return again.output.output.array, gradients, g * size + tiny, bounds
