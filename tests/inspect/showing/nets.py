"""Small networks, built alike by minicnn and torch."""
from __future__ import annotations

from typing import Any

import torch

import minicnn


def residual(t: Any) -> Any:
    """A residual block with functional layers and batch norm, pooling, and a head."""
    F = t.nn.functional

    class Net(t.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = t.nn.Conv2d(2, 4, 3, padding=1)
            self.norm = t.nn.BatchNorm2d(4)
            self.conv2 = t.nn.Conv2d(4, 4, 3, padding=1, bias=False)
            self.fc = t.nn.Linear(4 * 3 * 4, 5)

        def features(self, x: Any) -> Any:
            y = t.relu(self.norm(self.conv1(x)))
            return t.relu(self.conv2(y) + y)

        def forward(self, x: Any) -> Any:
            return self.fc(F.max_pool2d(self.features(x), 2).flatten(1))
    return Net()


def plain(t: Any) -> Any:
    """No padding, so that a patch is an image of its own."""
    return t.nn.Sequential(t.nn.Conv2d(1, 3, 3), t.nn.ReLU(), t.nn.MaxPool2d(2), t.nn.Conv2d(3, 4, 2), t.nn.ReLU(), t.nn.Flatten(),
                           t.nn.Linear(4 * 2 * 3, 3))


def both(build: Any, seed: int) -> tuple[Any, Any]:
    """(ours, torch's), in float64, with the same weights and statistics."""
    torch.manual_seed(seed)
    theirs = build(torch).double()
    with torch.no_grad():
        for name, buffer in theirs.named_buffers():
            if buffer.is_floating_point():                     # running statistics that are not 0 and 1
                buffer.copy_(torch.rand(buffer.shape, dtype=torch.float64) + (0.5 if name.endswith("var") else 0))
    ours = build(minicnn).double()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs
