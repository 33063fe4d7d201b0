"""Averages of the weights over the steps of a training, with torch's names: they often predict better than the last weights do.

    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999), use_buffers=True)
    ...
        optimizer.step()
        average.update_parameters(model)
    evaluate(average, test)                                    # average.module is a network like model
"""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from minicnn.autograd import no_grad
from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.nn.normalization import _BatchNorm
from minicnn.optim.lerp import lerp_
from minicnn.optim.swa_lr import SWALR
from minicnn.recording import changed
from minicnn.tensor import Tensor

__all__ = ["SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn", "update_bn"]

AvgFn = Callable[[Tensor, Tensor, Tensor], Any]                # (average, current, n_averaged) -> the new average
MultiAvgFn = Callable[[list[Tensor], list[Tensor], Tensor], None]    # the same for a list of one dtype, in place


class AveragedModel(Module):
    """A copy of `model` whose weights are an average of those that `model` has had: call `update_parameters(model)` after a step.

        the first call:     a <- w
        with no function:   a <- a + (w - a) / (n_averaged + 1), the mean of all (stochastic weight averaging, Izmailov et al., 2018)
        else:               a <- avg_fn(a, w, n_averaged), or multi_avg_fn([a, ...], [w, ...], n_averaged), which works in place

    device: where the copy is kept; None is where the model is.
    use_buffers: average the buffers too, such as the running statistics of batch norm; else they are copied from the model. Averages of
    integers are cut off after the point, as torch does: num_batches_tracked is then of no use, and nothing uses it.

    module: the copy. n_averaged: how many networks have gone into it. state_dict() has torch's names: n_averaged, module.conv1.weight, ...

    Raises ValueError when both functions are given, and when the model of a call has other tensors than the first one.

    >>> from minicnn import nn
    >>> layer = nn.Linear(1, 1)
    >>> average = AveragedModel(layer)
    >>> for weight in (1.0, 2.0, 6.0):
    ...     _ = layer.weight.data.fill_(weight)
    ...     average.update_parameters(layer)
    >>> average.module.weight.item(), average.n_averaged.item()
    (3.0, 3)
    """

    def __init__(self, model: Module, device: Any = None, avg_fn: AvgFn | None = None, multi_avg_fn: MultiAvgFn | None = None,
                 use_buffers: bool = False) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: avg_fn and multi_avg_fn are both given, expected at most one of them")
        self.module = copy.deepcopy(model)
        self.module.zero_grad()                                # the copy of the gradients is nobody's
        self.register_buffer("n_averaged", Tensor(np.zeros((), np.int64)))
        if device is not None:
            self.to(device)
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the weights that `model` has now into the average."""
        tensors = _tensors(self.module, model, self.use_buffers)
        if self.n_averaged.item() == 0:
            for average, current in tensors:
                average.array[...] = current.array
        elif self.avg_fn is not None:
            for average, current in tensors:
                average.array[...] = self.avg_fn(average, current, self.n_averaged.detach()).array
        else:
            update = self.multi_avg_fn or get_swa_multi_avg_fn()
            for averages, currents in _by_dtype(tensors):
                update(averages, currents, self.n_averaged.detach())
        if not self.use_buffers:
            for copied, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
                copied.array[...] = devices.beside(buffer.array, copied.array)
        self.n_averaged.array += 1
        changed()


def _tensors(copied: Module, model: Module, use_buffers: bool) -> list[tuple[Tensor, Tensor]]:
    """(the copy's, the model's) of every tensor to be averaged, both where the copy is."""
    first, second = (list(chain(m.parameters(), m.buffers() if use_buffers else ())) for m in (copied, model))
    if [t.shape for t in first] != [t.shape for t in second]:
        raise ValueError(f"AveragedModel: the model has tensors of shapes {', '.join(str(t.shape) for t in second)}, "
                         f"the average of {', '.join(str(t.shape) for t in first)}")
    return [(a.detach(), Tensor(devices.beside(w.array, a.array))) for a, w in zip(first, second, strict=True)]


def _by_dtype(tensors: Iterable[tuple[Tensor, Tensor]]) -> Iterable[tuple[list[Tensor], list[Tensor]]]:
    groups: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
    for average, current in tensors:
        averages, currents = groups.setdefault((average.dtype, average.device), ([], []))
        averages.append(average)
        currents.append(current)
    return groups.values()


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAvgFn:
    """The exponential moving average, a <- decay * a + (1 - decay) * w, as AveragedModel's multi_avg_fn. ValueError outside 0..1."""
    _check_decay(decay)

    def ema_update(averages: Sequence[Tensor], currents: Sequence[Tensor], n_averaged: Any) -> None:
        for average, current in zip(averages, currents, strict=True):
            lerp_(average.array, current.array, 1 - decay)

    return ema_update


def get_swa_multi_avg_fn() -> MultiAvgFn:
    """The mean of all, a <- a + (w - a) / (n_averaged + 1), as AveragedModel's multi_avg_fn."""
    def swa_update(averages: Sequence[Tensor], currents: Sequence[Tensor], n_averaged: Any) -> None:
        for average, current in zip(averages, currents, strict=True):
            lerp_(average.array, current.array, 1 / (int(n_averaged) + 1))

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> AvgFn:
    """The exponential moving average as AveragedModel's avg_fn: a new tensor, decay * a + (1 - decay) * w. ValueError outside 0..1."""
    _check_decay(decay)
    return lambda average, current, n_averaged: decay * average + (1 - decay) * current


def get_swa_avg_fn() -> AvgFn:
    """The mean of all as AveragedModel's avg_fn: a new tensor, a + (w - a) / (n_averaged + 1)."""
    return lambda average, current, n_averaged: average + (current - average) / (n_averaged + 1)


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ValueError(f"decay is {decay}, expected 0..1")


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Measure the running statistics of every batch norm in `model` anew: their mean over one pass through `loader`.

    For an average of weights whose buffers were not averaged. loader: batches, or tuples that begin with one; device: where to copy them.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    modes, momenta = [(module, module.training) for module in model.modules()], [norm.momentum for norm in norms]
    try:
        model.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None                               # the plain mean over all batches
        for batch in loader if norms else ():
            x = batch[0] if isinstance(batch, list | tuple) else batch
            model(x if device is None else x.to(device))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes:
            module.training = mode
