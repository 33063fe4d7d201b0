"""What the checks look at: gradients, units, steps."""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.inspect.health.batches import Data, Loss, place
from minicnn.inspect.recorder import record
from minicnn.inspect.showing.choice import RELUS
from minicnn.kernels import devices
from minicnn.nn import Module


def gradient_norms(model: Module) -> dict[str, float]:
    """norm of dw over norm of w, of every weight with two axes at least, in the order of the layers; 0 where there is no gradient."""
    norms, found = {}, False
    for name, p in model.named_parameters():
        if p.ndim >= 2:
            found = found or p.grad is not None
            size = float(np.linalg.norm(devices.host(p.array).astype(np.float64)))
            norms[name] = 0.0 if p.grad is None else float(np.linalg.norm(devices.host(p.grad.array).astype(np.float64))) / (size or 1.0)
    return norms if found else {}


def gradients_of(model: Module, data: Data, loss_function: Loss) -> tuple[float, dict[str, float]]:
    """The loss of a batch in training mode, and the norms of its gradients."""
    x, labels = place(model, data)
    model.zero_grad()
    loss = loss_function(model(x), labels)
    if loss.requires_grad:
        loss.backward()
    return loss.item(), gradient_norms(model)


def dead_channels(model: Module, data: Data) -> dict[str, tuple[int, int]]:
    """(dead, all) channels or units of each ReLU: those that are 0 for every image at every position."""
    found = {}
    recording = record(model, place(model, data)[0])
    for layer in recording.layers:
        for op in layer.ops:
            if op.name in RELUS and len(op.shape) >= 2:
                y = devices.host(op.output.array)
                most = y.max(axis=(0, *range(2, y.ndim)))
                found[layer.name] = (int((most <= 0).sum()), len(most))
    return found


def relative_changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float]:
    """norm of the change over norm of the weight, of each layer that changed or not."""
    return {name: float(np.linalg.norm((after[name] - w).astype(np.float64))) / (float(np.linalg.norm(w.astype(np.float64))) or 1.0)
            for name, w in before.items()}
