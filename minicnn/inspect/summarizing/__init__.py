"""summary: what every layer of a network makes, has, computes, keeps and sees, and what a training step takes of memory."""
from __future__ import annotations

from collections.abc import Sequence

from minicnn import kernels
from minicnn.inspect.recorder import Recording, example_input, record
from minicnn.inspect.summarizing.layers import LayerSummary, summarized
from minicnn.inspect.summarizing.memory.step import OPTIMIZERS, Memory, training_memory
from minicnn.inspect.summarizing.result import Summary
from minicnn.nn import Module
from minicnn.tensor import Tensor

__all__ = ["LayerSummary", "Memory", "Summary", "summary"]


def summary(model: Module, input_shape: Sequence[int], *, batch: int | None = None, optimizer: str = "sgd") -> Summary:
    """A row for every layer, functions and layers inside branches included: shapes, parameters, multiply-adds, memory, receptive fields.

    input_shape: (C, H, W) of one image, or (N, C, H, W) of a batch; `batch` says N too. optimizer: whose state is in the memory of a
    training step: "sgd", "momentum" (SGD with it), "adam", "adamw", or "none", for forward and backward alone.

    The counts are of the whole batch. The backend in use (`minicnn.use_backend`) decides workspaces and memory. The network is run: once on
    the batch, once on one image, and for the memory of training on two and on three, from which that of any batch is computed.

    Raises TypeError for a model that is no Module, ValueError for sizes below 1 or that do not fit the network, or an unknown optimizer.

    >>> from minicnn import models
    >>> found = summary(models.LeNet(), (1, 28, 28))
    >>> found.total_parameters, found.total_macs, found.layers[0].output_shape
    (61706, 416520, (1, 6, 28, 28))
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer is {optimizer!r}: must be one of {', '.join(OPTIMIZERS)}")
    x = example_input(input_shape)
    if x.ndim < 2:
        raise ValueError(f"input_shape is {input_shape!r}: give (C, H, W) of one image, or the shape of a batch, such as (N, features)")
    given = x.shape[0] if len(tuple(input_shape)) != 3 else 1
    if batch is not None:
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise ValueError(f"batch is {batch!r}: must be a number from 1")
        if len(tuple(input_shape)) != 3 and batch != given:
            raise ValueError(f"input_shape {tuple(input_shape)} has a batch of {given}, batch is {batch}: give one of them")
        given = batch
        x = example_input((batch, *x.shape[1:]))
    found, mode = _recorded(model, x)
    rows = summarized(found, record(model, example_input((1, *x.shape[1:]))))
    memory, why = None, "the network has no parameters to train"
    if any(p.requires_grad for p in model.parameters()):
        try:
            memory, why = training_memory(model, tuple(x.shape[1:]), given, optimizer), ""
        except (ValueError, TypeError) as error:
            why = str(error)
    parameters = list({id(p): p for p in model.parameters()}.values())
    return Summary(
        type(model).__name__, tuple(x.shape), kernels.backend(), mode, optimizer, rows, sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad), sum(p.array.nbytes for p in parameters),
        sum(b.array.nbytes for b in model.buffers()), int(x.array.nbytes), int(found.output.output.array.nbytes), memory, why)


def _recorded(model: Module, x: Tensor) -> tuple[Recording, str]:
    """In training mode; in eval mode where a single image is too few for it, as for batch norm of 1 x 1 pixels."""
    try:
        return record(model, x, training=True), "training"
    except ValueError:
        return record(model, x, training=False), "eval"
