"""Which memory a layer keeps alive for the backward pass."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minicnn.inspect.recorder import Recording
from minicnn.tensor import Tensor


def saved_bytes(recording: Recording) -> dict[str, int]:
    """By the name of each layer, the bytes of all arrays in its operations' caches: of each piece of memory once, and for the first layer
    that saves it. Parameters, buffers and the network's input are not counted: they would be there without the backward pass too."""
    model = recording.model
    seen = {id(root(t.array)) for t in (*model.parameters(), *model.buffers())} | {id(root(recording.input.output.array))}
    found: dict[str, int] = {}
    for layer in recording.layers:
        total = 0
        for op in layer.ops:
            for array in arrays(op.output.node.cache if op.output.node else None):
                if id(root(array)) not in seen:
                    seen.add(id(root(array)))
                    total += int(array.nbytes)
        found[layer.name] = total
    return found


def arrays(cache: Any) -> Iterator[Any]:
    """All arrays in a cache, also those in tuples of tuples."""
    if isinstance(cache, Tensor):
        yield cache.array
    elif hasattr(cache, "nbytes") and hasattr(cache, "shape"):
        yield cache
    elif isinstance(cache, tuple | list):
        for item in cache:
            yield from arrays(item)


def root(array: Any) -> Any:
    """The array that owns the memory of a view."""
    while getattr(array, "base", None) is not None and hasattr(array.base, "dtype"):
        array = array.base
    return array
