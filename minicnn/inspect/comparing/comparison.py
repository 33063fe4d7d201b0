"""diff(model_a, model_b, x): where two networks that should compute the same part, and whether that is rounding or a bug."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.autograd import grad
from minicnn.inspect.comparing import ours, theirs
from minicnn.inspect.comparing.difference import Difference, LayerDifference
from minicnn.inspect.comparing.judged import Judged
from minicnn.inspect.comparing.sides import Placed, Side, first_weight, sides
from minicnn.inspect.recorder import Op, Recording, record
from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.tensor import Tensor


def diff(model_a: Module | Placed | Any, model_b: Module | Placed | Any, x: Any, labels: Any = None, *, training: bool = False,
         seed: int = 0) -> Difference:
    """Run two networks that should compute the same, forward and backward, and name the first layer, pass and element where they part.

    Every layer is judged alone: both get the input, and the output's gradient, that A's layer had, so that no difference is inherited from
    the layers before. A sum of K products may be off by gamma_K * sum |x||w| in each of the two (see `minicnn.inspect.rounding`), so

        ratio = |a - b| / (2 * bound)          up to 1: rounding;  above 1: a bug, whatever the network

    The same operation in float64 (on the NumPy backend, with A's weights) tells which of the two is off.

    model_a, model_b: a minicnn network, `on(network, backend)`, or a torch module with the same layer names (one of the two at most);
    neither is changed. x: the input, a Tensor or an array. labels: class numbers (N); with them the gradient that goes back is that of the
    cross-entropy, without them random numbers of `seed`. training: batch norm uses the batch's statistics; dropout is left out.

    Raises TypeError for what is no network, ValueError for an input that A cannot take.
    """
    a, b = sides(model_a, model_b)
    if a.torch:
        return diff(model_b, model_a, x, labels, training=training, seed=seed)
    array = _array(x)
    recording = _recorded(a, array, training)
    dys = _gradients(recording, _start(recording, labels, seed))
    names = {id(p): name for name, p in a.model.named_parameters()}
    found: dict[str, list[Judged]] = {layer.name: [] for layer in recording.layers}
    dtype = recording.output.output.dtype
    if b.torch:
        judged, output_b = theirs.compare_all(recording, a, b, array, dys, names, dtype, training)
    else:
        judged, output_b = _compare_ours(recording, a, b, array, dys, names, dtype, training)
    for one in judged:
        found.setdefault(one.layer, []).append(one)
    layers = [LayerDifference(layer.name, layer.kind, found[layer.name]) for layer in recording.layers]
    layers += [LayerDifference(name, "", rest) for name, rest in found.items() if name not in {layer.name for layer in layers}]
    output_a = devices.host(recording.output.output.array)
    return Difference(a.name, b.name, type(a.model).__name__, tuple(array.shape), first_weight(a, b), layers,
                      *_apart(output_a, output_b))


def _compare_ours(recording: Recording, a: Side, b: Side, array: Any, dys: dict[Op, Any], names: dict[int, str], dtype: Any,
                  training: bool) -> tuple[list[Judged], Any]:
    other: Recording | Exception
    try:
        other = _recorded(b, array, training)
    except Exception as error:
        other = error
    judged: list[Judged] = []
    for layer, matched in ours.pairs(recording, other, a, b, training):
        if isinstance(matched, str):
            judged.append(Judged(layer.name, "forward", "output", ratio=np.inf, problem=matched))
        elif not (training and any(op.name == "dropout" for op, _ in matched)):
            judged += ours.compare(layer, matched, a, b, dys, names, dtype)
    judged += _extra(recording, other, a)
    return judged, devices.host(other.output.output.array) if isinstance(other, Recording) else None


def _extra(recording: Recording, other: Recording | Exception, a: Side) -> Iterator[Judged]:
    """Layers that B has and A has not."""
    if isinstance(other, Recording):
        known = {layer.name for layer in recording.layers}
        for layer in other.layers:
            if layer.name not in known:
                yield Judged(layer.name, "forward", "output", ratio=np.inf, problem=f"{a.name} has no such layer")


def _recorded(side: Side, array: Any, training: bool) -> Recording:
    with kernels.use_backend(side.cpu_backend):
        return record(side.model, Tensor(array).to(side.device), training=training)


def _array(x: Any) -> Any:
    array = x.detach().cpu().numpy() if hasattr(x, "detach") and not isinstance(x, Tensor) else devices.host(
        x.array) if isinstance(x, Tensor) else np.asarray(x)
    if array.dtype.kind != "f":
        raise TypeError(f"diff: x has dtype {array.dtype}, expected floating point: x.astype(np.float32)")
    if not array.size:
        raise ValueError(f"diff: x has shape {array.shape}: there is nothing to compare")
    return array


def _start(recording: Recording, labels: Any, seed: int) -> Any:
    """The gradient at the output, in the output's dtype, on the host."""
    y = devices.host(recording.output.output.array)
    if labels is None:
        return np.random.default_rng(seed).standard_normal(y.shape).astype(y.dtype)
    labels = np.asarray(labels.array if isinstance(labels, Tensor) else labels)
    if y.ndim != 2 or labels.shape != y.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(f"diff: labels must be {y.shape[0]} whole numbers, one for each row of an output (N, classes): got dtype "
                         f"{labels.dtype} of shape {labels.shape}, the output is {y.shape}")
    if labels.size and not 0 <= labels.min() <= labels.max() < y.shape[1]:
        raise ValueError(f"diff: labels go from {labels.min()} to {labels.max()}, the network has {y.shape[1]} classes")
    wide = np.exp(y.astype(np.float64) - y.max(axis=1, keepdims=True))
    wide /= wide.sum(axis=1, keepdims=True)
    wide[np.arange(len(labels)), labels] -= 1
    return (wide / len(labels)).astype(y.dtype)


def _gradients(recording: Recording, dy: Any) -> dict[Op, Any]:
    """A's gradient at the output of each operation that has one."""
    with_node = [op for op in recording.ops if op.output.node is not None]
    last = recording.output.output
    if last.node is None:
        return {}
    start = devices.move(dy, devices.device_of(last.array))
    found = grad(last, [op.output for op in with_node], start, retain_graph=True, allow_unused=True)
    return {op: devices.host(g.array) for op, g in zip(with_node, found, strict=True) if g is not None}


def _apart(a: Any, b: Any) -> tuple[float | None, float | None]:
    """Of the outputs of the whole networks: the largest |a - b|, and that divided by the largest |a|."""
    if b is None or a.shape != b.shape or not a.size:
        return None, None
    apart, size = float(np.abs(a.astype(np.float64) - b).max()), float(np.abs(a).max())
    return apart, apart / size if size else None
