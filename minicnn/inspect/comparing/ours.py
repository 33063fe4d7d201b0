"""Two networks of minicnn, operation by operation: both get the input that A's operation had."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minicnn import kernels
from minicnn.inspect.comparing.bounds import exact
from minicnn.inspect.comparing.judged import Judged, judge
from minicnn.inspect.comparing.replay import Call, call_of, run
from minicnn.inspect.comparing.sides import Side
from minicnn.inspect.recorder import Layer, Op, Recording, record
from minicnn.tensor import Tensor

Problem = tuple[str, str]            # layer, what is wrong with it


def pairs(a: Recording, b: Recording | Exception, ours: Side, side: Side,
          training: bool) -> Iterator[tuple[Layer, list[tuple[Op, Op]] | str]]:
    """For each of A's layers the operations of both, or in words why B has none that match.

    Where B's forward as a whole fails, its modules are still run one by one, each on A's input.
    """
    if isinstance(b, Recording):
        theirs = {layer.name: layer for layer in b.layers}
        number = [{op: i for i, op in enumerate([r.input, *r.ops])} for r in (a, b)]
    for i, layer in enumerate(a.layers):
        if isinstance(b, Exception):
            other: Layer | str | None = _by_itself(layer, side, training)
        else:
            other = theirs.get(layer.name)
            if other is None and i < len(b.layers):
                other = f"where {ours.name} has {layer.name} ({layer.kind}), {side.name} has {b.layers[i].name} ({b.layers[i].kind})"
        if other is None:
            yield layer, f"{side.name} has no such layer"
        elif isinstance(other, str):
            yield layer, other
        elif [op.name for op in layer.ops] != [op.name for op in other.ops]:
            yield layer, f"{ours.name} computes {_names(layer)}, {side.name} {_names(other)}"
        elif not isinstance(b, Exception) and not _wired_alike(layer, other, number):
            yield layer, f"it reads the result of another layer in {side.name} than in {ours.name}"
        else:
            yield layer, list(zip(layer.ops, other.ops, strict=True))


def _names(layer: Layer) -> str:
    return ", ".join(op.name for op in layer.ops)


def _wired_alike(ours: Layer, theirs: Layer, number: list[dict[Op, int]]) -> bool:
    def sources(op: Op, index: dict[Op, int]) -> list[Any]:
        return [index[i] if isinstance(i, Op) else None for i in op.inputs]
    return all(sources(p, number[0]) == sources(q, number[1]) for p, q in zip(ours.ops, theirs.ops, strict=True))


def _by_itself(layer: Layer, side: Side, training: bool) -> Layer | str | None:
    """B's module of that name, run on what A's module read."""
    if layer.module is None or len(layer.inputs) != 1:
        return layer                                           # a function: compare it with itself, on B's backend
    try:
        module = side.model.get_submodule(layer.ops[0].path)
        x = Tensor(call_of(layer.ops[0]).arrays[0]).to(side.device)
        with kernels.use_backend(side.cpu_backend):
            return record(module, x, training=training).layers[0]
    except Exception as error:
        return f"{side.name} cannot take that input: {error}"


def compare(layer: Layer, matched: list[tuple[Op, Op]], a: Side, b: Side, dys: dict[Op, Any], names: dict[int, str],
            dtype: Any) -> Iterator[Judged]:
    """Forward and backward of a layer's operations. dys: A's gradient at the output of each; names: of A's parameters, by id."""
    for op, other in matched:
        ours = call_of(op)
        theirs = _with_inputs_of(ours, op, other)
        dy = dys.get(op) if ours.backward else None
        truth = exact(ours, dy, dtype, (a.backend, b.backend))
        y, gradients = run(ours, a.backend)
        try:
            z, gradients_b = run(theirs, b.backend)
        except Exception as error:
            yield Judged(layer.name, "forward", "output", ratio=float("inf"), problem=f"{b.name} cannot take {a.name}'s input: {error}")
            continue
        what = "output" if len(layer.ops) == 1 else f"output of {op.name}"
        found = judge(layer.name, "forward", what, y, z, truth.y, truth.bound, truth.rough)
        yield found
        if dy is None or found.problem:
            continue
        for i, (g, h) in enumerate(zip(gradients(dy), gradients_b(dy), strict=False)):
            of = _input_name(op, i, names, layer)
            if g is None or i >= len(op.inputs):
                continue
            if h is None:
                yield Judged(layer.name, "backward", of, ratio=float("inf"), problem=f"{b.name} has no {of}")
            else:
                yield judge(layer.name, "backward", of, g, h, truth.gradients[i], truth.bounds[i], truth.rough)


def _with_inputs_of(ours: Call, op: Op, other: Op) -> Call:
    """B's call with A's activations: its own weights, constants and options."""
    theirs = call_of(other)
    arrays = list(theirs.arrays)
    for i, source in enumerate(op.inputs):
        if isinstance(source, Op) and i < len(arrays):
            arrays[i] = ours.arrays[i]
    return theirs.fed(arrays)


def _input_name(op: Op, i: int, names: dict[int, str], layer: Layer) -> str:
    source = op.inputs[i] if i < len(op.inputs) else None
    name = names.get(id(source))
    if name is None:
        return "gradient of the input" if len(op.sources) < 2 else f"gradient of input {i}"
    return f"gradient of {name.removeprefix(layer.ops[0].path + '.')}"
